"""Small folders laid out as published corpora are, and the tables that know them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from seq2seq_lightning.data.tasks import multi30k, sigmorphon2020_g2p
from seq2seq_lightning.data.tasks.known_files import Known, PublishedFiles

LINES = {"en": "a red house\na blue car\n", "de": "ein rotes haus\nein blaues auto\n", "fr": "maison\nvoiture\n"}


def write_multi30k(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sentences per split in `tok` and `raw`."""
    contents = {}
    for version, ending in (("tok", ".lc.norm.tok"), ("raw", "")):
        (folder / version).mkdir(parents=True)
        for stem in multi30k.STEMS.values():
            for language, text in LINES.items():
                contents[f"{stem}{ending}.{language}"] = text.encode()
                (folder / version / f"{stem}{ending}.{language}").write_text(text, encoding="utf-8")
    monkeypatch.setattr(multi30k, "PUBLISHED", _known(contents, multi30k.PUBLISHED))
    return folder


def write_g2p(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two words per split and language, other ones in each language."""
    contents = {}
    for part in sigmorphon2020_g2p.PARTS.values():
        (folder / part).mkdir(parents=True)
        for language in sigmorphon2020_g2p.G2pLanguage.__members__:
            name = f"{language}_{part}.tsv"
            contents[name] = f"ab\ta b\n{language}\ta k\n".encode()
            (folder / part / name).write_bytes(contents[name])
    monkeypatch.setattr(sigmorphon2020_g2p, "PUBLISHED", _known(contents, sigmorphon2020_g2p.PUBLISHED))
    return folder


def _known(contents: dict[str, bytes], published: PublishedFiles) -> PublishedFiles:
    known = {name: Known(len(text), hashlib.sha256(text).hexdigest()) for name, text in contents.items()}
    return PublishedFiles(known, published.origin, published.otherwise)
