"""Of several candidates the one most like the others: worked by hand, and where it must agree with other searches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_lightning.decoding import BeamConfig, Evidence, GreedyConfig, Hypothesis, MBRConfig, SampleConfig
from seq2seq_lightning.decoding.mbr import expected_utilities, most_useful
from seq2seq_lightning.errors import ConfigurationError
from tests.decoding.table_model import IDS, TableModel, overlap, random_model, rescored, run

CASES = settings(deadline=None, max_examples=30, derandomize=True)


def found(*outputs: tuple[list[int], float]) -> list[Hypothesis]:
    return [Hypothesis(tokens, True, math.log(p), math.log(p)) for tokens, p in outputs]


def equality(place: int, outputs: object) -> np.ndarray:
    return np.eye(len(outputs))  # type: ignore[arg-type]


def test_expected_utilities_worked_by_hand() -> None:
    """[3, 3] has the largest probability, 0.4; [4, 4] and [4, 5], 0.3 each, agree in half of their positions.

    U([3, 3]) = 0.4; U([4, 4]) = 0.3 · 1 + 0.3 · ½ = 0.45 = U([4, 5]), and the first of them wins.
    """
    candidates = found(([3, 3], 0.4), ([4, 4], 0.3), ([4, 5], 0.3))
    config = MBRConfig(candidates=BeamConfig(n_best=3), n_best=3)
    best = most_useful([candidates], overlap, config)[0]
    assert [each.tokens for each in best] == [[4, 4], [4, 5], [3, 3]]
    assert [each.score for each in best] == pytest.approx([0.45, 0.45, 0.4])
    assert [each.log_prob for each in best] == [candidates[1].log_prob, candidates[2].log_prob, candidates[0].log_prob]
    counted = most_useful([candidates], overlap, MBRConfig(candidates=BeamConfig(n_best=3), evidence=Evidence.counts))
    assert counted[0][0].score == pytest.approx((1 + 0.5) / 3) and len(counted[0]) == 1


def test_equal_samples_are_one_candidate_and_count_as_often_as_they_were_drawn() -> None:
    """[3] twice and [4] once: U([3]) = 2/3. By probability the more probable [4] wins: 0.5 against 0.1."""
    samples = found(([4], 0.5), ([3], 0.1), ([3], 0.1))
    config = MBRConfig(n_best=3)
    assert [(each.tokens, each.score) for each in most_useful([samples], overlap, config)[0]] == [
        ([3], pytest.approx(2 / 3)),
        ([4], pytest.approx(1 / 3)),
    ]
    config.evidence = Evidence.probabilities
    best = most_useful([samples], overlap, config)[0]
    assert (best[0].tokens, best[0].score) == ([4], pytest.approx(5 / 6))


def test_weights_are_shares() -> None:
    utilities = np.array([[1.0, 0.2], [0.6, 1.0]])
    assert expected_utilities(utilities, np.array([3.0, 1.0])) == pytest.approx([0.8, 0.7])
    assert expected_utilities(utilities, np.array([6.0, 2.0])) == pytest.approx([0.8, 0.7])


@CASES
@given(seed=st.integers(0, 2**16))
def test_of_an_n_best_list_compared_for_equality_the_most_probable_wins(seed: int) -> None:
    beam = BeamConfig(beam_width=5, n_best=5, max_length=5)
    config = MBRConfig(candidates=BeamConfig(beam_width=5, n_best=5), max_length=5)
    model = random_model(seed, 6)
    best, alone = run(model, range(4), config, utility=equality), run(model, range(4), beam)
    for one, others in zip(best, alone, strict=True):
        assert (one[0].tokens, one[0].log_prob) == (others[0].tokens, others[0].log_prob)
        total = sum(math.exp(each.log_prob) for each in others)
        assert one[0].score == pytest.approx(math.exp(others[0].log_prob) / total)


def test_of_samples_compared_for_equality_the_most_frequent_wins() -> None:
    model = random_model(8, 5, sharpness=1.5)
    drawn = run(model, range(5), SampleConfig(samples=40, max_length=4))
    best = run(model, range(5), MBRConfig(candidates=SampleConfig(samples=40), max_length=4), utility=equality)
    for samples, chosen in zip(drawn, best, strict=True):
        counts = [sum(other.tokens == each.tokens for other in samples) for each in samples]
        assert chosen[0].score == pytest.approx(max(counts) / 40)
        assert counts[[each.tokens for each in samples].index(chosen[0].tokens)] == max(counts)


def test_log_probs_stay_the_models_own() -> None:
    model = random_model(8, 5, sharpness=1.5)
    for seed, best in zip(range(5), run(model, range(5), MBRConfig(n_best=3, max_length=4)), strict=True):
        assert len({str(each.tokens) for each in best}) == len(best)
        for each in best:
            labels = [*each.tokens, IDS.eos] if each.finished else each.tokens
            assert each.log_prob == pytest.approx(math.fsum(rescored(model, seed, 3, labels).log_probs), abs=1e-9)


def test_candidates_without_any_probability_count_alike() -> None:
    dead = [Hypothesis([3], False, -math.inf, -math.inf)]
    config = MBRConfig(evidence=Evidence.probabilities)
    assert most_useful([dead], overlap, config)[0][0].score == 1.0


def test_outer_limits_hold_for_the_candidates() -> None:
    model = random_model(8, 5)
    model.table[:, IDS.eos] = -50.0
    assert len(run(TableModel(model.table), [0], MBRConfig(max_length=3))[0][0].tokens) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_best": 0}, "decoding.n_best=0 returns nothing"),
        ({"candidates": GreedyConfig()}, "decoding.candidates=greedy gives one candidate"),
        ({"candidates": BeamConfig()}, "decoding.candidates=beam gives one candidate.*n_best of a beam"),
        ({"candidates": SampleConfig()}, "decoding.candidates=sample gives one candidate"),
        ({"candidates": MBRConfig()}, "decoding.candidates is mbr itself"),
        (
            {"candidates": SampleConfig(samples=4, max_length=9)},
            "decoding.candidates.max_length has no effect: set decoding.max_length",
        ),
    ],
)
def test_what_leaves_nothing_to_choose_is_refused(options: dict, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        MBRConfig(**options)


def test_a_search_without_utility_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"utility=bleu, and this search was given no function"):
        run(random_model(1, 5), [0], MBRConfig(max_length=3), utility=None)
