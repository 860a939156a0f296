from __future__ import annotations

import torch

from seq2seq_lightning.models.dropout import draw_mask, drop


def test_a_mask_keeps_the_mean_and_drops_its_share() -> None:
    torch.manual_seed(0)
    mask = draw_mask((200, 500), 0.3, True, torch.zeros(1, dtype=torch.float64))
    assert mask is not None
    assert mask.dtype is torch.float64
    assert set(mask.unique().tolist()) == {0.0, 1 / 0.7}
    assert abs((mask == 0).double().mean().item() - 0.3) < 0.005


def test_nothing_is_drawn_where_nothing_is_dropped() -> None:
    like, before = torch.zeros(1), torch.get_rng_state()
    assert draw_mask((2, 3), 0.3, False, like) is None
    assert draw_mask((2, 3), 0.0, True, like) is None
    assert torch.equal(torch.get_rng_state(), before)
    assert drop(like, None) is like
