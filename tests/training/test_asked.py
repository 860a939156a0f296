from __future__ import annotations

import pytest

from seq2seq_lightning.decoding import trie
from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.copying import Copying
from seq2seq_lightning.text.sides import SourceTextConfig, TargetTextConfig
from seq2seq_lightning.training.asked import NOTHING_ASKED, Asked, banned_ids, requests_in_ids

BOTH = Copying(
    SourceCodec.build(SourceTextConfig(), ["a b"]),
    TargetCodec.build(TargetTextConfig(), ["x y"]),  # x 4, y 5
)


def test_banned_words_are_cut_as_the_target_side_cuts_text() -> None:
    assert banned_ids(["x", "y x y", "<unk>"], BOTH.target) == [[4], [5, 4, 5], [3]]
    assert banned_ids([], BOTH.target) == []


def test_a_word_that_no_model_writes_need_not_be_banned() -> None:
    with pytest.raises(ConfigurationError, match=r"decoding.banned holds 'x z', with tokens outside.*ban '<unk>'"):
        banned_ids(["x", "x z"], BOTH.target)


def test_what_is_asked_becomes_ids() -> None:
    asked = [Asked("x y"), Asked(required=("y", "x x")), Asked(allowed=("x", "y y")), Asked(allowed=("x", "y y"))]
    found = requests_in_ids(asked, ["a"] * 4, BOTH, copies=False)
    assert found is not None and found.allowed is not None
    assert found.prefixes == [[4, 5], [], [], []]
    assert found.required == [[], [[5], [4, 4]], [], []]
    assert found.allowed[:3] == [None, None, trie([(4,), (5, 5)])]
    assert found.allowed[2] is found.allowed[3]  # searched as one
    assert requests_in_ids([NOTHING_ASKED] * 2, ["a", "b"], BOTH, copies=False) is None


def test_a_model_that_copies_can_be_asked_for_words_of_the_source() -> None:
    asked = [Asked("n x", allowed=("n x m",)), Asked("m")]
    found = requests_in_ids(asked, ["n m", "m n"], BOTH, copies=True)
    assert found is not None and found.prefixes == [[6, 4], [6]]
    assert found.allowed == [trie([(6, 4, 7)]), None]
    with pytest.raises(DataError, match=r"'n x', asked of the output for 'n m', has a word outside the target"):
        requests_in_ids(asked, ["n m", "m n"], BOTH, copies=False)
