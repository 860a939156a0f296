"""Coins belong to places, never to rows, ranks or padding."""

from __future__ import annotations

import pytest
import torch

from seq2seq_lightning.teacher_forcing import draw_gold_mask
from seq2seq_lightning.teacher_forcing.feeding import Granularity

PLACES = torch.arange(12)


def draw(granularity: Granularity, ratio: float = 0.5, places=PLACES, target_time: int = 20, seed=3, update=5):
    return draw_gold_mask(ratio, granularity, seed, update, places, target_time)


@pytest.mark.parametrize("granularity", Granularity)
def test_all_gold_needs_no_mask(granularity):
    assert draw(granularity, ratio=1.0) is None


@pytest.mark.parametrize("granularity", Granularity)
def test_ratio_zero_leaves_only_bos(granularity):
    mask = draw(granularity, ratio=0.0)
    assert mask.dtype == torch.bool and mask.shape == (12, 20)
    assert mask[:, 0].all() and not mask[:, 1:].any()


@pytest.mark.parametrize("granularity", [Granularity.token, Granularity.sequence, Granularity.step])
def test_a_coin_depends_on_place_and_position_alone(granularity):
    whole = draw(granularity, target_time=20)
    assert torch.equal(draw(granularity, target_time=7), whole[:, :7])
    order = torch.tensor([7, 0, 11, 3])
    assert torch.equal(draw(granularity, places=order), whole[order])
    halves = [draw(granularity, places=half) for half in PLACES.chunk(2)]
    assert torch.equal(torch.cat(halves), whole)


@pytest.mark.parametrize("granularity", [Granularity.token, Granularity.sequence, Granularity.step])
def test_seed_and_update_choose_other_coins(granularity):
    assert not torch.equal(draw(granularity), draw(granularity, seed=4))
    assert not torch.equal(draw(granularity), draw(granularity, update=6))


def test_token_coins_differ_within_rows_and_between_rows():
    mask = draw(Granularity.token)[:, 1:]
    assert not (mask == mask[:, :1]).all() and not (mask == mask[:1]).all()


def test_a_sequence_is_gold_or_not_as_a_whole():
    mask = draw(Granularity.sequence)[:, 1:]
    assert (mask == mask[:, :1]).all()
    assert mask[:, 0].any() and not mask[:, 0].all()


def test_a_step_is_gold_or_not_for_all_rows_and_ranks():
    mask = draw(Granularity.step)
    assert (mask == mask[:1]).all()
    assert mask[0, 1:].any() and not mask[0, 1:].all()
    assert torch.equal(draw(Granularity.step, places=torch.tensor([100, 200])), mask[:2])


def test_a_batch_is_gold_or_not_in_every_micro_batch():
    masks = [draw(Granularity.batch, update=update) for update in range(400)]
    gold = [mask is None for mask in masks]
    assert 150 < sum(gold) < 250
    assert all(mask is None or not mask[:, 1:].any() for mask in masks)
    other = [draw(Granularity.batch, update=update, places=torch.tensor([50]), target_time=3) for update in range(400)]
    assert gold == [mask is None for mask in other]


@pytest.mark.parametrize("granularity", [Granularity.token, Granularity.sequence])
def test_the_share_of_gold_is_the_ratio(granularity):
    mask = draw(granularity, ratio=0.3, places=torch.arange(20_000), target_time=3)
    assert mask[:, 1:].double().mean().item() == pytest.approx(0.3, abs=0.02)


def test_a_higher_ratio_keeps_every_gold_position():
    low, high = draw(Granularity.token, ratio=0.3), draw(Granularity.token, ratio=0.6)
    assert (high | ~low).all() and (high & ~low).any()
