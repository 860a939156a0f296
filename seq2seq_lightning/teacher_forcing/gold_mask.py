"""From a ratio to a decision per position: gold_mask = coins < ratio, drawn outside the model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seq2seq_lightning.randomness import uniforms, uniforms_of
from seq2seq_lightning.teacher_forcing.feeding import Granularity

_SHARED_PLACE = -1  # no example stands here, so coins for all rows are independent of every row's own


def draw_gold_mask(
    ratio: float | Tensor,
    granularity: Granularity,
    seed: int,
    update: int,
    places: Tensor,
    target_time: int,
    position_decay: float = 1.0,
) -> Tensor | None:
    """Toss the coins of one update: (batch, target_time), True where the gold token is fed; None means everywhere.

    ratio: of all positions, or (batch, target_time) of each; at position t it counts position_decay^t times, as Liu et
    al. 2021 (arXiv 2108.12963) let it fall with the decoding step. places: (batch,), each row's place in the global
    batch, on the device where the mask is wanted. A coin is a pure function of (seed, update, place, position) for
    ``token``, (seed, update, place) for ``sequence``, (seed, update, position) for ``step`` and (seed, update) for
    ``batch``: never of rank, micro-batch, row order or padded width; ``mixed`` has none, and is gold nowhere.
    Position 0 holds ``bos``, which is always gold. None, plain teacher forcing, is returned without waiting for the
    device: when the ratio is at least 1, or when the coins that all rows share fell on gold everywhere.
    """
    if not isinstance(ratio, Tensor):
        if ratio >= 1 and position_decay == 1:
            return None
        if granularity in (Granularity.step, Granularity.batch):
            shared = _shared_mask(ratio, granularity, seed, update, target_time, position_decay)
            return None if bool(shared.all()) else shared.to(places.device).repeat(len(places), 1)
    if granularity is Granularity.mixed:
        return _with_gold_bos(torch.zeros(len(places), 1, dtype=torch.bool, device=places.device), target_time)
    columns = 1 if granularity is Granularity.sequence else target_time
    ratio = _by_position(ratio, position_decay, columns, places.device)
    return _with_gold_bos(uniforms(seed, "feeding", update, places, columns) < ratio, target_time)


def draw_gold_masks(
    ratio: float,
    granularity: Granularity,
    seeds: Sequence[int],
    update: int,
    places: Tensor,
    target_time: int,
    position_decay: float = 1.0,
) -> Tensor | None:
    """``draw_gold_mask`` for several seeds at once: (rows, target_time), the rows of the first first, as many each.

    places: (rows,), each row's place in the batch of its own seed. None: gold everywhere, for a ratio of 1.
    """
    if ratio >= 1 and position_decay == 1:
        return None
    if granularity in (Granularity.step, Granularity.batch):
        places = torch.full_like(places, _SHARED_PLACE)
    columns = 1 if granularity in (Granularity.sequence, Granularity.batch) else target_time
    coins = uniforms_of(seeds, "feeding", update, places, columns)
    return _with_gold_bos(coins < _by_position(ratio, position_decay, columns, places.device), target_time)


def _shared_mask(
    ratio: float, granularity: Granularity, seed: int, update: int, target_time: int, position_decay: float
) -> Tensor:
    """(1, target_time) on the CPU: these coins also decide which code runs, so that every rank must know them."""
    columns = target_time if granularity is Granularity.step else 1
    coins = uniforms(seed, "feeding", update, torch.tensor([_SHARED_PLACE]), columns)
    return _with_gold_bos(coins < _by_position(ratio, position_decay, columns, coins.device), target_time)


def _by_position(ratio: float | Tensor, position_decay: float, columns: int, device: torch.device) -> float | Tensor:
    """The ratio at each position: a number, (columns,) or (batch, columns)."""
    if position_decay == 1:
        return ratio
    return ratio * position_decay ** torch.arange(columns, dtype=torch.float64, device=device)


def _with_gold_bos(gold: Tensor, target_time: int) -> Tensor:
    """Stretch one column over all positions where there is but one, and make position 0 gold."""
    mask = gold.expand(-1, target_time).clone()
    mask[:, 0] = True
    return mask
