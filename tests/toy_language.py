"""A toy language of our own: noun phrases turn round, and nothing else does."""

from __future__ import annotations

import random
from pathlib import Path

DETERMINERS = {"a": "une", "the": "la", "each": "chaque", "no": "aucune"}
ADJECTIVES = {"red": "rouge", "blue": "bleue", "big": "grande", "old": "vieille", "good": "bonne"}
NOUNS = {"house": "maison", "car": "voiture", "cat": "chatte", "plant": "plante", "boat": "barque", "door": "porte"}
VERBS = {"sees": "voit", "likes": "aime", "takes": "prend"}


def sentence(draw: random.Random) -> tuple[str, str]:
    """`the red house sees a cat .` and its translation `maison rouge la voit chatte une .`."""
    subject, object_ = noun_phrase(draw), noun_phrase(draw)
    verb = draw.choice(list(VERBS))
    return f"{subject[0]} {verb} {object_[0]} .", f"{subject[1]} {VERBS[verb]} {object_[1]} ."


def noun_phrase(draw: random.Random) -> tuple[str, str]:
    """`a red house` and `maison rouge une`, or both without an adjective."""
    determiner, noun = draw.choice(list(DETERMINERS)), draw.choice(list(NOUNS))
    if draw.random() < 0.3:
        return f"{determiner} {noun}", f"{NOUNS[noun]} {DETERMINERS[determiner]}"
    adjective = draw.choice(list(ADJECTIVES))
    return f"{determiner} {adjective} {noun}", f"{NOUNS[noun]} {ADJECTIVES[adjective]} {DETERMINERS[determiner]}"


def write_corpus(folder: Path, train: int = 200, val: int = 20, test: int = 40) -> list[str]:
    """Line-aligned files of distinct sentences, and the overrides that name them."""
    draw = random.Random(0)
    pairs: dict[str, str] = {}
    while len(pairs) < train + val + test:
        pairs.update([sentence(draw)])
    rows = list(pairs.items())
    splits = {"train": rows[:train], "val": rows[train : train + val], "test.toy": rows[train + val :]}
    overrides = ["data=parallel"]
    for split, chosen in splits.items():
        for number, side in enumerate(("source", "target")):
            path = folder / f"{split.removeprefix('test.')}.{side}"
            path.write_text("".join(f"{pair[number]}\n" for pair in chosen), encoding="utf-8")
            overrides.append(f"data.{split}.{side}={path}")
    return overrides
