"""What loading costs: batches per second beside training, and memory per pair up to ten million pairs.

    python benchmarks/loading.py [--pairs 100000 1000000 10000000] [--encoded 100000 1000000] [--output FIGURES.md]

The pairs are random, of the lengths of Multi30k (13 words a side on average). Each figure of memory is that of a
process of its own. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.data.bucketing import BatchingConfig, BatchUnit
from seq2seq_lightning.data.cache import Cache, CacheUse
from seq2seq_lightning.data.epochs import Epochs
from seq2seq_lightning.data.example import EncodedSplit, Pair, Stream
from seq2seq_lightning.data.loader import TrainingLoader
from seq2seq_lightning.data.stored_split import Codecs
from seq2seq_lightning.data.streaming import StreamedSplit
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.sides import SourceTextConfig, TargetTextConfig

TRAINING = 3347  # target tokens/s of the benchmark model on the same machine, see benchmarks/README.md
WORDS, BLOCK = 8000, 1 << 16
BATCHES = {
    "64 sentences at random": BatchingConfig(size=64),
    "64 sentences by length": BatchingConfig(size=64, pool=-1, same_source_length=True),
    "4,096 tokens by length": BatchingConfig(size=4096, unit=BatchUnit.tokens, pool=-1, same_source_length=True),
}


@dataclass(frozen=True)
class Ids:
    """The special ids of every vocabulary here."""

    pad: int = 0
    bos: int = 1
    eos: int = 2


def lengths(random: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Words of a side: 13 on average, 4 at least."""
    return 4 + random.poisson(9, size=count)


def random_split(pairs: int, folder: Path) -> EncodedSplit:
    """Flat ids of random pairs in mapped files, as a cached split has them, written block by block."""
    arrays = {}
    for side in ("source", "target"):
        random, total = np.random.default_rng(len(side) + pairs), 0
        with (folder / f"{side}_ids").open("wb") as ids, (folder / f"{side}_offsets").open("wb") as offsets:
            offsets.write(np.zeros(1, dtype=np.int64).tobytes())
            for start in range(0, pairs, BLOCK):
                ends = lengths(random, min(BLOCK, pairs - start)).cumsum()
                offsets.write((total + ends).tobytes())
                ids.write(random.integers(4, WORDS, size=ends[-1], dtype=np.uint16).tobytes())
                total += int(ends[-1])
        for name, kind in ((f"{side}_ids", np.uint16), (f"{side}_offsets", np.int64)):
            arrays[name] = np.memmap(folder / name, dtype=kind, mode="r").view(np.ndarray)
    return EncodedSplit(**arrays)


def random_texts(pairs: int) -> Stream:
    """Pairs of sentences, made anew at each walk."""

    def walk() -> Iterator[Pair]:
        random = np.random.default_rng(pairs)
        for start in range(0, pairs, 1000):
            for words in random.integers(0, WORDS, size=(min(1000, pairs - start), 13)).tolist():
                text = " ".join(map(str, words))
                yield Pair.of(text, text)

    return Stream(walk, pairs, "random pairs")


def resident() -> float:
    """Bytes of this process that belong to it alone: mapped pages of files are the system's, which may drop them."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise OSError("this system does not tell RssAnon")


@contextmanager
def peak() -> Iterator[list[float]]:
    """The most bytes held in the block, looked at every millisecond."""
    most, is_over = [resident()], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.001):
            most[0] = max(most[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        is_over.set()
        watcher.join()


def planned(pairs: int, name: str) -> dict[str, float]:
    """Peak bytes, and CPU seconds per plan, of loading two epochs' beginnings."""
    with tempfile.TemporaryDirectory() as folder:
        split = random_split(pairs, Path(folder))
        with peak() as most:
            started = time.process_time()
            loader = TrainingLoader(split, BATCHES[name], Ids(), seed=1)
            batches = len(loader)
            seconds = time.process_time() - started
            list(islice(loader, 200))
            loader.load_state_dict({"epoch": 1, "position": 0, "update": 0})
            list(islice(loader, 200))
    return {"bytes": most[0], "seconds": seconds, "batches": batches}


def encoded(pairs: int) -> dict[str, float]:
    """Peak bytes, and CPU seconds, of encoding texts into the cache and opening it."""
    texts = random_texts(pairs)
    some = [str(word) for word in range(WORDS)]
    codecs = Codecs(SourceCodec.build(SourceTextConfig(), some), TargetCodec.build(TargetTextConfig(), some))
    with tempfile.TemporaryDirectory() as folder, peak() as most:
        started = time.process_time()
        cache = Cache.at(folder, CacheUse.always, {"pairs": str(pairs)})
        cache.encode(texts, codecs)
        seconds = time.process_time() - started
        again = time.process_time()
        cache.encode(texts, codecs)
        opened = time.process_time() - again
    return {"bytes": most[0], "seconds": seconds, "opened": opened}


