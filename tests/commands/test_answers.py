"""What is written for a line: text, or JSON with what was asked for; empty and very long lines among others."""

from __future__ import annotations

import json
import math
from typing import Any
from unittest import mock

import pytest

from seq2seq_lightning.command_config import OutputFormat, TranslateConfig
from seq2seq_lightning.commands.answers import answer
from seq2seq_lightning.commands.translate import _answers
from seq2seq_lightning.commands.translate_input import Line
from seq2seq_lightning.decoding import BeamConfig, SampleConfig
from seq2seq_lightning.trained import Trained
from tests.training.untrained import untrained


@pytest.fixture(scope="module")
def trained() -> Trained:
    return untrained()


def answers(trained: Trained, lines: list[str], first_place: int = 0, **options: Any) -> list[str]:
    config = TranslateConfig(run=".", **options)
    return list(_answers(trained, [Line(line) for line in lines], config, first_place))


def test_an_empty_line_stays_empty(trained: Trained) -> None:
    beam = BeamConfig(max_length=4)
    assert answers(trained, ["", "  "], decoding=beam) == ["", ""]
    one, empty, other = answers(trained, ["one two", "", "three"], decoding=beam)
    assert (one, empty, other) == (
        *answers(trained, ["one two"], decoding=beam),
        "",
        *answers(trained, ["three"], decoding=beam),
    )
    told = answers(trained, [""], decoding=beam, format=OutputFormat.jsonl)
    assert json.loads(told[0]) == {"source": "", "n_best": []}


def test_a_model_without_eos_translates_to_its_maximum() -> None:
    without = untrained(text__target={"eos": False})
    assert [
        len(line.split()) for line in answers(without, ["one", "two three"], decoding=BeamConfig(max_length=3))
    ] == [3, 3]


def test_a_trace_is_told_in_words(trained: Trained) -> None:
    options = {
        "format": OutputFormat.jsonl,
        "trace": True,
        "trace_top": 2,
        "decoding": BeamConfig(n_best=2, max_length=4),
    }
    (row,) = map(json.loads, answers(trained, ["one never two"], **options))
    for each in row["n_best"]:
        written = [step["written"] for step in each["trace"]]
        assert [step["fed"] for step in each["trace"]] == ["<bos>", *written[:-1]]
        assert " ".join(word for word in written if word != "<eos>") == each["text"]
        assert each["stop"] == ("eos" if each["finished"] else "max_length")
        assert sum(step["log_prob"] for step in each["trace"]) == pytest.approx(each["log_prob"])
        for step in each["trace"]:
            assert len(step["top"]) == 2 and len(step["attention"]) == 4  # three words and eos
            assert math.fsum(step["attention"]) == pytest.approx(1.0)
    assert "attention" not in row["n_best"][0]


def test_a_line_of_five_thousand_tokens_is_read_whole_and_alone(trained: Trained) -> None:
    lines = ["one two", "three four five " * 1667, "two", "six " * 600]
    start, sizes = trained.model.start, []

    def counting(source: Any, *rest: Any) -> Any:
        sizes.append(tuple(source.shape))
        return start(source, *rest)

    with mock.patch.object(trained.model, "start", counting):
        found = answers(trained, lines, decoding=BeamConfig(max_length=4, batch_size=2))
    assert sizes == [(1, 5002), (1, 601), (2, 3)]
    assert found == [answers(trained, [line], decoding=BeamConfig(max_length=4))[0] for line in lines]


def test_noise_is_that_of_the_line_in_the_file(trained: Trained) -> None:
    lines = ["one", "", "two three", "four five six", "seven"]
    options = {"decoding": SampleConfig(max_length=6)}
    together = answers(trained, lines, **options)
    assert together[3:] == answers(trained, lines[3:], first_place=2, **options)  # two lines before it are not empty


def test_the_best_of_an_n_best_list_is_the_text(trained: Trained) -> None:
    best = trained.search(["one two"], BeamConfig(n_best=3, max_length=4))[0]
    assert answer(trained, "one two", best, TranslateConfig(run=".")) == trained.text(best[0], "one two")
