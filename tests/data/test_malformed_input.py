"""Whatever is wrong with a user's files: one clear message or a counted skip; no traceback, and no silent loss."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seq2seq_lightning.config import Config
from seq2seq_lightning.data.example import Corpus
from seq2seq_lightning.data.tasks import TASKS, DataConfig, build_task
from seq2seq_lightning.data.tasks.files import BadInputConfig
from seq2seq_lightning.errors import UserError
from seq2seq_lightning.job import Job
from seq2seq_lightning.recording import recording
from seq2seq_lightning.structure import from_plain

GOOD = {"parallel": b"x\ny\nz\n", "tsv": b"a\tx\nb\ty\n", "jsonl": b'{"source": "a", "target": "x"}\n'}
GOOD |= {"continuation": b"a b\nc d\n"}
SKIPPING = {reason: "skip" for reason in vars(BadInputConfig())}
TEXT = gzip.compress(b"".join(b"%d word\n" % (number * 7919) for number in range(3000)), mtime=0)


@dataclass(frozen=True)
class Case:
    """Files with something wrong; message: what is said of it, reason: the policy that lets it be skipped."""

    task: str
    files: dict[str, bytes]
    message: str
    reason: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    kept: int = 0  # pairs that stay where the bad ones are skipped
    lost: int = 1  # how many are


def parallel(source: bytes, message: str, reason: str | None = None, target: bytes = b"x\ny\nz\n", **more: Any) -> Case:
    return Case("parallel", {"source": source, "target": target}, message, reason, **more)


def single(task: str) -> Callable[..., Case]:
    def case(content: bytes, message: str, reason: str | None = None, **more: Any) -> Case:
        return Case(task, {"train": content}, message, reason, **more)

    return case


tsv, jsonl, continuation = single("tsv"), single("jsonl"), single("continuation")
NAMED = {"source_column": "en", "target_column": "de"}
RECORD = b'{"source": "a", "target": "x"}\n'


def record(text: str) -> bytes:
    return RECORD + text.encode() + b"\n" + RECORD


CASES: dict[str, Case] = {
    # two files
    "source longer": parallel(b"a\nb\nc\nd\n", r"source has 4 lines but \S+target has 3;", "unpaired", kept=3),
    "target longer": parallel(b"a\n", r"source has 1 lines but \S+target has 3;", "unpaired", kept=1, lost=2),
    "empty source": parallel(b"a\n\nc\n", r"source:2: the source is empty", "empty", kept=2),
    "blank target": parallel(b"a\nb\nc\n", r"target:2: the target is empty", "empty", b"x\n \t \nz\n", kept=2),
    "unicode blanks": parallel("a\n\u3000\u2003\nc\n".encode(), r"source:2: the source is empty", "empty", kept=2),
    "no UTF-8": parallel(b"a\nb\xff\nc\n", r"source:2: invalid UTF-8, byte 0xff at byte 2", "invalid_utf8", kept=2),
    "cut character": parallel(b"a\nb\nc\xc3\n", r"source:3: invalid UTF-8, byte 0xc3", "invalid_utf8", kept=2),
    "Latin-1": parallel(b"caf\xe9 au lait\nb\nc\n", r"source:1: invalid UTF-8, byte 0xe9", "invalid_utf8", kept=2),
    "overlong spelling": parallel(b"a\n\xc0\x80\nc\n", r"source:2: invalid UTF-8, byte 0xc0", "invalid_utf8", kept=2),
    "half a surrogate": parallel(b"a\n\xed\xa0\x80\nc\n", r"source:2: invalid UTF-8", "invalid_utf8", kept=2),
    "beyond Unicode": parallel(b"a\n\xf4\x90\x80\x80\nc\n", r"source:2: invalid UTF-8", "invalid_utf8", kept=2),
    "UTF-16": parallel("a\nb\nc\n".encode("utf-16"), r"source:1: (invalid UTF-8|a NUL byte)"),
    "NUL": parallel(b"a\nb\0b\nc\n", r"source:2: a NUL byte at byte 2", "nul", kept=2),
    "NUL in the target": parallel(b"a\nb\nc\n", r"target:3: a NUL byte at byte 1", "nul", b"x\ny\n\0\n", kept=2),
    "too many words": parallel(
        b"a\nb b b\nc\n", r"source:2: the source has 3 words", "over_long", kept=2, options={"max_length": 2}
    ),
    "too many characters": parallel(
        b"a\nb\nc\n",
        r"target:1: the target has 4 characters",
        "over_long",
        b"\xc3\xa4bcd\nx\ny\n",
        kept=2,
        options={"max_length": 3, "length_unit": "characters"},
    ),
    "nothing but bad lines": parallel(b"\n\n\n", r"source:1: the source is empty", "empty", kept=0, lost=3),
    "empty files": parallel(b"", r"no pairs to read for `train` \(no lines\)", target=b""),
    "one empty file": parallel(b"", r"source has 0 lines but \S+target has 3;", "unpaired", kept=0, lost=3),
    "cut gzip": parallel(TEXT[: len(TEXT) // 2], r"source:\d+: cannot read on.* truncated or damaged", target=TEXT),
    "gzip without a body": parallel(TEXT[:10], r"source:1: cannot read on.*ends too early", target=TEXT),
    "gzip without a header": parallel(TEXT[:2], r"source:1: cannot read on", target=TEXT),
    "damaged gzip": parallel(TEXT[:-8] + b"\0" * 8, r"source:\d+: cannot read on.* damaged", target=TEXT),
    "text behind gzip": parallel(TEXT + b"more\n", r"source:\d+: cannot read on.*Not a gzipped file", target=TEXT),
    # a vocabulary that is settled beforehand
    "unknown word": Case(
        "tsv",
        {"train": b"a\tx y\nb\tx q\n", "target_symbols": b"x\ny\n"},
        r"train:2: the target has 'q', which is none of the 2 symbols of `data.target_symbols=",
        "outside_vocabulary",
        kept=1,
    ),
    "unknown character": Case(
        "tsv",
        {"train": b"a\tx\nab c\ty\n", "source_symbols": b"a\nb\n"},
        r"train:2: the source has 'c', which is none of the 2 symbols",
        "outside_vocabulary",
        {"symbol_unit": "characters"},
        kept=1,
    ),
    "unknown continuation": Case(
        "continuation",
        {"train": b"a b\nb c\n", "target_symbols": b"b\n"},
        r"train:2: the continuation has 'c'",
        "outside_vocabulary",
        kept=1,
    ),
    "two symbols on a line": Case(
        "tsv", {"train": b"a\tx\n", "target_symbols": b"x\ny z\n"}, r"target_symbols:2: 'y z' is not one word"
    ),
    "no symbols": Case(
        "tsv", {"train": b"a\tx\n", "target_symbols": b""}, r"`data.target_symbols=\S+: the file has no symbols"
    ),
    # tables
    "too few columns": tsv(
        b"a\tx\nb\nc\tz\n", r"train:2: 1 columns, where the first line has 2", "column_count", kept=2
    ),
    "too many columns": tsv(b"a\tx\nb\ty\tw\n", r"train:2: 3 columns", "column_count", kept=1),
    "a line of blanks": tsv(b"a\tx\n\nc\tz\n", r"train:2: 1 columns", "column_count", kept=2),
    "blanks for tabs": tsv(b"a x\nb y\n", r"train:1: the first line has 1 columns, but column 1"),
    "column beyond": tsv(b"a\tx\n", r"the first line has 2 columns, but column 5", options={"target_column": 5}),
    "empty cell": tsv(b"a\tx\nb\t\n", r"train:2: the target is empty", "empty", kept=1),
    "bad bytes in a cell": tsv(b"a\tx\nb\xff\ty\n", r"train:2: invalid UTF-8", "invalid_utf8", kept=1),
    "NUL in a cell": tsv(b"a\tx\nb\ty\0\n", r"train:2: a NUL byte", "nul", kept=1),
    "unknown header": tsv(b"en\tdd\na\tx\n", r"train:1: no column has the name 'de'", options=NAMED),
    "header elsewhere": tsv(b"a\tx\nen\tde\n", r"train:1: no column has the name 'en'", options=NAMED),
    "header twice": tsv(b"en\tde\tde\na\tx\ty\n", r"train:1: 2 columns have the name 'de'", options=NAMED),
    "header alone": tsv(b"en\tde\n", r"no pairs to read for `train`", options=NAMED),
    "bad bytes in the header": tsv(b"en\tde\t\xff\na\tx\ty\n", r"train:1: invalid UTF-8", options=NAMED),
    "one column twice": tsv(
        b"en\tde\na\tx\n", r"not all columns of their own", options={"source_column": "en", "target_column": 0}
    ),
    "empty table": tsv(b"", r"no pairs to read for `train` \(no lines\)", options=NAMED),
    # JSON lines
    "no JSON": jsonl(record("a\tx"), r"train:2: this is no JSON \(Expecting value at character 1", "not_json", kept=2),
    "cut JSON": jsonl(record('{"source": "a", "tar'), r"train:2: this is no JSON \(Unterm", "not_json", kept=2),
    "single quotes": jsonl(record("{'source': 'a'}"), r"train:2: this is no JSON", "not_json", kept=2),
    "two objects": jsonl(record("{} {}"), r"train:2: this is no JSON \(Extra data", "not_json", kept=2),
    "a list": jsonl(record('["a", "x"]'), r"train:2: a list stands here", "not_json", kept=2),
    "a number alone": jsonl(record("7"), r"train:2: a int stands here", "not_json", kept=2),
    "thousands of digits": jsonl(record("9" * 9999), r"train:2: this JSON cannot be read", "not_json", kept=2),
    "thousands of levels": jsonl(record("[" * 99999), r"train:2: this JSON cannot be read", "not_json", kept=2),
    "a key twice": jsonl(
        record('{"source": "a", "source": "b", "target": "x"}'), r"the key 'source' stands in one", "not_json", kept=2
    ),
    "an empty line": jsonl(RECORD + b"\n", r"train:2: the line is empty", "empty", kept=1),
    "no target": jsonl(record('{"source": "a", "targt": "x"}'), r"no 'target'.*Did you mean", "missing_key", kept=2),
    "no nested key": jsonl(
        b'{"t": {"en": "a", "de": "x"}}\n{"t": {"en": "a"}}\n{"t": "a"}\n',
        r"train:2: the record has no 't.de', which `data.target_key` asks for",
        "missing_key",
        options={"source_key": "t.en", "target_key": "t.de"},
        kept=1,
        lost=2,
    ),
    "null": jsonl(record('{"source": null, "target": "x"}'), r"'source' is None, where text", "wrong_type", kept=2),
    "a number": jsonl(record('{"source": "a", "target": 7}'), r"'target' is 7, where text", "wrong_type", kept=2),
    "no number": jsonl(record('{"source": NaN, "target": "x"}'), r"'source' is nan", "wrong_type", kept=2),
    "true": jsonl(record('{"source": true, "target": "x"}'), r"'source' is True", "wrong_type", kept=2),
    "several sources": jsonl(record('{"source": ["a"], "target": "x"}'), r"'source' is \['a'\]", "wrong_type", kept=2),
    "an object": jsonl(record('{"source": "a", "target": {"x": 1}}'), r"'target' is \{'x': 1\}", "wrong_type", kept=2),
    "a mixed list": jsonl(record('{"source": "a", "target": ["x", 1]}'), r"'target' is 1", "wrong_type", kept=2),
    "no targets": jsonl(record('{"source": "a", "target": [[]]}'), r"'target' is an empty list", "empty", kept=2),
    "empty text": jsonl(record('{"source": "", "target": "x"}'), r"train:2: the source is empty", "empty", kept=2),
    "NUL by number": jsonl(record(r'{"source": "a\u0000", "target": "x"}'), r"train:2: a NUL", "nul", kept=2),
    "surrogate by number": jsonl(
        record(r'{"source": "a\ud800", "target": "x"}'),
        r"train:2: half of a surrogate pair, U\+D800",
        "invalid_utf8",
        kept=2,
    ),
    "bad bytes in JSON": jsonl(RECORD + b'{"source": "\xff"}\n', r"train:2: invalid UTF-8", "invalid_utf8", kept=1),
    "mark in the middle": jsonl(RECORD + b"\xef\xbb\xbf" + RECORD, r"train:2: this is no JSON", "not_json", kept=1),
    "empty JSON file": jsonl(b"", r"no pairs to read for `train` \(no lines\)"),
    # text to continue
    "one word": continuation(b"a b\nc\n", r"train:2: a line of 1 words has nothing behind", "too_short", kept=1),
    "shorter than the prompt": continuation(
        b"a b c d\nc d\n", r"train:2: a line of 2 words", "too_short", kept=1, options={"prompt_length": 3}
    ),
    "an empty line of text": continuation(b"a b\n\n", r"train:2: the line is empty", "empty", kept=1),
    "long continuation": continuation(
        b"a b\na b c d\n", r"train:2: the prompt has 2 words", "over_long", kept=1, options={"max_length": 1}
    ),
    "NUL in a text": continuation(b"a b\na\0 b\n", r"train:2: a NUL byte", "nul", kept=1),
    # released files of SCAN
    "no pair of SCAN": Case("scan", {"train_file": b"IN: walk OUT: I_WALK\nwalk\n"}, r"train_file:2: expected `IN: "),
    "bad bytes in SCAN": Case("scan", {"train_file": b"IN: walk OUT: I_WALK\n\xff\n"}, r"train_file:2: invalid UTF-8"),
    "empty SCAN": Case("scan", {"train_file": b""}, r"`data.train_file=\S+`: the file has no lines"),
}


def config_of(folder: Path, case: Case, skip: str | None = None) -> dict[str, Any]:
    """The plain settings of a case whose files are written to a folder."""
    names = {key: str(folder / key) for key in case.files}
    for key, content in case.files.items():
        Path(names[key]).write_bytes(content)
    given = {"train": names} if case.task == "parallel" else names
    policies = {} if case.task == "scan" else {"bad_input": {skip: "skip"} if skip else {}}
    return {"name": case.task, **given, **case.options, **policies}


def read(plain: dict[str, Any]) -> Corpus:
    return build_task(from_plain(DataConfig, plain, {DataConfig: TASKS})).read()


def test_there_are_sixty_cases_and_every_policy_has_one():
    assert len(CASES) >= 60
    assert {case.reason for case in CASES.values()} - {None} == set(SKIPPING)


@pytest.mark.parametrize("name", CASES)
def test_the_message_says_file_line_and_remedy(name: str, tmp_path: Path):
    case = CASES[name]
    with pytest.raises(UserError) as told:
        read(config_of(tmp_path, case))
    message = str(told.value)
    assert re.search(case.message, message)
    assert any(str(tmp_path / key) in message for key in case.files)
    assert re.search(r"(Remove|Save|Mend|Align|Raise|Write|Copy|Give|Check|Make|Is this|Did you mean|Rename)", message)
    if case.reason is not None:
        assert f"`data.bad_input.{case.reason}=skip`" in message


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.reason])
def test_what_is_skipped_is_counted_and_nothing_else_is_lost(name: str, tmp_path: Path):
    case = CASES[name]
    plain = config_of(tmp_path, case, case.reason)
    if not case.kept:
        with pytest.raises(UserError, match=rf"left out: train/{case.reason} {case.lost}\)"):
            read(plain)
        return
    corpus = read(plain)
    assert (len(list(corpus.train)), corpus.skipped) == (case.kept, {f"train/{case.reason}": case.lost})


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.reason])
def test_another_policy_does_not_let_it_through(name: str, tmp_path: Path):
    case = CASES[name]
    plain = config_of(tmp_path, case)
    plain["bad_input"] = {reason: "skip" for reason in SKIPPING if reason != case.reason}
    with pytest.raises(UserError, match=case.message):
        read(plain)


@pytest.mark.parametrize(
    "path", ["", "missing", "a\0b", "~nobody-at-all/x", "x" * 5000, "."], ids=lambda path: path[:9]
)
@pytest.mark.parametrize("task", [*GOOD, "multi30k", "sigmorphon2020_g2p"])
def test_a_path_that_leads_to_no_file_is_told(task: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    given = {"folder": path} if task not in GOOD else {"train": path}
    if task == "parallel":
        given = {"train": {"source": path, "target": path}}
    with pytest.raises(UserError) as told:
        read({"name": task, **given})
    assert "data." in str(told.value)


@pytest.mark.parametrize("task", GOOD)
def test_a_gz_that_is_none_is_told(task: str, tmp_path: Path):
    (tmp_path / "a.gz").write_bytes(GOOD[task])
    path = str(tmp_path / "a.gz")
    with pytest.raises(UserError, match=r"named .gz but is not gzip"):
        read({"name": task, "train": {"source": path, "target": path} if task == "parallel" else path})


def test_what_is_left_out_is_told_when_a_run_begins(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    job = Job(str(tmp_path), "0" * 12, Config().to_plain())
    with recording(job, Corpus([], skipped={"train/empty": 3, "test/news/nul": 1}), {}):
        pass
    assert capsys.readouterr().err == "left out of the data, by split and reason: train/empty 3, test/news/nul 1\n"
    with recording(job, Corpus([]), {}):
        pass
    assert capsys.readouterr().err == ""


# any bytes at all

LINES = st.lists(
    st.one_of(
        st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")),
        st.sampled_from(
            [b"a\tx", b"", b" ", b"a b", b"\0", b"\xff", RECORD.strip(), b"{", b'{"source": 1}', b"\xef\xbb\xbf"]
        ),
        st.dictionaries(
            st.sampled_from(["source", "target", "x"]),
            st.recursive(st.text(max_size=3) | st.none() | st.integers(), lambda inner: st.lists(inner, max_size=2)),
        ).map(lambda value: json.dumps(value).encode()),
    ),
    max_size=6,
)
ANY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)


def given_lines(content: bytes) -> int:
    return content.count(b"\n") + (not content.endswith(b"\n") and content != b"")


@ANY
@given(lines=LINES, other=LINES, end=st.booleans())
@pytest.mark.parametrize("task", GOOD)
def test_of_any_bytes_every_line_is_kept_or_counted(task: str, lines: list, other: list, end: bool, tmp_path: Path):
    files = [b"\n".join(side) + b"\n" * end for side in (lines, other)]
    paths = [tmp_path / f"{task}{place}" for place in range(2)]
    for path, content in zip(paths, files, strict=True):
        path.write_bytes(content)
    given = {"source": str(paths[0]), "target": str(paths[1])} if task == "parallel" else str(paths[0])
    lines_given = max(map(given_lines, files)) if task == "parallel" else given_lines(files[0])
    try:
        corpus = read({"name": task, "train": given, "bad_input": SKIPPING})
    except UserError as error:
        # a table without a second column; gzip, by its first two bytes
        assert re.search("no pairs to read|the first line has|cannot read on", str(error))
        left_out = re.search(r"left out: (.*?)\)", str(error))
        if "no pairs to read" in str(error) and left_out:
            counted = sum(int(each.rsplit(" ", 1)[1]) for each in left_out[1].split(", "))
            assert counted == lines_given
        return
    pairs = list(corpus.train)
    assert len(pairs) + sum(corpus.skipped.values()) == lines_given
    assert all(pair.source.strip() and pair.target.strip() for pair in pairs)
    assert all("\0" not in text and text.encode() for pair in pairs for text in (pair.source, pair.target))


@ANY
@given(lines=LINES)
@pytest.mark.parametrize("task", GOOD)
def test_of_any_bytes_only_our_own_errors_come(task: str, lines: list, tmp_path: Path):
    path = tmp_path / task
    path.write_bytes(b"\n".join(lines))
    given = {"source": str(path), "target": str(path)} if task == "parallel" else str(path)
    try:
        corpus = read({"name": task, "train": given})
    except UserError as error:
        assert str(path) in str(error)
    else:
        assert len(corpus.train) == given_lines(b"\n".join(lines)) and corpus.skipped == {}


@ANY
@given(place=st.integers(0, len(TEXT) - 1), bit=st.integers(0, 7))
def test_a_bit_flipped_in_a_gzip_is_told_or_changes_no_text(place: int, bit: int, tmp_path: Path):
    damaged = bytearray(TEXT)
    damaged[place] ^= 1 << bit
    (tmp_path / "text").write_bytes(damaged)
    try:
        corpus = read({"name": "continuation", "train": str(tmp_path / "text")})
    except UserError as error:
        assert str(tmp_path / "text") in str(error)
    else:
        assert [int(pair.source) for pair in corpus.train] == [number * 7919 for number in range(3000)]


# the commands themselves

COMMANDS = ["source longer", "cut gzip", "surrogate by number", "unknown header"]


def command(name: str, case: Case, folder: Path) -> subprocess.CompletedProcess[str]:
    keys = [f"data.{'train.' if case.task == 'parallel' else ''}{key}={folder / key}" for key in case.files]
    keys += [f"data.{key}={value}" for key, value in case.options.items()]
    config_of(folder, case)
    words = [sys.executable, "-m", f"seq2seq_lightning.commands.{name}", f"data={case.task}", *keys]
    words += [f"paths.runs={folder / 'runs'}"]
    return subprocess.run(
        words, capture_output=True, text=True, cwd=folder, env={**os.environ, "HYDRA_FULL_ERROR": "1"}
    )


@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param("data", COMMANDS[0], marks=pytest.mark.slow),
        pytest.param("train", COMMANDS[2], marks=pytest.mark.slow),
        *(pytest.param("data", case, marks=pytest.mark.very_slow) for case in COMMANDS[1:]),
        *(pytest.param("train", case, marks=pytest.mark.very_slow) for case in COMMANDS),
    ],
)
def test_a_command_says_it_in_one_message_and_exits_with_2(name: str, case: str, tmp_path: Path):
    ended = command(name, CASES[case], tmp_path)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    assert len(re.findall(r"^error: ", ended.stderr, re.MULTILINE)) == 1
    assert re.search(CASES[case].message, ended.stderr)
