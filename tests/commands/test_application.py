"""A mistake is one clear message and exit status 2, before anything is started or written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import HydraException

from seq2seq_lightning.commands import ablate, data, evaluate, processes, train, translate
from seq2seq_lightning.commands.application import EXTRAS, explain
from seq2seq_lightning.commands.runs import list_runs
from seq2seq_lightning.decoding import SEARCHES
from seq2seq_lightning.experiments.record import Record, write_record
from seq2seq_lightning.models.cells import CELLS
from seq2seq_lightning.structure import member_name

MAINS: dict[str, Callable[[], None]] = {
    "train": train.main,
    "evaluate": evaluate.main,
    "translate": translate.main,
    "ablate": ablate.main,
    "data": data.main,
}


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """A command as in a terminal, in this process; starting another process is an error."""

    def start(*arguments: Any, **options: Any) -> None:
        raise AssertionError(f"started {arguments}")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(os, "execve", start)
    monkeypatch.setattr(processes.subprocess, "Popen", start)

    def call(name: str, *arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", [f"seq2seq-{name}", *arguments])
        status: Any = 0
        try:
            MAINS[name]()
        except SystemExit as leaving:
            status = leaving.code
        return Outcome(status or 0, *capsys.readouterr())

    return call


@pytest.fixture
def files(tmp_path: Path) -> None:
    """Line-aligned files in the working folder."""
    (tmp_path / "en").write_text("a red house\na car\n")
    (tmp_path / "fr").write_text("maison rouge une\nvoiture une\n")


CELL_NAMES = ", ".join(sorted(map(member_name, CELLS)))
PARALLEL = "data=parallel data.train.source=en data.train.target=fr"
MISTAKES = {
    # the command line → what its message must hold
    "train model/cell=lstmm": ["'model/cell/lstmm'", "Did you mean 'lstm'?", f"Allowed: {CELL_NAMES}."],
    "train modell/cell=lstm": ["modell/cell is no option", "Did you mean 'model'?"],
    "train +model.cell.typo=1": ["model.cell.typo is no option", "Allowed: bias, name."],
    "train model.cell.typo=1": ["model.cell.typo is no option", "Allowed: bias, name."],
    "train trainer.max_step=3": ["trainer.max_step is no option", "Did you mean 'max_steps'?"],
    "train +typo=1": ["typo is no option of the configuration", "text, trainer, validation."],
    "train model.encoder.layers=zero": ["model.encoder.layers is 'zero', where a whole number is needed."],
    "train model.encoder.layers=0": ["`model.encoder.layers=0` must be at least 1."],
    "train model.encoder.direction=sideways": [
        "model.encoder.direction is 'sideways'. Allowed: bidirectional, bidirectional_first, forward."
    ],
    "train model=3": ["Config group override must be a string or a list. Got int. A group takes the name"],
    "train model.encoder.layers=1,2": ["Ambiguous value", "--multirun"],
    "train model.encoder.layers=[1": ["no viable alternative at input '[1'"],
    "train model/bridge=copy model.encoder.hidden_size=33 model.decoder.hidden_size=64": [
        "`model/bridge=copy` needs equal sizes",
        "ends with 33",
        "starts with 64",
        "`model.decoder.hidden_size=33`",
        "`model/bridge=dense`",
    ],
    "train data=parallel data.train.source=missing data.train.target=fr": [
        "`data.train.source=missing`",
        "No such file or directory",
    ],
    "train data=parallel data.train.source=en": ["needs data.train.target"],
    f"train {PARALLEL} data.test.a.sauce=en": ["`data.test.a.sauce` is no option", "Did you mean 'source'?"],
    f"train {PARALLEL} data.test.a.source=en": ["needs data.test.a.target"],
    f"train {PARALLEL} data.test.train.source=en data.test.train.target=fr": ["'train' cannot name a test set"],
    "train -m debug=overfit": ["debug=overfit is a look at one run of seq2seq-train: leave out -m"],
    "train debug=overfitt": ["debug is 'overfitt'. Did you mean 'overfit'? Allowed: one_batch, overfit."],
    "train init_from=nowhere": ["init_from=nowhere is neither a checkpoint nor the directory of a run"],
    "train -m init_from=null,nowhere": ["init_from=nowhere: init_from=nowhere is neither"],
    "train experiment=multi30k decoding=greedy": [
        "error: In experiment/multi30k: decoding.beam_width is no option. Allowed: "
    ],
    "train experiment=nothing": ["'experiment/nothing'", "scan_primitives"],
    "train trainer.precision=16 checkpoint.keep=0": ["trainer.precision is '16'", "checkpoint.keep is 0"],
    "train -m model/cell=lstm,lstmm": ["Did you mean 'lstm'?"],
    "train -m model.encoder.layers=1,0": ["model.encoder.layers=0: `model.encoder.layers=0` must be at least 1."],
    "train -m hydra/launcher=nothing": ["'hydra/launcher/nothing'", "Allowed: basic, joblib"],
    "evaluate decoding=beam": ["run is needed and not given: add run=… to the command."],
    "evaluate run=nowhere": ["nowhere is not the folder of a run"],
    "evaluate run=nowhere decoding=beem": ["Did you mean 'beam'?"],
    "translate": ["run is needed and not given"],
    "translate run=nowhere": ["nowhere does not exist", "Give the directory of a run"],
    "translate run=.": [". holds no checkpoint"],
    "translate run=. attention=true": ["attention=true is written in JSON only: set format=jsonl."],
    "translate run=. trace=true": ["trace=true is written in JSON only: set format=jsonl."],
    "translate run=. trace_top=0": ["trace_top is 0; it must be at least 1."],
    "translate run=. trace_top=3": ["trace_top=3 changes nothing without trace=true."],
    "translate run=. average=probabilities": ["average=probabilities changes nothing for one run."],
    "ablate": ["Name an ablation: ablation=NAME.", "scan_primitives"],
    "ablate ablation=scan_primitive": ["Did you mean 'scan_primitives'?"],
    "ablate ablation=scan_primitives mode=runn": ["'runn'", "dry_run"],
    "data data=scan data.split=jump": ["'jump'", "add_jump"],
}


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_message_and_nothing_is_written(
    line: str, command: Callable[..., Outcome], tmp_path: Path
) -> None:
    name, *arguments = line.split(" ")
    outcome = command(name, *arguments)
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("rror: ") == 1
    assert "Traceback" not in outcome.err
    for words in MISTAKES[line]:
        assert words in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["en", "fr"]


@pytest.mark.parametrize(("option", "extra"), EXTRAS.items())
def test_an_option_of_a_package_that_is_not_installed_names_the_extra(option: str, extra: str) -> None:
    group, name = option.rsplit("/", 1)
    told = (
        f"In 'hydra/config': Could not find '{option}'\n\nAvailable options in '{group}':\n\tbasic\nConfig search path:"
    )
    assert explain(HydraException(told)) == (
        f"{group}={name} needs the extra: pip install 'seq2seq-lightning[{extra}]'."
    )


@pytest.mark.parametrize("name", MAINS)
def test_help_lists_the_groups_and_no_schema(name: str, command: Callable[..., Outcome]) -> None:
    outcome = command(name, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    assert f"\nmodel/cell: {CELL_NAMES}\n" in outcome.out
    decodings, *_ = re.findall(r"\ndecoding: (.*)\n", outcome.out)
    assert set(map(member_name, SEARCHES)) <= set(decodings.split(", "))  # and presets
    assert outcome.out.startswith(f"seq2seq-{name}: ")
    assert "schema" not in outcome.out


def test_the_composed_job_can_be_looked_at(command: Callable[..., Outcome]) -> None:
    outcome = command("train", "--cfg", "job", "model/cell=lstm")
    assert (outcome.status, outcome.err) == (0, "")
    assert "  cell:\n    name: lstm\n" in outcome.out


def imported_by(code: str, *packages: str) -> list[str]:
    """Which of these packages are imported in a new process once the code has run."""
    code = f"import sys\n{code}\nprint(*(each for each in {packages!r} if each in sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()[-1].split()


def test_help_waits_for_no_lightning_no_tracker_and_no_tables() -> None:
    code = """
