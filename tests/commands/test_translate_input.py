from __future__ import annotations

import pytest

from seq2seq_lightning.command_config import InputFormat
from seq2seq_lightning.commands.translate_input import Line, read_lines
from seq2seq_lightning.errors import DataError
from seq2seq_lightning.training.asked import Asked


def read(*lines: bytes, kind: InputFormat = InputFormat.jsonl) -> list[Line]:
    return list(read_lines(lines, "in", kind))


def test_text_is_taken_as_it_is() -> None:
    assert read(b'{"source": "a"}\r\n', b"\n", kind=InputFormat.text) == [Line('{"source": "a"}'), Line("")]


def test_an_object_says_what_is_asked_of_its_output() -> None:
    full = b'{"source": "a b", "prefix": "x", "required": ["y z"], "allowed": ["x y z", "x"]}\n'
    assert read(full, b"\n", b'{"source": "c"}') == [
        Line("a b", Asked("x", ("y z",), ("x y z", "x"))),
        Line(""),
        Line("c"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\xff", r"in:2 is not UTF-8 \(invalid start byte at byte 0\)"),
        (b"a b", r"in:2 is not JSON \(Expecting value at column 1\)"),
        (b"[]", r'in:2 is no object with a source. Write \{"source"'),
        (b'{"source": "a", "prefx": "x"}', r"in:2 has the key 'prefx'.*prefix"),
        (b'{"source": 3}', r"in:2: source is 3, where a text is needed"),
        (b'{"source": "a", "required": "x"}', r"in:2: required is 'x', where a list of texts is needed"),
        (b'{"source": "a", "allowed": [1]}', r"in:2: allowed is 1, where a text is needed"),
    ],
)
def test_what_cannot_be_read_is_named_by_line(line: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(b'{"source": "a"}', line)
