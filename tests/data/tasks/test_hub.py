"""Data sets of the hub, read from folders that the tests write: nothing here asks the network."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from omegaconf import OmegaConf

from seq2seq_lightning.data.example import Corpus, Pair, Stream
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.data.tasks.files import BadInputConfig, Policy
from seq2seq_lightning.data.tasks.hub import HubConfig
from seq2seq_lightning.errors import ConfigurationError, DataError

NESTED = {"source_column": "translation.en", "target_column": "translation.de"}
TRAIN = [Pair.of(f"a {row}", f"x {row}") for row in range(5)]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        datasets = pytest.importorskip("datasets")
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        yield datasets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of JSON lines with two splits."""
    folder = tmp_path / "captions"
    folder.mkdir()
    for split, letters, rows in (("train", "ax", 5), ("test", "by", 2)):
        records = [
            {
                "id": row,
                "translation": {"en": f"{letters[0]} {row}", "de": f"{letters[1]} {row}"},
                "more": [f"z {row}"] * row,
            }
            for row in range(rows)
        ]
        write(folder / f"{split}.jsonl", *map(json.dumps, records))
    return folder


def write(path: Path, *lines: str) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read(folder: Path, **options) -> Corpus:
    return build_task(HubConfig(path=str(folder), **(NESTED | options))).read()


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("saved", [False, True])
def test_a_folder_is_read_mapped_and_streamed(library: ModuleType, folder: Path, streaming: bool, saved: bool):
    if saved:
        library.load_dataset(str(folder)).save_to_disk(folder.with_name("saved"))
        folder = folder.with_name("saved")
    corpus = read(folder, test={"news": "test"}, reference_columns=["more"], streaming=streaming)
    assert isinstance(corpus.train, Stream) and list(corpus.train) == list(corpus.train) == TRAIN
    assert corpus.test == {"news": [Pair.of("b 0", "y 0"), Pair("b 1", "y 1", ("y 1", "z 1"))]}
    assert (corpus.val, corpus.skipped) == (None, {})


@pytest.mark.slow
def test_parts_of_a_split_have_their_own_names(library: ModuleType, folder: Path):
    corpus = read(folder, train="train[:3]", val="train[3:]")
    assert (list(corpus.train), corpus.val) == (TRAIN[:3], TRAIN[3:])


@pytest.mark.slow
def test_the_identity_is_the_content_of_the_columns_read(library: ModuleType, folder: Path):
    def identity(where: Path, **options) -> dict[str, str]:
        return build_task(HubConfig(path=str(where), **(NESTED | options))).identity()

    base = identity(folder)
    assert identity(folder, streaming=True) == base
    assert identity(folder, source_column="translation.de", target_column="translation.en") != base
    other = folder.with_name("other")
    other.mkdir()
    lines = (folder / "train.jsonl").read_text("utf-8")
    (other / "train.jsonl").write_text(lines.replace('"id": 1', '"id": 7'), encoding="utf-8")
    assert identity(other) == base
    (other / "train.jsonl").write_text(lines.replace("x 3", "w 3"), encoding="utf-8")
    assert identity(other)["train"] != base["train"]


@pytest.mark.slow
def test_bad_rows_are_errors_or_left_out_and_counted(library: ModuleType, tmp_path: Path):
    rows = [("a", "x"), ("", "y"), (None, "z"), ("b", "w")]
    write(tmp_path / "train.jsonl", *(json.dumps({"source": a, "target": b}) for a, b in rows))
    with pytest.raises(DataError, match=r"\(train\), row 2: the source is empty"):
        build_task(HubConfig(path=str(tmp_path))).read()
    policies = BadInputConfig(empty=Policy.skip, wrong_type=Policy.skip)
    corpus = build_task(HubConfig(path=str(tmp_path), bad_input=policies)).read()
    assert list(corpus.train) == [Pair.of("a", "x"), Pair.of("b", "w")]
    assert corpus.skipped == {"train/empty": 1, "train/wrong_type": 1}


@pytest.mark.slow
def test_what_cannot_be_opened_is_told(library: ModuleType, folder: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"`data.train=training` cannot be opened: .*training"):
        read(folder, train="training")
    with pytest.raises(DataError, match=r"there is no column 'traslation'. Did you mean 'translation'"):
        read(folder, source_column="traslation.en")
    with pytest.raises(DataError, match=r"the record has no 'translation.fr', which `data.source_column` asks for"):
        read(folder, source_column="translation.fr")
    with pytest.raises(DataError, match=r"`data.path=nobody/nothing`: `data.train=train` cannot be opened: "):
        read(Path("nobody/nothing"))
    with pytest.raises(DataError, match=r"`data.path=/no/such/folder` is neither a folder here nor a name of the hub"):
        read(Path("/no/such/folder"))
    for streaming in (False, True):
        broken = tmp_path / f"broken{streaming}"
        broken.mkdir()
        write(broken / "train.jsonl", '{"source": "a", "target": "x"}', "no json")
        with pytest.raises(DataError, match=r"JSON parse error"):
            build_task(HubConfig(path=str(broken), streaming=streaming)).read()
    library.load_dataset(str(folder)).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"`data.train=trian` is no split of \S+saved. Did you mean 'train'"):
        read(tmp_path / "saved", train="trian")
    with pytest.raises(DataError, match=r"`data.subset=one`: \S+saved was saved"):
        read(tmp_path / "saved", subset="one")
    with pytest.raises(ConfigurationError, match=r"`data.revision=main` changes nothing"):
        read(folder, revision="main")


def test_a_stream_from_the_hub_is_named_by_its_commit():
    commit = "0123456789abcdef0123456789abcdef01234567"
    config = HubConfig(path="owner/name", streaming=True, revision=commit, test={"news": "test"})
    assert build_task(config).identity()["test.news"] == f"owner/name@{commit}/None/test"
    with pytest.raises(ConfigurationError, match=r"only a commit tells what is read, but `data.revision=None`"):
        build_task(HubConfig(path="owner/name", streaming=True)).identity()


def test_without_the_extra_the_message_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigurationError, match=r"data=hub needs the package datasets: pip install '\S+\[hub\]'"):
        build_task(HubConfig(path=str(tmp_path))).read()


def test_what_is_not_given_is_told():
    with pytest.raises(ConfigurationError, match=r"`data=hub` needs data.path. For example"):
        build_task(HubConfig())
    with pytest.raises(ConfigurationError, match=r"`data=hub`: data.test.news must name a split"):
        build_task(HubConfig(path="x", test={"news": ""}))
    with pytest.raises(ConfigurationError, match=r"`data.target_column=source`"):
        HubConfig(target_column="source")


def test_the_config_is_a_structured_config():
    config = OmegaConf.structured(HubConfig)
    config.merge_with_dotlist(["path=a/b", "test.news=test", "reference_columns=[more]", "streaming=true"])
    built = OmegaConf.to_object(config)
    assert isinstance(built, HubConfig) and built.test == {"news": "test"} and not built.has_validation