import contextlib, seq2seq_lightning.commands.evaluate, seq2seq_lightning.commands.translate
from seq2seq_lightning.commands.train import main
sys.argv = ["seq2seq-train", "--help"]
with contextlib.suppress(SystemExit):
    main()
"""
    assert imported_by(code, "lightning", "pytorch_lightning", "wandb", "pandas", "matplotlib", "torchmetrics") == []
    code = "import seq2seq_lightning.commands.data"  # which draws, and so needs matplotlib
    assert imported_by(code, "lightning", "pytorch_lightning", "wandb", "pandas", "torchmetrics") == []


def test_tables_and_lists_of_runs_need_neither_torch_nor_hydra() -> None:
    code = "import seq2seq_lightning.commands.report, seq2seq_lightning.commands.runs"
    assert imported_by(code, "torch", "hydra", "omegaconf", "lightning", "wandb") == []


def test_a_mistake_in_a_real_process(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "seq2seq-train"), "+model.cell.typo=1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: model.cell.typo is no option of model.cell. Allowed: bias, name.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_files_of_unequal_length_are_refused_by_the_worker(tmp_path: Path) -> None:
    (tmp_path / "en").write_text("a red house\na car\n")
    (tmp_path / "fr").write_text("maison rouge une\n")
    command = [str(Path(sys.executable).parent / "seq2seq-train"), *PARALLEL.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: en has 2 lines but fr has 1;")
    assert "line 2 has no partner" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("record.json"))
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize("line", [pytest.param("train --help", marks=pytest.mark.slow), "runs --root . list"])
def test_a_reader_that_leaves_is_no_error(line: str, tmp_path: Path) -> None:
    """As `seq2seq-train --help | head` does: the pipe is closed before anything is written."""
    name, *rest = line.split(" ")
    read, write = os.pipe()
    os.close(read)
    command = [str(Path(sys.executable).parent / f"seq2seq-{name}"), *rest]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_tables_are_not_folded_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    folder = tmp_path / "runs" / ("long-name-" * 12) / "0123456789ab"
    overrides = ["model.encoder.hidden_size=1024", "trainer.max_steps=100"]
    write_record(folder, Record("failed", folder.parent.name, folder.name, 1, {}, 1, overrides=overrides))
    list_runs(tmp_path / "runs")
    assert f"{folder}  failed" in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "60")
    list_runs(tmp_path / "runs")
    assert all(len(line) <= 60 for line in capsys.readouterr().out.splitlines())
