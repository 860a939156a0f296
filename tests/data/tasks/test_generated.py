"""Laws of every task that is generated: seeded, its rule kept, lengths as promised, evaluation apart from training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from dateutil import parser as dateutil

from seq2seq_lightning.data.example import Corpus, Pair
from seq2seq_lightning.data.tasks import TASKS, build_task
from seq2seq_lightning.data.tasks.addition import AdditionConfig
from seq2seq_lightning.data.tasks.copy import CopyConfig
from seq2seq_lightning.data.tasks.dates import DatesConfig
from seq2seq_lightning.data.tasks.files_task import FilesTask
from seq2seq_lightning.data.tasks.generated import GeneratedConfig, GeneratedTask
from seq2seq_lightning.data.tasks.reverse import ReverseConfig
from seq2seq_lightning.data.tasks.scan import ScanConfig
from seq2seq_lightning.data.tasks.selective_copying import SelectiveCopyingConfig
from seq2seq_lightning.data.tasks.sort import SortConfig
from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.metrics.execution import Language, executed

SIZES: dict[str, Any] = {"train_size": 500, "val_size": 100, "test_size": 100}


def words(text: str) -> int:
    return len(text.split())


def longest_term(source: str) -> int:
    return max(words(term) for term in source.split("+"))


def counted(answer: str) -> list[str]:
    """Sorting by counting, which compares no two numbers."""
    symbols = [int(symbol) for symbol in answer.split()]
    return [str(number) for number in range(max(symbols) + 1) for _ in range(symbols.count(number))]


@dataclass(frozen=True)
class Law:
    """What a task promises, worked out by another road than its own."""

    answer: Callable[[str], str]
    length: Callable[[str], int] = words
    key: Callable[[str], object] = str  # sources with equal keys never stand on both sides
    apart: bool = True


LAWS: dict[type, Law] = {
    ScanConfig: Law(lambda source: " ".join(executed(source, Language.scan_commands)), words),
    CopyConfig: Law(lambda source: source, apart=False),
    ReverseConfig: Law(lambda source: " ".join(reversed(source.split())), apart=False),
    SortConfig: Law(lambda source: " ".join(counted(source))),
    AdditionConfig: Law(
        lambda source: " ".join(str(sum(int(term.replace(" ", "")) for term in source.split("+")))),
        longest_term,
        lambda source: tuple(sorted(source.split(" + "))),
    ),
    DatesConfig: Law(
        lambda source: dateutil.parse(source, dayfirst=True, fuzzy=True).date().isoformat(),
        len,
        lambda source: dateutil.parse(source, dayfirst=True, fuzzy=True).date(),
    ),
    SelectiveCopyingConfig: Law(lambda source: source.replace("_", " ").strip()),
}
GENERATED = [config for config, task in TASKS.items() if not issubclass(task, FilesTask)]
DRAWN = [config for config in GENERATED if issubclass(TASKS[config], GeneratedTask)]
CORPORA: dict[type, Corpus] = {}


def corpus_of(config: type, **options: Any) -> Corpus:
    """A small corpus with held-out lengths; without options made once."""
    if options or config not in CORPORA:
        sizes = SIZES if issubclass(config, GeneratedConfig) else {}
        corpus = build_task(config(**(sizes | options))).read()
        if options:
            return corpus
        CORPORA[config] = corpus
    return CORPORA[config]


def splits(corpus: Corpus) -> dict[str, list[Pair]]:
    return {"train": list(corpus.train), "val": corpus.val or [], **corpus.test}


def test_every_generated_task_has_a_law():
    assert set(LAWS) == set(GENERATED)


@pytest.mark.parametrize("config", GENERATED, ids=lambda config: config.name)
def test_the_target_is_the_answer(config: type):
    law = LAWS[config]
    for name, pairs in splits(corpus_of(config)).items():
        for pair in pairs[:: 1 if config in DRAWN else 20]:
            assert " ".join(pair.target.split()) == " ".join(law.answer(pair.source).split()), (name, pair.source)
            assert pair.references == (pair.target,)


@pytest.mark.parametrize("config", DRAWN, ids=lambda config: config.name)
def test_the_same_seed_gives_the_same_pairs_and_another_one_others(config: type):
    one, two = corpus_of(config), build_task(config(**SIZES)).read()
    assert splits(one) == splits(two)
    other = splits(corpus_of(config, task_seed=2))
    assert all(other[name] != pairs for name, pairs in splits(one).items())


@pytest.mark.parametrize("config", DRAWN, ids=lambda config: config.name)
def test_splits_grow_at_their_end_and_do_not_depend_on_each_other(config: type):
    small = corpus_of(config)
    large = corpus_of(config, train_size=SIZES["train_size"] + 300)
    assert list(large.train)[: SIZES["train_size"]] == small.train
    assert (large.val, large.test) == (small.val, small.test)


@pytest.mark.parametrize("config", DRAWN, ids=lambda config: config.name)
def test_lengths_are_as_promised(config: type):
    default = config()
    held_out = default.held_out or {"longer": [default.train_max_length + 1, default.train_max_length + 9]}
    corpus = corpus_of(config, held_out=held_out)
    promised = {
        "train": (default.train_min_length, default.train_max_length),
        **dict.fromkeys(("val", "test"), (default.evaluation_min_length, default.evaluation_max_length)),
        **{name: tuple(bounds) for name, bounds in held_out.items()},
    }
    assert set(splits(corpus)) == set(promised)
    for name, pairs in splits(corpus).items():
        lengths = [LAWS[config].length(pair.source) for pair in pairs]
        assert promised[name][0] <= min(lengths) and max(lengths) <= promised[name][1], name
        assert max(lengths) - min(lengths) > (promised[name][1] - promised[name][0]) * 0.6, name
        assert len(pairs) == SIZES.get(f"{name}_size", SIZES["test_size"])


@pytest.mark.parametrize("config", [config for config in DRAWN if LAWS[config].apart], ids=lambda config: config.name)
def test_nothing_of_the_training_is_evaluated(config: type):
    key, found = LAWS[config].key, splits(corpus_of(config))
    seen = {key(pair.source) for pair in found.pop("train")}
    assert {"val", "test", "longer"} <= set(found)
    for name, pairs in found.items():
        assert not seen & {key(pair.source) for pair in pairs}, name


@pytest.mark.parametrize("config", DRAWN, ids=lambda config: config.name)
def test_every_field_of_the_rule_is_part_of_the_identity(config: type):
    base = build_task(config()).identity()
    for key in set(base) - {"task", "generator"}:
        value = getattr(config(), key)
        other = not value if isinstance(value, bool) else {"far": [900, 990]} if key == "held_out" else value + 1
        if key.endswith("_min_length"):
            other = value + 2
        if key == "train_max_length":
            other = value - 1
        assert build_task(config(**{key: other})).identity() != base, key


def test_held_out_lengths_leave_the_rest_as_it_was():
    plain, more = ReverseConfig(**SIZES), ReverseConfig(**SIZES, held_out={"longer": [31, 40], "far": [41, 50]})
    corpus = build_task(more).read()
    assert corpus.train == corpus_of(ReverseConfig).train and list(corpus.test) == ["test", "longer", "far"]
    assert "held_out" not in build_task(plain).identity()
    assert build_task(more).identity().items() > build_task(plain).identity().items()


def test_the_pairs_stay_what_they_are():
    drawn = {config.name: corpus_of(config).train[0] for config in DRAWN}
    assert drawn["addition"] == Pair.of("9 7 0 + 2 0 7", "1 1 7 7")
    assert drawn["dates"] == Pair.of("4th of January 2093", "2093-01-04")
    assert drawn["selective_copying"].target == "5 4 4 5 13 9 11 4"
    assert drawn["sort"].target == "0 3 3 4 6 9 13 14 15 22 22 28 29 29 33 34 35 37 44 44"


def test_a_sum_may_begin_with_its_last_digit_and_have_more_terms():
    corpus = corpus_of(AdditionConfig, reverse_answer=True, terms=3)
    for pair in corpus.train[:50]:
        terms = [int(term.replace(" ", "")) for term in pair.source.split("+")]
        assert len(terms) == 3 and int(pair.target.replace(" ", "")[::-1]) == sum(terms)


def test_every_way_of_writing_a_date_occurs():
    corpus = corpus_of(DatesConfig, train_size=1500)
    written = [pair.source for pairs in splits(corpus).values() for pair in pairs]
    marks = [" of ", "/", ".", ", ", "day the ", "day, "]
    assert all(any(mark in text for text in written) for mark in marks)
    assert {text.split()[0] for text in written} >= {"1st", "2nd", "3rd", "11th", "12th", "13th", "21st", "22nd"}


REFUSED: list[tuple[type, dict[str, Any], str]] = [
    (SortConfig, {"held_out": {"longer": [20, 40]}}, r"`data.held_out.longer=\[20, 40\]` has lengths of the training"),
    (SortConfig, {"held_out": {"longer": [40]}}, r"`data.held_out.longer=\[40\]` is no test set of its own"),
    (SortConfig, {"held_out": {"longer": [40, 30]}}, r"shortest and longest length"),
    (SortConfig, {"held_out": {"test": [30, 40]}}, r"give it another name than `test`"),
    (SortConfig, {"held_out": {"a b": [30, 40]}}, r"`data.held_out.a b`: 'a b' cannot name a test set"),
    (SortConfig, {"test_size": 0}, r"names longer, but `data.test_size=0`"),
    (AdditionConfig, {"terms": 1}, r"`data.terms` is 1; set it to 2 or more"),
    (SelectiveCopyingConfig, {"remembered": 17}, r"`data.remembered=17` symbols have no place in a source of 16"),
    (DatesConfig, {"first_year": 2100}, r"`data.first_year=2100` and `data.last_year=2099`"),
]


@pytest.mark.parametrize(("config", "options", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_impossible_rules_are_refused(config: type, options: dict[str, Any], message: str):
    with pytest.raises(ConfigurationError, match=message):
        config(**options)


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (SortConfig, {"symbols": 1, "train_max_length": 1, "evaluation_max_length": 1}),
        (DatesConfig, {"evaluation_max_length": 8, "evaluation_min_length": 1, "first_year": 1999, "last_year": 1999}),
        (DatesConfig, {"held_out": {"longer": [37, 40]}}),
    ],
)
def test_too_few_different_sources_are_told(config: type, options: dict[str, Any]):
    with pytest.raises(DataError, match=r"may stand in `\S+`, where \d+ are asked for. Allow more lengths"):
        corpus_of(config, **({"train_size": 20, "val_size": 20, "test_size": 20} | options))
