"""The cells for which torch has a fused kernel: one call for a whole sequence, one function for a single step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq2seq_lightning.models.cells.cell import Cell, CellConfig, CellStep, Kind
from seq2seq_lightning.models.deferred import DeferredLinear
from seq2seq_lightning.models.state import CellState

KernelState = Tensor | tuple[Tensor, Tensor]
_KINDS = {"weight_ih": Kind.input, "weight_hh": Kind.recurrent, "bias_ih": Kind.bias, "bias_hh": Kind.bias}


class FusedCell(Cell):
    """A cell around a one-layer ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM``, whose parameters it also uses for steps."""

    def __init__(self, config: CellConfig, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, config.bias
        self.kernel = self.make_kernel(config)

    def make_kernel(self, config: CellConfig) -> nn.RNNBase:
        """torch's module for this cell: one layer, batch-first."""
        raise NotImplementedError

    def unroll(self, inputs: Tensor, state: CellState, lengths: Tensor | None = None) -> tuple[Tensor, CellState]:
        """See ``Cell.unroll``. Rows are packed only where they are of unequal length."""
        start = self.to_kernel(state)
        if lengths is None:
            outputs, end = self.kernel(inputs, start)
            return outputs, self.from_kernel(end)
        packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        packed, end = self.kernel(packed, start)
        outputs, _ = pad_packed_sequence(packed, batch_first=True, total_length=inputs.shape[1])
        return outputs, self.from_kernel(end)

    def step(self, inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """See ``Cell.step``."""
        return self.advance(inputs, state, *self.weights())

    def begin(self, rows: int, time: int) -> CellStep:
        """See ``Cell.begin``: in training on the CPU the gradients of the weights wait for all positions.

        There the kernels add a bias of (rows, gates · hidden) like one of (gates · hidden); others want the latter.
        """
        weight_ih, weight_hh, bias_ih, bias_hh = self.weights()
        if weight_ih.device.type != "cpu" or not torch.is_grad_enabled():
            return self.step
        given, carried = (
            DeferredLinear(weight, bias, rows, time) for weight, bias in ((weight_ih, bias_ih), (weight_hh, bias_hh))
        )

        def step(inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
            biases = given.bias(inputs), carried.bias(state["hidden"])
            return self.advance(inputs, state, given.weight, carried.weight, *biases)

        return step

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

    def weights(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """weight_ih, weight_hh, bias_ih, bias_hh, each with gates · hidden rows."""
        own = self.kernel._parameters
        return own["weight_ih_l0"], own["weight_hh_l0"], own.get("bias_ih_l0"), own.get("bias_hh_l0")  # type: ignore[return-value]

    def parameter_kinds(self) -> dict[str, Kind]:
        """See ``Cell.parameter_kinds``."""
        names = _KINDS if self.bias else {name: kind for name, kind in _KINDS.items() if kind is not Kind.bias}
        return {f"kernel.{name}_l0": kind for name, kind in names.items()}
