from __future__ import annotations

import pytest
import torch

from seq2seq_lightning.decoding import GreedyConfig, SpecialIds
from seq2seq_lightning.decoding.constraints import LengthLimits
from seq2seq_lightning.decoding.constraints.length import length_limits
from seq2seq_lightning.errors import ConfigurationError

IDS = SpecialIds(pad=0, bos=1, eos=2)
CPU = torch.device("cpu")


def limits(config: GreedyConfig, sources: list[int], forced: list[int | None] | None = None) -> LengthLimits:
    return length_limits(config, torch.tensor(sources), forced, CPU)


def allowed(limit: LengthLimits, position: int) -> list[set[int]]:
    """Per sentence the ids that are left at this position, of five."""
    log_probs = torch.zeros(len(limit.maximum), 2, 5)
    limit.constrain(log_probs, position, IDS)
    assert torch.equal(log_probs[:, 0], log_probs[:, 1])
    return [set(row.isfinite().nonzero()[:, 0].tolist()) for row in log_probs[:, 0]]


def test_maximum_is_relative_to_the_source_unless_absolute() -> None:
    config = GreedyConfig(max_length_ratio=1.5, max_length_offset=3)
    assert limits(config, [1, 2, 10]).maximum.tolist() == [4, 6, 18]
    assert limits(GreedyConfig(max_length=7), [1, 2, 10]).maximum.tolist() == [7, 7, 7]
    assert limits(GreedyConfig(max_length_ratio=1.0, max_length_offset=-4), [2, 9]).maximum.tolist() == [1, 5]


def test_the_default_holds_the_longest_scan_output() -> None:
    assert int(limits(GreedyConfig(), [9]).maximum) >= 49


def test_what_is_allowed_position_by_position() -> None:
    some = limits(GreedyConfig(min_length=2, max_length=9), [4, 4], [None, 3])
    assert allowed(some, 1) == [{3, 4}, {3, 4}]
    assert allowed(some, 2) == [{2, 3, 4}, {3, 4}]
    assert allowed(some, 3) == [{2, 3, 4}, {2}]
    assert allowed(some.select(torch.tensor([1])), 3) == [{2}]


def test_without_eos_it_is_never_allowed() -> None:
    some = length_limits(GreedyConfig(max_length=3), torch.tensor([4, 4]), [2, None], CPU, with_eos=False)
    assert [allowed(some, position) for position in (1, 2, 3)] == [[{3, 4}] * 2] * 3


def test_impossible_limits_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"min_length=20 is larger than 13.*a source of length 5"):
        limits(GreedyConfig(min_length=20, max_length_offset=3), [30, 5])
    with pytest.raises(ConfigurationError, match="2 forced lengths for 3 sentences"):
        limits(GreedyConfig(), [1, 1, 1], [4, 5])
    with pytest.raises(ConfigurationError, match="forced length of sentence 1 of the batch is 0"):
        limits(GreedyConfig(), [1, 1], [4, 0])
