"""One checkpoint of several replicas as one ordinary checkpoint each, and back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins import CheckpointIO
from torch import Tensor

from seq2seq_lightning.models.replicas.stacking import Block
from seq2seq_lightning.training.callbacks import Checkpoints
from seq2seq_lightning.training.checkpoint_average import entries_to_average
from seq2seq_lightning.training.checkpoint_index import checkpoint_path, list_checkpoint, prune, read_index
from seq2seq_lightning.training.checkpoints import from_lightning, read_checkpoint, to_lightning, write_checkpoint
from seq2seq_lightning.training.replicas.measurements import ALONE, STATE
from seq2seq_lightning.training.replicas.module import ReplicaModule
from seq2seq_lightning.training.settings import CheckpointConfig

VALUES = "values"  # the block's name among the weights of a ReplicaModule


def common_step(folders: Sequence[Path]) -> int | None:
    """The newest update of which every one of these folders has a checkpoint."""
    kept = [(folder, entry) for folder in folders for entry in read_index(folder).kept]
    there = [entry.global_step for folder, entry in kept if (folder / entry.file).exists()]
    return max((step for step in there if there.count(step) == len(folders)), default=None)


class ReplicaCheckpointIO(CheckpointIO):
    """Writes each replica's share into its own folder, in the form that a training of its own reads."""

    def __init__(self, module: ReplicaModule, folders: Sequence[Path]) -> None:
        self.module, self.folders = module, folders

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """path: where the first replica's goes; the others have the same name."""
        for replica, folder in enumerate(self.folders):
            write_checkpoint(folder / Path(path).name, from_lightning(self.share(checkpoint, replica)))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Join what `save_checkpoint` wrote, or what trainings of their own did."""
        return self.joined([to_lightning(read_checkpoint(folder / Path(path).name)) for folder in self.folders])

    def remove_checkpoint(self, path: Any) -> None:
        """Delete all."""
        for folder in self.folders:
            (folder / Path(path).name).unlink(missing_ok=True)

    def share(self, checkpoint: Mapping[str, Any], replica: int) -> dict[str, Any]:
        """What a training of this replica alone would have dumped."""
        block = self.module.replicas.block
        weights = block.read(replica) | {name: fixed[replica].detach() for name, fixed in block.fixed.items()}
        found = dict(checkpoint) | self.module.self_contained[replica]
        found["state_dict"] = {f"model.{name}": weights[own] for name, own in self.module.replicas.names.items()}
        found["optimizer_states"] = [_apart(each, block, replica) for each in checkpoint["optimizer_states"]]
        found["loops"] = _with_loader(checkpoint["loops"], lambda state: state["replicas"][replica])
        found["callbacks"] = {ALONE: checkpoint["callbacks"][STATE]["replicas"][replica]}
        return found

    def joined(self, checkpoints: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The dump of all, of one of each."""
        block, first = self.module.replicas.block, dict(checkpoints[0])
        for replica, checkpoint in enumerate(checkpoints):
            weights = {name.removeprefix("model."): each for name, each in checkpoint["state_dict"].items()}
            block.write(replica, weights)
        first["state_dict"] = {VALUES: block.values.detach().clone()}
        states = [checkpoint["optimizer_states"][0] for checkpoint in checkpoints]
        first["optimizer_states"] = [_together(states, block)]
        positions = [_loader_state(checkpoint["loops"]) for checkpoint in checkpoints]
        first["loops"] = _with_loader(first["loops"], lambda _: {"replicas": positions})
        first["callbacks"] = {STATE: {"replicas": [checkpoint["callbacks"][ALONE] for checkpoint in checkpoints]}}
        return first


def _apart(state: Mapping[str, Any], block: Block, replica: int) -> dict[str, Any]:
    """An optimiser's state over the block as one over a replica's parameters."""
    whole = state["state"].get(0, {})
    parts = {name: block.read(replica, value) for name, value in whole.items() if _spans(value, block)}
    rest = {name: value for name, value in whole.items() if name not in parts}
    own = {
        index: {name: value.clone() if isinstance(value, Tensor) else value for name, value in rest.items()}
        | {name: each[place] for name, each in parts.items()}
        for index, place in enumerate(block.places)
    }
    groups = [dict(group) | {"params": list(range(len(block.places)))} for group in state["param_groups"]]
    return {"state": own if whole else {}, "param_groups": groups}


def _together(states: Sequence[Mapping[str, Any]], block: Block) -> dict[str, Any]:
    """The inverse of ``_apart`` over all replicas."""
    groups = [dict(group) | {"params": [0]} for group in states[0]["param_groups"]]
    first = states[0]["state"]
    if not first:
        return {"state": {}, "param_groups": groups}
    whole: dict[str, Any] = {}
    for name, value in first[0].items():
        if not isinstance(value, Tensor) or not value.dim():
            whole[name] = value
            continue
        whole[name] = torch.zeros_like(block.values.detach())
        for index, place in enumerate(block.places.values()):
            for replica, state in enumerate(states):
                place.view(whole[name])[replica].copy_(state["state"][index][name])
    return {"state": {0: whole}, "param_groups": groups}


def _spans(value: Any, block: Block) -> bool:
    return isinstance(value, Tensor) and value.shape == block.values.shape


def _loader_state(loops: Mapping[str, Any]) -> Any:
    return loops["fit_loop"]["state_dict"]["combined_loader"][0]


def _with_loader(loops: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Lightning's dump of its loops with another state of the one loader."""
    fit = loops["fit_loop"]
    inner = dict(fit["state_dict"])
    inner["combined_loader"] = [change(state) for state in inner["combined_loader"]]
    return dict(loops) | {"fit_loop": dict(fit) | {"state_dict": inner}}


class ReplicaCheckpoints(Checkpoints):
    """Saves all replicas at the same updates; what is older goes once all are there."""

    def __init__(self, folders: Sequence[Path], config: CheckpointConfig) -> None:
        super().__init__(folders[0], config, None)
        self.folders = folders

    def save(self, trainer: pl.Trainer, score: float | None = None) -> None:
        """See ``Checkpoints.save``."""
        step = trainer.global_step
        trainer.save_checkpoint(checkpoint_path(self.folder, step))
        self._saved_at = time.monotonic()
        indices = [list_checkpoint(checkpoint_path(each, step), step, score, "min") for each in self.folders]
        for folder, index in zip(self.folders, indices, strict=True):
            wanted = entries_to_average(index, self.config, "min", ended=False)
            prune(folder, self.config.keep, also={entry.file for entry in wanted})