def streamed(pairs: int) -> dict[str, float]:
    """Peak bytes of two epochs of a stream in buffers of 10,000 pairs, and CPU seconds of the second one."""
    texts = random_texts(pairs)
    some = [str(word) for word in range(WORDS)]
    codecs = Codecs(SourceCodec.build(SourceTextConfig(), some), TargetCodec.build(TargetTextConfig(), some))
    batching = BatchingConfig(size=4096, unit=BatchUnit.tokens, pool=-1, same_source_length=True, buffer=10_000)
    with peak() as most:
        split = StreamedSplit(texts, codecs, batching.buffer)
        batches = Epochs(split, batching, 1, target_eos=True).batches(0)
        started = time.process_time()
        deque(TrainingLoader(split, batching, Ids(), seed=1, updates=batches), maxlen=0)
        seconds = time.process_time() - started
    return {"bytes": most[0], "seconds": seconds}


def rates(name: str, workers: int, seconds: float) -> dict[str, float]:
    """Target tokens per second, by the clock and by the processor time of the training process."""
    batching = BATCHES[name]
    with tempfile.TemporaryDirectory() as folder:
        split = random_split(29_000, Path(folder))
        asked = BatchingConfig(
            size=batching.size,
            unit=batching.unit,
            pool=batching.pool,
            same_source_length=batching.same_source_length,
            workers=workers,
        )
        loader = TrainingLoader(split, asked, Ids(), seed=1, updates=1_000_000)
        batches = iter(loader)
        _labels(islice(batches, 20))
        clock, cpu, tokens = time.perf_counter(), time.process_time(), 0
        while time.process_time() - cpu < seconds:
            tokens += _labels(islice(batches, 20))
        by_clock, by_cpu = time.perf_counter() - clock, time.process_time() - cpu
        del batches
    return {"clock": tokens / by_clock, "cpu": tokens / by_cpu}


def _labels(batches: Iterator[Batch]) -> int:
    return sum(batch.label_count for batch in batches)


def apart(what: str, *values: object) -> dict[str, float]:
    """A measurement in a process of its own."""
    words = [sys.executable, __file__, "--one", what, *map(str, values)]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def memory_table(title: str, counts: Sequence[int], rows: dict[int, dict[str, float]]) -> str:
    """Peak and growth per additional pair, a row for each count."""
    lines = [f"| {title} | peak MiB | bytes per additional pair | CPU seconds |", "|---:|---:|---:|---:|"]
    for place, count in enumerate(counts):
        before = counts[place - 1]
        growth = f"{(rows[count]['bytes'] - rows[before]['bytes']) / (count - before):.1f}" if place else ""
        lines.append(f"| {count:,} | {rows[count]['bytes'] / 2**20:,.0f} | {growth} | {rows[count]['seconds']:.1f} |")
    return "\n".join(lines)


def report(pairs: Sequence[int], texts: Sequence[int], seconds: float) -> Iterator[str]:
    """Markdown, as it becomes known."""
    if seconds:
        yield f"| batches | workers | target tokens/s | per CPU second of training | × training at {TRAINING:,}/s |"
        yield "|---|---:|---:|---:|---:|"
        for name in BATCHES:
            for workers in (0, 1):
                found = apart("rates", name, workers, seconds)
                share = f"{found['clock'] / TRAINING:,.0f}"
                yield f"| {name} | {workers} | {found['clock']:,.0f} | {found['cpu']:,.0f} | {share} |"
    for name in BATCHES if pairs else ():
        yield ""
        yield memory_table(f"pairs, {name}", pairs, {count: apart("planned", count, name) for count in pairs})
    if texts:
        yield ""
        yield memory_table("pairs encoded", texts, {count: apart("encoded", count) for count in texts})
        yield ""
        yield memory_table("pairs streamed", texts, {count: apart("streamed", count) for count in texts})


def main() -> None:
    """Measure everything, or (for a process of its own) one thing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--encoded", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=5.0, help="of processor time for each rate; 0: none")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        what, *values = arguments.one
        found = {
            "rates": lambda: rates(values[0], int(values[1]), float(values[2])),
            "planned": lambda: planned(int(values[0]), values[1]),
            "encoded": lambda: encoded(int(values[0])),
            "streamed": lambda: streamed(int(values[0])),
        }[what]()
        print(json.dumps(found))
        return
    lines = []
    for line in report(arguments.pairs, arguments.encoded, arguments.seconds):
        print(line, flush=True)
        lines.append(line)
    if arguments.output is not None:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
