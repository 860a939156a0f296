from __future__ import annotations

from collections import Counter

import pytest

from seq2seq_lightning.data.example import Corpus
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.data.tasks.copy import CopyConfig
from seq2seq_lightning.data.tasks.reverse import ReverseConfig
from seq2seq_lightning.data.tasks.symbols import SymbolsConfig
from seq2seq_lightning.errors import ConfigurationError

SMALL = {"train_size": 3000, "val_size": 600, "test_size": 600}


def corpus_of(config: SymbolsConfig) -> Corpus:
    return build_task(config).read()


def test_reverse_writes_backwards_and_copy_again():
    reverse, copy = corpus_of(ReverseConfig(**SMALL)), corpus_of(CopyConfig(**SMALL))
    assert reverse.val is not None
    for pair in [*reverse.train, *reverse.val, *reverse.test["test"]]:
        assert pair.target.split() == pair.source.split()[::-1]
        assert pair.references == (pair.target,)
    assert [pair.source for pair in copy.train] == [pair.source for pair in reverse.train]
    assert all(pair.target == pair.source for pair in copy.train)


def test_defaults_are_those_of_the_published_task():
    config = ReverseConfig()
    assert (config.train_size, config.val_size, config.test_size, config.symbols) == (50000, 1000, 1000, 50)
    assert (config.train_max_length, config.evaluation_max_length) == (25, 30)
    assert (config.batching.pool, config.batching.size) == (0, 64)


def test_lengths_and_symbols_are_uniform_between_their_bounds():
    corpus = corpus_of(ReverseConfig(**SMALL, symbols=10, train_min_length=3, train_max_length=5))
    lengths = Counter(len(pair.source.split()) for pair in corpus.train)
    assert set(lengths) == {3, 4, 5}
    assert max(lengths.values()) < 1120  # 1000 expected each, standard deviation 26
    symbols = Counter(symbol for pair in corpus.train for symbol in pair.source.split())
    assert set(symbols) == {str(number) for number in range(10)}
    assert max(symbols.values()) - min(symbols.values()) < 250  # 1200 expected each, standard deviation 33
    assert corpus.val is not None
    assert set(range(1, 31)) == {len(pair.source.split()) for pair in corpus.val}


def test_splits_do_not_depend_on_each_others_sizes_and_grow_at_their_end():
    small, large = (corpus_of(ReverseConfig(train_size=size, val_size=20, test_size=30)) for size in (50, 500))
    assert large.train[:50] == small.train
    assert (large.val, large.test) == (small.val, small.test)
    assert small.val is not None and small.train[:20] != small.val != small.test["test"][:20]


def test_the_seed_decides_the_corpus():
    assert corpus_of(ReverseConfig(**SMALL)) == corpus_of(ReverseConfig(**SMALL))
    assert corpus_of(ReverseConfig(**SMALL)).train != corpus_of(ReverseConfig(**SMALL, task_seed=2)).train


def test_the_pairs_stay_what_they_are():
    corpus = corpus_of(ReverseConfig(train_size=3, symbols=5, train_max_length=4, val_size=2, evaluation_max_length=9))
    assert corpus.val is not None
    assert [pair.source for pair in corpus.train] == ["0 2 0 1", "4 3 4 3", "0 0 4"]
    assert [pair.source for pair in corpus.val] == ["0 4 2 0 4 3", "3 2"]


def test_a_split_of_size_zero_is_no_split():
    corpus = corpus_of(ReverseConfig(train_size=1, val_size=0, test_size=0))
    assert corpus.val is None and corpus.test == {}


def test_the_identity_changes_with_every_generating_field():
    base = build_task(ReverseConfig()).identity()
    assert base["task"] == "reverse" and base["generator"] == "1"
    for key in ("train_size", "val_size", "test_size", "symbols", "task_seed", "train_max_length"):
        assert build_task(ReverseConfig(**{key: 7})).identity() != base
    for key in ("train_min_length", "evaluation_min_length", "evaluation_max_length"):
        assert build_task(ReverseConfig(**{key: 2})).identity() != base
    assert build_task(CopyConfig()).identity() != base
    assert build_task(ReverseConfig(train_sample=5)).identity() == base


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_size": 0}, r"`data.train_size` is 0; set it to 1 or more"),
        ({"val_size": -1}, r"`data.val_size` is -1; set it to 0 or more"),
        ({"train_min_length": 0}, r"`data.train_min_length` is 0; set it to 1 or more"),
        (
            {"evaluation_min_length": 31},
            r"`data.evaluation_min_length=31` is more than `data.evaluation_max_length=30`",
        ),
        ({"train_sample": -1}, r"`data.train_sample` is -1"),
    ],
)
def test_impossible_sizes_are_refused(options: dict[str, int], message: str):
    with pytest.raises(ConfigurationError, match=message):
        ReverseConfig(**options)


def test_the_entropy_of_a_target_by_hand_where_the_answer_tells_the_source() -> None:
    fixed = ReverseConfig(symbols=16, evaluation_min_length=5, evaluation_max_length=5)
    assert build_task(fixed).target_bits == 20.0  # five symbols of four bits
    mixed = CopyConfig(symbols=2, evaluation_min_length=1, evaluation_max_length=4)
    assert build_task(mixed).target_bits == 2.0 + 2.5  # one of four lengths, then 2.5 bits on the mean
