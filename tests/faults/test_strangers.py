"""A file or a name from a stranger runs no code, and reaches no file that it should not."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq_lightning.config import Config
from seq2seq_lightning.errors import CheckpointError, ConfigurationError, DataError, UserError
from seq2seq_lightning.experiments.files import write_json_durably
from seq2seq_lightning.experiments.ledger import run_dir, state_of
from seq2seq_lightning.experiments.scores import decoding_dir
from seq2seq_lightning.job import Job
from seq2seq_lightning.trained import load
from seq2seq_lightning.training.checkpoint_index import best_checkpoint, last_checkpoint, read_index
from seq2seq_lightning.training.checkpoints import read_checkpoint
from tests.training.tiny import tiny_config


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


PLACES = ["weights", "config", "vocabularies", "training", "format"]


@pytest.mark.parametrize("place", PLACES)
def test_a_checkpoint_with_an_object_in_it_is_not_loaded(place: str, tmp_path: Path) -> None:
    content: dict[str, Any] = {"format": 1, "weights": {}, "config": {}, "vocabularies": {}, "training": {}}
    content[place] = {"x": Bomb(tmp_path / "ran")}
    path = tmp_path / "step-1.ckpt"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="could run code"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("legacy", [True, False])
def test_a_plain_pickle_is_not_loaded(legacy: bool, tmp_path: Path) -> None:
    path = tmp_path / "step-1.ckpt"
    if legacy:
        torch.save({"x": Bomb(tmp_path / "ran")}, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(CheckpointError, match="is damaged"):
        load(path)
    assert not (tmp_path / "ran").exists()


TARGETS: list[dict[str, Any]] = [
    {"_target_": "os.system", "_args_": ["touch ran"]},
    {"name": "reverse", "_target_": "pathlib.Path.touch"},
    {"name": "os.system"},
    {"name": "builtins.eval"},
    {"name": "../../reverse"},
]


@pytest.mark.parametrize("section", ["data", "decoding", "optimizer", "logger", "teacher_forcing"])
@pytest.mark.parametrize("values", TARGETS)
def test_a_class_path_in_a_configuration_is_no_option(values: dict[str, Any], section: str, tmp_path: Path) -> None:
    plain = tiny_config().to_plain() | {section: values}
    with pytest.raises(ConfigurationError, match=r"_target_|name"):
        Config.from_plain(plain)
    path = tmp_path / "step-1.ckpt"
    torch.save({"format": 1, "weights": {}, "config": plain, "vocabularies": {}, "training": {}}, path)
    with pytest.raises(ConfigurationError, match=r"_target_|name"):
        load(path)


def test_a_class_path_in_a_cell_or_attention_is_no_option() -> None:
    for side in ("encoder", "decoder"):
        plain = tiny_config().to_plain()
        plain["model"][side]["cell"] = {"name": "gru", "_target_": "torch.load"}
        with pytest.raises(ConfigurationError, match="_target_"):
            Config.from_plain(plain)


OUTSIDE = ["../outside", "/tmp/outside", "a/b", "..", ".", "", ".hidden", "a\\b", "a\x00b"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_run_is_named_by_one_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        Config.from_plain(tiny_config().to_plain() | {"name": name})
    with pytest.raises(ConfigurationError, match="cannot name a folder"):
        run_dir(tmp_path, name, "0" * 12)


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "a/b", "..", "x" * 300])
def test_test_sets_and_decodings_stay_in_their_folder(name: str, tmp_path: Path) -> None:
    for decoding, test_set in (("greedy", name), (name, "test")):
        folder = decoding_dir(tmp_path, {"name": decoding}, test_set, {})
        assert folder.parent == tmp_path / "decodings" and folder.resolve().parent == folder.parent.resolve()
        assert len(folder.name) < 200


@pytest.mark.parametrize("name", ["../../../outside.ckpt", "/tmp/outside.ckpt", "a/step-1.ckpt", "..", 3, "x.json"])
@pytest.mark.parametrize("key", ["last", "best", "kept", "average"])
def test_an_index_names_files_of_its_own_folder(name: object, key: str, tmp_path: Path) -> None:
    plain: dict[str, Any] = {"last": "step-1.ckpt", "best": "step-1.ckpt", "kept": []}
    plain["kept"] = [{"file": name if key == "kept" else "step-1.ckpt", "global_step": 1, "score": None}]
    if key == "average":
        plain["average"] = {"file": name, "global_steps": [1]}
    elif key != "kept":
        plain[key] = name
    write_json_durably(tmp_path / "index.json", plain)
    for look in (read_index, last_checkpoint, best_checkpoint):
        with pytest.raises(CheckpointError, match=r"index\.json is damaged"):
            look(tmp_path)


@pytest.mark.parametrize("content", ["[]", "3", '{"run_dir": "x"}', '{"surprise": 1}', "{"])
def test_a_job_file_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(content)
    with pytest.raises(DataError, match=r"job\.json is (damaged|no job)"):
        Job.read(tmp_path / "job.json")


def test_a_record_of_strange_types_is_a_damaged_one(tmp_path: Path) -> None:
    write_json_durably(tmp_path / "record.json", {"schema": 1, "status": ["completed"], "_target_": "os.system"})
    assert "is damaged" in str(state_of(tmp_path).problem)


def test_a_checkpoint_whose_parts_are_of_other_types_is_refused(tmp_path: Path) -> None:
    whole: dict[str, Any] = {"format": 1, "weights": {}, "config": {}, "vocabularies": {}, "training": {}}
    for key, wrong in (("weights", 3), ("config", [1]), ("vocabularies", "x"), ("training", None)):
        path = tmp_path / f"{key}.ckpt"
        torch.save(whole | {key: wrong}, path)
        with pytest.raises(CheckpointError, match=rf"is damaged: its {key} "):
            read_checkpoint(path)
    torch.save(whole | {"config": tiny_config().to_plain()}, tmp_path / "empty.ckpt")
    with pytest.raises(UserError, match=r"lacks|damaged|not fit"):
        load(tmp_path / "empty.ckpt")
