from __future__ import annotations

import gzip
import os
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seq2seq_lightning.data.example import Corpus, Pair
from seq2seq_lightning.data.tasks import build_task, reading
from seq2seq_lightning.data.tasks.files import BadInputConfig, LengthUnit, Policy
from seq2seq_lightning.data.tasks.parallel import FilePair, ParallelConfig
from seq2seq_lightning.errors import ConfigurationError, DataError


@pytest.fixture
def write(tmp_path: Path):
    def write(source: bytes, target: bytes, name: str = "train") -> FilePair:
        files = tmp_path / f"{name}.en", tmp_path / f"{name}.de"
        for file, content in zip(files, (source, target), strict=True):
            file.write_bytes(content)
        return FilePair(*map(str, files))

    return write


def read(train: FilePair, **options) -> Corpus:
    """The corpus, its training pairs as a list."""
    corpus = build_task(ParallelConfig(train=train, **options)).read()
    return replace(corpus, train=list(corpus.train))


def skipping(reason: str) -> BadInputConfig:
    return BadInputConfig(**{reason: Policy.skip})


def test_line_n_belongs_to_line_n(write):
    corpus = read(write(b"a b\nc", b"x\ny z\n"), test={"news": write(b"d\n", b"w\n", "news")})
    assert corpus == Corpus([Pair.of("a b", "x"), Pair.of("c", "y z")], None, {"news": [Pair.of("d", "w")]}, {})


def test_line_ends_of_windows_and_byte_order_marks_are_no_text(write):
    assert read(write(b"\xef\xbb\xbfa b\r\n\xef\xbb\xbfc\r\n", b"x\ny\n")).train == [
        Pair.of("a b", "x"),
        Pair.of("\ufeffc", "y"),
    ]


def test_other_line_separators_of_unicode_do_not_end_a_line(write):
    assert read(write("a\u2028b\x0bc\n".encode(), b"x\n")).train == [Pair.of("a\u2028b\x0bc", "x")]


def test_gzip_is_known_by_its_content_and_has_the_same_identity(write, tmp_path: Path):
    plain = write(b"a\nb\n", b"x\ny\n")
    packed = write(gzip.compress(b"a\nb\n"), gzip.compress(b"x\ny\n"), "packed")
    assert read(packed) == read(plain)
    identities = [build_task(ParallelConfig(train=files)).identity() for files in (plain, packed)]
    assert identities[0] == identities[1]
    changed = write(b"a\nb\n", b"x\nz\n", "changed")
    assert build_task(ParallelConfig(train=changed)).identity() != identities[0]
    policy = ParallelConfig(train=plain, bad_input=skipping("empty"))
    assert build_task(policy).identity() != identities[0]


def test_unequal_line_counts_name_both_files_and_the_first_line_without_partner(write):
    with pytest.raises(DataError, match=r"train.en has 3 lines but \S+train.de has 2;.*line 3 has no partner"):
        read(write(b"a\nb\nc\n", b"x\ny\n"), bad_input=skipping("empty"))
    with pytest.raises(DataError, match=r"train.en has 1 lines but \S+train.de has 4;.*line 2 has no partner"):
        read(write(b"a\n", b"x\ny\nz\nw\n"))


def test_lines_without_a_partner_may_be_left_out_and_are_counted(write):
    corpus = read(write(b"a\n", b"x\ny\nz\n"), bad_input=skipping("unpaired"))
    assert (corpus.train, corpus.skipped) == ([Pair.of("a", "x")], {"train/unpaired": 2})


def test_policies_that_came_later_leave_the_identity_as_it_was(write):
    files = write(b"a\n", b"x\n")
    identity = build_task(ParallelConfig(train=files)).identity()
    assert sorted(key for key in identity if key.startswith("bad_input.")) == [
        *("bad_input.column_count", "bad_input.empty", "bad_input.invalid_utf8", "bad_input.nul"),
        "bad_input.over_long",
    ]
    later = build_task(ParallelConfig(train=files, bad_input=skipping("unpaired"))).identity()
    assert later == identity | {"bad_input.unpaired": "skip"}


BAD_LINES = {
    "empty": (b"a\n \nc\n", r"train.en:2: the source is empty. Remove the pair"),
    "invalid_utf8": (b"a\nb\xffb\nc\n", r"train.en:2: invalid UTF-8, byte 0xff at byte 2 of the line. Save the file"),
    "nul": (b"a\nb\0b\nc\n", r"train.en:2: a NUL byte at byte 2 of the line"),
    "over_long": (b"a\nb b b\nc\n", r"train.en:2: the source has 3 words, more than `data.max_length=2`"),
}


@pytest.mark.parametrize("reason", BAD_LINES)
def test_a_bad_line_is_an_error_with_file_line_and_remedy(write, reason: str):
    source, message = BAD_LINES[reason]
    with pytest.raises(DataError, match=rf"{message}.*set `data.bad_input.{reason}=skip`"):
        read(write(source, b"x\ny\nz\n"), max_length=2)


@pytest.mark.parametrize("reason", BAD_LINES)
def test_a_bad_line_may_be_left_out_and_is_counted(write, reason: str):
    files = write(BAD_LINES[reason][0], b"x\ny\nz\n")
    good = write(b"a\n", b"x\n", "good")
    corpus = read(good, test={"news": files}, max_length=2, bad_input=skipping(reason))
    assert corpus.test["news"] == [Pair.of("a", "x"), Pair.of("c", "z")]
    assert corpus.skipped == {f"test/news/{reason}": 1}


def test_a_bad_target_is_named_as_such(write):
    with pytest.raises(DataError, match=r"train.de:1: the target is empty"):
        read(write(b"a\n", b"\n"))


