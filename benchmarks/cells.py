"""How long each cell takes to read a padded batch: forward alone, and forward and backward, as a Markdown table.

    python benchmarks/cells.py --cells gru,mingru,minlstm --batch 32 --length 512 --units 256 --threads 2

All cells in one process, in turns, so that what else the machine does falls on all of them; the median of the rounds.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch

from seq2seq_lightning.models.cells import CELLS, Cell, build_cell


def measured(cell: Cell, inputs: torch.Tensor, trains: bool) -> float:
    """Milliseconds of one unroll, with its gradients where it trains."""
    with torch.set_grad_enabled(trains):
        begin = time.perf_counter()
        outputs, _ = cell.unroll(inputs, cell.initial_state(inputs.shape[0], inputs))
        if trains:
            outputs.sum().backward()
        if inputs.device.type == "cuda":
            torch.cuda.synchronize()
        return 1000 * (time.perf_counter() - begin)


def main() -> None:
    """Measure and print."""
    names = {config().name: config for config in CELLS}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default=",".join(names), help="names, separated by commas (all)")
    for option, value in (("batch", 32), ("length", 512), ("units", 256), ("threads", 2), ("rounds", 5)):
        parser.add_argument(f"--{option}", type=int, default=value, help=f"({value})")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    inputs = torch.randn(asked.batch, asked.length, asked.units, device=asked.device, requires_grad=True)
    cells = {name: build_cell(names[name](), *[asked.units] * 2).to(asked.device) for name in asked.cells.split(",")}
    found: dict[tuple[str, bool], list[float]] = {(name, trains): [] for name in cells for trains in (False, True)}
    for turn in range(asked.rounds + 1):  # the first warms up
        for (name, trains), times in found.items():
            taken = measured(cells[name], inputs, trains)
            times += [taken] if turn else []
    print(f"torch {torch.__version__}, {asked.device}, {asked.threads} threads, float32; ", end="")
    print(f"batch {asked.batch}, length {asked.length}, {asked.units} units; medians of {asked.rounds} rounds.\n")
    print("| cell | parameters | forward ms | forward and backward ms |\n|---|---|---|---|")
    for name, cell in cells.items():
        size = sum(values.numel() for values in cell.parameters())
        print(f"| {name} | {size:,} | {median(found[name, False]):.1f} | {median(found[name, True]):.1f} |")


if __name__ == "__main__":
    main()
