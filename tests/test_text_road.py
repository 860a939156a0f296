"""A small text of our own goes the whole road: files, training, BLEU, translation, other decodings."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import seq2seq_lightning
from seq2seq_lightning.experiments.files import read_jsonl
from seq2seq_lightning.experiments.scores import Scores, read_all_scores
from seq2seq_lightning.trained import load
from tests.terminal import Ended, only_run, seq2seq
from tests.toy_language import write_corpus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SETTINGS = [
    "model.encoder.embedding_size=24",
    "model.encoder.hidden_size=32",
    "model.encoder.direction=bidirectional",
    "model.decoder.embedding_size=24",
    "model.decoder.hidden_size=48",
    "optimizer.learning_rate=0.005",
    "data.batching.size=20",
    "trainer.max_steps=45",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
]


@dataclass(frozen=True)
class Road:
    """A finished run over the toy language."""

    folder: Path  # where the commands were given
    run_dir: Path
    trained: Ended
    translated: Ended

    @property
    def sources(self) -> list[str]:
        return (self.folder / "toy.source").read_text("utf-8").splitlines()

    @property
    def scores(self) -> Scores:
        """Of the greedy search."""
        (greedy,) = (each for each in read_all_scores(self.run_dir).values() if each.decoding_name == "greedy")
        return greedy


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    folder = tmp_path_factory.mktemp("toy")
    trained = seq2seq("train", *write_corpus(folder), *SETTINGS, folder=folder)
    run_dir = only_run(folder)
    text = (folder / "toy.source").read_text("utf-8")
    translated = seq2seq("translate", f"run={run_dir}", "accelerator=cpu", "chunk=7", folder=folder, text=text)
    return Road(folder, run_dir, trained, translated)


def test_training_reports_bleu_with_its_signature(road: Road) -> None:
    bleu = road.scores.scores["bleu"]
    assert 20 < bleu.value < 99  # it learnt
    assert bleu.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.")
    assert (bleu.n, road.scores.sentences, road.scores.test_set) == (40, 40, "toy")
    assert f"  toy/bleu {bleu.value:.4g}  (n=40, {bleu.signature})" in road.trained.out.splitlines()


def test_sacrebleus_own_command_gives_the_same_score(road: Road) -> None:
    (road.folder / "output").write_text(road.translated.out, encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "toy.target", "-i", "output", "-m", "bleu", "-w", "10"]
    done = subprocess.run(command, cwd=road.folder, capture_output=True, text=True, check=True)
    theirs, ours = json.loads(done.stdout), road.scores.scores["bleu"]
    assert theirs["score"] == pytest.approx(ours.value, abs=1e-9)
    assert theirs["signature"] == ours.signature


def test_lines_in_lines_out(road: Road) -> None:
    assert road.translated.err == ""
    stored = [row["hypothesis"] for row in read_jsonl(next((road.run_dir / "decodings").glob("greedy*/*.jsonl")))]
    assert road.translated.out.splitlines() == stored


def test_python_gives_the_same_lines(road: Road) -> None:
    lines = road.translated.out.splitlines()
    assert load(road.run_dir).translate(road.sources) == lines
    assert seq2seq_lightning.load(road.run_dir).translate(road.sources[:3]) == lines[:3]
    assert load(road.run_dir).translate(list(reversed(road.sources))) == list(reversed(lines))


def test_the_n_best_come_with_scores_and_an_empty_line_stays_in_its_place(road: Road) -> None:
    options = ["decoding=beam", "decoding.beam_width=3", "decoding.n_best=3", "format=jsonl", "attention=true"]
    text = f"{road.sources[0]}\n\n{road.sources[1]}"
    ended = seq2seq("translate", f"run={road.run_dir}", *options, folder=road.folder, text=text)
    rows = [json.loads(line) for line in ended.out.splitlines()]
    assert [row["source"] for row in rows] == [road.sources[0], "", road.sources[1]]
    assert rows[1]["n_best"] == []
    best = rows[0]["n_best"]
    assert len({each["text"] for each in best}) == 3
    assert [each["score"] for each in best] == sorted((each["score"] for each in best), reverse=True)
    assert sum(best[0]["token_log_probs"]) == pytest.approx(best[0]["log_prob"], abs=1e-4)
    labels = len(best[0]["text"].split()) + 1
    assert len(best[0]["token_log_probs"]) == len(best[0]["attention"]) == labels
    assert sum(best[0]["attention"][0]) == pytest.approx(1, abs=1e-4)


def test_outputs_can_be_asked_to_begin_contain_and_avoid(road: Road) -> None:
    plain = load(road.run_dir).translate(road.sources[:3])
    words = [line.split() for line in plain]
    asked = [
        {"source": road.sources[0], "prefix": f"{words[0][-1]} {words[0][0]}"},
        {"source": road.sources[1], "required": [f"{words[0][-1]} {words[0][0]}"]},
        {"source": road.sources[2], "allowed": [plain[0], plain[1]]},
    ]
    text = "".join(json.dumps(row) + "\n" for row in asked)
    options = ["input_format=jsonl", "decoding=beam", "decoding.max_length=30"]
    ended = seq2seq("translate", f"run={road.run_dir}", *options, folder=road.folder, text=text)
    begins, holds, is_one = ended.out.splitlines()
    assert begins.startswith(asked[0]["prefix"])
    assert asked[1]["required"][0] in holds
    assert is_one in plain[:2]
    banned = f"decoding.banned=[{words[0][0]}]"
    ended = seq2seq("translate", f"run={road.run_dir}", "decoding=greedy", banned, folder=road.folder, text=text)
    assert words[0][0] not in ended.out.split()


def test_decodings_are_added_without_training(road: Road) -> None:
    record = (road.run_dir / "record.json").read_bytes()
    history = (road.run_dir / "history.jsonl").read_bytes()
    sweep = ["decoding=beam", "decoding.beam_width=1,3", "decoding.length_penalty=none"]
    seq2seq("evaluate", "-m", f"run={road.run_dir}", *sweep, folder=road.folder)
    assert (road.run_dir / "record.json").read_bytes() == record
    assert (road.run_dir / "history.jsonl").read_bytes() == history
    by_width = {each.decoding.get("beam_width"): each for each in read_all_scores(road.run_dir).values()}
    assert by_width.keys() == {None, 1, 3}
    assert by_width[1].scores == road.scores.scores
    assert by_width[3].references == road.scores.references


def test_one_pass_scores_a_grid_as_separate_commands_do(road: Road) -> None:
    """Two of the grid were scored alone before; the rest is done by one job, whose scores are those of a lone one."""
    options = ["decoding=beam", "decoding.length_penalty=average", "decoding.alpha=1.0"]
    alone = seq2seq("evaluate", f"run={road.run_dir}", *options, "decoding.beam_width=2", folder=road.folder)
    assert "toy/bleu" in alone.out
    jobs = len(list((road.run_dir / "jobs").glob("*.json")))
    widths = "decoding.beam_width=2,3,4"
    swept = seq2seq("evaluate", "-m", f"run={road.run_dir}", *options, widths, folder=road.folder)
    assert "1 of 3 jobs were finished before" in swept.out
    assert len(list((road.run_dir / "jobs").glob("*.json"))) == jobs + 1
    kept = {name: path for name, path in _decodings(road.run_dir, alpha=1.0)}
    shutil.rmtree(kept[4])
    before = {name: (path / "hypotheses.jsonl").read_bytes() for name, path in kept.items() if name != 4}
    seq2seq("evaluate", f"run={road.run_dir}", *options, "decoding.beam_width=4", folder=road.folder)
    assert {name: (path / "hypotheses.jsonl").read_bytes() for name, path in kept.items() if name != 4} == before
    assert dict(_decodings(road.run_dir, alpha=1.0)).keys() == {2, 3, 4}


def _decodings(run_dir: Path, alpha: float) -> list[tuple[int, Path]]:
    """Beam width and folder of what was decoded with this exponent."""
    found = [(each.decoding, run_dir / "decodings" / name) for name, each in read_all_scores(run_dir).items()]
    return [(plain["beam_width"], path) for plain, path in found if plain.get("alpha") == alpha]


@pytest.mark.very_slow
def test_an_ensemble_of_a_run_and_its_copy_is_that_run(road: Road) -> None:
    copy = road.folder / "copy"
    shutil.copytree(road.run_dir, copy)
    text = (road.folder / "toy.source").read_text("utf-8")
    both = f"run=[{road.run_dir},{copy}]"
    assert seq2seq("translate", both, "accelerator=cpu", folder=road.folder, text=text).out == road.translated.out
    seq2seq("evaluate", both, "average=probabilities", folder=road.folder)
    (together,) = (each for each in read_all_scores(road.run_dir).values() if each.decoding_name == "greedy-of-2")
    assert together.checkpoint["ensemble_with"] == [road.run_dir.name]
    assert together.scores["bleu"] == road.scores.scores["bleu"]
