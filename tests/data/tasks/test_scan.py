from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seq2seq_lightning.data.example import Corpus, Pair
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.data.tasks.scan import ScanConfig, ScanSplit, all_pairs
from seq2seq_lightning.errors import ConfigurationError, DataError

RELEASED = Path(__file__).resolve().parents[4] / "shared" / "data" / "scan"

# lines of train and test, SHA-256 of their sorted lines (computed from the released files by those who specified this)
SPLITS = {
    "all": (20910, 0, "6be4b39bc8bf3a20be810b6991250d0493e608560609db6765dd679e1ed1c98e", None),
    "length": (
        16990,
        3920,
        "7ffb97f45029871c94bede7e723f7a4aa179eb99fe2b977a18283310422c719d",
        "3297fd0b676c391f7bc3a7385aa66a7fdf64f6f8e81ad584810c1d4ebd0eaa2c",
    ),
    "add_jump": (
        14670,
        7706,
        "0683daacfdce23cf8ed6f5077feda21785e93ac82e0d11363a9280b7b0c6561e",
        "522454c6280eab957dfc4ea9579ef1d780a716ac34df09619970e1d98822d7e2",
    ),
    "add_turn_left": (
        21890,
        1208,
        "e0c26b51b6bba2658e02d69ad53fc15399842d57356d3551a3ed192bca0f9ad4",
        "14dd6316d16204d2871678ee4bd35aba253416a9b4df36bb6dfdda153d46e549",
    ),
    "template_jump_around_right": (
        18528,
        1173,
        "48179f66fd28dcea987bfcdcf27128b4a1c795cebb5a38fef62be4a33f3bac35",
        "68ad864f20ede044558e899a0e54f0308d20bf105b3c0c21c3fd4884ae66a4d4",
    ),
    "template_right": (
        15225,
        4476,
        "b2bb5aaafd620068a41e43d52602a6ef798fd5e2c9cddb484bc8add9baec9631",
        "666691ecf2889a4d1acdfd6d8f077c508d85390f639ae670710fa282fd908817",
    ),
    "template_opposite_right": (
        15225,
        4476,
        "152a78134665d1ecefc7be84f9f13bad8dba880938e5a60529e3f06739ece9d1",
        "9f337575c283168ade848bdf1eeb0bdd1ab5a00a855759ac634ac44f2675d120",
    ),
    "template_around_right": (
        15225,
        4476,
        "f2b91818e1216d5c95bf050c8d328ade7f773664fdc87e67d07f945e2134ebdc",
        "8e1297eb61d98ff61ef480e9d4641d1d8596fe21c20131a57411a3fbdfd653a9",
    ),
}


def corpus_of(split: str, **options) -> Corpus:
    return build_task(ScanConfig(split=ScanSplit[split], **options)).read()


def line(pair: Pair) -> str:
    return f"IN: {pair.source} OUT: {pair.target}\n"


def sha256(pairs: list[Pair]) -> str:
    return hashlib.sha256("".join(sorted(map(line, pairs))).encode()).hexdigest()


def test_worked_examples():
    letters = {"I_TURN_LEFT": "L", "I_TURN_RIGHT": "R", "I_WALK": "W", "I_JUMP": "J", "I_LOOK": "K", "I_RUN": "N"}
    meaning = {pair.source: " ".join(letters[action] for action in pair.target.split()) for pair in all_pairs()}
    assert meaning["jump"] == "J"
    assert meaning["jump left"] == "L J"
    assert meaning["jump around right"] == "R J R J R J R J"
    assert meaning["turn left twice"] == "L L"
    assert meaning["jump opposite left and walk thrice"] == "L L J W W W"
    assert meaning["jump opposite left after walk around left"] == "L W L W L W L W L L J"
    assert meaning["turn around right thrice"] == " ".join("R" * 12)
    longest = "look around left thrice and run around left thrice"
    assert meaning[longest] == " ".join("LK" * 12 + "LN" * 12)


def test_the_language_has_the_published_statistics():
    pairs = all_pairs()
    assert len({pair.source for pair in pairs}) == 20910
    lengths = Counter(len(pair.source.split()) for pair in pairs)
    assert lengths == {1: 4, 2: 18, 3: 72, 4: 328, 5: 1288, 6: 3520, 7: 6080, 8: 6400, 9: 3200}
    actions = Counter(action for pair in pairs for action in pair.target.split())
    assert actions["I_TURN_LEFT"] == actions["I_TURN_RIGHT"] == 85890
    assert actions["I_WALK"] == actions["I_LOOK"] == actions["I_RUN"] == actions["I_JUMP"] == 31902


@pytest.mark.parametrize("split", SPLITS)
def test_derivable_splits_equal_the_released_ones(split: str):
    corpus = corpus_of(split)
    train_lines, test_lines, train_hash, test_hash = SPLITS[split]
    assert len(corpus.train) == train_lines
    assert sha256(corpus.train) == train_hash
    if test_hash is None:
        assert corpus.test == {}
    else:
        assert len(corpus.test["test"]) == test_lines
        assert sha256(corpus.test["test"]) == test_hash
    assert corpus.val is None


def test_the_primitive_is_a_tenth_of_the_lines():
    for split, phrase, copies in (("add_jump", "jump", 1467), ("add_turn_left", "turn left", 2189)):
        train = corpus_of(split).train
        assert Counter(pair.source for pair in train)[phrase] == copies == len(train) / 10