def test_length_may_count_characters(write):
    with pytest.raises(DataError, match=r"train.de:1: the target has 4 characters, more than `data.max_length=3`"):
        read(write(b"abc\n", "äöü \n".encode()), max_length=3, length_unit=LengthUnit.characters)


def test_a_missing_file_names_the_key(tmp_path: Path):
    files = FilePair(str(tmp_path / "missing.en"), str(tmp_path / "missing.de"))
    for attempt in (lambda: read(files), lambda: build_task(ParallelConfig(train=files)).identity()):
        with pytest.raises(DataError, match=r"`data.train.source=\S+missing.en`: cannot open .*No such file"):
            attempt()
    with pytest.raises(DataError, match="is a folder"):
        read(FilePair(str(tmp_path), str(tmp_path)))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_names_the_key(write):
    files = write(b"a\n", b"x\n")
    Path(files.source).chmod(0)
    with pytest.raises(DataError, match=r"`data.train.source=.*Permission denied"):
        read(files)


def test_an_empty_corpus_is_an_error(write):
    with pytest.raises(DataError, match=r"no pairs to read for `train` \(no lines\)"):
        read(write(b"", b""))
    with pytest.raises(DataError, match=r"no pairs to read for `train` \(left out: train/empty 2\)"):
        read(write(b"\n\n", b"x\ny\n"), bad_input=skipping("empty"))


def test_a_truncated_gzip_names_the_line(write):
    text = "\n".join(random.Random(0).choices("abc defg", k=40000)).replace(" ", "x").encode()
    packed = gzip.compress(text)
    files = write(packed[: len(packed) // 2], text)
    with pytest.raises(
        DataError, match=r"train.en:\d\d+: cannot read on, .*truncated or damaged \(it ends too early\)"
    ):
        read(files)
    with pytest.raises(
        DataError, match=r"train.en:\d\d+: cannot read on, the file of `data.train.source` is truncated"
    ):
        build_task(ParallelConfig(train=files)).identity()
    damaged = write(packed[:2000] + b"\0" * 2000 + packed[4000:], text)
    with pytest.raises(DataError, match=r"train.en:\d+: cannot read on"):
        read(damaged)


def test_a_gz_file_that_is_none_is_refused(write, tmp_path: Path):
    (tmp_path / "train.gz").write_bytes(b"a\n")
    with pytest.raises(DataError, match=r"named .gz but is not gzip"):
        read(FilePair(str(tmp_path / "train.gz"), write(b"a\n", b"x\n").target))


def test_missing_keys_are_named_with_an_example(write):
    with pytest.raises(ConfigurationError, match=r"needs data.train.source, data.train.target. .*source=corpus.en"):
        build_task(ParallelConfig())
    with pytest.raises(ConfigurationError, match=r"needs data.val.target, data.test.news.source"):
        build_task(ParallelConfig(train=FilePair("a", "b"), val=FilePair("a"), test={"news": FilePair(target="b")}))


@pytest.mark.parametrize("name", ["train", "val", "a/b", "a b", ""])
def test_names_that_cannot_be_folders_or_mean_another_split_are_refused(name: str):
    with pytest.raises(ConfigurationError, match="cannot name a test set"):
        build_task(ParallelConfig(train=FilePair("a", "b"), test={name: FilePair("a", "b")}))


def test_misspelt_keys_of_a_test_set_are_refused():
    with pytest.raises(ConfigurationError, match=r"`data.test.news.sorce` is no option. Did you mean 'source'"):
        ParallelConfig(test={"news": {"sorce": "x"}})
    with pytest.raises(ConfigurationError, match=r"`data.test.news` is 'x', where two files are needed"):
        ParallelConfig(test={"news": "x"})
    with pytest.raises(ConfigurationError, match=r"`data.max_length` is -1"):
        ParallelConfig(max_length=-1)


def test_the_config_is_a_structured_config(write):
    files = write(b"a\n", b"x\n")
    config = OmegaConf.structured(ParallelConfig)
    keys = [f"{split}.{side}={getattr(files, side)}" for split in ("train", "test.a", "test.b") for side in vars(files)]
    config.merge_with_dotlist([*keys, "bad_input.empty=skip", "batching.size=32"])
    built = OmegaConf.to_object(config)
    assert isinstance(built, ParallelConfig)
    assert built.test == {"a": files, "b": files}
    assert built.bad_input == skipping("empty")
    assert (built.batching.size, built.batching.pool, built.batching.same_source_length) == (32, -1, True)
    corpus = build_task(built).read()
    assert corpus.val is None and list(corpus.test) == ["a", "b"]


@pytest.mark.parametrize("age", [0, 3600])
def test_a_file_written_anew_has_another_identity(write, age: int):
    files = write(b"a\n", b"x\n")
    task = build_task(ParallelConfig(train=files))
    os.utime(files.source, times=(time.time() - age,) * 2)
    before = task.identity()
    assert task.identity() == before
    write(b"b\n", b"x\n")
    after = task.identity()
    assert {key for key in before if before[key] != after[key]} == {"train.source"}


def test_a_file_that_stays_is_read_once_for_all_jobs(write, monkeypatch: pytest.MonkeyPatch):
    files = write(b"a\n", b"x\n")
    for path in (files.source, files.target):
        os.utime(path, times=(time.time() - 3600,) * 2)
    read_files: list[str] = []
    opened = reading._opened
    monkeypatch.setattr(reading, "_opened", lambda path, key: (read_files.append(path), opened(path, key))[1])
    identities = [build_task(ParallelConfig(train=files)).identity() for _ in range(3)]
    assert identities[0] == identities[1] == identities[2]
    assert sorted(read_files) == sorted([files.source, files.target])
