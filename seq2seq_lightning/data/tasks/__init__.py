"""Where pairs come from: one line per task or corpus."""

from __future__ import annotations

from seq2seq_lightning.data.tasks.addition import AdditionConfig, AdditionTask
from seq2seq_lightning.data.tasks.continuation import ContinuationConfig, ContinuationTask
from seq2seq_lightning.data.tasks.copy import CopyConfig, CopyTask
from seq2seq_lightning.data.tasks.dates import DatesConfig, DatesTask
from seq2seq_lightning.data.tasks.hub import HubConfig, HubTask
from seq2seq_lightning.data.tasks.jsonl import JsonlConfig, JsonlTask
from seq2seq_lightning.data.tasks.multi30k import Multi30kConfig, Multi30kTask
from seq2seq_lightning.data.tasks.parallel import ParallelConfig, ParallelTask
from seq2seq_lightning.data.tasks.reverse import ReverseConfig, ReverseTask
from seq2seq_lightning.data.tasks.scan import ScanConfig, ScanTask
from seq2seq_lightning.data.tasks.selective_copying import SelectiveCopyingConfig, SelectiveCopyingTask
from seq2seq_lightning.data.tasks.sigmorphon2020_g2p import G2pConfig, G2pTask
from seq2seq_lightning.data.tasks.sort import SortConfig, SortTask
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
        SortConfig: SortTask,
        AdditionConfig: AdditionTask,
        DatesConfig: DatesTask,
        SelectiveCopyingConfig: SelectiveCopyingTask,
        ParallelConfig: ParallelTask,
        TsvConfig: TsvTask,
        JsonlConfig: JsonlTask,
        ContinuationConfig: ContinuationTask,
        Multi30kConfig: Multi30kTask,
        G2pConfig: G2pTask,
        HubConfig: HubTask,
    },
)


def build_task(config: DataConfig) -> Task:
    """The task a config asks for; files are looked for when it is read."""
    return TASKS[type(config)](config)
