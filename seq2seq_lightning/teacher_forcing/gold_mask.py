"""From a ratio to a decision per position: gold_mask = coins < ratio, drawn outside the model."""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq_lightning.randomness import uniforms
from seq2seq_lightning.teacher_forcing.feeding import Granularity

_SHARED_PLACE = -1  # no example stands here, so coins for all rows are independent of every row's own


def draw_gold_mask(
    ratio: float, granularity: Granularity, seed: int, update: int, places: Tensor, target_time: int
) -> Tensor | None:
    """Toss the coins of one update: (batch, target_time), True where the gold token is fed; None means everywhere.

    places: (batch,), each row's place in the global batch, on the device where the mask is wanted. A coin is a pure
    function of (seed, update, place, position) for ``token``, (seed, update, place) for ``sequence``, (seed, update,
    position) for ``step`` and (seed, update) for ``batch``: never of rank, micro-batch, row order or padded width.
    Position 0 holds ``bos``, which is always gold. None, plain teacher forcing, is returned without waiting for the
    device: when the ratio is at least 1, or when the coins that all rows share fell on gold everywhere.
    """
    if ratio >= 1:
        return None
    if granularity in (Granularity.step, Granularity.batch):
        shared = _shared_mask(ratio, granularity, seed, update, target_time)
        return None if bool(shared.all()) else shared.to(places.device).repeat(len(places), 1)
    columns = target_time if granularity is Granularity.token else 1
    return _with_gold_bos(uniforms(seed, "feeding", update, places, columns) < ratio, target_time)


def _shared_mask(ratio: float, granularity: Granularity, seed: int, update: int, target_time: int) -> Tensor:
    """(1, target_time) on the CPU: these coins also decide which code runs, so that every rank must know them."""
    columns = target_time if granularity is Granularity.step else 1
    coins = uniforms(seed, "feeding", update, torch.tensor([_SHARED_PLACE]), columns)
    return _with_gold_bos(coins < ratio, target_time)


def _with_gold_bos(gold: Tensor, target_time: int) -> Tensor:
    """Stretch one column over all positions where there is but one, and make position 0 gold."""
    mask = gold.expand(-1, target_time).clone()
    mask[:, 0] = True
    return mask
