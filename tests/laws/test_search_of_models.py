"""The laws of search with real decoders: each cell, attention, sight and depth once, in float64."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch

from seq2seq_lightning.decoding import (
    SEARCHES,
    BeamConfig,
    DecodingConfig,
    DiverseBeamConfig,
    GreedyConfig,
    Hypothesis,
    LengthPenalty,
    Requests,
    SpecialIds,
    StopRule,
    search,
    trie,
)
from seq2seq_lightning.models.model_config import check
from seq2seq_lightning.models.seq2seq import Seq2Seq
from tests.models.variants import AXES, BOS, EOS, PAD, SIGHTS, VOCAB, Example, build, configure, example, title

WORDS = range(3, VOCAB)
IDS = SpecialIds(PAD, BOS, EOS)
FIRST = {axis: options[0] for axis, options in AXES.items()} | {"sight": "current", "decoder_layers": 2}
VARIED = ("decoder_cell", "attention", "sight", "feeding", "decoder_layers", "pyramid")


def families() -> list[dict[str, Any]]:
    """The legal ones that differ from the first in one option."""
    one_by_one = [FIRST | {axis: option} for axis in VARIED for option in AXES[axis]]
    distinct = {title(choice): choice for choice in one_by_one if not check(configure(choice))}
    return list(distinct.values())


EVERY = pytest.mark.parametrize("choice", families(), ids=title)


def found(model: Seq2Seq, batch: Example, config: DecodingConfig, **wanted: Any) -> list[list[Hypothesis]]:
    memory, state = model.start(batch.source, batch.source_lengths)
    attended = model.attended_lengths(batch.source_lengths)
    with torch.inference_mode():
        return search(model, state, memory, batch.source_lengths, config, IDS, attended_lengths=attended, **wanted)


def log_probs(model: Seq2Seq, batch: Example, labels: list[list[int]]) -> torch.Tensor:
    """Of label sequences of equal length, each behind the one sentence of the batch: (sequences, labels)."""
    gold = torch.tensor(labels)
    inputs = torch.cat((torch.full((len(gold), 1), BOS), gold[:, :-1]), 1)
    source, lengths = batch.source.expand(len(gold), -1), batch.source_lengths.expand(len(gold))
    with torch.no_grad():
        scores = model.output_layer(model.readouts(source, lengths, inputs).readout).log_softmax(-1)
    return scores.gather(2, gold[:, :, None])[:, :, 0]


def test_the_families_are_many() -> None:
    kinds = {title(choice) for choice in families()}
    assert len(kinds) >= len(AXES["decoder_cell"]) + len(AXES["attention"]) + len(SIGHTS) - 3


@EVERY
def test_a_wide_beam_equals_enumeration(choice: dict[str, Any]) -> None:
    """Of up to three labels, 73 outputs; the beam holds them all."""
    model, batch = build(configure(choice)), example().row(0)
    scored = []
    for words in range(3):
        outputs = [[*output, EOS] for output in itertools.product(WORDS, repeat=words)]
        totals = log_probs(model, batch, outputs).sum(1) / (words + 1)
        scored += list(zip(totals.tolist(), outputs, strict=True))
    best = sorted(scored, reverse=True)[:5]
    config = BeamConfig(
        beam_width=600, n_best=5, length_penalty=LengthPenalty.average, alpha=1.0, stop=StopRule.exact, max_length=3
    )
    (hypotheses,) = found(model, batch, config)
    assert [[*each.tokens, EOS] for each in hypotheses] == [labels for _, labels in best]
    assert [each.score for each in hypotheses] == pytest.approx([score for score, _ in best], abs=1e-9)


STRICT = {"max_length": 7, "no_repeat_ngram": 2, "repetition_penalty": 1.5}
REQUESTS = Requests(
    prefixes=[[], [4, 5], [], [10], [], []],
    required=[[], [], [[7, 8]], [[3]], [], []],
    allowed=[None, None, None, None, trie([(3, 4, 5), (6,)]), None],
    banned=[[9], [3, 3]],
)
UNSHARED = Requests(REQUESTS.prefixes, None, REQUESTS.allowed, REQUESTS.banned)


OTHERS = [(FIRST, kind) for kind in SEARCHES if kind().name not in ("beam", "mbr")]  # mbr picks from what others found


@pytest.mark.parametrize(
    ("choice", "kind"),
    [(choice, BeamConfig) for choice in families()] + OTHERS,
    ids=lambda value: value().name if isinstance(value, type) else title(value),
)
def test_constrained_or_not_a_sentence_is_itself_and_its_score_its_own(
    choice: dict[str, Any], kind: type[DecodingConfig]
) -> None:
    model, batch, config = build(configure(choice)), example(batch=6), kind(**STRICT)
    requests = REQUESTS if config.serves_required() else UNSHARED
    together = found(model, batch, config, requests=requests, with_token_log_probs=True)
    for row, best in enumerate(together):
        places = torch.tensor([row])
        alone = batch.row(row)
        (same,) = found(model, alone, config, requests=requests.of([row]), places=places, with_token_log_probs=True)
        assert [each.tokens for each in same] == [each.tokens for each in best]
        assert [each.score for each in same] == pytest.approx([each.score for each in best], abs=1e-9)
        for each in best:
            assert each.tokens[: len(REQUESTS.prefixes[row])] == REQUESTS.prefixes[row]  # type: ignore[index]
            labels = [*each.tokens, *([EOS] if each.finished else [])]
            if labels:
                rescored = log_probs(model, alone, [labels])[0].tolist()
                assert each.token_log_probs == pytest.approx(rescored, abs=1e-9)


@EVERY
def test_the_smallest_beams_are_the_simpler_searches(choice: dict[str, Any]) -> None:
    model, batch = build(configure(choice)), example(batch=6)
    one = found(model, batch, BeamConfig(beam_width=1, stop=StopRule.first_k, **STRICT), requests=UNSHARED)
    greedy = found(model, batch, GreedyConfig(**STRICT), requests=UNSHARED)
    assert [best[0].tokens for best in one] == [best[0].tokens for best in greedy]
    beam = found(model, batch, BeamConfig(beam_width=4, n_best=4, **STRICT), requests=UNSHARED)
    group = found(model, batch, DiverseBeamConfig(beam_width=4, n_best=4, groups=1, **STRICT), requests=UNSHARED)
    assert group == beam


@EVERY
def test_in_bfloat16_every_model_says_nearly_what_it_says_in_float32(choice: dict[str, Any]) -> None:
    """bfloat16 has 8 significant bits: steps of 0.4 % in each number, a few of which come together here."""
    batch, model = example(), build(configure(choice)).eval()
    forced = {"forced_lengths": torch.full((len(batch.source),), 4), "with_token_log_probs": True}
    exact = found(copy.deepcopy(model).float(), batch, GreedyConfig(), **forced)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = found(copy.deepcopy(model).bfloat16(), batch, GreedyConfig(), **forced)
    assert [best[0].token_log_probs for best in exact] != [best[0].token_log_probs for best in rounded]
    for (one,), (other,) in zip(exact, rounded, strict=True):
        assert one.token_log_probs is not None and other.token_log_probs is not None
        if one.tokens == other.tokens:  # else two were nearly equal
            assert other.token_log_probs == pytest.approx(one.token_log_probs, abs=0.05)
