"""A model that is a table: exact, fast, dependent on the whole prefix and on the sentence, and easily re-scored.

The row of the table is a hash of the sentence and of every token fed so far, so a state or a memory that search
forgets to reorder changes the result. Looked-up rows are the same bits in any batch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seq2seq_lightning.decoding import (
    Automaton,
    BeamConfig,
    DecodingConfig,
    Hypothesis,
    LengthPenalty,
    Requests,
    SpecialIds,
    StopRule,
    search,
)
from seq2seq_lightning.decoding.scoring import Finishing, LengthCount, Unfinished

IDS = SpecialIds(pad=0, bos=1, eos=2)
ROWS = 4096
PRIME = 2_147_483_647


@dataclass(frozen=True)
class Code:
    """A state: the hash of what was fed, (rows,)."""

    code: Tensor

    def select(self, rows: Tensor) -> Code:
        return Code(self.code[rows])


@dataclass(frozen=True)
class Sentences:
    """A memory: a seed and a length per sentence."""

    seeds: Tensor
    lengths: Tensor
    source_time: int

    def select(self, sentences: Tensor) -> Sentences:
        return Sentences(self.seeds[sentences], self.lengths[sentences], self.source_time)


@dataclass(frozen=True)
class Answer:
    log_probs: Tensor
    attention: Tensor | None
    state: Code


@dataclass
class TableModel:
    """`table` (ROWS, vocab) log-probabilities; `weights` (ROWS, source_time) positive attention weights or None."""

    table: Tensor
    weights: Tensor | None = None
    sentences_asked: list[int] = field(default_factory=list)
    rows_asked: list[int] = field(default_factory=list)

    def step(self, tokens: Tensor, state: Code, memory: Sentences) -> Answer:
        width, rest = divmod(len(tokens), len(memory.seeds))
        assert rest == 0 and len(tokens) == len(state.code)
        self.sentences_asked.append(len(memory.seeds))
        self.rows_asked.append(len(tokens))
        code = (state.code * 131 + tokens + 17) % PRIME
        row = (code * 48_271 + memory.seeds.repeat_interleave(width) * 7_919) % PRIME % ROWS
        attention = None
        if self.weights is not None:
            lengths = memory.lengths.repeat_interleave(width)
            attention = self.weights[row, : memory.source_time] * (torch.arange(memory.source_time) < lengths[:, None])
            attention = attention / attention.sum(1, keepdim=True)
        return Answer(self.table[row], attention, Code(code))

    def start(self, seeds: Sequence[int], lengths: Sequence[int], source_time: int | None = None) -> tuple:
        memory = Sentences(torch.tensor(seeds), torch.tensor(lengths), source_time or max(lengths))
        return Code(torch.zeros(len(seeds), dtype=torch.int64)), memory, torch.tensor(lengths)


def random_model(
    seed: int, vocab: int, quantum: float | None = None, source_time: int = 6, sharpness: float = 2.0
) -> TableModel:
    """Random rows in float64; with a quantum, logits are its multiples, so that ties abound."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(ROWS, vocab, generator=generator, dtype=torch.float64) * sharpness
    if quantum is not None:
        logits = (logits / quantum).round() * quantum
    weights = torch.rand(ROWS, source_time, generator=generator, dtype=torch.float64) ** 3 + 1e-4
    return TableModel(logits.log_softmax(1), weights)


def run(
    model: TableModel,
    seeds: Sequence[int],
    config: DecodingConfig,
    lengths: Sequence[int] | None = None,
    **wanted: object,
) -> list[list[Hypothesis]]:
    """Search these sentences in one batch; the noise of each is that of its seed."""
    source_time = wanted.pop("source_time", None)
    state, memory, source_lengths = model.start(seeds, lengths or [3] * len(seeds), source_time)  # type: ignore[arg-type]
    ids = wanted.pop("ids", IDS)
    wanted.setdefault("places", torch.tensor(seeds))
    wanted.setdefault("utility", overlap)
    return search(model, state, memory, source_lengths, config, ids, **wanted)  # type: ignore[arg-type]


def overlap(place: int, outputs: Sequence[Sequence[int]]) -> np.ndarray:
    """A utility: the share of positions with the same token."""
    return np.array(
        [
            [sum(a == b for a, b in zip(one, other, strict=False)) / max(len(one), len(other), 1) for other in outputs]
            for one in outputs
        ]
    )


class Scored(NamedTuple):
    """A label sequence as the model sees it, worked out token by token."""

    log_probs: list[float]  # one per label
    attention: list[list[float]]


def rescored(model: TableModel, seed: int, length: int, labels: Sequence[int], bos: int = IDS.bos) -> Scored:
    """Feed the labels one by one to the model, one sentence, one row."""
    state, memory, _ = model.start([seed], [length])
    log_probs, attention = [], []
    for fed, label in zip([bos, *labels[:-1]], labels, strict=True):
        answer = model.step(torch.tensor([fed]), state, memory)
        state = answer.state
        log_probs.append(float(answer.log_probs[0, label]))
        if answer.attention is not None:
            attention.append(answer.attention[0].tolist())
    return Scored(log_probs, attention)


