"""Where pairs come from: one line per task or corpus."""

from __future__ import annotations

from seq2seq_lightning.data.tasks.copy import CopyConfig, CopyTask
from seq2seq_lightning.data.tasks.parallel import ParallelConfig, ParallelTask
from seq2seq_lightning.data.tasks.reverse import ReverseConfig, ReverseTask
from seq2seq_lightning.data.tasks.scan import ScanConfig, ScanTask
from seq2seq_lightning.data.tasks.task import DataConfig, Task
from seq2seq_lightning.data.tasks.tsv import TsvConfig, TsvTask
from seq2seq_lightning.plugins import Table

__all__ = ["TASKS", "DataConfig", "Task", "build_task"]

TASKS: Table[type[DataConfig], type[Task]] = Table(
    "tasks",
    DataConfig,
    {
        ScanConfig: ScanTask,
        ReverseConfig: ReverseTask,
        CopyConfig: CopyTask,
        ParallelConfig: ParallelTask,
        TsvConfig: TsvTask,
    },
)


def build_task(config: DataConfig) -> Task:
    """The task a config asks for; files are looked for when it is read."""
    return TASKS[type(config)](config)
