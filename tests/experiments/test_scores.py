from __future__ import annotations

import json
from pathlib import Path

import pytest

from seq2seq_lightning.errors import DataError
from seq2seq_lightning.experiments.scores import (
    Score,
    Scores,
    decoding_dir,
    read_all_scores,
    read_scores,
    write_scores,
)

GREEDY = {"name": "greedy", "max_length": 50}
SCORES = Scores(
    decoding=GREEDY,
    decoding_name="greedy",
    test_set="test",
    sentences=4,
    scores={"exact_match": Score(75.0, "exact_match|v1", 4)},
    by_source_length=[{"from": 1, "to": 5, "n": 4, "exact_match": 75.0}],
    seconds=2.0,
    sentences_per_second=2.0,
    checkpoint={"step": 8000},
)


def test_scores_come_back_as_written_in_the_published_layout(tmp_path: Path) -> None:
    folder = decoding_dir(tmp_path, GREEDY, "test", {"bleu": {"tokenize": "none"}})
    write_scores(folder, SCORES, [{"index": 0, "tokens": ["ü"]}])
    assert read_all_scores(tmp_path) == {folder.name: SCORES}
    plain = json.loads((folder / "scores.json").read_text())
    assert plain["schema"] == 1 and plain["scores"]["exact_match"] == {
        "value": 75.0,
        "signature": "exact_match|v1",
        "n": 4,
    }
    assert (folder / "hypotheses.jsonl").read_text(encoding="utf-8") == '{"index": 0, "tokens": ["ü"]}\n'


def test_each_decoding_test_set_and_metric_setting_has_its_own_folder(tmp_path: Path) -> None:
    places = {
        decoding_dir(tmp_path, decoding, test_set, metrics)
        for decoding in (GREEDY, {"name": "greedy", "max_length": 60})
        for test_set in ("test", "train")
        for metrics in ({}, {"bleu": 1})
    }
    assert len(places) == 8
    assert decoding_dir(tmp_path, GREEDY, "test", {}).name.startswith("greedy-test-")
    assert decoding_dir(tmp_path, GREEDY, "../a/b", {}).parent == tmp_path / "decodings"


def test_damaged_and_foreign_scores_are_named(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    for content, message in [
        ("{", "scores.json is damaged: it is not JSON"),
        ('{"schema": 1}', "scores.json is damaged: it holds no scores"),
        ('{"schema": 7, "scores": {}}', "schema 7, but this version reads schema 1"),
        ('{"schema": 1, "scores": {}}', "A score file needs decoding, decoding_name, test_set, sentences, scores"),
    ]:
        path.write_text(content)
        with pytest.raises(DataError, match=message):
            read_scores(tmp_path)


def test_hypotheses_without_scores_are_not_a_decoding(tmp_path: Path) -> None:
    folder = tmp_path / "decodings" / "greedy-test-00000000"
    folder.mkdir(parents=True)
    (folder / "hypotheses.jsonl").write_text("{}\n")
    assert read_all_scores(tmp_path) == {}
