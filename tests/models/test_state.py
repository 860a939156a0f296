from __future__ import annotations

import torch

from seq2seq_lightning.models.state import Memory, State

ROWS = torch.tensor([2, 0, 0])


def test_a_state_selects_every_tensor_it_carries() -> None:
    hidden, cell, feed = torch.arange(6.0).view(3, 2), torch.arange(9.0).view(3, 3), torch.arange(3.0).view(3, 1)
    state = State(({"hidden": hidden, "cell": cell}, {"hidden": hidden + 10}), feed)
    chosen = state.select(ROWS)
    assert chosen.layers[0]["hidden"].tolist() == [[4, 5], [0, 1], [0, 1]]
    assert chosen.layers[0]["cell"].tolist() == [[6, 7, 8], [0, 1, 2], [0, 1, 2]]
    assert chosen.layers[1]["hidden"].tolist() == [[14, 15], [10, 11], [10, 11]]
    assert chosen.feed is not None
    assert chosen.feed.tolist() == [[2], [0], [0]]
    assert State(state.layers).select(ROWS).feed is None


def test_a_memory_selects_states_mask_keys_and_context() -> None:
    states, mask = torch.arange(6.0).view(3, 2, 1), torch.tensor([[True, False], [True, True], [False, True]])
    memory = Memory(states, mask, states + 10, torch.arange(3.0).view(3, 1))
    assert memory.is_padding.tolist() == [[[False, True]], [[False, False]], [[True, False]]]
    chosen = memory.select(ROWS)
    assert chosen.states.flatten().tolist() == [4, 5, 0, 1, 0, 1]
    assert chosen.keys is not None
    assert chosen.keys.flatten().tolist() == [14, 15, 10, 11, 10, 11]
    assert chosen.context is not None
    assert chosen.context.flatten().tolist() == [2, 0, 0]
    assert chosen.is_padding.tolist() == [[[True, False]], [[False, True]], [[False, True]]]
    bare = Memory(states, mask).select(ROWS)
    assert bare.keys is None
    assert bare.context is None
