"""The words and weights of a few outputs: one row of weights per label, each over the words the encoder read."""

from __future__ import annotations

import pytest

from seq2seq_lightning.decoding import GreedyConfig
from seq2seq_lightning.training.attended import DIGITS, SENTENCES, attended
from tests.training.untrained import pairs, untrained


def test_weights_stand_between_what_was_read_and_what_was_written() -> None:
    trained = untrained()
    found = trained.score(pairs(), GreedyConfig(max_length=9))
    told = attended(trained.evaluator, pairs(), found.hypotheses)
    assert len(told) == SENTENCES
    written = [best[0] for best in found.hypotheses if best[0].tokens][:SENTENCES]
    for row, best in zip(told, written, strict=True):
        assert len(row["output"]) == len(row["weights"]) == len(best.tokens) + best.finished
        assert row["source"][-1] == "<eos>"
        assert all(len(line) == len(row["source"]) for line in row["weights"])
        assert [sum(line) for line in row["weights"]] == pytest.approx(
            [1.0] * len(row["weights"]), abs=0.1**DIGITS * 30
        )
        assert " ".join(row["output"][: len(best.tokens)]) == trained.text(best, "")


def test_without_sentences_there_is_nothing_to_tell() -> None:
    assert attended(untrained().evaluator, [], []) == []
