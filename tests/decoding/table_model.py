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

import torch
from torch import Tensor

from seq2seq_lightning.decoding import BeamConfig, DecodingConfig, Hypothesis, LengthPenalty, SpecialIds, search

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
    """Search these sentences in one batch."""
    source_time = wanted.pop("source_time", None)
    state, memory, source_lengths = model.start(seeds, lengths or [3] * len(seeds), source_time)  # type: ignore[arg-type]
    ids = wanted.pop("ids", IDS)
    return search(model, state, memory, source_lengths, config, ids, **wanted)  # type: ignore[arg-type]


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


def score_by_hand(config: DecodingConfig, scored: Scored) -> float:
    """total ÷ penalty + coverage, from the formulas of the papers, in plain Python."""
    total, n = sum(scored.log_probs), len(scored.log_probs)  # added in order, as a search does, so that ties stay ties
    if not isinstance(config, BeamConfig):
        return total
    alpha = config.alpha or 0.0
    divisors = {LengthPenalty.none: 1.0, LengthPenalty.average: n**alpha, LengthPenalty.gnmt: ((5 + n) / 6) ** alpha}
    score = total / divisors[config.length_penalty]
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
    model: TableModel, seed: int, length: int, config: BeamConfig, longest: int, finished_enough: float = math.inf
) -> list[tuple[list[int], bool, float]]:
    """The beam search of the docstring in plain Python, one sentence, that goes on until `finished_enough` finished.

    Returns the n-best (tokens, finished, score).
    """
    width, vocab = config.beam_width, model.table.shape[1]
    live: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    finished: list[tuple[tuple[int, ...], float]] = []
    for position in range(1, longest + 1):
        candidates = []
        for beam, (prefix, total) in enumerate(live):
            row = [rescored(model, seed, length, [*prefix, token]).log_probs[-1] for token in range(vocab)]
            for token, log_prob in enumerate(row):
                if token in (IDS.pad, IDS.bos) or (token == IDS.eos and position < config.min_length):
                    continue
                candidates.append((-(total + log_prob), beam, token, (*prefix, token)))
        candidates.sort()
        best = candidates[: 2 * width]
        ended = [prefix for _, _, token, prefix in best[:width] if token == IDS.eos]
        finished += [(labels[:-1], score_by_hand(config, rescored(model, seed, length, labels))) for labels in ended]
        live = [(prefix, -negative) for negative, _, token, prefix in best if token != IDS.eos][:width]
        if len(finished) >= finished_enough:
            break
    found = [(list(tokens), True, score) for tokens, score in finished]
    if not found:
        scores = [score_by_hand(config, rescored(model, seed, length, prefix)) for prefix, _ in live]
        found = [(list(prefix), False, score) for (prefix, _), score in zip(live, scores, strict=True)]
    return sorted(found, key=lambda each: -each[2])[: config.n_best]
