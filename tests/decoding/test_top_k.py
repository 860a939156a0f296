from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_lightning.decoding.top_k import ordered_top, top_candidates


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    seed=st.integers(0, 1000),
    width=st.integers(1, 4),
    vocab=st.sampled_from([3, 63, 64, 65, 200, 1000]),
    count=st.integers(1, 20),
    quantum=st.sampled_from([0.01, 1.0, 100.0]),
)
def test_candidates_are_the_head_of_a_stable_sort_of_everything(
    seed: int, width: int, vocab: int, count: int, quantum: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_probs = (torch.randn(3, width, vocab, generator=generator) / quantum).round() * quantum
    log_probs[:, :, 0] = -torch.inf
    totals = torch.randn(3, width, generator=generator).round()
    found = top_candidates(log_probs, totals, count)
    everything = (log_probs + totals[:, :, None]).flatten(1)
    values, places = everything.sort(dim=1, descending=True, stable=True)
    there = min(count, width * vocab)
    assert torch.equal(found.log_probs[:, :there], values[:, :there])
    is_possible = values[:, :there].isfinite()  # impossible continuations are all alike
    assert torch.equal((found.beams * vocab + found.tokens)[:, :there][is_possible], places[:, :there][is_possible])
    assert (found.log_probs[:, there:] == -torch.inf).all()
    assert found.tokens.shape == (3, count)


def test_ordered_top_over_several_levels_of_chunks() -> None:
    values = torch.randint(0, 50, (4, 9001), generator=torch.Generator().manual_seed(0)).double()
    assert torch.equal(ordered_top(values, 33), values.sort(dim=1, descending=True, stable=True).indices[:, :33])


def test_a_nan_ranks_above_everything() -> None:
    log_probs = torch.zeros(1, 1, 500)
    log_probs[0, 0, 321] = torch.nan
    found = top_candidates(log_probs, torch.zeros(1, 1), 2)
    assert found.tokens.tolist() == [[321, 0]]
    assert found.log_probs[0, 0].isnan()
