"""What a search misses, worked by hand and on a model."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from seq2seq_lightning.decoding import (
    BeamConfig,
    DecodingConfig,
    DiverseBeamConfig,
    GreedyConfig,
    Hypothesis,
    LengthPenalty,
    MBRConfig,
    SampleConfig,
)
from seq2seq_lightning.metrics import MetricsConfig
from seq2seq_lightning.training.quality import SearchQuality, describe_quality, search_quality, widest_beam
from tests.training.untrained import pairs, untrained


def hypothesis(log_prob: float, labels: int = 2, finished: bool = True, score: float | None = None) -> Hypothesis:
    return Hypothesis([5] * (labels - finished), finished, log_prob, log_prob if score is None else score)


def quality(found: list[list[Hypothesis]], widest: list[list[Hypothesis]], decoding: DecodingConfig) -> SearchQuality:
    texts = [[" ".join(["a"] * len(each.tokens)) for each in best] for best in found]
    metrics = MetricsConfig(report=["exact_match"])
    return search_quality(decoding, 9, found, widest, texts, [("a",)] * len(found), 2 * len(found), metrics, 2.0)


def test_gaps_errors_lengths_worked_by_hand() -> None:
    """Four sentences: found at once, missed by 1.5, better than the wide beam, and missed by 0.5, where it was cut.

    Outputs of 1, 1, 1 and 3 tokens for 2 each: 6/8.
    """
    found = [[hypothesis(-1.0)], [hypothesis(-2.0)], [hypothesis(-0.5)], [hypothesis(-3.0, 3, finished=False)]]
    widest = [[hypothesis(-1.0)], [hypothesis(-0.5)], [hypothesis(-0.75)], [hypothesis(-2.5)]]
    told = quality(found, widest, GreedyConfig())
    assert told.score_gap == pytest.approx(2.0 / 4)
    assert told.search_errors == 50.0
    assert (told.length_ratio, told.unfinished, told.n_best) == (6 / 8, 25.0, 1.0)
    assert told.oracle == {"exact_match": 75.0}
    assert (told.widest, told.sentences_per_second) == (9, 2.0)


def test_an_n_best_list_has_an_oracle_and_variety() -> None:
    """a a | a: of three words one is different, its pair is the only one; the second is right."""
    told = quality([[hypothesis(-1.0, 3), hypothesis(-2.0, 2)]], [[hypothesis(-1.0, 3)]], BeamConfig(n_best=2))
    assert (told.n_best, told.oracle) == (2.0, {"exact_match": 100.0})
    assert (told.distinct_1, told.distinct_2) == (pytest.approx(1 / 3), 1.0)


def test_nothing_possible_is_no_gap() -> None:
    told = quality([[hypothesis(-math.inf)]], [[hypothesis(-math.inf)]], GreedyConfig())
    assert (told.score_gap, told.search_errors) == (None, 0.0)
    missed = quality([[hypothesis(-math.inf)]], [[hypothesis(-1.0)]], GreedyConfig())
    assert (missed.score_gap, missed.search_errors) == (None, 100.0)
    assert "no finite gap to beam 9" in describe_quality("test", missed.to_plain())


def test_samples_are_compared_by_their_log_probabilities() -> None:
    """The expected utility 0.9 is no score of a model."""
    told = quality([[hypothesis(-2.0, score=0.9)]], [[hypothesis(-1.0)]], MBRConfig())
    assert told.score_gap == pytest.approx(1.0)


def test_the_widest_beam_keeps_everything_but_the_width() -> None:
    limits = {"max_length": 9, "min_length": 2, "no_repeat_ngram": 3, "repetition_penalty": 1.5, "batch_size": 7}
    penalised = {"length_penalty": LengthPenalty.gnmt, "alpha": 0.6, "beta": 0.1}
    wide = BeamConfig(beam_width=50, **limits)
    assert widest_beam(GreedyConfig(**limits), 50) == wide
    assert widest_beam(BeamConfig(beam_width=4, n_best=4, **limits, **penalised), 50) == replace(wide, **penalised)
    assert widest_beam(DiverseBeamConfig(**limits, **penalised), 50) == replace(wide, **penalised)
    for kind in (SampleConfig, MBRConfig):  # plain log-probabilities are compared
        assert widest_beam(kind(**limits), 50) == replace(wide, repetition_penalty=1.0)


def test_a_report_changes_no_score_and_finds_no_error_of_the_same_search() -> None:
    trained, metrics = untrained(), MetricsConfig(report=["bleu"])
    decodings = [
        GreedyConfig(max_length=7),
        BeamConfig(beam_width=30, max_length=7),
        SampleConfig(samples=4, max_length=7),
    ]
    plain = trained.score_each(pairs(9), decodings, metrics)
    reported = trained.score_each(pairs(9), decodings, metrics, quality=30)
    for one, other in zip(plain, reported, strict=True):
        assert not isinstance(one, Exception) and not isinstance(other, Exception)
        assert one.hypotheses == other.hypotheses and one.scores == other.scores
        assert one.quality is None and other.quality is not None and other.quality.widest == 30
    greedy, same, sampled = (each.quality for each in reported)  # type: ignore[union-attr]
    assert same.search_errors == 0.0 == same.score_gap
    assert greedy.search_errors > 0.0 < sampled.search_errors
    assert greedy.score_gap > 0.0 < sampled.score_gap
    assert sampled.oracle["bleu"] >= reported[2].scores["bleu"].value  # type: ignore[union-attr]
    line = describe_quality("test", sampled.to_plain())
    assert line.startswith("  test: score gap ") and "oracle bleu" in line and "distinct-2" in line
