"""A stream is trained a buffer at a time: nothing is lost, doubled or held, and it resumes with the next batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_lightning.data.bucketing import BatchingConfig, BatchUnit, Sampling
from seq2seq_lightning.data.cache import CacheUse
from seq2seq_lightning.data.description import describe
from seq2seq_lightning.data.epochs import Epochs
from seq2seq_lightning.data.example import Corpus, EncodedSplit, Pair, Stream, encode_split
from seq2seq_lightning.data.loader import TrainingLoader
from seq2seq_lightning.data.recutting import Recutting
from seq2seq_lightning.data.stored_split import Codecs
from seq2seq_lightning.data.streaming import StreamedSplit
from seq2seq_lightning.data.tasks.task import DataConfig
from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.sides import SourceTextConfig, TargetTextConfig
from tests.data.test_loader import same

PAIRS = [Pair.of(f"n{number} " * (1 + number * 7 % 11), "y " * (number * 5 % 9)) for number in range(60)]
CODECS = Codecs(
    SourceCodec.build(SourceTextConfig(), [pair.source for pair in PAIRS]),
    TargetCodec.build(TargetTextConfig(), [pair.target for pair in PAIRS]),
)
BATCHINGS = [
    BatchingConfig(size=4),
    BatchingConfig(size=4, pool=-1, same_source_length=True),
    BatchingConfig(size=40, unit=BatchUnit.tokens, pool=8),
]


def stream_of(pairs: list[Pair]) -> Stream:
    return Stream(lambda: iter(pairs), len(pairs), "pairs")


def loader_of(marks, batching: BatchingConfig, rows: int = len(PAIRS), **options: Any) -> TrainingLoader:
    """Of a stream; of a whole split where the batching has no buffer."""
    pairs = PAIRS[:rows]
    split: StreamedSplit | EncodedSplit
    if batching.buffer:
        split = StreamedSplit(stream_of(pairs), CODECS, batching.buffer)
    else:
        split = encode_split(pairs, CODECS.source, CODECS.target)
    return TrainingLoader(split, batching, marks, **{"seed": 3, "updates": 40} | options)


def words_of(batches: list[Any]) -> list[str]:
    """The first word of each row: the name of its pair."""
    return [CODECS.source.vocabulary.tokens[row] for batch in batches for row in batch.source[:, 0].tolist()]


@pytest.mark.parametrize("batching", BATCHINGS, ids=str)
def test_a_buffer_that_holds_all_pairs_gives_the_batches_of_the_whole_split(marks, batching: BatchingConfig):
    whole = list(loader_of(marks, batching))
    for buffer in (60, 61, 1000):
        assert same(list(loader_of(marks, replace(batching, buffer=buffer))), whole)


@given(rows=st.integers(1, 60), buffer=st.integers(4, 70), which=st.sampled_from(BATCHINGS), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_an_epoch_has_each_pair_once_a_buffer_after_the_other(marks, rows, buffer, which, seed):
    batching = replace(which, buffer=max(buffer, which.pool))
    epochs = Epochs(StreamedSplit(stream_of(PAIRS[:rows]), CODECS, batching.buffer), batching, seed, target_eos=True)
    counts = [epochs.batches(epoch) for epoch in range(2)]
    batches = list(loader_of(marks, batching, rows, seed=seed, updates=sum(counts)))
    names = [f"n{number}" for number in range(rows)]
    for epoch in (batches[: counts[0]], batches[counts[0] :]):
        found = words_of(epoch)
        assert len(found) == rows
        for start in range(0, rows, batching.buffer):
            assert sorted(found[start : start + batching.buffer]) == sorted(names[start : start + batching.buffer])


def test_chance_decides_the_order_within_a_buffer_by_seed_and_epoch(marks):
    batching = BatchingConfig(size=4, buffer=20)
    orders = [words_of(list(loader_of(marks, batching, seed=seed, updates=30))) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0][:20] != orders[0][60:80] != [f"n{number}" for number in range(20)]


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("batching", BATCHINGS, ids=str)
def test_a_resume_goes_on_with_the_next_batch(marks, batching: BatchingConfig, workers: int):
    batching = replace(batching, buffer=25)
    whole = list(loader_of(marks, batching, updates=40))
    for stop in range(0, 40) if not workers else (1, 5, 7, 20):
        loader = loader_of(marks, replace(batching, workers=workers), updates=40)
        given_out = list(islice(loader, stop))
        resumed = loader_of(marks, replace(batching, workers=workers), updates=40)
        resumed.load_state_dict(loader.state_dict())
        assert same(given_out + list(resumed), whole)


@pytest.mark.parametrize("batching", BATCHINGS, ids=str)
def test_ranks_and_micro_batches_make_up_the_global_batch(marks, batching: BatchingConfig):
    batching = replace(batching, buffer=25)
    whole = list(loader_of(marks, batching))
    shares = [list(loader_of(marks, batching, rank=rank, world_size=2, accumulate=2)) for rank in range(2)]
    for update, batch in enumerate(whole):
        parts = [part for share in shares for part in share[2 * update : 2 * update + 2]]
        real = [part for part in parts if (part.target_labels != marks.pad).any()]
        assert sorted(words_of(real)) == sorted(words_of([batch]))


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_no_more_than_the_buffers_in_use_is_read(marks, workers: int):
    read = []

    def walk() -> Iterator[Pair]:
        for pair in PAIRS:
            read.append(pair)
            yield pair

    batching = BatchingConfig(size=5, buffer=10, workers=workers)
    split = StreamedSplit(Stream(walk, len(PAIRS), "pairs"), CODECS, 10)
    for number, _ in enumerate(TrainingLoader(split, batching, marks, seed=1, updates=12)):
        assert len(read) <= 10 * (number // 2 + (2 if workers else 1))
    assert len(read) == len(PAIRS)  # one walk for the whole epoch


def test_subwords_by_chance_are_cut_by_update_and_place_as_in_a_whole_split(marks):
    recutting = Recutting(CODECS.source, CODECS.target, seed=5)
    batching = BatchingConfig(size=4)
    whole = list(loader_of(marks, batching, recutting=recutting))
    assert same(list(loader_of(marks, replace(batching, buffer=60), recutting=recutting)), whole)


def test_messages_name_the_pair_of_the_whole_split(marks):
    long = [*PAIRS[:33], Pair.of("w " * 50, "y"), *PAIRS[33:]]
    batching = BatchingConfig(size=40, unit=BatchUnit.tokens, pool=-1, buffer=10)
    epochs = Epochs(StreamedSplit(stream_of(long), CODECS, 10), batching, 1, target_eos=True)
    with pytest.raises(DataError, match=r"Training pair 34 has 5\d positions"):
        epochs.batches(0)
    unending = Epochs(StreamedSplit(stream_of(PAIRS), CODECS, 7), BatchingConfig(size=4, buffer=7), 1, target_eos=False)
    with pytest.raises(DataError, match=r"Pair 10 has an empty target"):
        unending.plan(1)


@pytest.mark.parametrize("now", [50, 70])
def test_pairs_that_change_while_in_use_are_refused(marks, now: int):
    several = [PAIRS[:60], (PAIRS * 2)[:now]]
    split = StreamedSplit(Stream(lambda: iter(several.pop(0)), 60, "train.tsv"), CODECS, 10)
    loader = TrainingLoader(split, BatchingConfig(size=5, buffer=10), marks, seed=1, updates=24)
    with pytest.raises(DataError, match=rf"train.tsv: {now} pairs are there now, where 60 were read before"):
        list(loader)


def test_the_description_batches_as_the_training_does(marks):
    batching = BatchingConfig(size=4, buffer=25)
    figures = describe(Corpus(stream_of(PAIRS)), CODECS.source, CODECS.target, batching, seed=3)
    assert figures.batches == 7 + 7 + 3
    padded = describe(Corpus(stream_of(PAIRS)), CODECS.source, CODECS.target, replace(batching, buffer=60), seed=3)
    assert figures.padding_share != padded.padding_share > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"buffer": -1}, "`data.batching.buffer` is -1; set it to 0"),
        ({"buffer": 9, "sampling": Sampling.replacement}, "`data.batching.buffer=9` reads.*sampling=epochs"),
        ({"buffer": 90, "curriculum_epochs": 2}, r"buffer=90.*curriculum_epochs=2.*Set one of the two to 0"),
        ({"buffer": 90, "pool": 91}, r"pool=91` is more than the `data.batching.buffer=90`.*pool=-1"),
        ({"buffer": 9, "size": 10}, r"size=10` is more than the `data.batching.buffer=9`.*buffer=1000"),
    ],
)
def test_what_a_stream_cannot_do_is_refused(options: dict[str, Any], message: str):
    with pytest.raises(ConfigurationError, match=message):
        BatchingConfig(**options)


def test_a_stream_is_not_cached():
    with pytest.raises(ConfigurationError, match=r"buffer=100.*`data.cache=always`.*Leave out the cache"):
        DataConfig(batching=BatchingConfig(buffer=100), cache=CacheUse.always)
