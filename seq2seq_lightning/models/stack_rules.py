"""What the stack of either side may not be asked for, checked without building anything."""

from __future__ import annotations

from typing import Protocol

from seq2seq_lightning.models.cells import CELLS, CellConfig
from seq2seq_lightning.models.dropout import StackDropout
from seq2seq_lightning.models.rules import probability
from seq2seq_lightning.models.stack import Combine, Direction, Layout, Residual


class Side(Protocol):
    """The settings of an encoder or a decoder, as far as they are those of a stack."""

    @property
    def cell(self) -> CellConfig | None:
        """The cell of every layer."""

    @property
    def hidden_size(self) -> int:
        """Of each layer, per direction."""

    @property
    def dropout(self) -> StackDropout:
        """What disturbs the stack."""

    @property
    def layout(self) -> Layout:
        """The form of the stack."""


def stack_problems(key: str, side: Side) -> list[str]:
    """The rules of one side under `model.encoder` or `model.decoder`. Sizes and counts must be sound first."""
    found = [] if side.cell is None else side.cell.problems(key, side.hidden_size)
    found += probability(f"{key}.dropout.recurrent", side.dropout.recurrent)
    found += probability(f"{key}.dropout.zoneout", side.dropout.zoneout, "keeping a unit as it was")
    found += probability(f"{key}.dropout.weight", side.dropout.weight, "dropping a weight")
    return found + _problems_of_recurrence(key, side) + _problems_of_layers(key, side.layout)


def _problems_of_recurrence(key: str, side: Side) -> list[str]:
    if side.cell is None or CELLS[type(side.cell)].is_recurrent:
        return []
    able = ", ".join(sorted(config.name for config, cell in CELLS.items() if cell.is_recurrent))
    return [
        f"`{key}.dropout.{name}={getattr(side.dropout, name)}` acts on matrices that read the cell's own state, but "
        f"`{side.cell.name}` has none. Set it to 0.0 or choose a cell that has them: {able}."
        for name in ("recurrent", "weight")
        if getattr(side.dropout, name)
    ]


def _problems_of_layers(key: str, layout: Layout) -> list[str]:
    found, shapes = [], layout.shapes(1)
    if layout.pyramid < 0:
        found.append(f"`{key}.pyramid={layout.pyramid}` must be at least 0.")
    elif layout.pyramid >= layout.layers:
        found.append(
            f"`{key}.pyramid={layout.pyramid}` joins pairs of positions at as many boundaries between layers, but "
            f"{layout.layers} {'layer has' if layout.layers == 1 else 'layers have'} {layout.layers - 1}. Set "
            f"`{key}.layers={layout.pyramid + 1}` or `{key}.pyramid={layout.layers - 1}`."
        )
    if layout.direction is Direction.bidirectional_first and layout.layers == 1:
        found.append(
            f"`{key}.direction=bidirectional_first` reads forward from the second layer on, but there is one layer. "
            f"Set `{key}.layers=2` or `{key}.direction=bidirectional`."
        )
    if layout.residual is Residual.add and layout.pyramid:
        found.append(
            f"`{key}.residual=add` adds what a layer reads to what it gives, but with `{key}.pyramid={layout.pyramid}` "
            f"layers read pairs of positions. Set `{key}.residual=concat` or `{key}.pyramid=0`."
        )
    elif layout.residual is Residual.add:
        unequal = [shape for shape in shapes[1:] if shape.input_size != shape.output_size]
        found += [
            f"`{key}.residual=add` needs equal sizes, but layer {shapes.index(shape) + 1} reads {shape.input_size} and "
            f"gives {shape.output_size}. Set `{key}.combine={Combine.project.value}` or `{key}.residual=concat`."
            for shape in unequal
        ]
    return found
