"""Checkpoints: whole or not at all, plain or not at all, and every refusal says what to do."""

from __future__ import annotations

import pickle
import resource
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy
import pytest
import torch
from torch.nn import Parameter

from seq2seq_lightning.errors import CheckpointError
from seq2seq_lightning.training.checkpoint_index import checkpoint_path, list_checkpoint
from seq2seq_lightning.training.checkpoints import (
    Checkpoint,
    from_lightning,
    plain_values,
    previous_checkpoint,
    read_checkpoint,
    strip_training,
    to_lightning,
    write_checkpoint,
)


class Colour(Enum):
    red = "red"


@dataclass
class Point:
    x: int = 0


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("code of a checkpoint ran",))


def checkpoint(size: int = 3, fill: float = 1.5) -> Checkpoint:
    return Checkpoint(
        weights={"output.weight": torch.full((size,), fill)},
        config={"seed": 0, "model": {"layers": 1, "dropout": None, "sizes": [1, 2]}},
        vocabularies={"source": {"tokens": ["<pad>", "ü"]}},
        training={
            "epoch": 1,
            "global_step": 7,
            "pytorch-lightning_version": "2.6.6",
            "optimizer_states": [{"state": {0: {"step": torch.tensor(7.0)}}, "param_groups": [{"betas": (0.9, 0.99)}]}],
            "loops": {"fit_loop": {}},
        },
    )


def saved(folder: Path, *global_steps: int) -> list[Path]:
    paths = [checkpoint_path(folder, global_step) for global_step in global_steps]
    for path, global_step in zip(paths, global_steps, strict=True):
        write_checkpoint(path, checkpoint(fill=float(global_step)))
        list_checkpoint(path, global_step)
    return paths


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "folder" / "a.ckpt"
    write_checkpoint(path, checkpoint())
    result = read_checkpoint(path)
    assert torch.equal(result.weights["output.weight"], torch.full((3,), 1.5))
    assert result.config == checkpoint().config and result.vocabularies == checkpoint().vocabularies
    assert result.training["optimizer_states"][0]["param_groups"] == [{"betas": (0.9, 0.99)}]
    assert result.can_be_resumed and result.global_step == 7
    assert [entry.name for entry in path.parent.iterdir()] == ["a.ckpt"]


def test_the_file_has_the_promised_keys_and_loads_with_weights_only(tmp_path):
    write_checkpoint(tmp_path / "a.ckpt", checkpoint())
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert set(content) == {"format", "weights", "config", "vocabularies", "training"} and content["format"] == 1


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.ckpt"
    write_checkpoint(path, checkpoint())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(CheckpointError) as caught:
            write_checkpoint(path, checkpoint(size=1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"{path} was not written" in str(caught.value) and "File too large" in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ckpt"]
    assert read_checkpoint(path).weights["output.weight"].shape == (3,)


@pytest.mark.parametrize("through_torch", [True, False])
def test_a_full_disk_is_named(tmp_path, monkeypatch, through_torch):
    path = tmp_path / "a.ckpt"
    write_checkpoint(path, checkpoint())

    def fail(content, file):
        full = OSError(28, "No space left on device")
        if not through_torch:
            raise full
        try:
            raise full
        except OSError:
            raise RuntimeError("[enforce fail at inline_container.cc]")  # noqa: B904

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(CheckpointError, match=r"a\.ckpt was not written: the disk is full.*untouched"):
        write_checkpoint(path, checkpoint())
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ckpt"]
    assert read_checkpoint(path).global_step == 7


def test_an_error_that_is_not_the_disks_is_not_disguised(tmp_path, monkeypatch):
    def fail(content, file):
        raise RuntimeError("CUDA error")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RuntimeError, match="CUDA error"):
        write_checkpoint(tmp_path / "a.ckpt", checkpoint())
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(tmp_path):
    message = refusal(tmp_path / "step-9.ckpt")
    assert "does not exist" in message and "no earlier checkpoint" in message


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_truncated_file_is_refused_and_the_one_before_offered(tmp_path, share):
    first, second, third = saved(tmp_path, 1, 2, 3)
    third.write_bytes(third.read_bytes()[: int(share * third.stat().st_size)])
    message = refusal(third)
    assert "is damaged" in message and str(second) in message
    second.write_bytes(b"also damaged")
    assert str(first) in refusal(third) and previous_checkpoint(third) == first


def test_a_damaged_index_does_not_hide_the_damaged_checkpoint(tmp_path):
    (path,) = saved(tmp_path, 1)
    path.write_bytes(b"")
    (tmp_path / "index.json").write_text("{")
    message = refusal(path)
    assert "step-1.ckpt is damaged" in message and "index.json is damaged" in message


def test_flipped_bits_are_noticed_wherever_they_are(tmp_path):
    path = tmp_path / "a.ckpt"
    write_checkpoint(path, checkpoint(size=200, fill=1.5))
    whole = path.read_bytes()
    start = whole.index(torch.full((200,), 1.5).numpy().tobytes())
    for position in (start, start + 401, start + 799):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        assert "is damaged (wrong checksum" in refusal(path)


def test_no_byte_can_be_flipped_into_another_error(tmp_path):
    path = tmp_path / "a.ckpt"
    write_checkpoint(path, checkpoint())
    whole = path.read_bytes()
    refused = 0
    for position in range(0, len(whole), 29):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1 :])
        try:
            result = read_checkpoint(path)
        except CheckpointError:
            refused += 1
            continue
        assert torch.equal(result.weights["output.weight"], checkpoint().weights["output.weight"])  # a byte unused
        assert (result.config, result.vocabularies) == (checkpoint().config, checkpoint().vocabularies)
    assert refused > 20


