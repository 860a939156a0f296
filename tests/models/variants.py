"""Small models of every kind: each option alone, and any two options of different axes together at least once."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from seq2seq_lightning.models.attention import ATTENTIONS
from seq2seq_lightning.models.bridges import BRIDGES
from seq2seq_lightning.models.bridges.bridge import BridgeSource, SourcedBridgeConfig
from seq2seq_lightning.models.cells import CELLS
from seq2seq_lightning.models.decoder_config import (
    Context,
    DecoderConfig,
    DecoderDropout,
    Query,
    ReadoutActivation,
    ReadoutConfig,
    Summary,
    Tie,
)
from seq2seq_lightning.models.encoder import EncoderConfig, EncoderDropout
from seq2seq_lightning.models.model_config import ModelConfig, check
from seq2seq_lightning.models.seq2seq import Seq2Seq, build_model
from seq2seq_lightning.models.stack import Combine, Direction, Norm, NormPlace, Residual

PAD, BOS, EOS, VOCAB, SIZE = 0, 1, 2, 11, 6

SIGHTS: dict[str, dict[str, Any]] = {
    "initial": {"context": Context.initial},
    "every_step": {"context": Context.every_step},
    "previous": {"context": Context.attention, "query": Query.previous},
    "between": {"context": Context.attention, "query": Query.between},
    "current": {"context": Context.attention, "query": Query.current},
}
READOUTS: dict[str, ReadoutConfig] = {
    "tanh": ReadoutConfig(),
    "maxout": ReadoutConfig(activation=ReadoutActivation.maxout, embedding=True),
    "plain": ReadoutConfig(activation=ReadoutActivation.none),
    "all": ReadoutConfig(embedding=True, activation=ReadoutActivation.none),
    "sized": ReadoutConfig(context=False, embedding=True, activation=ReadoutActivation.none, size=SIZE),
}
NORMS: dict[str, dict[str, Any]] = {
    "none": {},
    "before": {"norm": Norm.layer},
    "after": {"norm": Norm.layer, "norm_place": NormPlace.after},
}
WAYS = {"forward": {}} | {
    combine.value: {"direction": Direction.bidirectional, "combine": combine} for combine in Combine
}
WAYS |= {
    f"first_{combine.value}": {"direction": Direction.bidirectional_first, "combine": combine}
    for combine in (Combine.concat, Combine.sum)
}
NOISES: dict[str, dict[str, Any]] = {
    "none": {},
    "variational": {"variational": True},
    "zoneout": {"zoneout": 0.3},
    "recurrent": {"recurrent": 0.3},
    "weight": {"weight": 0.3},
}
BRIDGE_CHOICES = [
    bridge(source=source) if issubclass(bridge, SourcedBridgeConfig) else bridge()  # type: ignore[call-arg]
    for bridge in BRIDGES
    for source in (BridgeSource if issubclass(bridge, SourcedBridgeConfig) else [None])
]

Choice = dict[str, Any]
Pair = tuple[tuple[str, Any], tuple[str, Any]]
Left = dict[Pair, None]
AXES: dict[str, list[Any]] = {
    "encoder_cell": list(CELLS),
    "decoder_cell": list(CELLS),
    "bias": [True, False],
    "way": list(WAYS),
    "encoder_layers": [1, 2],
    "pyramid": [0, 1],
    "projection": [None, 5],
    "decoder_layers": [1, 2],
    "residual": list(Residual),
    "encoder_norm": list(NORMS),
    "decoder_norm": list(NORMS),
    "bridge": list(range(len(BRIDGE_CHOICES))),
    "attention": list(ATTENTIONS),
    "sight": list(SIGHTS),
    "summary": list(Summary),
    "feeding": [False, True],
    "readout": list(READOUTS),
    "tie": list(Tie),
    "noise": list(NOISES),
}


def configure(choice: dict[str, Any], dropout: float = 0.0) -> ModelConfig:
    """A model of size 6 with these choices."""
    concat = choice["way"] == "concat"
    encoder = EncoderConfig(
        cell=choice["encoder_cell"](bias=choice["bias"]),
        embedding_size=SIZE,
        hidden_size=SIZE // 2 if concat else SIZE,
        layers=choice["encoder_layers"],
        pyramid=choice["pyramid"],
        input_projection=choice["projection"],
        residual=choice["residual"],
        dropout=EncoderDropout(dropout, dropout, dropout, **noise(choice, "encoder_cell", dropout)),
        **WAYS[choice["way"]],
        **NORMS[choice["encoder_norm"]],
    )
    decoder = DecoderConfig(
        cell=choice["decoder_cell"](bias=choice["bias"]),
        embedding_size=SIZE,
        hidden_size=SIZE,
        layers=choice["decoder_layers"],
        residual=choice["residual"],
        readout=replace(READOUTS[choice["readout"]]),  # a test may change what it is given
        tie=choice["tie"],
        dropout=DecoderDropout(
            dropout,
            dropout,
            dropout if choice["sight"] != "initial" else 0.0,
            dropout,
            **noise(choice, "decoder_cell", dropout),
        ),
        summary=choice["summary"] if choice["sight"] == "every_step" else Summary.last,
        input_feeding=choice["feeding"] and attends(choice),
        **SIGHTS[choice["sight"]],
        **NORMS[choice["decoder_norm"]],
    )
    bridge = BRIDGE_CHOICES[choice["bridge"]]
    return ModelConfig(encoder=encoder, decoder=decoder, attention=choice["attention"](), bridge=bridge)


def attends(choice: dict[str, Any]) -> bool:
    """Whether the attention chosen is asked."""
    return SIGHTS[choice["sight"]]["context"] is Context.attention


def noise(choice: dict[str, Any], cell: str, dropout: float) -> dict[str, Any]:
    """What besides plain dropout disturbs a side, where there is dropout and the cell has what it acts on."""
    able = CELLS[choice[cell]].is_recurrent or choice["noise"] not in ("recurrent", "weight")
    return NOISES[choice["noise"]] if dropout and able else {}


@cache
def pairwise() -> list[Choice]:
    """Legal choices that together hold every legal pair of options (greedy, from a fixed order)."""
    draw = random.Random(0)
    axes = [[(axis, option) for option in options] for axis, options in AXES.items()]
    all_pairs = (itertools.product(one, other) for one, other in itertools.combinations(axes, 2))
    left = dict.fromkeys(itertools.chain.from_iterable(all_pairs))
    chosen = _cover([_drawn(draw) for _ in range(6000)], left)
    return chosen + _cover([_drawn(draw) | dict(draw.choice(list(left))) for _ in range(1000)], left)


def _drawn(draw: random.Random) -> Choice:
    return {axis: draw.choice(options) for axis, options in AXES.items()}


def _cover(candidates: list[Choice], left: Left) -> list[Choice]:
    """The legal ones that hold the most missing pairs, one after the other; what they hold is missing no more."""
    legal = [candidate for candidate in candidates if not check(configure(candidate))]
    waiting = [(-len(_held(candidate, left)), number) for number, candidate in enumerate(legal)]
    heapq.heapify(waiting)
    chosen = []
    while waiting:
        _, number = heapq.heappop(waiting)  # what it held when it was last looked at: since then only fewer
        held = _held(legal[number], left)
        if waiting and len(held) < -waiting[0][0]:
            heapq.heappush(waiting, (-len(held), number))
        elif held:
            chosen.append(legal[number])
            for pair in held:
                del left[pair]
    return chosen


def _held(choice: Choice, left: Left) -> list[Pair]:
    """The missing pairs that a choice holds, both options of which have an effect."""
    idle = set() if attends(choice) else {"attention", "feeding"}
    idle |= set() if choice["sight"] == "every_step" else {"summary"}
    told = [(axis, choice[axis]) for axis in AXES if axis not in idle]
    return [pair for pair in itertools.combinations(told, 2) if pair in left]


def title(choice: dict[str, Any]) -> str:
    """A readable id of a choice."""
    return "-".join(str(getattr(value, "__name__", getattr(value, "value", value))) for value in choice.values())


@dataclass(frozen=True)
class Example:
    """A padded batch with one full row and one short one, lengths on the CPU."""

    source: Tensor
    source_lengths: Tensor
    target_inputs: Tensor

    def row(self, index: int) -> Example:
        """One sentence alone, without padding."""
        length = int(self.source_lengths[index])
        one = slice(index, index + 1)
        return Example(self.source[one, :length], self.source_lengths[one], self.target_inputs[one])


def example(seed: int = 0, batch: int = 3, source_time: int = 5, target_time: int = 4) -> Example:
    """A batch of random ids; the first row is full, the second has one token."""
    stream = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, source_time + 1, (batch,), generator=stream)
    lengths[0], lengths[1] = source_time, 1
    source = torch.randint(3, VOCAB, (batch, source_time), generator=stream)
    source = source.masked_fill(torch.arange(source_time) >= lengths.unsqueeze(1), PAD)
    target = torch.randint(3, VOCAB, (batch, target_time), generator=stream)
    target[:, 0] = BOS
    return Example(source, lengths, target)


_BUILT: dict[str, Seq2Seq] = {}


def build(config: ModelConfig) -> Seq2Seq:
    """The model in float64, built once: a law may not change it."""
    key = repr(config)
    if key not in _BUILT:
        _BUILT[key] = build_model(config, VOCAB, VOCAB, PAD, 1).double()
    return _BUILT[key]


def gradients(model: Seq2Seq, value: Tensor) -> dict[str, Tensor]:
    """The gradient of a scalar with respect to every parameter."""
    model.zero_grad()
    value.backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    missing = [name for name, gradient in found.items() if gradient is None]
    assert not missing, f"no gradient reaches {missing}"
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}


def close(one: Tensor, other: Tensor) -> None:
    """Equal as SPEC §11 means it in float64."""
    torch.testing.assert_close(one, other, rtol=0.0, atol=1e-9)
