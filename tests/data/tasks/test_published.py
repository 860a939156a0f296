"""Presets read the published files under any usual layout, and nothing else."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.data.tasks.multi30k import Multi30kConfig, Multi30kLanguage, Multi30kVersion
from seq2seq_lightning.data.tasks.multi30k_files import FILES as MULTI30K
from seq2seq_lightning.data.tasks.sigmorphon2020_g2p import G2pConfig, G2pLanguage
from seq2seq_lightning.data.tasks.sigmorphon2020_g2p_files import FILES as G2P
from seq2seq_lightning.errors import ConfigurationError, DataError
from tests.data.tasks.published import write_g2p, write_multi30k

DATA = Path("/work/shared/data")
HOUSES = Pair.of("a red house", "ein rotes haus")


@pytest.fixture
def multi30k(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_multi30k(tmp_path / "multi30k", monkeypatch)


@pytest.fixture
def g2p(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_g2p(tmp_path / "g2p", monkeypatch)


def test_the_tables_know_every_file_once():
    assert (len(MULTI30K), len(G2P)) == (4 * 3 * 2, 15 * 3)
    for table in (MULTI30K, G2P):
        assert len({known.sha256 for known in table.values()}) == len(table)


def test_languages_and_version_choose_the_files(multi30k: Path):
    corpus = build_task(Multi30kConfig(folder=str(multi30k))).read()
    assert next(iter(corpus.train)) == HOUSES and corpus.val is not None and len(corpus.val) == 2
    assert list(corpus.test) == ["flickr2016", "flickr2017"]
    french = Multi30kConfig(
        folder=str(multi30k),
        source_language=Multi30kLanguage.fr,
        target_language=Multi30kLanguage.en,
        version=Multi30kVersion.raw,
    )
    assert list(build_task(french).read().train)[1] == Pair.of("voiture", "a blue car")
    assert build_task(french).identity() != build_task(Multi30kConfig(folder=str(multi30k))).identity()


def test_words_and_their_pronunciation_are_read(g2p: Path):
    corpus = build_task(G2pConfig(folder=str(g2p))).read()
    assert list(corpus.train) == corpus.val == corpus.test["test"] == [Pair.of("ab", "a b"), Pair.of("fre", "a k")]


@pytest.mark.parametrize("layout", ["flat", "repository", "packed"])
def test_any_usual_layout_is_found_and_is_the_same_corpus(multi30k: Path, tmp_path: Path, layout: str):
    identity = build_task(Multi30kConfig(folder=str(multi30k))).identity()
    other = tmp_path / "other"
    if layout == "flat":
        shutil.copytree(multi30k / "tok", other)
    elif layout == "repository":
        shutil.copytree(multi30k, other / "data" / "task1")
    else:
        shutil.copytree(multi30k, other)
        for file in (other / "tok").iterdir():
            file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
    task = build_task(Multi30kConfig(folder=str(other)))
    assert task.identity() == identity
    assert next(iter(task.read().train)) == HOUSES


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a red house\n", r"train.lc.norm.tok.en: 12 bytes, unpacked, where the published file has 23"),
        (b"a red mouse\na blue car\n", r"train.lc.norm.tok.en: another content \(SHA-256 \w{16}…, published \w{16}…\)"),
        (None, r"`data.folder`: there is no \S+train.lc.norm.tok.en, plain or gzip. Give the folder"),
    ],
)
def test_other_files_are_refused_before_and_while_reading(multi30k: Path, content: bytes | None, message: str):
    file = multi30k / "tok" / "train.lc.norm.tok.en"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    task = build_task(Multi30kConfig(folder=str(multi30k)))
    for attempt in (task.identity, task.read):
        with pytest.raises(DataError, match=message) as told:
            attempt()
        assert "github.com/multi30k/dataset" in str(told.value)


def test_a_damaged_word_list_is_refused(g2p: Path):
    (g2p / "dev" / "fre_dev.tsv").write_bytes(b"ab\ta b\nfre\ta g\n")
    with pytest.raises(DataError, match=r"fre_dev.tsv: another content .*for files of your own use `data=tsv`"):
        build_task(G2pConfig(folder=str(g2p))).identity()
    (g2p / "train" / "geo_train.tsv").unlink()
    with pytest.raises(DataError, match=r"there is no \S+train/geo_train.tsv"):
        build_task(G2pConfig(folder=str(g2p), language=G2pLanguage.geo)).read()


def test_what_is_not_given_is_told():
    for config in (Multi30kConfig(), G2pConfig()):
        with pytest.raises(ConfigurationError, match=r"`data.folder` is not given. Set it to a folder with the files"):
            build_task(config)
    with pytest.raises(ConfigurationError, match=r"`data.target_language` are both de. Set one"):
        Multi30kConfig(source_language=Multi30kLanguage.de)


@pytest.mark.skipif(not DATA.is_dir(), reason="the published files are not here")
@pytest.mark.parametrize("language", list(G2pLanguage)[::5])
def test_the_published_words_are_read(language: G2pLanguage):
    corpus = build_task(G2pConfig(folder=str(DATA / "sigmorphon2020_g2p"), language=language)).read()
    assert (len(corpus.train), len(corpus.val or []), len(corpus.test["test"])) == (3600, 450, 450)
    assert corpus.skipped == {}


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the published files are not here")
def test_the_published_sentences_are_read():
    corpus = build_task(Multi30kConfig(folder=str(DATA / "multi30k"))).read()
    assert (len(corpus.train), len(corpus.val or [])) == (29000, 1014)
    assert {name: len(pairs) for name, pairs in corpus.test.items()} == {"flickr2016": 1000, "flickr2017": 1000}
    words = [sum(len(getattr(pair, side).split()) for pair in corpus.train) for side in ("source", "target")]
    assert words == [377_534, 360_706]
