"""What training costs with each architecture and way of feeding, and where the time goes.

    python benchmarks/architectures.py [--output FIGURES.md] [--only LABEL …] -- [data=parallel data.train.source=… …]

Each row is a `seq2seq-benchmark` of its own, with the settings behind `--`; then the same training is run for a few
updates under torch's profiler, in one process, which tells the time in kernels by what they are for. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

from seq2seq_lightning.config import Config
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.run import run

BAHDANAU = ["model.decoder.query=previous", "model/attention=additive"]
HALF = ["teacher_forcing.ratio=0.5"]
ROWS = {
    "no attention": ["model.decoder.context=initial", "model.decoder.query=null", "model.decoder.dropout.context=0"],
    "Luong": [],
    "input feeding": ["model.decoder.input_feeding=true"],
    "Bahdanau": BAHDANAU,
    "conditional GRU": ["model.decoder.query=between", "model/cell=gru", "model/attention=additive"],
    "Luong, ratio 0.5, auto": [*HALF, "teacher_forcing.mechanism=auto"],
    "Luong, ratio 0.5, stepwise": HALF,
    "Luong, ratio 0.5, parallel": [*HALF, "teacher_forcing.mechanism=parallel"],
    "Luong, ratio 0.5, parallel, one pass": [
        *HALF,
        *("teacher_forcing.mechanism=parallel", "teacher_forcing.extra_passes=1"),
    ],
    "Bahdanau, ratio 0.5, stepwise": [*BAHDANAU, *HALF],
}
KINDS = {  # the first that a kernel's name fits
    "optimiser": r"adam|optimizer|_norm_?$|_foreach",
    "matrix products and recurrent kernels": r"mm$|mm_|addmm|matmul|linear|mkldnn_rnn|lstm|gru|_dot",
    "softmax and loss": r"softmax|nll|logsumexp|cross_entropy|gather|scatter",
    "dropout": r"dropout|bernoulli|rand",
    "embeddings": r"embedding|index",
}
OTHERS = "other operations"
UPDATES = 20


def rate(label: str, settings: Sequence[str], folder: Path) -> dict[str, Any]:
    """What `seq2seq-benchmark` tells of a row."""
    output = folder / "figures.json"
    command = [str(Path(sys.executable).with_name("seq2seq-benchmark")), *settings, *ROWS[label]]
    command += ["~decodings.greedy", "~decodings.beam", f"output={output}", f"paths.runs={folder / 'runs'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{label} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return json.loads(output.read_text())


def shares(folder: Path) -> dict[str, float]:
    """The time of kernels by what they are for, ms per update, of the run in a folder, run again under the profiler."""
    plain = read_record(folder).config
    config = Config.from_plain(plain | {"paths": plain["paths"] | {"runs": str(folder / "profiled")}, "fresh": True})
    trainer = replace(config.trainer, max_steps=UPDATES, progress=False)
    job = replace(Job.of(replace(config, trainer=trainer), []), test_sets=[])
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        run(job)
    times: Counter[str] = Counter()
    for event in profiled.key_averages():
        if event.key.startswith("aten::") or "Backward" in event.key or event.key.startswith("mkldnn"):
            times[kind_of(event.key)] += event.self_cpu_time_total / UPDATES / 1000
    return dict(times)


def kind_of(name: str) -> str:
    """Which row of ``KINDS`` a kernel belongs to."""
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name, re.IGNORECASE)), OTHERS)


def report(labels: Sequence[str], settings: Sequence[str]) -> Iterator[str]:
    """Markdown, row by row."""
    kinds = [*(kind for kind in KINDS if kind != "optimiser"), OTHERS, "optimiser"]
    titles = ["target tokens/s (range)", "share of peak", "padding", "peak MiB", *(f"{kind}, ms" for kind in kinds)]
    yield f"| | {' | '.join(titles)} |"
    yield f"|---|---:|---:|---:|---:|{'---:|' * len(kinds)}"
    for label in labels:
        with tempfile.TemporaryDirectory() as name:
            figures = rate(label, settings, Path(name))["training"]
            (folder,) = (path.parent for path in Path(name).glob("runs/*/*/record.json"))
            done = subprocess.run(
                [sys.executable, __file__, "--one", str(folder)], stdout=subprocess.PIPE, text=True, check=True
            )
            times = json.loads(done.stdout.splitlines()[-1])
        speed = figures["target_tokens_per_second"]
        cells = [
            f"{speed['median']:,.0f} ({speed['min']:,.0f}–{speed['max']:,.0f})",
            f"{figures['share_of_peak']:.0%}",
            f"{figures['padding_share']:.1%}",
            f"{figures['peak_memory_bytes'] / 2**20:,.0f}",
            *(f"{times.get(kind, 0):,.0f}" for kind in kinds),
        ]
        yield f"| {label} | {' | '.join(cells)} |"


def main() -> None:
    """Measure every row, or (for a process of its own) profile one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("settings", nargs="*")
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(shares(options.one)))
        return
    lines = []
    for line in report(options.only, options.settings):
        print(line, flush=True)
        lines.append(line)
    if options.output is not None:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
