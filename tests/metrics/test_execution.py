"""What texts come to when they are run, against the grammar of SCAN and against sums worked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_lightning.data.tasks.scan_grammar import commands
from seq2seq_lightning.errors import DataError
from seq2seq_lightning.metrics.execution import ExecutionConfig, Language, NotExecutableError, executed, execution

ACTIONS, COMMANDS, ARITHMETIC = Language


def test_every_command_of_the_grammar_comes_to_its_actions():
    assert all(executed(command, COMMANDS) == tuple(actions) for command, actions in commands())


@pytest.mark.parametrize(
    "text", ["", "jump jump", "turn", "walk up", "walk twice twice", "left walk", "walk and", "walk and run and look"]
)
def test_what_is_no_command_is_not_run(text: str):
    with pytest.raises(NotExecutableError):
        executed(text, COMMANDS)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("I_TURN_LEFT I_TURN_LEFT I_WALK", "I_TURN_RIGHT I_TURN_RIGHT I_WALK", True),
        ("I_WALK I_TURN_LEFT I_TURN_RIGHT", "I_WALK", True),
        ("I_TURN_LEFT I_WALK", "I_TURN_RIGHT I_WALK", False),
        ("I_WALK I_TURN_LEFT", "I_WALK", False),
        ("I_WALK I_JUMP", "I_JUMP I_WALK", False),
        ("I_TURN_LEFT I_TURN_LEFT I_TURN_LEFT I_TURN_LEFT", "", True),
    ],
)
def test_actions_are_equal_where_the_agent_does_the_same(one: str, other: str, equal: bool):
    assert (executed(one, ACTIONS) == executed(other, ACTIONS)) is equal


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("0 0 7", 7),
        ("1 2 + 9 5", 107),
        ("2 + 3 * 4", 14),
        ("( 2 + 3 ) * 4", 20),
        ("2 - 3 - 4", -5),
        ("- 3 + 1", -2),
        ("2 * - 3", -6),
    ],
)
def test_expressions_come_to_their_value(text: str, value: int):
    assert executed(text, ARITHMETIC) == (value,)


@pytest.mark.parametrize(
    "text",
    [
        *("", "+", "1 +", "( 1", "1 )", "1 ( 2", "- - 1", "a", "2 ** 3", "__import__('os')", "१"),
        *("(" * 5000, "9" * 5000, "*".join(["9" * 900] * 50), "1" * 200_000),
    ],
    ids=lambda text: text[:9],
)
def test_what_is_no_expression_is_not_run(text: str):
    with pytest.raises(NotExecutableError):
        executed(text, ARITHMETIC)


@given(st.sampled_from(Language), st.text(alphabet="0123456789+-*() walkleftandI_TURN", max_size=60))
def test_any_text_is_run_or_refused(language: Language, text: str):
    try:
        assert executed(text, language) == executed(f" {text} ", language)
    except NotExecutableError as error:
        assert str(error)


def test_the_score_is_the_share_that_comes_to_a_reference():
    score = execution(["1 1", "0 5", "x"], [("2 + 9",), ("6", "2 + 3"), ("1",)], ExecutionConfig(ARITHMETIC))
    assert (score.value, score.n) == (pytest.approx(200 / 3), 3)
    assert score.signature == "language:arithmetic|refs:any|interpreter:1"


def test_a_reference_in_another_language_is_told():
    with pytest.raises(DataError, match=r"Reference 2, 'der Hund', is nothing that `metrics.execution.language=scan_a"):
        execution(["I_WALK", "x"], [("I_WALK",), ("der Hund",)], ExecutionConfig())
