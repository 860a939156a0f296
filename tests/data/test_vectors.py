"""Files of word vectors: what is read from them, and what is said of damaged ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from seq2seq_lightning.data.vectors import read_vectors, vectors_hash
from seq2seq_lightning.errors import DataError

KEY = "model.encoder.embedding.path"
GLOVE = "the 0.5 -1 2e-1\nhouse 1 2 3\nof 7 8 9\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "vectors.txt"


def read(file: Path, text: str, words: tuple[str, ...] = ("house", "the", "dog"), size: int = 3) -> dict:
    file.write_text(text, encoding="utf-8")
    found = read_vectors(str(file), KEY, words, size)
    assert found.wanted == len(words) and found.share == len(found.values) / len(words)
    return {**found.values, "lines": found.lines}


@pytest.mark.parametrize("text", [GLOVE, "3 3\n" + GLOVE, GLOVE.replace("\n", " \n"), GLOVE.replace("\n", "\r\n")])
def test_wanted_words_get_their_numbers_with_a_header_or_without(file: Path, text: str) -> None:
    assert read(file, text) == {"the": [0.5, -1.0, 0.2], "house": [1.0, 2.0, 3.0], "lines": 3}


def test_gzip_is_read_too(file: Path) -> None:
    file.write_bytes(gzip.compress(GLOVE.encode()))
    assert read_vectors(str(file), KEY, ["of"], 3).values == {"of": [7.0, 8.0, 9.0]}


def test_the_first_of_two_vectors_of_a_word_counts(file: Path) -> None:
    assert read(file, GLOVE + "the 9 9 9\n")["the"] == [0.5, -1.0, 0.2]


def test_a_word_with_spaces_is_nobodys(file: Path) -> None:
    """GloVe's largest files have such lines."""
    assert read(file, GLOVE + ". . . 1 2 3\nat name@domain.com 1 2 3\n")["lines"] == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GLOVE.replace("7 8 9", "7 8"), ":3: a vector of 2 numbers, but `model.encoder.embedding_size=3`."),
        (GLOVE.replace("1 2 3", "1 2 3 4"), ":2: a vector of 4 numbers, but `model.encoder.embedding_size=3`."),
        (GLOVE.replace("7 8 9", "7 8 9 10"), ":3: a vector of 4 numbers, but `model.encoder.embedding_size=3`."),
        ("9 300\n" + GLOVE, ":1: a vector of 300 numbers, but `model.encoder.embedding_size=3`. Set `model.encoder."),
        (GLOVE.replace("1 2 3", "1 x 3"), ":2: 'x' is no number, in the vector of 'house'. Mend or remove the line of"),
        (GLOVE.replace("1 2 3", "1 nan 3"), ":2: 'nan' is no number, in the vector of 'house'."),
        ("", "the file is empty. Give a file of word vectors."),
        ("le 1 2 3\n", "the file has none of the 3 words of the vocabulary. It begins with 'le'; the vocabulary with "),
    ],
)
def test_what_is_wrong_is_told_with_its_line(file: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as raised:
        read(file, text)
    assert message in str(raised.value) and str(file) in str(raised.value)


def test_a_missing_file_is_told_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"`{KEY}=.*nowhere.txt`: cannot open"):
        read_vectors(str(tmp_path / "nowhere.txt"), KEY, ["a"], 3)
    with pytest.raises(DataError, match=rf"`{KEY}=.*nowhere.txt`: cannot open"):
        vectors_hash(str(tmp_path / "nowhere.txt"), KEY)


def test_a_file_is_named_by_its_content(tmp_path: Path) -> None:
    first, second, packed = (tmp_path / name for name in ("a.txt", "b.txt", "c.txt.gz"))
    for path in (first, second):
        path.write_text(GLOVE)
    packed.write_bytes(gzip.compress(GLOVE.encode()))
    names = {vectors_hash(str(path), KEY) for path in (first, second, packed)}
    assert len(names) == 1
    second.write_text(GLOVE.replace("9", "10"))
    assert vectors_hash(str(second), KEY) not in names
