"""The cells for which torch has a fused kernel: one call for a whole sequence, one function for a single step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq2seq_lightning.models.cells.cell import CellConfig, CellStep, Kind
from seq2seq_lightning.models.cells.mapped import RecurrentCell
from seq2seq_lightning.models.deferred import DeferredLinear
from seq2seq_lightning.models.dropout import Noise, drop
from seq2seq_lightning.models.state import CellState

KernelState = Tensor | tuple[Tensor, Tensor]
Kernel = Callable[[Any, Any], tuple[Any, KernelState]]
"""(inputs, start), packed or padded → outputs in the same form, and the end."""
_KINDS = {"weight_ih": Kind.input, "weight_hh": Kind.recurrent, "bias_ih": Kind.bias, "bias_hh": Kind.bias}


class FusedCell(RecurrentCell):
    """A cell around a one-layer ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM``, whose parameters it also uses for steps.

    Dropped weights leave the kernels in place; what else disturbs the state between positions takes ``gate``, the same
    equations in our own words.
    """

    def __init__(self, config: CellConfig, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, config.bias
        self.kernel = self.make_kernel(config)

    def make_kernel(self, config: CellConfig) -> nn.RNNBase:
        """torch's module for this cell: one layer, batch-first."""
        raise NotImplementedError

    def unroll(self, inputs: Tensor, state: CellState, lengths: Tensor | None = None) -> tuple[Tensor, CellState]:
        """See ``Cell.unroll``. Rows are packed only where they are of unequal length."""
        return self._run(inputs, state, lengths, self.kernel)

    def unroll_under(
        self, noise: Noise | None, inputs: Tensor, state: CellState, lengths: Tensor | None = None
    ) -> tuple[Tensor, CellState]:
        """See ``Cell.unroll_under``: at once as long as only weights are dropped."""
        if noise is None or noise.keep or noise.hidden is not None:
            return super().unroll_under(noise, inputs, state, lengths)
        weights = {"weight_hh_l0": self.weights(noise)[1]}
        return self._run(inputs, state, lengths, lambda *given: functional_call(self.kernel, weights, given))

    def step(self, inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """See ``Cell.step``."""
        return self.advance(inputs, state, *self.weights())

    def begin(self, rows: int, time: int, noise: Noise | None = None) -> CellStep:
        """See ``Cell.begin``: in training on the CPU the gradients of the weights wait for all positions.

        There the kernels add a bias of (rows, gates · hidden) like one of (gates · hidden); others want the latter.
        """
        if noise is not None and noise.hidden is not None:
            return super().begin(rows, time, noise)
        weights = weight_ih, weight_hh, bias_ih, bias_hh = self.weights(noise)
        if weight_ih.device.type != "cpu" or not torch.is_grad_enabled():
            plain = self.step if noise is None else lambda inputs, state: self.advance(inputs, state, *weights)
            return self.zone_out(plain, time, noise)
        given, carried = (
            DeferredLinear(weight, bias, rows, time) for weight, bias in ((weight_ih, bias_ih), (weight_hh, bias_hh))
        )

        def step(inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
            biases = given.bias(inputs), carried.bias(state["hidden"])
            return self.advance(inputs, state, given.weight, carried.weight, *biases)

        return self.zone_out(step, time, noise)

    def advance(
        self,
        inputs: Tensor,
        state: CellState,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor | None,
        bias_hh: Tensor | None,
    ) -> tuple[Tensor, CellState]:
        """torch's function for one position, with these weights."""
        raise NotImplementedError

    def to_kernel(self, state: CellState) -> KernelState:
        """Our named states as torch wants them, (1, batch, hidden_size) each."""
        return state["hidden"].unsqueeze(0)

    def from_kernel(self, end: KernelState) -> CellState:
        """torch's states as our named ones."""
        assert isinstance(end, Tensor)
        return {"hidden": end.squeeze(0)}

    def weights(self, noise: Noise | None = None) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """weight_ih, weight_hh less what the noise drops, bias_ih, bias_hh, each with gates · hidden rows."""
        own = self.kernel._parameters
        weight_ih, weight_hh = own["weight_ih_l0"], own["weight_hh_l0"]
        assert weight_ih is not None and weight_hh is not None
        left = drop(weight_hh, None if noise is None else noise.weights.get("kernel.weight_hh_l0"))
        return weight_ih, left, own.get("bias_ih_l0"), own.get("bias_hh_l0")

    def input_map(self) -> tuple[Tensor, Tensor | None]:
        """See ``MappedCell.input_map``."""
        weight_ih, _, bias_ih, _ = self.weights()
        return weight_ih, bias_ih

    def recurrent_map(self, noise: Noise | None = None) -> tuple[Tensor, Tensor | None]:
        """See ``RecurrentCell.recurrent_map``."""
        _, weight_hh, _, bias_hh = self.weights(noise)
        return weight_hh, bias_hh

    def parameter_kinds(self) -> dict[str, Kind]:
        """See ``Cell.parameter_kinds``."""
        names = _KINDS if self.bias else {name: kind for name, kind in _KINDS.items() if kind is not Kind.bias}
        return {f"kernel.{name}_l0": kind for name, kind in names.items()}

    def _run(
        self, inputs: Tensor, state: CellState, lengths: Tensor | None, kernel: Kernel
    ) -> tuple[Tensor, CellState]:
        """A kernel over a padded or a packed batch."""
        start = self.to_kernel(state)
        if lengths is None:
            outputs, end = kernel(inputs, start)
            return outputs, self.from_kernel(end)
        packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        packed, end = kernel(packed, start)
        outputs, _ = pad_packed_sequence(packed, batch_first=True, total_length=inputs.shape[1])
        return outputs, self.from_kernel(end)
