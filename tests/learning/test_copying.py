"""Names that no training sentence has are carried over, which only copying can do; the whole road on disk."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from seq2seq_lightning.experiments.files import read_jsonl
from seq2seq_lightning.trained import load
from tests.terminal import only_run, seq2seq

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

VERBS = {"greets": "greeted", "calls": "called", "sees": "seen", "visits": "visited", "pays": "paid"}
SETTINGS = [
    "data=parallel",
    "model=pointer_generator",
    "text.source.min_frequency=5",
    "text.target.min_frequency=5",
    "model.encoder.embedding_size=24",
    "model.encoder.hidden_size=24",
    "model.decoder.embedding_size=24",
    "model.decoder.hidden_size=48",
    "model.decoder.readout.size=48",
    "optimizer.learning_rate=0.005",
    "learning_rate=linear",
    "data.batching.size=32",
    "data.batching.evaluation_size=16",
    "trainer.max_steps=200",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
]


def name(draw: random.Random) -> str:
    """Of four syllables: hardly one name comes twice."""
    return "".join(draw.choice("bdfgklmnprst") + draw.choice("aeiou") for _ in range(4)).capitalize()


def sentence(draw: random.Random) -> tuple[str, str]:
    """`Bakedilo greets Tamerugi` and `Tamerugi is greeted by Bakedilo`; or two of them are greeted."""
    verb, who = draw.choice(list(VERBS)), name(draw)
    if draw.random() < 0.5:
        whom = name(draw)
        return f"{who} {verb} {whom}", f"{whom} is {VERBS[verb]} by {who}"
    one, other = name(draw), name(draw)
    return f"{who} {verb} {one} and {other}", f"{one} and {other} are {VERBS[verb]} by {who}"


@dataclass(frozen=True)
class Road:
    """A finished run, and what it was tested on."""

    folder: Path
    run_dir: Path
    pairs: list[tuple[str, str]]

    @property
    def sources(self) -> list[str]:
        return [source for source, _ in self.pairs]


def train(folder: Path, *options: str) -> Road:
    draw = random.Random(0)
    splits = {"train": 1200, "val": 40, "test.new": 200}
    pairs = {split: [sentence(draw) for _ in range(count)] for split, count in splits.items()}
    files = []
    for split, rows in pairs.items():
        for number, side in enumerate(("source", "target")):
            path = folder / f"{split}.{side}"
            path.write_text("".join(f"{row[number]}\n" for row in rows), encoding="utf-8")
            files.append(f"data.{split}.{side}={path}")
    seq2seq("train", *files, *SETTINGS, *options, folder=folder)
    return Road(folder, only_run(folder), pairs["test.new"])


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    options = ("model/attention=coverage", "model.decoder.coverage_loss=0.5", "decoding=beam", "decoding.n_best=2")
    return train(tmp_path_factory.mktemp("copying"), *options)


def right(road: Road, answers: list[str]) -> float:
    return sum(answer == target for answer, (_, target) in zip(answers, road.pairs, strict=True)) / len(road.pairs)


def test_names_never_seen_are_put_in_their_new_places(road: Road) -> None:
    trained = load(road.run_dir)
    known = [*trained.source.vocabulary.tokens, *trained.target.vocabulary.tokens]
    assert len(trained.target.vocabulary) < 20 and not any(word[0].isupper() for word in known)
    answers = trained.translate(road.sources)
    assert right(road, answers) >= 0.95
    alone = [trained.translate([source])[0] for source in road.sources[:5]]
    assert alone == answers[:5]


def test_without_copying_they_cannot_be_told(tmp_path: Path) -> None:
    road = train(tmp_path, "model.decoder.copy=none")
    answers = load(road.run_dir).translate(road.sources)
    assert right(road, answers) == 0
    assert "<unk>" in answers[0]


def test_stored_and_translated_text_has_the_words_of_its_source(road: Road) -> None:
    (stored,) = (road.run_dir / "decodings").glob("*/hypotheses.jsonl")
    rows = list(read_jsonl(stored))
    assert [row["source"] for row in rows] == road.sources
    assert right(road, [row["hypothesis"] for row in rows]) >= 0.95
    assert all(row["n_best"][0][0] == row["hypothesis"] for row in rows)
    text = "".join(f"{source}\n" for source in road.sources)
    lines = seq2seq("translate", f"run={road.run_dir}", "chunk=7", folder=road.folder, text=text).out.splitlines()
    assert lines == [row["hypothesis"] for row in rows]
    options = ["format=jsonl", "attention=true"]
    told = seq2seq("translate", f"run={road.run_dir}", *options, folder=road.folder, text="Zzyzx pays Qqq").out
    best = json.loads(told)["n_best"][0]
    assert best["text"] == "Qqq is paid by Zzyzx"
    assert max(range(4), key=best["attention"][0].__getitem__) == 2  # the first word written is the third read


def test_validation_decodes_copies_and_the_coverage_loss_is_logged(road: Road) -> None:
    history = list(read_jsonl(road.run_dir / "history.jsonl"))
    values: dict[str, list[float]] = {}
    for row in history:
        values.setdefault(row["key"], []).append(row["value"])
    assert max(values["val/exact_match"]) >= 95
    assert len(values["train/coverage_loss"]) == len(values["train/loss"])
    assert all(0 < value < 1 for value in values["train/coverage_loss"])  # attention that falls twice, per label