@pytest.mark.parametrize(("fillers", "lines"), [(0, 15225), (1, 16290), (2, 17391), (3, 18528)])
def test_fillers_are_the_only_words_before_around_right_in_training(fillers: int, lines: int):
    corpus = corpus_of(f"filler_{fillers}")
    words = {
        before
        for pair in corpus.train
        for before, around, right in zip(*(pair.source.split()[start:] for start in range(3)), strict=False)
        if (around, right) == ("around", "right")
    }
    assert words == set(["look", "walk", "run"][:fillers])
    assert len(corpus.train) == lines
    assert sha256(corpus.test["test"]) == SPLITS["template_jump_around_right"][3]


def test_random_splits_have_the_published_sizes_and_lie_inside_one_another():
    sizes = {1: 209, 2: 418, 4: 836, 8: 1672, 16: 3345, 32: 6691, 64: 13382}
    everything = set(all_pairs())
    smaller: set[Pair] = set()
    for percent, size in sizes.items():
        corpus = corpus_of(f"simple_p{percent}")
        train, test = set(corpus.train), set(corpus.test["test"])
        assert (len(corpus.train), len(corpus.test["test"])) == (size, 20910 - size)
        assert smaller < train and train | test == everything
        smaller = train
    simple = corpus_of("simple")
    assert (len(simple.train), len(simple.test["test"])) == (16728, 4182)
    assert smaller < set(simple.train) and set(simple.train) | set(simple.test["test"]) == everything


def test_our_draw_of_the_simple_split_stays_what_it_is():
    assert sha256(corpus_of("simple").train) == "48bfc973dfd9e4eb19f09e0432ecfe21ae98b135e5439433cbcd0d9316cfdeca"
    assert corpus_of("simple", split_seed=2).train != corpus_of("simple").train


def test_these_tests_cover_every_split():
    fillers = {f"filler_{count}" for count in range(4)}
    random = {"simple", *(f"simple_p{2**power}" for power in range(7))}
    assert {split.name for split in ScanSplit} == set(SPLITS) | fillers | random


def test_the_identity_holds_what_decides_the_pairs_and_nothing_else():
    def identity(**options) -> dict[str, str]:
        return build_task(ScanConfig(**options)).identity()

    assert identity() == {"task": "scan", "generator": "1", "split": "simple", "split_seed": "1"}
    assert identity(split=ScanSplit.length, split_seed=1) == identity(split=ScanSplit.length, split_seed=2)
    assert identity(split_seed=1) != identity(split_seed=2)


def test_released_files_are_read_plain_or_packed(tmp_path: Path):
    text = "IN: jump OUT: I_JUMP\nIN: jump OUT: I_JUMP\nIN: walk left OUT: I_TURN_LEFT I_WALK\n"
    plain, packed = tmp_path / "train.txt", tmp_path / "train.txt.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    corpus = build_task(ScanConfig(train_file=str(plain), test_file=str(packed))).read()
    expected = [Pair.of("jump", "I_JUMP")] * 2 + [Pair.of("walk left", "I_TURN_LEFT I_WALK")]
    assert corpus.train == corpus.test["test"] == expected
    identities = [build_task(ScanConfig(train_file=str(file), split_seed=9)).identity() for file in (plain, packed)]
    assert identities[0] == identities[1] == {"task": "scan", "train": hashlib.sha256(text.encode()).hexdigest()}
    assert build_task(ScanConfig(train_file=str(plain))).read().test == {}


def test_a_line_of_another_form_is_named(tmp_path: Path):
    file = tmp_path / "train.txt"
    file.write_text("IN: jump OUT: I_JUMP\njump\tI_JUMP\n")
    with pytest.raises(DataError, match=r"train.txt:2: expected `IN: <command> OUT: <actions>`, found b'jump"):
        build_task(ScanConfig(train_file=str(file))).read()


def test_a_test_file_without_a_training_file_is_refused():
    with pytest.raises(ConfigurationError, match=r"`data.test_file=x.txt` is given without a training file"):
        ScanConfig(test_file="x.txt")


def test_the_config_is_a_structured_config():
    config = OmegaConf.structured(ScanConfig)
    config.merge_with_dotlist(["split=simple_p8", "batching.size=16"])
    built = OmegaConf.to_object(config)
    assert isinstance(built, ScanConfig)
    assert (built.split, built.batching.size, built.batching.pool) == (ScanSplit.simple_p8, 16, 0)


@pytest.mark.skipif(not RELEASED.is_dir(), reason=f"the released files are not in {RELEASED}")
@pytest.mark.parametrize(
    ("folder", "suffix", "split"),
    [
        ("length_split", "length", "length"),
        ("add_prim_split", "addprim_jump", "add_jump"),
        ("add_prim_split", "addprim_turn_left", "add_turn_left"),
        ("template_split", "template_right", "template_right"),
        ("template_split", "template_around_right", "template_around_right"),
    ],
)
def test_released_files_equal_the_generated_split(folder: str, suffix: str, split: str):
    files = {f"{part}_file": str(RELEASED / folder / f"tasks_{part}_{suffix}.txt.gz") for part in ("train", "test")}
    released, generated = build_task(ScanConfig(**files)).read(), corpus_of(split)
    assert Counter(released.train) == Counter(generated.train)
    assert Counter(released.test["test"]) == Counter(generated.test["test"])
