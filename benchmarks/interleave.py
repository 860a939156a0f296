"""Run several programs in turns, some rounds over, and compare their speed: medians of one hour on one machine.

    python benchmarks/interleave.py PROGRAMS.toml --rounds 3 --output FIGURES.md [--only LABEL …]

PROGRAMS.toml holds one table per program: the `command` to run (a string for the shell, environment variables
allowed) and the labels `beside` which it is put, each with the ratio aimed at. A program tells its rate either as
`seq2seq-benchmark` does, in the file that `{output}` in its command stands for, or by a line `RESULT {…}`: `tok_s`,
target tokens per second, of a training; `sent_s`, sentences per second, where the file says `rate = "sent_s"`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

MARK = "RESULT "
RATES = {"tok_s": "target tokens/s", "sent_s": "sentences/s"}


@dataclass
class Program:
    """One way to train, its rates over the rounds, and the other machine load while it ran."""

    label: str
    command: str
    beside: dict[str, float] = field(default_factory=dict)  # label → the ratio aimed at
    rate: str = "tok_s"
    rates: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)  # of the measured matrix-product peak, where told
    memory: float | None = None  # MiB at its highest
    told: dict[str, float] = field(default_factory=dict)  # what else is worth a column

    def run(self, folder: Path) -> None:
        """Once; stops everything with the program's own words where it fails."""
        output = folder / "figures.json"
        output.unlink(missing_ok=True)
        command = self.command.replace("{output}", str(output))
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{self.label} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        self._read(output, done.stdout)

    def _read(self, output: Path, printed: str) -> None:
        if output.exists():
            figures = json.loads(output.read_text())["training"]
            self.rates.append(figures["target_tokens_per_second"]["median"])
            self.shares.append(figures["share_of_peak"])
            self.memory = figures["peak_memory_bytes"] / 2**20
            return
        told = [line for line in printed.splitlines() if line.startswith(MARK)]
        if not told:
            sys.exit(f"{self.label} told no rate:\n{printed[-2000:]}")
        figures = json.loads(told[-1].removeprefix(MARK))
        self.rates.append(figures[self.rate])
        self.told = {key: figures[key] for key in ("mean_len", "bleu") if key in figures}
        self.memory = figures.get("peak_rss_mib")


def main() -> None:
    """Read, run in turns, write the table after every round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    programs = read(options.programs, options.only)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, options.rounds + 1):
            for program in programs.values():
                before = os.getloadavg()[0]
                program.run(Path(folder))
                print(f"round {number}: {program.label} {program.rates[-1]:.0f} (load before {before:.1f})", flush=True)
            options.output.write_text(table(programs), encoding="utf-8")


def read(path: Path, only: list[str] | None) -> dict[str, Program]:
    """The programs of a file, in its order."""
    entries = tomllib.loads(path.read_text(encoding="utf-8"))
    rate = entries.pop("rate", "tok_s")
    chosen = {
        label: Program(label, entry["command"], entry.get("beside", {}), rate) for label, entry in entries.items()
    }
    unknown = [label for label in only or [] if label not in chosen]
    if unknown:
        sys.exit(f"no program is named {', '.join(unknown)}; there are {', '.join(chosen)}")
    return {label: program for label, program in chosen.items() if not only or label in only}


def table(programs: dict[str, Program]) -> str:
    """Medians with their range, and the median of the ratios of the rounds."""
    rate = RATES[next(iter(programs.values())).rate]
    lines = [
        f"| | {rate}, median (range) | share of peak | length | BLEU | peak MiB | ratio, median (range) |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for program in programs.values():
        rate = f"{statistics.median(program.rates):,.0f} ({min(program.rates):,.0f}–{max(program.rates):,.0f})"
        share = f"{statistics.median(program.shares):.0%}" if program.shares else ""
        memory = f"{program.memory:,.0f}" if program.memory else ""
        ratios = "; ".join(
            comparison(program, programs[label], aim) for label, aim in program.beside.items() if label in programs
        )
        length, bleu = (program.told.get(key, "") for key in ("mean_len", "bleu"))
        lines.append(f"| {program.label} | {rate} | {share} | {length} | {bleu} | {memory} | {ratios} |")
    return "\n".join(lines) + "\n"


def comparison(mine: Program, its: Program, aim: float) -> str:
    """The median of the ratios of the rounds, beside the one aimed at."""
    ratios = [one / other for one, other in zip(mine.rates, its.rates, strict=False)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) × {its.label}, aim {aim:g}"


if __name__ == "__main__":
    main()
