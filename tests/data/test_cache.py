"""An encoded corpus is shared, whole, and right to the last byte; or it is made anew, and that is said."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch

from seq2seq_lightning.config import Config
from seq2seq_lightning.data import cache as cache_module
from seq2seq_lightning.data import stored_split
from seq2seq_lightning.data.bucketing import BatchingConfig, BatchUnit
from seq2seq_lightning.data.cache import Cache, CacheUse
from seq2seq_lightning.data.example import EncodedSplit, Pair, Stream, encode_split
from seq2seq_lightning.data.loader import TrainingLoader
from seq2seq_lightning.data.stored_split import Codecs
from seq2seq_lightning.errors import DataError
from seq2seq_lightning.job import Job
from seq2seq_lightning.run import run
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.sides import SourceTextConfig, TargetTextConfig
from seq2seq_lightning.training.checkpoint_index import last_checkpoint
from seq2seq_lightning.training.checkpoints import read_checkpoint

PAIRS = [Pair.of(f"a b {number % 7}", f"x {number % 5} y" if number % 3 else "") for number in range(50)]
ARRAYS = ("source_ids", "source_offsets", "target_ids", "target_offsets")


def codecs_of(pairs: list[Pair] = PAIRS, copies: bool = False, **options) -> Codecs:
    source = SourceCodec.build(SourceTextConfig(**options), [pair.source for pair in pairs])
    return Codecs(source, TargetCodec.build(TargetTextConfig(), [pair.target for pair in pairs]), copies)


def cache_of(folder: Path, use: CacheUse = CacheUse.always, content: str = "1") -> Cache:
    return Cache.at(str(folder), use, {"train": content})


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()]


def same(one: EncodedSplit, other: EncodedSplit) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("block", [1, 64, 1 << 18])
def test_a_cached_split_has_the_ids_of_one_in_memory(tmp_path: Path, monkeypatch, copies: bool, block: int):
    monkeypatch.setattr(stored_split, "BLOCK", block)
    codecs = codecs_of(copies=copies)
    expected = encode_split(PAIRS, codecs.source, codecs.target, copies)
    made, found = (cache_of(tmp_path).encode(PAIRS, codecs) for _ in range(2))
    assert same(made, expected) and same(found, expected) and len(found) == 50
    assert (found.copy_ids is None) == (not copies)
    assert np.array_equal(found.copy_ids, expected.copy_ids) if copies else True
    assert found.source_ids.dtype == np.uint16 and not found.source_ids.flags.writeable
    assert found.target_ids.dtype == (np.int32 if copies else np.uint16)
    assert found.source_lengths.dtype == np.uint8


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_a_cached_split_are_those_of_one_in_memory(tmp_path: Path, marks, workers: int):
    codecs = codecs_of(copies=True)
    splits = encode_split(PAIRS, codecs.source, codecs.target, True), cache_of(tmp_path).encode(PAIRS, codecs)
    batching = BatchingConfig(size=90, unit=BatchUnit.tokens, pool=-1, workers=workers)
    memory, cached = (list(TrainingLoader(split, batching, marks, seed=3)) for split in splits)
    assert len(memory) == len(cached) > 3
    for one, other in zip(memory, cached, strict=True):
        for name in ("source", "source_lengths", "target_inputs", "target_labels", "target_lengths", "copy_ids"):
            assert torch.equal(getattr(one, name), getattr(other, name))


@pytest.mark.slow
def test_a_run_finds_its_corpus_encoded_and_ends_with_the_same_bits(tmp_path: Path, capsys):
    text = {side: tmp_path / f"train.{side}" for side in ("en", "de")}
    for side, path in text.items():
        path.write_text("".join(f"{pair.source if side == 'en' else 'x ' + pair.target}\n" for pair in PAIRS))
    files = {"source": str(text["en"]), "target": str(text["de"])}
    plain = {
        "data": {"name": "parallel", "train": files, "val": None, "test": {}, "batching": {"size": 8}},
        "model": {side: {"embedding_size": 6, "hidden_size": 8} for side in ("encoder", "decoder")},
        "trainer": {"max_steps": 8, "accelerator": "cpu", "log_every": 1},
    }
    weights = []
    for use, told in (("never", 0), ("always", 1), ("always", 0)):
        config = Config.from_plain(
            plain
            | {"data": plain["data"] | {"cache": use}, "fresh": True}
            | {"paths": {"runs": str(tmp_path / "runs"), "cache": str(tmp_path / "cache") if use == "always" else None}}
        )
        job = Job.of(config, [])
        run(job)
        assert capsys.readouterr().err.count("encoding 50 training pairs") == told
        last = last_checkpoint(job.folder / "checkpoints")
        assert last is not None
        weights.append(read_checkpoint(last).weights)
    assert all(torch.equal(found[name], weights[0][name]) for found in weights for name in weights[0])
    assert len(entries(tmp_path / "cache")) == 1


def test_what_is_there_is_not_encoded_again(tmp_path: Path, capsys):
    codecs = codecs_of()
    split = cache_of(tmp_path).encode(PAIRS, codecs)
    assert "encoding 50 training pairs into" in capsys.readouterr().err

    def walk():
        raise AssertionError("walked")

    assert same(cache_of(tmp_path).encode(Stream(walk, 50, "pairs"), codecs), split)
    assert capsys.readouterr().err == ""


def test_content_and_codecs_decide_the_entry(tmp_path: Path):
    keys = {
        cache_of(tmp_path).key(codecs_of()),
        cache_of(tmp_path, content="2").key(codecs_of()),
        cache_of(tmp_path).key(codecs_of(reverse=True)),
        cache_of(tmp_path).key(codecs_of(min_frequency=20)),
        cache_of(tmp_path).key(codecs_of(copies=True)),
    }
    assert len(keys) == 5
    assert cache_of(tmp_path / "elsewhere").key(codecs_of()) in keys


def test_auto_caches_large_corpora_from_files_alone(tmp_path: Path, monkeypatch):
    stream, auto = Stream(lambda: iter(PAIRS), len(PAIRS), "pairs"), cache_of(tmp_path / "auto", CacheUse.auto)
    auto.encode(stream, codecs_of())
    assert not (tmp_path / "auto").exists()
    monkeypatch.setattr(cache_module, "LEAST", 50)
    auto.encode(PAIRS, codecs_of())
    assert not (tmp_path / "auto").exists()
    cache_of(tmp_path / "never", CacheUse.never).encode(stream, codecs_of())
    assert not (tmp_path / "never").exists()
    auto.encode(stream, codecs_of())
    assert len(entries(tmp_path / "auto")) == 1


def test_the_default_folder_is_that_of_the_user(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cache.at(None, CacheUse.auto, {}).folder == tmp_path / "seq2seq_lightning"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert Cache.at(None, CacheUse.auto, {}).folder == Path.home() / ".cache" / "seq2seq_lightning"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def change_index(entry: Path, **values) -> None:
    index = json.loads((entry / "cache.json").read_text())
    (entry / "cache.json").write_text(json.dumps(index | values))


def change_array(entry: Path, name: str, **values) -> None:
    arrays = json.loads((entry / "cache.json").read_text())["arrays"]
    arrays[name] |= values
    change_index(entry, arrays=arrays)


def store(entry: Path, name: str, numbers: list[int], kind: str) -> None:
    """Other numbers with the right size and checksum, as a stranger might write them."""
    (entry / f"{name}.bin").write_bytes(np.array(numbers, dtype=kind).tobytes())
    checksum = stored_split._checksum(entry / f"{name}.bin")
    change_array(entry, name, count=len(numbers), blake2b=checksum)


DAMAGES = {
    "a flipped bit": (lambda entry: flip(entry / "target_ids.bin"), "target_ids.bin has another checksum"),
    "cut short": (lambda entry: os.truncate(entry / "source_ids.bin", 9), "source_ids.bin has 9 bytes, where"),
    "a lost file": (lambda entry: (entry / "source_offsets.bin").unlink(), "source_offsets.bin cannot be read"),
    "a lost index": (lambda entry: (entry / "cache.json").unlink(), "cache.json does not exist"),
    "half an index": (lambda entry: os.truncate(entry / "cache.json", 40), "it is not JSON"),
    "no index": (lambda entry: (entry / "cache.json").write_text("[]"), "its index cache.json is not one"),
    "another format": (lambda entry: change_index(entry, format=0), "it has format 0, and this version reads format 1"),
    "objects": (lambda entry: change_array(entry, "source_ids", dtype="object"), "gives source_ids the type 'object'"),
    "offsets beyond": (
        lambda entry: store(entry, "source_offsets", [0, 999], "int64"),
        "offsets of the sources do not",
    ),
    "offsets back": (
        lambda entry: store(entry, "target_offsets", [0, 9, 4, *[99] * 48], "int64"),
        "offsets of the targets do not",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_made_anew_and_that_is_said(tmp_path: Path, capsys, damage: str):
    codecs = codecs_of()
    expected = cache_of(tmp_path).encode(PAIRS, codecs)
    expected = EncodedSplit(*(np.array(getattr(expected, name)) for name in ARRAYS))
    (entry,) = entries(tmp_path)
    DAMAGES[damage][0](entry)
    capsys.readouterr()
    assert same(cache_of(tmp_path).encode(PAIRS, codecs), expected)
    told = capsys.readouterr().err
    assert f"{entry} cannot be used: " in told and DAMAGES[damage][1] in told and "made anew" in told
    assert entries(tmp_path) == [entry]
    assert same(cache_of(tmp_path).encode(PAIRS, codecs), expected) and capsys.readouterr().err == ""


def test_a_failure_leaves_nothing_behind_and_the_next_job_clears_what_a_kill_left(tmp_path: Path):
    codecs = codecs_of(eos=False)
    with pytest.raises(DataError, match=r"Pair 51: The source '' has no tokens"):
        cache_of(tmp_path).encode([*PAIRS, Pair.of("", "x")], codecs)
    assert entries(tmp_path) == []
    rest = tmp_path / f".{cache_of(tmp_path).key(codecs)}.1.abc"
    rest.mkdir()
    cache_of(tmp_path).encode(PAIRS, codecs)
    assert not rest.exists() and len(entries(tmp_path)) == 1


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, r"could not be written to \S+: the disk is full. Make room there, .*`paths.cache=…`.*never`"),
        (
            errno.EROFS,
            r"could not be written to \S+: Read-only file system. Choose another folder with `paths.cache=…`",
        ),
    ],
)
def test_a_disk_that_takes_nothing_is_told_with_what_to_do(tmp_path: Path, monkeypatch, number: int, message: str):
    def write(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(stored_split._File, "write", write)
    with pytest.raises(DataError, match=message):
        cache_of(tmp_path).encode(PAIRS, codecs_of())
    assert entries(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_told_with_what_to_do(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"could not be written to \S+file/cache: .*`data.cache=never`"):
        cache_of(tmp_path / "file" / "cache").encode(PAIRS, codecs_of())


def test_jobs_at_the_same_time_encode_once(tmp_path: Path, capsys):
    walks, found, codecs = [], [], codecs_of()

    def walk():
        walks.append(1)
        return iter(PAIRS)

    def job():
        found.append(cache_of(tmp_path).encode(Stream(walk, 50, "pairs"), codecs))

    jobs = [Thread(target=job) for _ in range(4)]
    for each in jobs:
        each.start()
    for each in jobs:
        each.join()
    assert len(walks) == 1 and len(found) == 4 and all(same(one, found[0]) for one in found)
