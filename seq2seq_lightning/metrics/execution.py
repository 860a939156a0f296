"""Whether a text does what a reference does: both are run by a small interpreter, and what comes out is compared.

Three languages: commands of SCAN, whose meaning are actions (Lake and Baroni 2018, arXiv 1711.00350); those actions,
whose meaning is what an agent does and which way it looks, so that two turns to the left are two to the right; and
sums, differences and products of whole numbers. Nothing is ever given to Python to evaluate. No torch here.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import Enum

from seq2seq_lightning.errors import DataError
from seq2seq_lightning.metrics.score import References, Score, check_corpus

VERSION = 1  # raise when a text comes to mean something else
LONGEST = 100_000  # of a text that is run, in characters
DEEPEST = 100  # brackets within brackets
LONGEST_NUMBER = 1_000  # in digits
TURNS = {"left": "I_TURN_LEFT", "right": "I_TURN_RIGHT"}
VERBS = {"walk": "I_WALK", "look": "I_LOOK", "run": "I_RUN", "jump": "I_JUMP"}
TIMES = {"twice": 2, "thrice": 3}


class Language(Enum):
    """What texts are written in."""

    scan_actions = "scan_actions"  # I_TURN_LEFT I_WALK …: equal where the agent does the same in the same directions
    scan_commands = "scan_commands"  # walk left and run twice: equal where the actions are
    arithmetic = "arithmetic"  # 1 2 + 3 * ( 4 - 1 ): equal where the value is; blanks between digits do not count


@dataclass
class ExecutionConfig:
    """How texts are run."""

    # scan_actions | scan_commands | arithmetic
    language: Language = Language.scan_actions


class NotExecutableError(Exception):
    """A text that is none of its language."""


def execution(hypotheses: Sequence[str], references: References, config: ExecutionConfig) -> Score:
    """The share of hypotheses, in per cent, that come to the same as a reference; what cannot be run is wrong."""
    check_corpus(hypotheses, references)
    right = 0
    for row, (hypothesis, several) in enumerate(zip(hypotheses, references, strict=True), start=1):
        meant = [_of_reference(reference, config.language, row) for reference in several]
        try:
            right += executed(hypothesis, config.language) in meant
        except NotExecutableError:
            continue
    signature = f"language:{config.language.value}|refs:any|interpreter:{VERSION}"
    return Score(100.0 * right / len(hypotheses), signature, len(hypotheses))


def executed(text: str, language: Language) -> tuple[Hashable, ...]:
    """What a text comes to; NotExecutableError where it is none of its language."""
    if len(text) > LONGEST:
        raise NotExecutableError(f"it has more than {LONGEST} characters")
    return _INTERPRETERS[language](text)


def _of_reference(reference: str, language: Language, row: int) -> tuple[Hashable, ...]:
    try:
        return executed(reference, language)
    except NotExecutableError as error:
        raise DataError(
            f"Reference {row}, {reference[:60]!r}, is nothing that `metrics.execution.language={language.value}` can "
            f"run: {error}. Set the language of the targets ({', '.join(Language.__members__)}), or leave out the "
            "metric `execution`."
        ) from error


def _scan_actions(text: str) -> tuple[Hashable, ...]:
    """What the agent does and whither it looks then, clockwise in quarters from where it began; its last direction."""
    heading, done = 0, []
    for action in text.split():
        if action in TURNS.values():
            heading = (heading + (1 if action == TURNS["right"] else 3)) % 4
        elif action in VERBS.values():
            done.append((action, heading))
        else:
            raise NotExecutableError(f"{action!r} is no action")
    return *done, heading


def _scan_commands(text: str) -> tuple[Hashable, ...]:
    """The actions of a command: one clause, or two joined by `and`, or by `after`, which exchanges them."""
    words = text.split()
    joints = [place for place, word in enumerate(words) if word in ("and", "after")]
    if len(joints) > 1:
        raise NotExecutableError("more than two clauses")
    if not joints:
        return _clause(words)
    first, second = _clause(words[: joints[0]]), _clause(words[joints[0] + 1 :])
    return (*first, *second) if words[joints[0]] == "and" else (*second, *first)


def _clause(words: list[str]) -> tuple[str, ...]:
    if words and words[-1] in TIMES:
        return _phrase(words[:-1]) * TIMES[words[-1]]
    return _phrase(words)


def _phrase(words: list[str]) -> tuple[str, ...]:
    """A verb, alone or with a direction, which may be `opposite` or `around`; to turn has no action of its own."""
    verb, *rest = words or [""]
    if verb not in VERBS and verb != "turn":
        raise NotExecutableError(f"{verb!r} is no verb")
    act = (VERBS[verb],) if verb in VERBS else ()
    if not rest and act:
        return act
    if not rest or rest[-1] not in TURNS or rest[:-1] not in ([], ["opposite"], ["around"]):
        raise NotExecutableError(f"{' '.join(words)!r} is no phrase")
    turn = TURNS[rest[-1]]
    if rest[0] == "around":
        return (turn, *act) * 4
    return (turn, turn, *act) if rest[0] == "opposite" else (turn, *act)


def _arithmetic(text: str) -> tuple[Hashable, ...]:
    """The value of an expression with + - * and brackets; blanks between digits do not count."""
    signs = re.sub(r"\s+", "", text)
    if re.search(r"[^0-9+*()-]", signs):
        raise NotExecutableError("there is more in it than digits, + - * and brackets")
    tokens = re.findall(r"[0-9]+|[+*()-]", signs)
    if any(len(token) > LONGEST_NUMBER for token in tokens):
        raise NotExecutableError(f"a number has more than {LONGEST_NUMBER} digits")
    value, end = _sum(tokens, 0, 0)
    if end < len(tokens):
        raise NotExecutableError(f"{tokens[end]!r} stands where nothing more is expected")
    return (value,)


def _sum(tokens: list[str], place: int, depth: int) -> tuple[int, int]:
    value, place = _product(tokens, place, depth)
    while place < len(tokens) and tokens[place] in "+-":
        sign = 1 if tokens[place] == "+" else -1
        term, place = _product(tokens, place + 1, depth)
        value += sign * term
    return value, place


def _product(tokens: list[str], place: int, depth: int) -> tuple[int, int]:
    value, place = _factor(tokens, place, depth)
    while place < len(tokens) and tokens[place] == "*":
        factor, place = _factor(tokens, place + 1, depth)
        value *= factor
        if value.bit_length() > LONGEST_NUMBER * 4:
            raise NotExecutableError(f"a product has more than {LONGEST_NUMBER} digits")
    return value, place


def _factor(tokens: list[str], place: int, depth: int) -> tuple[int, int]:
    """A number, or an expression in brackets, with one sign before it or none."""
    token = tokens[place] if place < len(tokens) else ""
    if depth > DEEPEST:
        raise NotExecutableError(f"more than {DEEPEST} brackets within brackets")
    if token.isdigit():
        return int(token), place + 1
    if token == "-" and place + 1 < len(tokens) and tokens[place + 1] != "-":
        value, place = _factor(tokens, place + 1, depth + 1)
        return -value, place
    if token == "(":
        value, place = _sum(tokens, place + 1, depth + 1)
        if place < len(tokens) and tokens[place] == ")":
            return value, place + 1
        raise NotExecutableError("a bracket is not closed")
    raise NotExecutableError(f"{token!r} stands where a number is expected" if token else "it ends too early")


_INTERPRETERS = {
    Language.scan_actions: _scan_actions,
    Language.scan_commands: _scan_commands,
    Language.arithmetic: _arithmetic,
}
