"""Several trained models that read and write alike, searched and scored as one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from seq2seq_lightning.decoding.ensemble import Average, Ensemble, EnsembleOutput, Together
from seq2seq_lightning.models.seq2seq import Seq2Seq


class EnsembleModel(nn.Module):
    """What ``Evaluator`` asks of a model, answered by several: each reads every source, their steps are averaged."""

    def __init__(self, members: Sequence[Seq2Seq], average: Average) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self._models = tuple(members)
        self.ensemble = Ensemble(self._models, average)

    @property
    def copies(self) -> bool:
        """Whether the members can write words of the source: all of them, or none."""
        return self._models[0].copies

    def start(
        self, source: Tensor, source_lengths: Tensor, copy_ids: Tensor | None = None
    ) -> tuple[Together, Together]:
        """Read the sources with every member; see ``Seq2Seq.start``. Returns the memories and the states."""
        started = [member.start(source, source_lengths, copy_ids) for member in self._models]
        memories, states = zip(*started, strict=True)
        return Together(memories), Together(states)

    def step(self, tokens: Tensor, state: Together, memory: Together) -> EnsembleOutput:
        """The step protocol of search."""
        return self.ensemble.step(tokens, state, memory)

    def attended_lengths(self, source_lengths: Tensor) -> Tensor:
        """How many encoder states each source has: (batch,) on the CPU, the same for every member that attends."""
        return self._models[0].attended_lengths(source_lengths)