@dataclass(frozen=True)
class Asked:
    """What is asked of one sentence, and, in plain Python, what follows from it and from the settings."""

    prefix: tuple[int, ...] = ()
    required: tuple[tuple[int, ...], ...] = ()
    allowed: Automaton | None = None
    banned: tuple[tuple[int, ...], ...] = ()

    def may(self, written: Sequence[int], token: int, config: DecodingConfig, ids: SpecialIds = IDS) -> bool:
        """Whether the token may follow what was written; length limits are left to the caller."""
        if len(written) < len(self.prefix):
            return token == self.prefix[len(written)]
        if token in (ids.pad, ids.bos):
            return False
        if token == ids.eos:
            has_all = all(contains(written, phrase) for phrase in self.required)
            return has_all and (self.allowed is None or self.allowed.accepts(written))
        output, n = [*written, token], config.no_repeat_ngram
        return (
            not any(tuple(output[-len(phrase) :]) == phrase for phrase in self.banned)
            and not (n and len(output) > n and contains(output[:-1], output[-n:]))
            and (self.allowed is None or self.allowed.after(output) is not None)
        )

    def permits(self, output: Sequence[int], config: DecodingConfig, ids: SpecialIds = IDS) -> bool:
        """Whether the output, without eos, may be written and ended."""
        if len(output) < len(self.prefix):
            return False
        return all(self.may(output[:place], token, config) for place, token in enumerate([*output, ids.eos]))

    @staticmethod
    def of_batch(asked: Sequence[Asked]) -> Requests:
        """The request of these sentences; what is banned is banned for all."""
        return Requests(
            prefixes=[each.prefix for each in asked],
            required=[each.required for each in asked] if any(each.required for each in asked) else None,
            allowed=[each.allowed for each in asked],
            banned=asked[0].banned,
        )


NOTHING_ASKED = Asked()


def contains(output: Sequence[int], phrase: Sequence[int]) -> bool:
    """Whether the phrase stands in the output, its tokens side by side."""
    starts = range(len(output) - len(phrase) + 1)
    return any(tuple(output[start : start + len(phrase)]) == tuple(phrase) for start in starts)


def scored_total(config: DecodingConfig, log_probs: Sequence[float], labels: Sequence[int], asked: Asked) -> float:
    """The sum that is scored: repeated labels behind the prefix cost θ times as much."""
    total = 0.0  # added in order, as a search does, so that ties stay ties
    for place, (log_prob, label) in enumerate(zip(log_probs, labels, strict=True)):
        is_repeat = place >= len(asked.prefix) and label in labels[:place]
        total += log_prob * config.repetition_penalty if is_repeat else log_prob
    return total


def score_by_hand(
    config: DecodingConfig, scored: Scored, labels: Sequence[int], finished: bool, asked: Asked = NOTHING_ASKED
) -> float:
    """total ÷ penalty + coverage + reward, from the formulas of the papers, in plain Python."""
    total, n = scored_total(config, scored.log_probs, labels, asked), len(labels)
    if not isinstance(config, BeamConfig):
        return total
    n += {LengthCount.labels: 0, LengthCount.tokens: -int(finished), LengthCount.with_bos: 1}[config.length_counts]
    alpha, m = config.alpha or 0.0, max(n, 1)
    divisors = {LengthPenalty.none: 1.0, LengthPenalty.average: m**alpha, LengthPenalty.gnmt: ((5 + m) / 6) ** alpha}
    score = total / divisors[config.length_penalty] + config.word_reward * n
    if config.beta:
        covered = [sum(weights) for weights in zip(*scored.attention, strict=True)]
        score += config.beta * sum(math.log(min(each, 1.0)) for each in covered)
    return score


def every_output(vocab: int, shortest: int, longest: int, ids: SpecialIds = IDS) -> Iterator[tuple[int, ...]]:
    """Every finished output of `shortest` to `longest` labels, `eos` counted; without the eos."""
    words = [token for token in range(vocab) if token not in (ids.pad, ids.bos, ids.eos)]
    for labels in range(max(shortest, 1), longest + 1):
        yield from itertools.product(words, repeat=labels - 1)


def best_by_loop(
    model: TableModel,
    seed: int,
    length: int,
    config: BeamConfig,
    longest: int,
    stop: StopRule | None = None,
    asked: Asked = NOTHING_ASKED,
) -> list[tuple[list[int], bool, float]]:
    """The beam search of the docstring in plain Python, one sentence; it goes on to the end unless told to stop.

    Returns the n-best (tokens, finished, score).
    """
    width, vocab = config.beam_width, model.table.shape[1]
    live: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    finished: list[tuple[int, ...]] = []
    top_finished = False
    for position in range(1, longest + 1):
        candidates = []
        for beam, (prefix, _) in enumerate(live):
            for token in range(vocab):
                if not asked.may(prefix, token, config) or (token == IDS.eos and position < config.min_length):
                    continue
                if config.eos_at_maximum and position == longest and token != IDS.eos:
                    continue
                labels = (*prefix, token)
                total = scored_total(config, rescored(model, seed, length, labels).log_probs, labels, asked)
                candidates.append((-total, beam, token, labels))
        candidates.sort()
        room = width - len(finished) if config.finishing is Finishing.narrowing else width
        best = candidates[: 2 * width if config.finishing is Finishing.beside else max(room, 0)]
        ended = [labels for _, _, token, labels in best[:width] if token == IDS.eos]
        top_finished |= bool(best) and best[0][2] == IDS.eos
        finished += ended
        live = [(labels, -negative) for negative, _, token, labels in best if token != IDS.eos][:width]
        if stop is StopRule.first_k and len(finished) >= width and position < longest:
            live = []
        if stop is StopRule.top and top_finished and len(finished) >= config.n_best and position < longest:
            live = []
        if not live:
            break
    found = [(labels, True) for labels in finished]
    if not found or config.unfinished is Unfinished.compete:
        found += [(labels, False) for labels, _ in live]
    scored = []
    for labels, is_finished in found:
        score = score_by_hand(config, rescored(model, seed, length, labels), labels, is_finished, asked)
        scored.append((list(labels[: len(labels) - is_finished]), is_finished, score))
    return sorted(scored, key=lambda each: -each[2])[: config.n_best]
