"""The example under `examples/plugin`, installed as a user installs it, through the commands and the laws."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq_lightning.experiments.files import read_jsonl
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.training.checkpoint_index import best_checkpoint
from seq2seq_lightning.training.checkpoints import read_checkpoint
from tests.terminal import BIN, only_run, seq2seq

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[1]
NAME = "seq2seq-example-plugin"
SMALL = ["data.symbols=6", "data.train_size=200", "data.val_size=20", "data.test_size=20", "data.batching.size=16"]
SMALL += ["model.encoder.hidden_size=8", "model.decoder.hidden_size=16", "trainer.threads=1", "trainer.accelerator=cpu"]
TRAIN = ["experiment=unzip_leaky", *SMALL, "trainer.max_steps=10", "trainer.log_every=1"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plug-in installed in it; it counts where it stands on PYTHONPATH."""
    folder = tmp_path_factory.mktemp("site")
    source = shutil.copytree(ROOT / "examples/plugin", folder / "source")  # building writes beside the source
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", folder / "installed", source]
    subprocess.run(command, check=True, timeout=300)
    return folder / "installed"


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands that this test starts find the plug-in."""
    monkeypatch.setenv("PYTHONPATH", str(site))


@pytest.fixture(scope="module")
def trained(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few updates with everything that the plug-in offers."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(site))
        seq2seq("train", *TRAIN, folder=folder)
    return only_run(folder)


@pytest.mark.usefixtures("installed")
def test_help_lists_what_the_plugin_offers(tmp_path: Path) -> None:
    lines = seq2seq("train", "--help", folder=tmp_path).out.splitlines()
    found = {line.split(": ")[0]: line.split(": ")[1].split(", ") for line in lines if ": " in line and ", " in line}
    for group, option in [("model/cell", "leaky"), ("model/attention", "cosine"), ("data", "unzip")]:
        assert option in found[group]
    assert "cosine" in found["teacher_forcing"] and "unzip_leaky" in found["experiment"]


@pytest.mark.usefixtures("installed")
def test_a_mistake_in_an_option_of_the_plugin_is_told_as_one_of_ours(tmp_path: Path) -> None:
    ended = seq2seq("train", "model/cell=leaky", "model.cell.leek=1", folder=tmp_path, status=2)
    assert ended.err == "error: model.cell.leek is no option. Did you mean 'leak'? Allowed: bias, leak, name.\n"
    ended = seq2seq("train", "model/cell=leaky", "model.cell.leak=0.0", folder=tmp_path, status=2)
    assert ended.err == "error: `leak` of the cell is 0.0; it must be above 0, and 1 at most.\n"


def test_every_component_takes_part(trained: Path) -> None:
    record = read_record(trained)
    assert record.status == "completed"
    assert record.versions[NAME] == "0.1.0"
    assert record.config["model"]["cell"] == {"name": "leaky", "bias": True, "leak": 0.7}
    assert record.data["identity"]["task"] == "unzip"
    history = read_jsonl(trained / "history.jsonl")
    ratios = [entry["value"] for entry in history if entry["key"] == "train/ratio"]
    expected = [0.8 + 0.2 * (1 + math.cos(math.pi * update / 10)) / 2 for update in range(10)]
    assert ratios == pytest.approx(expected)
    assert any(entry["key"] == "val/bag_f1" for entry in history)
    checkpoint = best_checkpoint(trained / "checkpoints")
    assert checkpoint is not None and read_checkpoint(checkpoint).plugins == {NAME: "0.1.0"}


@pytest.mark.usefixtures("installed")
def test_the_run_is_found_finished_and_decoded_again(trained: Path) -> None:
    folder = trained.parents[2]
    assert "finished before" in seq2seq("train", *TRAIN, folder=folder).out
    assert "test/bag_f1" in seq2seq("evaluate", f"run={trained}", "decoding=beam", folder=folder).out
    assert seq2seq("translate", f"run={trained}", folder=folder, text="1 2 3\n").out.endswith("\n")


@pytest.mark.parametrize("command", ["evaluate", "translate"])
def test_without_the_plugin_a_run_says_what_it_needs(command: str, trained: Path) -> None:
    ended = seq2seq(command, f"run={trained}", folder=trained, text="", status=2)
    assert f"needs a plug-in that is not installed: pip install {NAME}==0.1.0." in ended.err
    assert "Traceback" not in ended.err


def test_the_laws_hold_for_its_components(site: Path) -> None:
    """As its README says: from a checkout, with the plug-in installed."""
    laws = ["tests/laws/test_cells.py", "tests/laws/test_attention.py", "tests/teacher_forcing", "tests/metrics"]
    words = ["leaky", "Cosine", "cosine", "bag_f1"]
    command = [str(BIN / "pytest"), "-q", "-p", "no:cacheprovider", *laws, "-k", " or ".join(words)]
    done = subprocess.run(
        [*command, "--collect-only"], cwd=ROOT, env=_with(site), capture_output=True, text=True, timeout=300, check=True
    )
    assert all(word in done.stdout for word in ("LeakyConfig", "CosineAttentionConfig", "CosineConfig", "[bag_f1]"))
    done = subprocess.run(command, cwd=ROOT, env=_with(site), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout


def test_its_own_tests_pass(site: Path) -> None:
    command = [str(BIN / "pytest"), "-q", "-p", "no:cacheprovider", "examples/plugin/tests"]
    done = subprocess.run(command, cwd=ROOT, env=_with(site), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout


def _with(site: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
