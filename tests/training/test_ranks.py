"""One rank decides, the others do what it says, however late it comes to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq_lightning.training.ranks import is_first_rank, told_by_first_rank

# rank 0 decides only after a second, by a folder that it then changes itself; the others must not look for themselves
PROGRAM = """
import os, sys, time
from pathlib import Path
from seq2seq_lightning.training.ranks import is_first_rank, told_by_first_rank

folder = Path(sys.argv[1])

def decide() -> bool:
    (folder / f"asked-{os.environ['RANK']}").touch()
    time.sleep(1)
    return (folder / "wanted").exists()

answers = [told_by_first_rank(question, decide) for question in ("one", "two")]
if is_first_rank():
    (folder / "wanted").unlink(missing_ok=True)
else:
    time.sleep(0.5)
(folder / f"told-{os.environ['RANK']}").write_text(str(answers))
"""


def test_alone_a_process_decides_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert is_first_rank()
    assert told_by_first_rank("question", lambda: True)
    assert not told_by_first_rank("question", lambda: False)


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [True, pytest.param(False, marks=pytest.mark.very_slow)])
def test_the_first_rank_decides_for_all(wanted: bool, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    if wanted:
        (tmp_path / "wanted").touch()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=3"]
    subprocess.run(
        [*command, str(tmp_path / "program.py"), str(tmp_path)], check=True, timeout=120, capture_output=True
    )
    assert [path.name for path in tmp_path.glob("asked-*")] == ["asked-0"]
    assert [(tmp_path / f"told-{rank}").read_text() for rank in range(3)] == [str([wanted, wanted])] * 3
