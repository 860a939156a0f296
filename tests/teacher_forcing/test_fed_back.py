"""What is fed back: the arg max, or a draw that is a pure function of the place."""

from __future__ import annotations

import math

import pytest
import torch

from seq2seq_lightning.teacher_forcing import ArgMax, Gumbel, Sample, build_fed_back
from seq2seq_lightning.teacher_forcing.feeding import FedBackToken
from seq2seq_lightning.teacher_forcing.schedules import ConstantConfig

PROBABILITIES = torch.tensor([0.5, 0.0, 0.3, 0.2, 0.0])


def draws(noise: list[float], temperature: float = 1.0, probabilities=PROBABILITIES) -> list[int]:
    logits = probabilities.log().expand(len(noise), -1)
    chosen = Sample(torch.tensor(noise, dtype=torch.float64)[:, None], temperature)
    return chosen(logits, torch.arange(len(noise)), 0).tolist()


def test_argmax_takes_the_most_probable_without_gradient():
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, -1.0, 1.9]], requires_grad=True)
    ids = ArgMax()(logits, torch.arange(2), 4)
    assert ids.tolist() == [1, 0] and not ids.requires_grad


def test_a_draw_inverts_the_cumulative_distribution():
    # cumulative: 0.5, 0.5, 0.8, 1.0, 1.0; tokens 1 and 4 have probability zero and never come
    assert draws([0.0, 0.49, 0.51, 0.79, 0.81, 1 - 2**-53]) == [0, 0, 2, 2, 3, 3]


def test_temperature_sharpens_and_flattens():
    # squared and normalised: 0.25, 0.09, 0.04 of 0.38 → cumulative 0.658, 0.895, 1
    assert draws([0.65, 0.67, 0.89, 0.9], temperature=0.5) == [0, 2, 2, 3]
    # square roots: 0.707, 0.548, 0.447 of 1.702 → cumulative 0.415, 0.737, 1
    assert draws([0.41, 0.42, 0.73, 0.74], temperature=2.0) == [0, 2, 2, 3]


def test_frequencies_follow_the_distribution():
    config = ConstantConfig(fed_back=FedBackToken.sample)
    fed_back = build_fed_back(config, seed=1, update=2, places=torch.arange(20_000), target_time=2)
    ids = fed_back(PROBABILITIES.log().expand(20_000, -1), torch.arange(20_000), 1)
    assert (ids.bincount(minlength=5) / 20_000).tolist() == pytest.approx(PROBABILITIES.tolist(), abs=0.015)


def test_each_position_has_its_own_noise():
    config = ConstantConfig(fed_back=FedBackToken.sample)
    fed_back = build_fed_back(config, seed=1, update=2, places=torch.arange(50), target_time=3)
    logits = PROBABILITIES.log().expand(50, -1)
    rows = torch.arange(50)
    one, other = fed_back(logits, rows, 1).tolist(), fed_back(logits, rows, 2).tolist()
    assert one != other
    each = torch.arange(50) % 2 + 1  # a position of its own for every row
    assert fed_back(logits, rows, each).tolist() == [[one, other][row % 2][row] for row in range(50)]


def test_a_draw_belongs_to_its_place():
    config = ConstantConfig(fed_back=FedBackToken.sample, temperature=0.7)
    logits = torch.randn(8, 30, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([5, 2, 7])
    everyone = torch.arange(8)
    whole = build_fed_back(config, 1, 2, everyone, target_time=9)(logits, everyone, 4)
    part = build_fed_back(config, 1, 2, order, target_time=5)(logits[order], torch.arange(3), 4)
    assert part.tolist() == whole[order].tolist()
    some = build_fed_back(config, 1, 2, everyone, target_time=9)(logits[order], order, 4)
    assert some.tolist() == whole[order].tolist()
    other = build_fed_back(config, 1, 3, everyone, target_time=9)(logits, everyone, 4)
    assert other.tolist() != whole.tolist()


def test_argmax_draws_nothing():
    assert build_fed_back(ConstantConfig(), 1, 2, torch.arange(3), 4) == ArgMax()


def test_logits_that_are_no_numbers_stay_in_the_vocabulary():
    assert draws([0.5], probabilities=torch.full((5,), math.nan))[0] in range(5)


def test_the_largest_part_of_a_mixture_follows_the_distribution():
    """argmax(logits + g) is a draw from the softmax (Gumbel 1954), whatever the temperature."""
    everyone = torch.arange(20_000)
    for hard, temperature in ((False, 2.0), (True, 0.5)):
        weights = Gumbel(1, 2, everyone, temperature, hard)(PROBABILITIES.log().expand(20_000, -1), everyone, 1)
        frequencies = weights.argmax(-1).bincount(minlength=5) / 20_000
        assert frequencies.tolist() == pytest.approx(PROBABILITIES.tolist(), abs=0.015)


def test_a_mixture_is_a_softmax_of_what_the_noise_made_of_the_logits():
    """Without noise it would be softmax(logits / temperature); with it, each ratio is moved by the words' own noise."""
    logits = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    warm, flat = (Gumbel(1, 2, torch.arange(3), 0.7)(values, torch.arange(3), 5) for values in (logits, 0 * logits))
    torch.testing.assert_close(warm.sum(1), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(warm, torch.softmax(logits / 0.7 + flat.log(), -1))
    hot = Gumbel(1, 2, torch.arange(3), 1.4)(2 * logits, torch.arange(3), 5)
    torch.testing.assert_close(hot.log().diff(), (2 * logits / 1.4 + flat.log() / 2).diff())
    hard = Gumbel(1, 2, torch.arange(3), 0.7, hard=True)(logits, torch.arange(3), 5)
    torch.testing.assert_close(hard, torch.nn.functional.one_hot(warm.argmax(-1), 4).double())


def test_the_noise_of_a_mixture_belongs_to_its_place_and_position():
    logits = torch.zeros(8, 30, dtype=torch.float64)
    order, whole = torch.tensor([5, 2, 7]), Gumbel(1, 2, torch.arange(8))(logits, torch.arange(8), 4)
    assert torch.equal(Gumbel(1, 2, order)(logits[:3], torch.arange(3), 4), whole[order])
    assert torch.equal(Gumbel(1, 2, torch.arange(8))(logits[:3], order, 4), whole[order])
    for other in (Gumbel(1, 3, torch.arange(8)), Gumbel(2, 2, torch.arange(8))):
        assert not torch.equal(other(logits, torch.arange(8), 4), whole)
    assert not torch.equal(Gumbel(1, 2, torch.arange(8))(logits, torch.arange(8), 5), whole)
