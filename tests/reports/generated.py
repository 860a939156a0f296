"""Runs that never ran: records, histories, decodings and outputs as real ones write them, drawn from a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from seq2seq_lightning.experiments.ablation import Trial, expand
from seq2seq_lightning.experiments.ablation_config import (
    AblationConfig,
    CriterionConfig,
    DecodingRowConfig,
    Mark,
    PublishedConfig,
    RowConfig,
)
from seq2seq_lightning.experiments.files import write_json_durably
from seq2seq_lightning.experiments.ledger import Entry, TrialResult, collect, write_trials
from seq2seq_lightning.experiments.record import Record, write_record
from seq2seq_lightning.experiments.scores import Score, Scores, write_scores
from seq2seq_lightning.structure import to_plain

WORDS = ["ein", "hund", "läuft", "über", "die", "wiese", "und", "bellt", "laut", "am", "abend"]
BINS = ("1", "2", "3", "4", "5", "6-10", "11-20")
DISTANCES = ("0", "1", "2", "3", "4", "5", "6-7", "8-10", "11-15", "16-20")
SEARCHES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("greedy", {"name": "greedy"}),
    ("beam 2", {"name": "beam", "beam_width": 2, "length_penalty": "none", "alpha": None, "beta": 0.0}),
    ("beam 5", {"name": "beam", "beam_width": 5, "length_penalty": "none", "alpha": None, "beta": 0.0}),
    ("beam 10", {"name": "beam", "beam_width": 10, "length_penalty": "none", "alpha": None, "beta": 0.0}),
    *(
        (
            f"α {alpha} β {beta}",
            {"name": "beam", "beam_width": 5, "length_penalty": "gnmt", "alpha": alpha, "beta": beta},
        )
        for alpha in (0.3, 0.6, 1.0)
        for beta in (0.0, 0.2)
    ),
)


def ablation(
    rows: int = 2, seeds: int = 3, searches: int = 1, axes: dict[str, list[Any]] | None = None
) -> AblationConfig:
    """A table of so many rows."""
    names = ["fixed vector", "attention", *(f"row {number}" for number in range(2, rows))][:rows]
    return AblationConfig(
        name="made",
        title="Fixed vector or attention, by length",
        source="Cho et al. 2014; Bahdanau et al. 2015",
        seeds=list(range(1, seeds + 1)),
        rows=[
            RowConfig(name, [], {"exact_match": PublishedConfig(40.0 + 20 * place, None, 3, Mark.P)})
            for place, name in enumerate(names)
        ],
        axes=axes or {},
        decodings=[DecodingRowConfig(name) for name, _ in SEARCHES[:searches]] if searches > 1 else [],
        metrics=["exact_match", "token_accuracy"],
        criteria=[
            CriterionConfig("attention is better", row=names[-1], minus=names[0], metric="exact_match", at_least=5)
        ],
        deviations=["nothing of this was ever trained"],
    )


def write_runs(
    folder: Path,
    config: AblationConfig,
    updates: int = 2000,
    sentences: int = 60,
    spoil: Callable[[str], str] = str,
) -> list[TrialResult]:
    """Write a run for every training of the ablation under `folder/<name>`, and the plan of the table.

    spoil: applied to every source, reference and output, to see what a page makes of crafted ones.
    """
    place, entries = folder / config.name, {}
    trials = expand(config)
    for trial in trials:
        run, entry = place / _fingerprint(config, trial), entries.get(trial.key)
        if not run.exists():
            _write_run(run, config, trial, updates, sentences, spoil)
        search = [name for name, _ in SEARCHES].index(trial.decoding_label or "greedy")
        entry = Entry(run.name, [f"search-{search}"])
        entries[trial.key] = entry
    write_json_durably(place / "ablation.json", to_plain(config))
    write_trials(place, entries)
    return collect(trials, entries, [folder])


def _fingerprint(config: AblationConfig, trial: Trial) -> str:
    cells = list(dict.fromkeys((each.row_label, each.place.axes) for each in expand(config)))
    return f"{cells.index((trial.row_label, trial.place.axes)):06x}{trial.seed:06x}"


def _write_run(
    run: Path, config: AblationConfig, trial: Trial, updates: int, sentences: int, spoil: Callable[[str], str]
) -> None:
    dice = random.Random(run.name)
    skill = 0.55 + 0.35 * (trial.row_label != "fixed vector") + dice.uniform(-0.03, 0.03)
    record = Record(
        "completed", config.name, run.name, 1, {"metrics": {}}, trial.seed, commit="abcdef0123", dirty=False
    )
    record = replace(record, threads=1, versions={"torch": "2.13.0"}, timings={"train_seconds": 100.0 + trial.seed})
    write_record(run, record)
    lines = (json.dumps(entry) for entry in _history(updates, skill, dice, trial.row_label != "fixed vector"))
    (run / "history.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    attends = trial.row_label != "fixed vector"
    for number, (_, search) in enumerate(SEARCHES[: max(len(config.decodings), 1)]):
        _write_decoding(run / "decodings" / f"search-{number}", search, skill, dice, sentences, spoil, attends)


def _history(updates: int, skill: float, dice: random.Random, attends: bool) -> Iterator[dict[str, Any]]:
    for step in range(50, updates + 1, 50):
        share = step / updates
        loss = 3.0 * (1 - skill * share) + dice.uniform(0, 0.1)
        train = {"loss": loss, "ratio": 1 - 0.7 * share, "fed_back": 0.7 * share + dice.uniform(0, 0.02)}
        parts = ("encoder", "bridge", "attention", "decoder", "output_layer")
        train |= {f"gradient_norm/{part}": dice.uniform(0.5, 2) * 3**-share for part in parts}
        yield from ({"global_step": step, "key": f"train/{key}", "value": value} for key, value in train.items())
        if step % 250 == 0:
            val = {"loss": loss + 0.1, "free_running_loss": loss + 0.6, "exact_match": 100 * skill * share}
            looked = "accuracy_at_source" if attends else "accuracy_at_quarter"
            for place, name in enumerate(BINS):
                val[f"accuracy_at/{name}"] = 100 * skill - 2 * place
                val[f"free_running_accuracy_at/{name}"] = 100 * skill - 7 * place
                if attends or place < 4:
                    val[f"{looked}/{name}"] = 90 - 3 * place
            for place, name in enumerate(DISTANCES):
                val[f"gradient_at_distance/{name}"] = 0.1 * (0.95 if attends else 0.6) ** place
            yield from ({"global_step": step, "key": f"val/{key}", "value": value} for key, value in val.items())


def _write_decoding(
    folder: Path,
    search: dict[str, Any],
    skill: float,
    dice: random.Random,
    sentences: int,
    spoil: Callable[[str], str],
    attends: bool,
) -> None:
    rows, right = [], []
    for place in range(sentences):
        length = 1 + place % 20
        source = " ".join(WORDS[(place + each) % len(WORDS)] for each in range(length))
        target = " ".join(reversed(source.split()))
        is_right = dice.random() < skill * (1 - length / 40) + 0.02 * search.get("beam_width", 1)
        output = target if is_right else " ".join([*target.split()[1:], "oh"])
        right.append((length, is_right))
        row = {"source": spoil(source), "references": [spoil(target)], "hypothesis": spoil(output), "finished": True}
        rows.append({**row, "log_prob": -1.5, "score": -1.5})
    buckets = [(low, low + 4, [good for length, good in right if low <= length <= low + 4]) for low in range(1, 21, 5)]
    by_length = [
        {
            "from": low,
            "to": high,
            "n": len(each),
            "scores": {name: vars(value) for name, value in _scores(each).items()},
        }
        for low, high, each in buckets
    ]
    everything = [good for _, good in right]
    write_scores(
        folder,
        Scores(search, search["name"], "test", sentences, _scores(everything), by_length, references="of words"),
        rows,
        [_attention(row) for row in rows[6:8] if attends],
    )


def _attention(row: dict[str, Any]) -> dict[str, Any]:
    """Weights that look at one source word for each of the output, from the last to the first."""
    source, output = row["source"].split(), row["hypothesis"].split()
    far = len(source) - 1
    looks = [[0.5 ** (1 + abs(far - place - other)) for other in range(len(source))] for place in range(len(output))]
    return {"source": source, "output": output, "weights": [[each / sum(line) for each in line] for line in looks]}


def _scores(right: list[bool]) -> dict[str, Score]:
    value = 100 * sum(right) / len(right)
    return {
        "exact_match": Score(value, "unit:sequence|refs:any", len(right)),
        "token_accuracy": Score(50 + value / 2, "unit:word|refs:best", len(right)),
    }
