"""The page of an ablation as a file: what it holds, that it fetches nothing, and that no text becomes a script."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from seq2seq_lightning.experiments.ablation import expand
from seq2seq_lightning.experiments.ablation_config import RowConfig
from seq2seq_lightning.experiments.ledger import State, TrialResult
from seq2seq_lightning.reports import html, tables
from seq2seq_lightning.reports.html import tone, write_report
from tests.reports.generated import ablation, write_runs

SMALL = ablation(rows=2, seeds=2)
INVISIBLE = {each: "\N{REPLACEMENT CHARACTER}" for each in (0x00, 0x1B, 0x202E)}
CRAFTED = [
    "<script>alert(1)</script>",
    "</td><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "{{ 7 * 7 }} ${7 * 7} $\\frac{x}$",
    "javascript:alert(1)//%3Cscript%3E",
    "a\x00b\x1b[31m\u202egnp",
]


class Reader(HTMLParser):
    """Every element with its attributes, and what stands in tables."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def addresses(self) -> list[str]:
        """Whatever may be fetched or followed."""
        names = ("href", "xlink:href", "src", "srcset", "action", "data")
        return [str(each[name]) for _, each in self.elements for name in names if each.get(name)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page of a small table lies, two rows by two seeds."""
    folder = tmp_path_factory.mktemp("report")
    write_report(folder / "page", SMALL, write_runs(folder / "runs", SMALL, updates=500))
    return folder / "page"


@pytest.fixture(scope="module")
def page(folder: Path) -> Reader:
    return Reader(folder / "report.html")


def test_the_page_has_tables_verdict_figures_and_links_to_records(folder: Path, page: Reader) -> None:
    assert {"Results", "Criteria", "Runs", "Learning curves", "What was fed"} <= set(page.words)
    assert "reproduced" in page.words
    records = [unquote(address) for address in page.addresses if address.endswith("record.json")]
    assert len(records) == 4
    assert all((folder / record).exists() for record in records)


def test_the_page_fetches_nothing(page: Reader) -> None:
    assert all(re.match(r"#|\./|data:", address) for address in page.addresses)
    (policy,) = [each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'")


def test_every_picture_has_words_and_every_table_a_caption(page: Reader) -> None:
    pictures = [each for _, each in page.elements if each.get("role") == "img"]
    assert pictures
    assert all(each["aria-label"] for each in pictures)
    assert len(page.all("caption")) == len(page.all("table"))
    ids = [each["id"] for _, each in page.elements if each.get("id")]
    assert len(ids) == len(set(ids))
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(ids)


def test_tables_that_are_known_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = [TrialResult(trial, State.missing) for trial in expand(SMALL)]
    made = replace(tables.page(SMALL, results), title="known already")
    for each in (html, tables):
        monkeypatch.delattr(each, "page")
    assert "known already" in Reader(html.write_report(tmp_path, SMALL, results, made)).words


def test_a_page_without_runs_has_no_figure(tmp_path: Path) -> None:
    results = [TrialResult(trial, State.missing) for trial in expand(SMALL)]
    empty = Reader(write_report(tmp_path, SMALL, results))
    assert "incomplete" in empty.words
    assert not empty.all("svg")


def test_no_text_becomes_markup(tmp_path: Path, page: Reader) -> None:
    """Titles, labels, names of files and outputs are crafted; the page has the elements of a plain one."""
    config = ablation(rows=2, seeds=2)
    config.title, config.source, config.deviations = CRAFTED[0], CRAFTED[1], CRAFTED
    rows = zip((CRAFTED[2], CRAFTED[3]), config.rows, strict=True)
    config.rows = [RowConfig(label, row.overrides, row.published) for label, row in rows]
    config.criteria = [
        replace(config.criteria[0], label=CRAFTED[4], row=CRAFTED[3], minus=CRAFTED[2]),
    ]
    results = write_runs(tmp_path / CRAFTED[0].replace("/", ""), config, 500, spoil=lambda words: CRAFTED[0] + words)
    crafted = Reader(write_report(tmp_path / "page", config, results))
    assert [name for name, _ in crafted.elements if name in ("script", "img", "iframe", "object")] == ["script"]
    assert not [each for _, each in crafted.elements if any(name.startswith("on") for name in each)]
    kinds = [{(name, *sorted(each)) for name, each in one.elements} for one in (crafted, page)]
    assert kinds[0] == kinds[1]  # no element and no attribute that a plain page lacks
    assert {CRAFTED[0], f"Source: {CRAFTED[1]}", *CRAFTED[1:5], CRAFTED[5].translate(INVISIBLE)} <= set(crafted.words)


def test_damaged_histories_leave_the_tables(tmp_path: Path) -> None:
    results = write_runs(tmp_path, SMALL, updates=500, sentences=20)
    for result in results:
        assert result.run_dir is not None
        for path in result.run_dir.rglob("*.jsonl"):
            path.write_bytes(b'{"a": \xff\n{"key": 1}\nnot json\n{}\n')
    damaged = Reader(write_report(tmp_path / "page", SMALL, results))
    assert "Results" in damaged.words
    assert "Learning curves" not in damaged.words


@pytest.mark.slow
def test_a_hundred_runs_stay_below_two_megabytes(tmp_path: Path) -> None:
    config = ablation(rows=10, seeds=10)
    path = write_report(tmp_path, config, write_runs(tmp_path, config))
    assert path.stat().st_size < 2_000_000


def test_columns_in_which_nothing_stands_are_left_out() -> None:
    whole = tables.Table(
        "Results", ["row", "published", "ours", "n"], [["a", "", "1", "0"], ["b", "", "", "0"]], ["note"]
    )
    assert html.filled(whole) == tables.Table(
        "Results", ["row", "ours", "n"], [["a", "1", "0"], ["b", "", "0"]], ["note"]
    )
    assert html.filled(replace(whole, rows=[])).columns == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("reproduced (light protocol)", "good"),
        ("not reproduced", "bad"),
        ("criteria not met", "bad"),
        ("mean ≥ 70: pass", "good"),
        ("max ≤ 5: fail", "bad"),
        ("incomplete", "open"),
    ],
)
def test_verdicts_have_a_tone(words: str, expected: str) -> None:
    assert tone(words) == expected
