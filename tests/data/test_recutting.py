"""Subwords cut by chance: the same batch after a resume, on two ranks, with accumulation and workers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.data.bucketing import BatchingConfig
from seq2seq_lightning.data.example import EncodedSplit, Pair, encode_split
from seq2seq_lightning.data.loader import EvaluationLoader, TrainingLoader
from seq2seq_lightning.data.recutting import Recutting
from seq2seq_lightning.decoding.protocol import SpecialIds
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.pieces_config import BPEConfig, UnigramConfig
from seq2seq_lightning.text.sides import SourceTextConfig, TargetTextConfig
from tests.text.registered import TEXTS, small, tokenizer_of

IDS = SpecialIds(pad=0, bos=1, eos=2)
PAIRS = [Pair.of(text, other) for text, other in zip(TEXTS, reversed(TEXTS), strict=True)] * 3


def codecs(source_dropout: float = 0.5, alpha: float | None = 0.2) -> tuple[SourceCodec, TargetCodec]:
    source, target = small(BPEConfig, dropout=source_dropout), small(UnigramConfig, alpha=alpha)
    return (
        SourceCodec.of_learnt(SourceTextConfig(tokenizer=source, reverse=True), tokenizer_of(source).learnt),
        TargetCodec.of_learnt(TargetTextConfig(tokenizer=target), tokenizer_of(target).learnt),
    )


SOURCE, TARGET = codecs()
SPLIT = encode_split(PAIRS, SOURCE, TARGET)


def loader(seed: int = 1, batching: dict[str, Any] | None = None, **options: Any) -> TrainingLoader:
    recutting = Recutting.asked_for(SOURCE, TARGET, seed)
    return TrainingLoader(
        SPLIT, BatchingConfig(size=4, **batching or {}), IDS, seed=seed, updates=9, recutting=recutting, **options
    )


def rows(batches: list[Batch]) -> list[tuple[int, list[int], list[int], int]]:
    """(row of the split, its ids, its labels, labels of the global batch), in order of the batches."""
    found = []
    for batch in batches:
        for row, index in enumerate(batch.indices.tolist()):
            if batch.target_labels[row].any():  # no filler
                found.append((index, _real(batch.source[row]), _real(batch.target_labels[row]), batch.label_count))
    return found


def _real(ids: Tensor) -> list[int]:
    return ids[ids != IDS.pad].tolist()


def test_training_sees_other_cuts_of_the_same_texts() -> None:
    seen: dict[int, set[tuple[int, ...]]] = {}
    for index, source, target, _ in rows(list(loader())):
        seen.setdefault(index, set()).add(tuple(source))
        assert SOURCE.decode(source) == PAIRS[index].source
        assert TARGET.decode(target) == PAIRS[index].target
    assert any(len(cuts) > 1 for cuts in seen.values())


def test_evaluation_sees_none() -> None:
    for index, source, target, _ in rows(list(EvaluationLoader(SPLIT, 4, IDS))):
        assert source == SOURCE.encode(PAIRS[index].source)
        assert target == [*TARGET.encode(PAIRS[index].target), IDS.eos]


def test_labels_are_counted_as_they_are_cut() -> None:
    batches = list(loader())
    assert [batch.label_count for batch in batches] == [int(batch.target_lengths.sum()) for batch in batches]
    planned = [int(SPLIT.target_lengths[batch.indices].sum()) + len(batch) for batch in batches]
    assert planned != [batch.label_count for batch in batches]


def test_cuts_depend_on_the_seed_and_the_update() -> None:
    assert rows(list(loader())) == rows(list(loader()))
    assert rows(list(loader())) != rows(list(loader(seed=2)))
    recutting = Recutting(SOURCE, TARGET, 1)
    first, again, later = (recutting(SPLIT, torch.arange(3).numpy(), update) for update in (0, 0, 1))
    assert first.source_ids.tolist() == again.source_ids.tolist() != later.source_ids.tolist()


@pytest.mark.parametrize("after", [1, 4, 6])
def test_a_resumed_loader_goes_on_with_the_same_cuts(after: int) -> None:
    undisturbed = list(loader())
    stopped = loader()
    batches = iter(stopped)
    for _ in range(after):
        next(batches)
    resumed = loader()
    resumed.load_state_dict(stopped.state_dict())
    assert rows(list(resumed)) == rows(undisturbed[after:])


@pytest.mark.parametrize(("world_size", "accumulate"), [(2, 1), (1, 2), (2, 2)])
def test_ranks_and_micro_batches_share_what_one_device_sees(world_size: int, accumulate: int) -> None:
    shares = [
        batch for rank in range(world_size) for batch in loader(rank=rank, world_size=world_size, accumulate=accumulate)
    ]
    assert sorted(rows(shares)) == sorted(rows(list(loader())))


@pytest.mark.slow
def test_workers_change_nothing() -> None:
    assert rows(list(loader(batching={"workers": 2}))) == rows(list(loader()))


def test_one_side_may_be_cut_in_one_way() -> None:
    source, target = codecs(source_dropout=0.0)
    recutting = Recutting.asked_for(source, target, 1)
    assert recutting is not None
    cut: EncodedSplit = recutting(SPLIT, torch.arange(len(PAIRS)).numpy(), 0)
    assert cut.source_ids.tolist() == SPLIT.source_ids.tolist()
    assert cut.target_ids.tolist() != SPLIT.target_ids.tolist()
    assert Recutting.asked_for(*codecs(0.0, None), 1) is None