def test_code_is_not_run(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save({"format": 1, "weights": {}, "config": Bomb(), "vocabularies": {}, "training": {}}, path)
    assert "could run code" in refusal(path)
    path.write_bytes(pickle.dumps(Bomb()))
    assert "is damaged" in refusal(path)


@pytest.mark.parametrize("number", [0, 2, "1"])
def test_another_format_is_refused(tmp_path, number):
    torch.save({"format": number, "weights": {}}, tmp_path / "a.ckpt")
    message = refusal(tmp_path / "a.ckpt")
    assert f"has format {number!r}, but this version reads format 1" in message and "record.json" in message


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1, 2]])
def test_a_file_of_someone_else_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.ckpt")
    assert "is no checkpoint of seq2seq_lightning" in refusal(tmp_path / "a.ckpt")


def test_missing_parts_are_named(tmp_path):
    torch.save({"format": 1, "weights": {}, "training": {}}, tmp_path / "a.ckpt")
    assert "it lacks config, vocabularies" in refusal(tmp_path / "a.ckpt")


def test_stripping_keeps_weights_and_drops_the_optimiser(tmp_path):
    path = tmp_path / "a.ckpt"
    write_checkpoint(path, checkpoint())
    strip_training(path)
    result = read_checkpoint(path)
    assert not result.can_be_resumed and result.global_step == 7
    assert set(result.training) == {"epoch", "global_step", "pytorch-lightning_version"}
    assert torch.equal(result.weights["output.weight"], checkpoint().weights["output.weight"])
    assert result.vocabularies == checkpoint().vocabularies


def test_plain_values_are_copied_and_cleaned():
    ordered = OrderedDict(a=Parameter(torch.ones(2)), b=[1, (True, None)])
    result = plain_values(ordered, "weights")
    assert type(result) is dict and type(result["a"]) is torch.Tensor and not result["a"].requires_grad
    assert result["b"] == [1, (True, None)] and result["b"] is not ordered["b"]


@pytest.mark.parametrize(
    "value, name",
    [
        (Path("x"), "PosixPath"),
        (Colour.red, "Colour"),
        (Point(), "Point"),
        (numpy.float64(0.5), "numpy.float64"),
        ({1}, "builtins.set"),
        (torch.float32, "torch.dtype"),
    ],
)
def test_what_is_not_plain_is_refused_by_key(tmp_path, value, name):
    content = {"model": [{"sizes": value}]}
    with pytest.raises(CheckpointError, match=r"config\.model\[0\]\.sizes is a .*" + name):
        write_checkpoint(tmp_path / "a.ckpt", Checkpoint({}, content, {}, {}))
    assert list(tmp_path.iterdir()) == []


def test_keys_must_be_plain_too():
    with pytest.raises(CheckpointError, match=r"training\.callbacks has the key <Colour.red"):
        plain_values({"callbacks": {Colour.red: 1}}, "training")


def test_lightnings_dump_comes_back_as_it_went():
    dump = {"epoch": 1, "state_dict": {"w": torch.ones(1)}, "config": {"a": 1}, "vocabularies": {}, "loops": {"x": 1}}
    assert to_lightning(from_lightning(dump)) == dump
    assert from_lightning(dump).training == {"epoch": 1, "loops": {"x": 1}}


@pytest.mark.parametrize("key", ["config", "vocabularies"])
def test_a_dump_that_would_not_load_alone_is_refused(key):
    dump = {"state_dict": {}, "config": {}, "vocabularies": {}}
    del dump[key]
    with pytest.raises(CheckpointError, match=f"on_save_checkpoint put no '{key}'"):
        from_lightning(dump)
