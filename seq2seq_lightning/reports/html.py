"""The page of an ablation as one HTML file: tables that sort and filter, verdict, figures, outputs side by side.

Nothing is fetched and nothing runs but the script of the page itself: its content security policy names the script by
its hash, so that no text of a record, however crafted, becomes one. Without the script the page shows everything.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from seq2seq_lightning.experiments.ablation_config import AblationConfig
from seq2seq_lightning.experiments.files import write_text_durably
from seq2seq_lightning.experiments.ledger import TrialResult
from seq2seq_lightning.reports.figures import Evidence, Figure, figures, read_evidence, sample_outputs
from seq2seq_lightning.reports.figures.drawing import Style, plain
from seq2seq_lightning.reports.tables import Link, Page, Table, page

FILE_NAME = "report.html"
GOOD, BAD = ("reproduced", "criteria met", "pass", "finished"), ("not ", "criteria not met", "fail")
DASH_ARRAYS = {"solid": "", "dashed": "6 3", "dashdot": "7 3 2 3", "dotted": "2 3"}


def write_report(
    folder: Path,
    config: AblationConfig,
    results: Sequence[TrialResult],
    made: Page | None = None,
    evidence: Evidence | None = None,
) -> Path:
    """Write ``report.html`` and return its path.

    made: the tables of these results, where they are known; evidence: what to draw, if not what their runs hold.
    """
    path = Path(folder) / FILE_NAME
    made = page(config, results) if made is None else made
    evidence = evidence or read_evidence(config, results)
    write_text_durably(path, html(made, figures(evidence), path.parent, sample_outputs(evidence)))
    return path


def html(made: Page, drawn: Sequence[Figure], folder: Path, samples: Table | None = None) -> str:
    """The page with its figures and sample outputs; links are relative to ``folder``, where it will lie."""
    environment = Environment(
        loader=DictLoader({"page.html": _part("page.html")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.globals |= {
        "href": lambda link: _href(link, folder),
        "swatch": swatch,
        "tone": tone,
        "filled": filled,
        "badge": badge,
        "is_link": _is_link,
    }
    script, style = _part("page.js"), _part("page.css")
    return environment.get_template("page.html").render(
        page=made,
        figures=drawn,
        samples=samples,
        version=version("seq2seq-lightning"),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'",
        script=Markup(script),
        style=Markup(style),
    )


def tone(words: str) -> str:
    """Whether words are good news, bad news or neither: the class of their badge, beside which they stand."""
    spoken = words.lower()
    if any(spoken.startswith(each) or spoken.endswith(f": {each}") for each in BAD):
        return "bad"
    return "good" if any(spoken.startswith(each) or spoken.endswith(f": {each}") for each in GOOD) else "open"


def badge(column: str, entry: str | Link) -> str:
    """The tone of an entry that says how something came out; nothing for every other."""
    words = str(entry)
    is_outcome = column in ("outcome", "status", "verdict") or words.endswith((": pass", ": fail", ": open"))
    return tone(words) if words and is_outcome else ""


def filled(table: Table) -> Table:
    """The table without the columns in which nothing stands."""
    kept = [place for place, _ in enumerate(table.columns) if any(str(row[place]) for row in table.rows)]
    rows = [[row[place] for place in kept] for row in table.rows]
    return replace(table, columns=[table.columns[place] for place in kept], rows=rows)


def swatch(style: Style) -> Markup:
    """A line of a legend, drawn."""
    dashes = DASH_ARRAYS[style.dashes]
    return Markup(
        '<svg class="swatch" viewBox="0 0 28 8" width="28" height="8" aria-hidden="true" focusable="false">'
        '<line x1="0" y1="4" x2="28" y2="4" stroke="{}" stroke-width="2.5" stroke-dasharray="{}"/></svg>'
    ).format(style.color, dashes)


def _is_link(entry: str | Link) -> bool:
    return isinstance(entry, Link)


def _href(link: Link, folder: Path) -> str:
    """A relative address that no name of a folder can turn into anything but a file."""
    return "./" + quote(Path(os.path.relpath(link.target, folder)).as_posix())


def _finalize(value: object) -> object:
    """Texts without control characters, which a page could not show; markup of our own as it is."""
    return plain_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def plain_lines(words: str) -> str:
    """Like ``plain``, but lines stay lines."""
    return "\n".join(plain(line) for line in re.split(r"\r?\n", words))


def _digest(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


@cache
def _part(name: str) -> str:
    return resources.files("seq2seq_lightning.reports").joinpath("sheet", name).read_text(encoding="utf-8")
