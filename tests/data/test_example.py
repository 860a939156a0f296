from __future__ import annotations

import numpy as np
import pytest

from seq2seq_lightning.data.example import Corpus, Pair, encode_sources, encode_split
from seq2seq_lightning.errors import DataError
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.sides import SourceTextConfig, TargetTextConfig

PAIRS = [Pair.of("a b", "x"), Pair.of("b", "y x y"), Pair.of("a", "y")]


def source_codec(**options) -> SourceCodec:
    return SourceCodec.build(SourceTextConfig(**options), [pair.source for pair in PAIRS])


def target_codec() -> TargetCodec:
    return TargetCodec.build(TargetTextConfig(), [pair.target for pair in PAIRS])


def test_a_split_holds_the_ids_of_each_row():
    # a and b twice each: a 4, b 5; y three times, x twice: y 4, x 5
    split = encode_split(PAIRS, source_codec(), target_codec())
    assert len(split) == 3
    assert split.source_ids.tolist() == [4, 5, 2, 5, 2, 4, 2]
    assert split.source_offsets.tolist() == [0, 3, 5, 7]
    assert split.target_ids.tolist() == [5, 4, 5, 4, 4]
    assert split.target_offsets.tolist() == [0, 1, 4, 5]
    assert split.source_lengths.tolist() == [3, 2, 2]
    assert split.target_lengths.tolist() == [1, 3, 1]
    assert (split.source_ids.dtype, split.source_offsets.dtype) == (np.int32, np.int64)


def test_labels_count_eos_where_there_is_one():
    split = encode_split(PAIRS, source_codec(), target_codec())
    assert split.label_lengths(target_eos=True).tolist() == [2, 4, 2]
    assert split.label_lengths(target_eos=False).tolist() == [1, 3, 1]


def test_an_empty_target_without_eos_is_refused():
    split = encode_split([*PAIRS, Pair.of("a", "")], source_codec(), target_codec())
    assert split.label_lengths(target_eos=True).tolist() == [2, 4, 2, 1]
    with pytest.raises(DataError, match=r"Pair 4 has an empty target.*`text.target.eos=true`"):
        split.label_lengths(target_eos=False)


def test_a_source_without_tokens_is_refused_by_its_number():
    with pytest.raises(DataError, match=r"Pair 2: The source '' has no tokens"):
        encode_split([PAIRS[0], Pair.of("", "x")], source_codec(eos=False), target_codec())


def test_sources_alone_have_empty_targets():
    split = encode_sources(["b a", "a"], source_codec())
    assert split.source_ids.tolist() == [5, 4, 2, 4, 2]
    assert split.target_lengths.tolist() == [0, 0]


def test_the_training_sample_is_distinct_fixed_and_in_corpus_order():
    pairs = [Pair.of(str(number % 50), "x") for number in range(200)]
    sample = Corpus(pairs).train_sample(20)
    assert len(set(sample)) == len(sample) == 20
    assert sample == sorted(sample, key=pairs.index)
    assert sample == Corpus(pairs[:50]).train_sample(20)
    assert sample != pairs[:20]
    assert Corpus(pairs).train_sample(1000) == pairs[:50]
    assert Corpus(pairs).train_sample(0) == []


def test_a_split_to_copy_from_has_ids_beyond_the_vocabulary():
    # the target knows y 4 and x 5; a is the first word of its source that it lacks: 6
    pairs = [Pair.of("a b", "b x c"), Pair.of("b y", "y b")]
    split = encode_split(pairs, source_codec(), target_codec(), copies=True)
    assert split.copy_ids.tolist() == [6, 7, 2, 6, 4, 2]
    assert split.target_ids.tolist() == [7, 5, 3, 4, 6]
    plain = encode_split(pairs, source_codec(), target_codec())
    assert plain.copy_ids is None
    assert plain.target_ids.tolist() == [3, 5, 3, 4, 3]
    assert plain.source_ids.tolist() == split.source_ids.tolist()
