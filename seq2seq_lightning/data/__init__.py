"""From a task's texts to planned, padded batches."""

from __future__ import annotations

from seq2seq_lightning.data.tasks import TASKS, DataConfig, Task, build_task

__all__ = ["TASKS", "DataConfig", "Task", "build_task"]
