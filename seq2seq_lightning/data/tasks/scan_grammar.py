"""The language of SCAN: all commands of its grammar with their meaning (Lake and Baroni 2018, arXiv 1711.00350).

    phrase  := U | X DIR | X opposite DIR | X around DIR       U := walk look run jump, X := U | turn
    clause  := phrase | phrase twice | phrase thrice           DIR := left right
    command := clause | clause and clause | clause after clause

A turn comes before its action, and `after` exchanges the order of the clauses.
"""

from __future__ import annotations

from collections.abc import Iterator

PRIMITIVES = ("walk", "look", "run", "jump")
TURNS = {"left": "I_TURN_LEFT", "right": "I_TURN_RIGHT"}

Meaning = tuple[str, list[str]]  # command, its actions


def commands() -> Iterator[Meaning]:
    """All 20,910 commands with their actions, in the order of the grammar."""
    clauses = list(_clauses())
    yield from clauses
    for first, actions in clauses:
        for second, more in clauses:
            yield f"{first} and {second}", actions + more
            yield f"{first} after {second}", more + actions


def _clauses() -> Iterator[Meaning]:
    for phrase, actions in _phrases():
        yield phrase, actions
        yield f"{phrase} twice", actions * 2
        yield f"{phrase} thrice", actions * 3


def _phrases() -> Iterator[Meaning]:
    for word in PRIMITIVES:
        yield word, _act(word)
    for word in (*PRIMITIVES, "turn"):
        for direction, turn in TURNS.items():
            yield f"{word} {direction}", [turn, *_act(word)]
            yield f"{word} opposite {direction}", [turn, turn, *_act(word)]
            yield f"{word} around {direction}", [turn, *_act(word)] * 4


def _act(word: str) -> list[str]:
    """The action of a verb; `turn` has none of its own."""
    return [] if word == "turn" else [f"I_{word.upper()}"]
