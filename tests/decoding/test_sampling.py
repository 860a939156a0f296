"""Samples follow the model's distribution, or what is left of it; noise belongs to sentence, sample and position."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_lightning.decoding import GreedyConfig, NotANumberError, SampleConfig
from seq2seq_lightning.decoding.sampling import HEAD, truncated
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.randomness import drawn
from tests.decoding.table_model import IDS, TableModel, every_output, random_model, rescored, run

CASES = settings(deadline=None, max_examples=30, derandomize=True)
LOGS = torch.tensor([[0.5, 0.2, 0.2, 0.1]], dtype=torch.float64).log()


def kept(**options: object) -> list[float]:
    """What the options leave of 0.5, 0.2, 0.2, 0.1, as probabilities."""
    return truncated(LOGS, SampleConfig(**options)).softmax(1)[0].tolist()  # type: ignore[arg-type]


def test_truncation_worked_by_hand() -> None:
    assert kept() == pytest.approx([0.5, 0.2, 0.2, 0.1])
    assert kept(top_k=2) == pytest.approx([5 / 7, 2 / 7, 0, 0])  # of equal ones the lower id
    assert kept(top_p=0.49) == pytest.approx([1, 0, 0, 0])  # the first reaches it
    assert kept(top_p=0.51) == pytest.approx([5 / 7, 2 / 7, 0, 0])
    assert kept(top_p=0.91) == pytest.approx([0.5, 0.2, 0.2, 0.1])
    assert kept(top_k=3, top_p=0.6) == pytest.approx([5 / 7, 2 / 7, 0, 0])  # 5/9 is less than 0.6, 7/9 more
    assert kept(min_probability=0.15) == pytest.approx([5 / 9, 2 / 9, 2 / 9, 0])
    assert kept(min_probability=0.9) == pytest.approx([1, 0, 0, 0])  # nothing is so probable: the most probable one


@pytest.mark.parametrize("share", [0.3, 0.999, 1.0 - 1e-12])
def test_a_nucleus_is_the_same_however_it_is_found(share: float) -> None:
    """Sharp rows have it in their head, flat ones do not; a stable sort of everything is the definition."""
    scores = torch.randn(6, 3 * HEAD, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scores = (scores * torch.tensor([0.0, 0.1, 1, 3, 6, 9])[:, None]).log_softmax(1)
    for rows in (scores, scores[3:]):
        probabilities = rows.softmax(1)
        order = probabilities.sort(dim=1, descending=True, stable=True).indices
        ordered = probabilities.gather(1, order)
        wanted = torch.zeros_like(rows, dtype=torch.bool).scatter_(1, order, ordered.cumsum(1) - ordered < share)
        assert torch.equal(truncated(rows, SampleConfig(top_p=share)) > -torch.inf, wanted)


def test_frequencies_are_the_probabilities_that_temperature_leaves() -> None:
    """2,000 samples of outputs of up to two labels, against the product of the sharpened and renormalised steps."""
    model, count = random_model(5, 6, sharpness=1.0), 2000
    for temperature in (1.0, 0.5):
        found = run(model, [9], SampleConfig(samples=count, temperature=temperature, max_length=2, eos_at_maximum=True))
        seen = Counter(tuple(each.tokens) for each in found[0])
        assert sum(seen.values()) == count
        for output in every_output(6, 1, 2):
            probability = 1.0
            for place, label in enumerate([*output, IDS.eos][:2]):
                allowed = [IDS.eos, 3, 4, 5] if place == 0 else [IDS.eos]
                row = [rescored(model, 9, 3, [*output[:place], other]).log_probs[-1] for other in allowed]
                weights = [math.exp(each / temperature) for each in row]
                probability *= weights[allowed.index(label)] / sum(weights)
            deviation = (probability * (1 - probability) / count) ** 0.5
            assert abs(seen[tuple(output)] / count - probability) < 4 * deviation + 1 / count


@CASES
@given(seed=st.integers(0, 2**16), longest=st.integers(1, 6), shortest=st.integers(0, 6))
def test_top_one_is_greedy_search(seed: int, longest: int, shortest: int) -> None:
    limits = {"max_length": longest, "min_length": min(shortest, longest)}
    model = random_model(seed, 5, quantum=1.0)  # with ties
    assert run(model, range(4), SampleConfig(top_k=1, **limits)) == run(model, range(4), GreedyConfig(**limits))


def test_every_score_is_the_models_own() -> None:
    model = random_model(4, 6)
    config = SampleConfig(samples=7, temperature=0.6, top_k=3, top_p=0.9, max_length=5)
    for seed, drawn_ones in zip(range(5), run(model, range(5), config, with_token_log_probs=True), strict=True):
        assert len(drawn_ones) == 7
        for each in drawn_ones:
            scored = rescored(model, seed, 3, [*each.tokens, IDS.eos] if each.finished else each.tokens)
            assert each.token_log_probs == pytest.approx(scored.log_probs, abs=1e-9)
            assert each.score == each.log_prob == pytest.approx(math.fsum(scored.log_probs), abs=1e-9)


def test_finished_samples_come_first_and_the_probable_before_others() -> None:
    found = run(random_model(4, 6, sharpness=1.0), range(6), SampleConfig(samples=12, max_length=3))
    for samples in found:
        keys = [(each.finished, each.score) for each in samples]
        assert keys == sorted(keys, reverse=True)
    assert {each.finished for samples in found for each in samples} == {True, False}


def test_a_sample_is_the_same_among_few_and_many() -> None:
    model = random_model(4, 6, sharpness=1.0)
    few, many = (run(model, range(6), SampleConfig(samples=samples, max_length=6)) for samples in (2, 9))
    for some, others in zip(few, many, strict=True):
        assert not Counter(str(each) for each in some) - Counter(str(each) for each in others)


def test_seeds_and_places_give_other_samples() -> None:
    model = random_model(4, 6, sharpness=1.0)

    def outputs(seed: int, place: int) -> list[list[int]]:
        found = run(model, [3], SampleConfig(samples=6, seed=seed, max_length=8), places=torch.tensor([place]))
        return [each.tokens for each in found[0]]

    assert outputs(1, 0) == outputs(1, 0)
    assert len({str(outputs(seed, place)) for seed in (0, 1, 2) for place in (0, 1, 2)}) == 9


def test_nothing_is_taken_from_the_global_generator() -> None:
    state = torch.get_rng_state()
    run(random_model(1, 5), [0], SampleConfig(samples=3, max_length=4))
    assert torch.equal(torch.get_rng_state(), state)


def test_what_has_no_probability_is_never_drawn() -> None:
    """At both ends of the random numbers, whatever stands there: of three chunks one token is possible."""
    scores = torch.full((3, 150), -torch.inf)
    scores[0, 149], scores[1, 0], scores[2, 70] = 0.0, -5.0, 3.0
    for number in (0.0, 0.5, 1 - 2**-53):
        assert drawn(scores, torch.full((3,), number, dtype=torch.float64)).tolist() == [149, 0, 70]


def test_a_draw_is_the_first_whose_cumulative_probability_exceeds_the_number() -> None:
    uniform = torch.rand(400, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for choices in (3, 64, 65, 1000):
        scores = torch.randn(400, choices, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        cumulative = scores.softmax(1).cumsum(1)
        wanted = torch.searchsorted(cumulative / cumulative[:, -1:], uniform[:, None], right=True)[:, 0]
        assert torch.equal(drawn(scores, uniform), wanted)


def test_a_model_that_gives_no_number_is_named_by_its_sentence() -> None:
    model = random_model(1, 5)
    model.table[:, 3] = torch.nan
    with pytest.raises(NotANumberError, match="2 sentences"):
        run(model, [0, 1], SampleConfig(samples=2, max_length=3))


def test_a_sentence_without_any_possible_token_ends_there() -> None:
    table = torch.full((4096, 5), -torch.inf, dtype=torch.float64)
    table[:, IDS.pad] = 0.0
    best = run(TableModel(table), [0], SampleConfig(samples=2, max_length=4))[0]
    assert [(each.tokens, each.finished, each.log_prob) for each in best] == [([], False, -math.inf)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"samples": 0}, "decoding.samples=0 draws nothing"),
        ({"temperature": 0.0}, "decoding.temperature=0.0 divides by nothing.*decoding=greedy"),
        ({"top_k": 0}, "decoding.top_k=0 leaves no token"),
        ({"top_p": 0.0}, "decoding.top_p=0.0 is no share"),
        ({"top_p": 1.5}, "decoding.top_p=1.5 is no share"),
        ({"min_probability": 1.0}, "decoding.min_probability=1.0 is out of range"),
        ({"top_k": 1, "samples": 4}, "decoding.top_k=1 draws the most probable token each time"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        SampleConfig(**options)  # type: ignore[arg-type]
