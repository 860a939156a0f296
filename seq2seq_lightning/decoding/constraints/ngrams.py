"""No n-gram is written twice."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq_lightning.decoding.constraints.constraint import Constraint


@dataclass(frozen=True)
class NoRepeatedNgrams(Constraint):
    """Forbids the label that would complete an n-gram the beam has written before (Paulus et al. 2018, §2.5,
    arXiv 1705.04304, for trigrams). `eos` completes none; a forced prefix counts as written."""

    size: int
    pad_id: int

    @property
    def reads_written(self) -> bool:
        """It compares with every n-gram so far."""
        return True

    def forbid(self, log_probs: Tensor, written: Tensor | None, position: int) -> None:
        """The labels that followed an earlier occurrence of the last n - 1 labels."""
        assert written is not None
        if written.shape[2] < self.size:
            return
        ngrams = written.unfold(2, self.size, 1)  # (live, width, places, n)
        last = written[:, :, written.shape[2] - self.size + 1 :]
        is_repeat = (ngrams[..., :-1] == last[:, :, None]).all(3)
        # what is no repetition points at pad, which is forbidden anyway: several places may name one label
        log_probs.scatter_(2, ngrams[..., -1].masked_fill(~is_repeat, self.pad_id), -torch.inf)
