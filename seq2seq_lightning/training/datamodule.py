"""The LightningDataModule: hands each rank its share of the planned batches."""

from __future__ import annotations

import lightning.pytorch as pl

from seq2seq_lightning.data.bucketing import BatchingConfig
from seq2seq_lightning.data.example import EncodedSplit, Parts
from seq2seq_lightning.data.loader import EvaluationLoader, TrainingLoader
from seq2seq_lightning.data.recutting import Recutting
from seq2seq_lightning.decoding.protocol import SpecialIds


class Seq2SeqDataModule(pl.LightningDataModule):
    """Training batches by plan and seed, validation batches by length; both know their rank.

    accumulate: micro-batches per update: a global batch is dealt to ranks and micro-batches.
    updates: how many global batches training takes in all.
    """

    def __init__(
        self,
        train: Parts,
        val: EncodedSplit | None,
        batching: BatchingConfig,
        ids: SpecialIds,
        *,
        seed: int,
        accumulate: int,
        updates: int,
        target_eos: bool,
        recutting: Recutting | None = None,
    ) -> None:
        super().__init__()
        self.train, self.val = train, val
        self.batching, self.ids = batching, ids
        self.seed, self.accumulate, self.updates, self.target_eos = seed, accumulate, updates, target_eos
        self.recutting = recutting

    def train_dataloader(self) -> TrainingLoader:
        """This rank's micro-batches of the whole training, with a position of its own."""
        assert self.trainer is not None
        return TrainingLoader(
            self.train,
            self.batching,
            self.ids,
            seed=self.seed,
            updates=self.updates,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            accumulate=self.accumulate,
            target_eos=self.target_eos,
            recutting=self.recutting,
        )

    def val_dataloader(self) -> EvaluationLoader | list:
        """This rank's share of the validation split: each example once over all ranks."""
        assert self.trainer is not None
        if self.val is None:
            return []
        return EvaluationLoader(
            self.val,
            self.batching.evaluation_size,
            self.ids,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            target_eos=self.target_eos,
        )
