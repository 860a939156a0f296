"""Lightning resumes through our files to the same bits."""

from __future__ import annotations

import lightning
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from seq2seq_lightning.errors import CheckpointError
from seq2seq_lightning.training.checkpoint_io import DurableCheckpointIO
from seq2seq_lightning.training.checkpoints import read_checkpoint
from seq2seq_lightning.training.learning_rates import LinearRateConfig, TrainingLength, build_learning_rate
from seq2seq_lightning.training.optimizers import AdamConfig, build_optimizer


class Line(lightning.LightningModule):
    """A regression that saves itself at one update, through the plugin."""

    def __init__(self, path=None, save_at=None):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(4, 1)
        self.path, self.save_at, self.losses = path, save_at, []

    def training_step(self, batch, index):
        loss = (self.layer(batch[0]) - batch[1]).square().mean()
        self.losses.append(loss.item())
        return loss

    def on_train_batch_end(self, *_):
        if self.global_step == self.save_at:
            self.trainer.save_checkpoint(self.path)

    def configure_optimizers(self):
        optimizer = build_optimizer(AdamConfig(learning_rate=0.1), self.parameters())
        scheduler = build_learning_rate(LinearRateConfig(), optimizer, TrainingLength(8)).scheduler
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint):
        checkpoint["config"], checkpoint["vocabularies"] = {"seed": 0}, {"target": ["a"]}


def fit(module, resume_from=None):
    generator = torch.Generator().manual_seed(1)
    data = TensorDataset(torch.randn(8, 4, generator=generator), torch.randn(8, 1, generator=generator))
    trainer = lightning.Trainer(
        max_steps=8,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[DurableCheckpointIO()],
    )
    loader = DataLoader(data, batch_size=2, generator=torch.Generator())
    trainer.fit(module, loader, ckpt_path=resume_from, weights_only=True)
    return module


@pytest.mark.filterwarnings("ignore:.*num_workers.*", "ignore:.*lr_scheduler.step.*")
def test_resuming_gives_the_same_bits(tmp_path):
    path = tmp_path / "step-4.ckpt"
    whole = fit(Line(path, save_at=4))
    resumed = fit(Line(), resume_from=path)
    assert len(whole.losses) == 8 and resumed.losses == whole.losses[4:]
    assert torch.equal(resumed.layer.weight, whole.layer.weight)
    checkpoint = read_checkpoint(path)
    assert checkpoint.config == {"seed": 0} and checkpoint.vocabularies == {"target": ["a"]}
    assert set(checkpoint.weights) == {"layer.weight", "layer.bias"}
    assert checkpoint.can_be_resumed and checkpoint.global_step == 4


def test_storage_options_are_refused(tmp_path):
    with pytest.raises(TypeError, match="storage_options"):
        DurableCheckpointIO().save_checkpoint({}, tmp_path / "a.ckpt", storage_options={})


def test_loading_cannot_be_talked_into_running_code(tmp_path):
    torch.save({"format": 1, "module": torch.nn.Linear(1, 1)}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="could run code"):
        DurableCheckpointIO().load_checkpoint(tmp_path / "a.ckpt", weights_only=False)


def test_removing_twice_is_no_error(tmp_path):
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"x")
    DurableCheckpointIO().remove_checkpoint(path)
    DurableCheckpointIO().remove_checkpoint(str(path))
    assert not path.exists()
