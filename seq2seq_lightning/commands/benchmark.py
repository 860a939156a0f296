"""`seq2seq-benchmark`: throughput of the real training loop and of search, beside what the machine can multiply."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from tqdm import tqdm

from seq2seq_lightning.command_config import BenchmarkConfig
from seq2seq_lightning.commands.application import plain, run_application
from seq2seq_lightning.commands.processes import run_in_own_tree, share_threads
from seq2seq_lightning.commands.watching import watching
from seq2seq_lightning.config import Config
from seq2seq_lightning.data.example import Corpus, encode_split
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.data.tasks.files import FilesConfig
from seq2seq_lightning.experiments.files import read_json, write_json_durably, write_text_durably
from seq2seq_lightning.experiments.record import Record, read_record
from seq2seq_lightning.experiments.redaction import without_places
from seq2seq_lightning.job import Job
from seq2seq_lightning.reports.throughput import markdown, show
from seq2seq_lightning.structure import to_plain
from seq2seq_lightning.throughput import (
    ProductRate,
    SearchRate,
    TrainingRate,
    Work,
    arithmetics,
    better,
    product_rates,
    search_rate,
    training_rate,
    training_work,
)
from seq2seq_lightning.trained import Trained, load
from seq2seq_lightning.training.devices import device_named
from seq2seq_lightning.training.trainer import WINDOWS, prepare_process

SCHEMA = 1
GENERATED = (
    "No text was given, so a generated task of similar size stands in. For figures on text: "
    "data=parallel data.train.source=… data.train.target=… data.test.<name>.source=… data.test.<name>.target=…"
)


@dataclass(frozen=True)
class Measured:
    """Everything that was measured, before it is told."""

    products: list[ProductRate]
    training: TrainingRate
    work: Work
    searches: dict[str, list[SearchRate]]
    load: list[float]  # how many processes wanted to run, before and after


def task(composed: DictConfig) -> None:
    """Measure the machine, train, measure the search, and the machine once more; print and write the figures."""
    config = BenchmarkConfig.from_plain(plain(composed))
    job = share_threads(Job.of(config.training(), list(HydraConfig.get().overrides.task)))
    job = replace(job, test_sets=[])  # nothing is scored
    training = Config.from_plain(job.config)
    if not isinstance(training.data, FilesConfig):
        print(GENERATED)
    corpus = build_task(training.data).read()
    measured = measure(config, training, job, corpus)
    path = Path(config.output) if config.output else job.folder / "benchmark.json"
    figures = report(measured, read_record(job.folder), config)
    write_json_durably(path, figures)
    write_text_durably(path.with_suffix(".md"), markdown(figures))
    show(figures)
    print(f"written: {os.path.relpath(path)} (also .md); trained in {os.path.relpath(job.folder)}")


def measure(config: BenchmarkConfig, training: Config, job: Job, corpus: Corpus) -> Measured:
    """The training in a worker of its own, everything else here."""
    before = os.getloadavg()[0]
    products = _products(training)
    with watching([(job, "training")]):
        run_in_own_tree(job)
    trained = load(job.folder, device_named(training.trainer.accelerator))
    split = encode_split(corpus.train, trained.source, trained.target)
    work = training_work(trained, split)
    searches = _searches(config, trained, corpus)
    again = _products(training)
    return Measured(
        products=[better(*both) for both in zip(products, again, strict=True)],
        training=training_rate(read_json(job.folder / WINDOWS), config.warmup, work),
        work=work,
        searches=searches,
        load=[round(each, 2) for each in (before, os.getloadavg()[0])],
    )


def _products(training: Config) -> list[ProductRate]:
    """With all the threads that the training has."""
    trainer = training.trainer
    prepare_process(trainer, training.width)
    device = device_named(trainer.accelerator)
    if device.type == "cpu":
        torch.set_num_threads((trainer.threads or torch.get_num_threads()) * trainer.devices)
    ways = arithmetics(trainer.precision, torch.get_float32_matmul_precision())
    rates = list(tqdm(product_rates(ways, device), desc="matrix products", disable=not sys.stderr.isatty()))
    prepare_process(trainer, training.width)
    return rates


def _searches(config: BenchmarkConfig, trained: Trained, corpus: Corpus) -> dict[str, list[SearchRate]]:
    """Every search with every batch size over the first test set."""
    searches = config.searches()
    if not corpus.test or not searches:
        return {}
    pairs = next(iter(corpus.test.values()))[: config.sentences]
    bar = tqdm(total=len(searches) * len(config.batch_sizes), desc="searches", disable=not sys.stderr.isatty())
    rates: dict[str, list[SearchRate]] = {name: [] for name in searches}
    with bar:
        for name, decoding in searches.items():
            for size in config.batch_sizes:
                rates[name].append(search_rate(trained, pairs, decoding, size, config.passes))
                bar.update()
    return rates


def report(measured: Measured, record: Record, config: BenchmarkConfig) -> dict[str, Any]:
    """The figures as plain values, with what makes them comparable; without paths and the name of the machine."""
    trainer = record.config["trainer"]
    own = measured.products[0].arithmetic
    peak = max(each.best for each in measured.products if each.arithmetic == own)
    training = asdict(measured.training)
    timings = record.timings
    return without_places(
        {
            "schema": SCHEMA,
            "commit": record.commit,
            "dirty": record.dirty,
            "versions": record.versions,
            "hardware": {key: value for key, value in record.hardware.items() if key != "host"},
            "threads": trainer["threads"],
            "devices": trainer["devices"],
            "load_average": measured.load,
            "started": record.started,
            "overrides": record.overrides,
            "fingerprint": record.fingerprint,
            "data": {"task": record.config["data"]["name"], "sizes": record.data["sizes"]},
            "parameters": record.parameters,
            "products": [asdict(each) for each in measured.products],
            "peak": {"arithmetic": own, "gflops": peak},
            "training": training
            | {
                "batch_size": record.config["data"]["batching"]["size"],
                "batch_unit": record.config["data"]["batching"]["unit"],
                "precision": trainer["precision"],
                "matmul_precision": trainer["matmul_precision"],
                "updates": config.updates,
                "warmup": config.warmup,
                "share_of_peak": _share(training["useful_gflops"]["median"], peak),
                "megaflops_per_target_token": round(measured.work.flops_per_label / 1e6, 2),
                "work": measured.work.shares,
                "padding_share": timings["padding_share"],
                "peak_memory_bytes": timings["peak_memory_bytes"],
            },
            "searches": [
                {"name": name, "decoding": to_plain(config.searches()[name])}
                | asdict(rate)
                | {"share_of_peak": _share(rate.useful_gflops.median, peak)}
                for name, rates in measured.searches.items()
                for rate in rates
            ],
        }
    )


def _share(gflops: float, peak: float) -> float:
    return round(gflops / peak, 4)


def main() -> None:
    """The entry point of the console command."""
    run_application("benchmark", task)


if __name__ == "__main__":
    main()
