"""Training files are read anew at each walk: nothing of them stays in memory, and each walk gives the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from seq2seq_lightning.data.example import Corpus, Pair, Stream
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.data.tasks.files import BadInputConfig, Policy
from seq2seq_lightning.data.tasks.tsv import TsvConfig
from seq2seq_lightning.errors import DataError


def corpus_of(path: Path, text: str) -> Corpus:
    path.write_text(text, encoding="utf-8")
    return build_task(TsvConfig(train=str(path), bad_input=BadInputConfig(empty=Policy.skip))).read()


def test_a_file_can_be_walked_again_and_what_is_left_out_counts_once(tmp_path: Path):
    corpus = corpus_of(tmp_path / "train.tsv", "a\tx\n\ty\nb\tz\n")
    expected = [Pair.of("a", "x"), Pair.of("b", "z")]
    assert isinstance(corpus.train, Stream) and len(corpus.train) == 2
    assert next(iter(corpus.train)) == expected[0]
    assert list(corpus.train) == list(corpus.train) == expected
    assert list(zip(corpus.train, corpus.train, strict=True)) == [(pair, pair) for pair in expected]
    assert corpus.skipped == {"train/empty": 1}


@pytest.mark.parametrize("later", ["a\tx\n", "a\tx\nb\tz\nc\tw\n"])
def test_a_file_that_changes_while_in_use_is_refused(tmp_path: Path, later: str):
    corpus = corpus_of(tmp_path / "train.tsv", "a\tx\nb\tz\n")
    (tmp_path / "train.tsv").write_text(later, encoding="utf-8")
    with pytest.raises(DataError, match=r"train.tsv: \d pairs are there now, where 2 were read before.*changed"):
        list(corpus.train)


def test_a_bad_line_is_told_before_anything_is_walked(tmp_path: Path):
    (tmp_path / "train.tsv").write_text("a\tx\n\ty\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train.tsv:2: the source is empty"):
        build_task(TsvConfig(train=str(tmp_path / "train.tsv"))).read()


def test_the_training_sample_of_a_stream_is_that_of_a_list():
    pairs = [Pair.of(str(number % 50), "x") for number in range(200)]
    stream = Stream(lambda: iter(pairs), len(pairs), "pairs")
    for count in (0, 1, 20, 1000):
        assert Corpus(stream).train_sample(count) == Corpus(pairs).train_sample(count)
    assert [pair.source for pair in Corpus(stream).train_sample(4)] == ["9", "16", "32", "36"]
