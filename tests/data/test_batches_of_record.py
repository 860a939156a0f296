"""Batches are part of a run's numbers: for the same seed they stay the same bits, whatever makes them faster.

The digests were taken when batches were first recorded; a change of one means that finished runs are no longer
comparable, which raises TRAINING_VERSION.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import fields

import pytest
import torch

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.data.bucketing import BatchingConfig, BatchUnit, Sampling
from seq2seq_lightning.data.loader import EvaluationLoader, TrainingLoader

TOKENS = BatchUnit.tokens
CASES = {
    "random": BatchingConfig(size=16),
    "random, tokens": BatchingConfig(size=200, unit=TOKENS),
    "pool": BatchingConfig(size=16, pool=100),
    "pool, tokens": BatchingConfig(size=200, unit=TOKENS, pool=100),
    "whole split": BatchingConfig(size=16, pool=-1),
    "whole split, tokens": BatchingConfig(size=200, unit=TOKENS, pool=-1),
    "one length": BatchingConfig(size=16, pool=-1, same_source_length=True),
    "one length, tokens": BatchingConfig(size=200, unit=TOKENS, pool=100, same_source_length=True),
    "replacement": BatchingConfig(size=16, pool=50, sampling=Sampling.replacement),
    "curriculum": BatchingConfig(size=200, unit=TOKENS, curriculum_epochs=1),
}
DIGESTS = {  # of one process; then of the second of two, three micro-batches each, without eos
    "random": "473c960b37692b62 0e6dcb918da3a576",
    "random, tokens": "66b83737fa9ff4c8 07741f0be267f1ee",
    "pool": "ae878ad6524c5ed7 d6843563a2600cdd",
    "pool, tokens": "0e8fec97c3562786 4e70e58aecf2d7b4",
    "whole split": "7f209345dea0d03d ed79e91db26a0faa",
    "whole split, tokens": "b408bd17f86ce7fc d944e152a814e235",
    "one length": "60f643b569554de7 d23e2d96adecd14d",
    "one length, tokens": "d6f58bdae4e501ee 10a7f574621422c6",
    "replacement": "5a61e7b17f7addaa 981ddb72ccbfac1d",
    "curriculum": "b5a2174bd12a6830 4b22fb5f8b4c9b6b",
    "evaluation": "6155b98d742e3f8c ebb82396c03d7b53 444accb2fe7e52e3",
}


def digest(batches: Iterable[Batch]) -> str:
    found = hashlib.sha256()
    for batch in batches:
        for field in fields(Batch):
            value = getattr(batch, field.name)
            told = value.numpy().tobytes() if isinstance(value, torch.Tensor) else b""
            found.update(f"{field.name} {value.dtype} {list(value.shape)}".encode() if told else str(value).encode())
            found.update(told)
    return found.hexdigest()[:16]


@pytest.mark.parametrize("name", CASES)
def test_training_batches_are_those_of_record(random_split, marks, name: str):
    split, found = random_split(501, longest=30), {}
    for world_size, accumulate in ((1, 1), (2, 3)):
        loader = TrainingLoader(
            split,
            CASES[name],
            marks,
            seed=7,
            rank=world_size - 1,
            world_size=world_size,
            accumulate=accumulate,
            target_eos=world_size == 1,
        )
        found[world_size] = digest(batch for _ in range(2) for batch in loader)
    assert f"{found[1]} {found[2]}" == DIGESTS[name]


def test_evaluation_batches_are_those_of_record(random_split, marks):
    split = random_split(501, longest=30)
    found = [digest(EvaluationLoader(split, 16, marks, rank=rank, world_size=2)) for rank in range(2)]
    found.append(digest(EvaluationLoader(split, 16, marks, longest=20)))
    assert found == DIGESTS["evaluation"].split()
