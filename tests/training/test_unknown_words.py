"""Words of the source in the place of unknown ones, from a model's attention to text."""

from __future__ import annotations

import pytest

from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.decoding import SEARCHES, DecodingConfig
from seq2seq_lightning.decoding.unknown import ReplaceUnknown
from seq2seq_lightning.trained import Trained
from tests.training.untrained import pairs, untrained

UNSEEN = [Pair.of(f"one ghost{number} two specter{number}", "one two") for number in range(4)] + pairs(3)


@pytest.fixture(scope="module")
def trained() -> Trained:
    """It likes to write that it does not know a word."""
    found = untrained()
    found.model.output_layer.bias.data[found.target.vocabulary.unk_id] += 6.0
    return found


@pytest.mark.parametrize("kind", SEARCHES)
def test_words_are_copied_and_nothing_else_changes(trained: Trained, kind: type[DecodingConfig]) -> None:
    marked = trained.score(UNSEEN, kind(max_length=5))
    copied = trained.score(UNSEEN, kind(max_length=5, replace_unknown=ReplaceUnknown.copy))
    assert "<unk>" in " ".join(marked.texts) and "<unk>" not in " ".join(copied.texts)
    for pair, before, after in zip(UNSEEN, marked.texts, copied.texts, strict=True):
        for mark, word in zip(before.split(), after.split(), strict=True):
            assert mark == word or (mark == "<unk>" and word in pair.source.split())
    for before, after in zip(marked.hypotheses, copied.hypotheses, strict=True):
        assert [each.score for each in before] == [each.score for each in after]
        assert all(each.attention is None for each in after)  # nobody asked for it


def test_attention_is_kept_for_who_asks(trained: Trained) -> None:
    decoding = next(iter(SEARCHES))(max_length=5, replace_unknown=ReplaceUnknown.copy)
    (best,) = trained.search(["one ghost two"], decoding, with_attention=True)
    assert best[0].attention is not None and len(best[0].attention[0]) == 4
