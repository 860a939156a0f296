"""The mLSTM of xLSTM (Beck et al. 2024, arXiv 2405.04517, §2.3): a matrix per head as memory.

q = W_q x + b_q, k = (W_k x + b_k)/√d, v = W_v x + b_v; i = exp(w_i x + b_i), f = σ(w_f x + b_f), a number per head;
C = f C₋ + i v kᵀ, n = f n₋ + i k, h = σ(W_o x + b_o)∘(C q / max(|nᵀ q|, 1)). What is kept is C e^−m and n e^−m with
m = max(log f + m₋, ĩ). A sequence is computed in chunks: within one all positions at once, between them
through the memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from seq2seq_lightning.models.cells.cell import Kind, last_real
from seq2seq_lightning.models.cells.slstm import HeadedCellConfig, lowest
from seq2seq_lightning.models.cells.weighted import WeightedCell, wide
from seq2seq_lightning.models.state import CellState

CHUNK = 64  # positions at once: their pairs cost what the memory of a head of this size costs


@dataclass
class MLSTMConfig(HeadedCellConfig):
    """The mLSTM of xLSTM."""

    name: str = "mlstm"


class Read(NamedTuple):
    """What the cell makes of its inputs, per head; (…, heads, size) or (…, heads)."""

    query: Tensor
    key: Tensor
    value: Tensor
    leaving: Tensor  # the logit of the output gate, (…, hidden_size)
    entering: Tensor  # log i
    remaining: Tensor  # log f


class Held(NamedTuple):
    """The memory of each head."""

    memory: Tensor  # (rows, heads, key size, value size), C transposed
    normaliser: Tensor  # (rows, heads, key size)
    stabiliser: Tensor  # (rows, heads)


class MLSTM(WeightedCell):
    """One layer of mLSTM; W in the order query, key, value, output gate.

    No matrix reads ``hidden``. Where a bridge fills it, the same vector stands in the memory, as if it had been read
    with input gate 1 under the key (1, …, 1)/√d.
    """

    gates: ClassVar[int] = 4
    forget_gate: ClassVar[int | None] = 1  # of the two gates in `weight_gates` and `bias_gates`: input, forget

    def __init__(self, config: MLSTMConfig, input_size: int, hidden_size: int) -> None:
        super().__init__(config, input_size, hidden_size)
        self.heads, self.head_size = config.heads, hidden_size // config.heads
        self.weight_gates = nn.Parameter(torch.empty(2 * config.heads, input_size))
        self.bias_gates = nn.Parameter(torch.empty(2 * config.heads)) if config.bias else None
        self.reset_parameters()

    def initial_state(self, batch: int, like: Tensor) -> CellState:
        """See ``Cell.initial_state``."""
        like = wide(like)
        normaliser = like.new_zeros(batch, self.heads, self.head_size)
        memory = like.new_zeros(batch, self.heads, self.head_size, self.head_size)
        stabiliser = lowest(normaliser[:, :, 0])
        return {"hidden": like.new_zeros(batch, self.hidden_size), **Held(memory, normaliser, stabiliser)._asdict()}

    def start(self, given: CellState) -> CellState:
        """See ``Cell.start``."""
        hidden = wide(given["hidden"])
        value = hidden.view(-1, self.heads, self.head_size)
        key = torch.full_like(value, self.head_size**-0.5)
        held = Held(key.unsqueeze(3) * value.unsqueeze(2), key, torch.zeros_like(key[:, :, 0]))
        return {"hidden": hidden, **held._asdict()}

    def input_map(self) -> tuple[Tensor, Tensor | None]:
        """See ``MappedCell.input_map``."""
        weight = torch.cat((self.weight_ih, self.weight_gates))
        if self.bias is None or self.bias_gates is None:
            return weight, None
        return weight, torch.cat((self.bias, self.bias_gates))

    def read(self, given: Tensor) -> Read:
        """Queries, keys, values and gates. given: (…, 4 · hidden_size + 2 · heads), W x + b."""
        given = wide(given)
        sizes = [self.hidden_size] * 4 + [self.heads] * 2
        query, key, value, leaving, entering, forget = given.split(sizes, -1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)) for part in (query, key, value))
        return Read(query, key * self.head_size**-0.5, value, leaving, entering, logsigmoid(forget))

    def move(self, given: Tensor, state: CellState) -> CellState:
        """See ``MappedCell.move``. m is any number as far as h is concerned, so no gradient goes through it."""
        read, held = self.read(given), Held(state["memory"], state["normaliser"], state["stabiliser"])
        remaining = read.remaining + held.stabiliser
        stabiliser = torch.maximum(remaining, read.entering).detach()
        enter, remain = torch.exp(read.entering - stabiliser), torch.exp(remaining - stabiliser)
        entering = enter.unsqueeze(2) * read.key
        normaliser = remain.unsqueeze(2) * held.normaliser + entering
        memory = remain[..., None, None] * held.memory + entering.unsqueeze(3) * read.value.unsqueeze(2)
        found = torch.matmul(read.query.unsqueeze(2), memory).squeeze(2)
        weight = (normaliser * read.query).sum(2)
        hidden = _normalise(found, weight, stabiliser).flatten(1) * torch.sigmoid(read.leaving)
        return {"hidden": hidden, **Held(memory, normaliser, stabiliser)._asdict()}

    def unroll(self, inputs: Tensor, state: CellState, lengths: Tensor | None = None) -> tuple[Tensor, CellState]:
        """See ``Cell.unroll``. At padding nothing enters and nothing fades, so the memory is that of the last token."""
        read = self.read(self.given(inputs))
        query, key, value = (part.transpose(1, 2) for part in (read.query, read.key, read.value))
        entering, remaining = read.entering.transpose(1, 2), read.remaining.transpose(1, 2)
        if lengths is not None:
            is_padding = (torch.arange(inputs.shape[1]) >= lengths.unsqueeze(1)).to(inputs.device, non_blocking=True)
            entering = entering.masked_fill(is_padding.unsqueeze(1), torch.finfo(entering.dtype).min / 4)
            remaining = remaining.masked_fill(is_padding.unsqueeze(1), 0.0)
        held = Held(state["memory"], state["normaliser"], state["stabiliser"])
        of_heads = (values.split(CHUNK, 2) for values in (query, key, value))
        outputs = []
        for *vectors, enter, remain in zip(*of_heads, entering.split(CHUNK, 2), remaining.split(CHUNK, 2), strict=True):
            output, held = _chunk(vectors[0], vectors[1], vectors[2], enter, remain, held)
            outputs.append(output)
        gathered = torch.cat(outputs, 2).transpose(1, 2).flatten(2) * torch.sigmoid(read.leaving)
        return gathered, {"hidden": last_real(gathered, lengths), **held._asdict()}

    def state_products(self) -> int:
        """See ``Cell.state_products``: the product of key and value, and that of query and memory."""
        return 2 * self.hidden_size * self.head_size

    def parameter_kinds(self) -> dict[str, Kind]:
        """See ``Cell.parameter_kinds``."""
        biases = {} if self.bias_gates is None else {"bias_gates": Kind.bias}
        return super().parameter_kinds() | {"weight_gates": Kind.input} | biases

    def forget_biases(self) -> list[Tensor]:
        """See ``Cell.forget_biases``."""
        return [] if self.bias_gates is None else [self.bias_gates.chunk(2)[1]]

    def blocks(self, name: str) -> int:
        """See ``Cell.blocks``."""
        return 2 if name.endswith("_gates") else super().blocks(name)


def _chunk(
    query: Tensor, key: Tensor, value: Tensor, entering: Tensor, remaining: Tensor, held: Held
) -> tuple[Tensor, Held]:
    """All positions of a chunk, before the output gate, and the memory after it.

    query, key, value: (batch, heads, time, size); entering, remaining: (batch, heads, time), log i and log f.
    """
    faded = remaining.cumsum(2)  # log of what is left at a position of what was there before the chunk
    between = faded.unsqueeze(3) - faded.unsqueeze(2) + entering.unsqueeze(2)  # of what entered at s, left at t
    is_later = torch.ones_like(between[0, 0], dtype=torch.bool).triu(1)
    between = between.masked_fill(is_later, -torch.inf)
    before = faded + held.stabiliser.unsqueeze(2)
    stabiliser = torch.maximum(before, between.amax(3)).detach()
    weights = torch.exp(between - stabiliser.unsqueeze(3))
    carried = torch.exp(before - stabiliser).unsqueeze(3)
    scores = torch.matmul(query, key.transpose(2, 3)) * weights
    found = torch.matmul(scores, value) + carried * torch.matmul(query, held.memory)
    weight = scores.sum(3) + carried.squeeze(3) * torch.matmul(query, held.normaliser.unsqueeze(3)).squeeze(3)
    entered = key * weights[:, :, -1].unsqueeze(3)
    left = carried[:, :, -1]
    memory = left.unsqueeze(3) * held.memory + torch.matmul(entered.transpose(2, 3), value)
    normaliser = left * held.normaliser + entered.sum(2)
    return _normalise(found, weight, stabiliser), Held(memory, normaliser, stabiliser[:, :, -1])


def _normalise(found: Tensor, weight: Tensor, stabiliser: Tensor) -> Tensor:
    """C q / max(|nᵀ q|, 1), for C and n times e^−m. found: (…, size); weight, stabiliser: (…)."""
    return found / torch.maximum(weight.abs(), torch.exp(-stabiliser)).unsqueeze(-1)
