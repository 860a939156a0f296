from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq_lightning.experiments.ablation import expand
from seq2seq_lightning.experiments.ablation_config import AblationConfig, Design, LeftOutConfig
from seq2seq_lightning.experiments.ledger import State, TrialResult
from seq2seq_lightning.experiments.scores import Score, Scores
from seq2seq_lightning.reports.effects import Effect, effects, spread
from seq2seq_lightning.reports.tables import page

AXES = {"cell": ["gru", "lstm"], "layers": [1, 2, 4]}
OF_CELL, OF_LAYERS, OF_SEED = {"gru": 0.0, "lstm": 4.0}, {1: 0.0, 2: 3.0, 4: 9.0}, {1: 0.0, 2: 10.0, 3: 2.0}


def table(**changes: object) -> AblationConfig:
    settings: dict = {"seeds": [1, 2, 3], "axes": AXES, "metrics": ["bleu"]} | changes
    return AblationConfig(**settings)


def results(config: AblationConfig, value: Callable[[dict, int], float]) -> list[TrialResult]:
    return [
        TrialResult(
            trial,
            State.finished,
            "f",
            Path("runs/a/f"),
            scores=(Scores({}, "greedy", "test", 9, {"bleu": Score(value(trial.cell, trial.seed), "s", 9)}),),
        )
        for trial in expand(config)
    ]


def additive(cell: dict, seed: int) -> float:
    return 20 + OF_CELL[cell["cell"]] + OF_LAYERS[cell["layers"]] + OF_SEED[seed]


def told(found: list[Effect]) -> dict[tuple[str, object], float | None]:
    return {(each.factor, each.level): each.effect for each in found}


def test_what_adds_up_is_found_again_whatever_the_seeds_do() -> None:
    found = effects(table(), results(table(), additive))
    # around their means: cells 2, layers 4
    assert told(found) == pytest.approx(
        {("cell", "gru"): -2, ("cell", "lstm"): 2, ("layers", 1): -4, ("layers", 2): -1, ("layers", 4): 5}
    )
    assert all(each.interval and each.interval.low == pytest.approx(each.interval.high) for each in found)
    assert {each.over for each in found} == {"3 seeds"}
    assert spread(found) == {("cell", "test", "bleu"): pytest.approx(4), ("layers", "test", "bleu"): pytest.approx(9)}


def test_the_interval_is_over_seeds() -> None:
    def noisy(cell: dict, seed: int) -> float:
        return additive(cell, seed) + (seed - 2) * (cell["cell"] == "lstm")

    found = {(each.factor, each.level): each for each in effects(table(), results(table(), noisy))}
    lstm = found["cell", "lstm"]
    # halves of 4 - 1, 4, 4 + 1: 1.5, 2, 2.5; s 0.5, SE 0.5/√3, t of two degrees of freedom 4.303
    assert lstm.effect == pytest.approx(2) and lstm.interval is not None
    assert lstm.interval.high - 2 == pytest.approx(4.30265 * 0.5 / 3**0.5, abs=1e-4)


def test_a_missing_run_takes_its_comparisons_with_it_and_no_others() -> None:
    whole = results(table(), additive)
    part = [each for each in whole if str(each.trial) != "cell=lstm, layers=4, seed 2"]
    # without pairing, the seed of the missing run (10 above the first) would move both effects
    assert told(effects(table(), part)) == pytest.approx(told(effects(table(), whole)))
    assert told(effects(table(), []))["cell", "gru"] is None


def test_with_one_seed_the_interval_is_over_settings() -> None:
    config = table(seeds=[1])
    found = effects(config, results(config, additive))
    assert found[0].over == "3 settings of one seed" and found[0].interval is not None


def test_one_factor_at_a_time_is_compared_with_the_base() -> None:
    config = table(design=Design.one_factor)
    found = effects(config, results(config, additive))
    assert told(found) == pytest.approx(
        {("cell", "gru"): 0, ("cell", "lstm"): 4, ("layers", 1): 0, ("layers", 2): 3, ("layers", 4): 9}
    )
    assert [each.is_base for each in found] == [True, False, True, False, False]
    made = page(config, results(config, additive)).effects
    assert [str(entry) for entry in made.rows[0]] == [
        "layers",
        "1",
        "base",
        "3 seeds",
        "9.00",
    ]  # what matters more first
    assert [str(entry) for entry in made.rows[1]] == ["layers", "2", "+3.00 [3.00, 3.00]", "3 seeds", "9.00"]
    assert made.footnotes == ["mean effect: against the base, all else equal, paired by seed"]


def test_combinations_that_are_left_out_leave_the_effects_balanced() -> None:
    config = table(leave_out=[LeftOutConfig(where={"cell": "gru", "layers": 4})])
    found = told(effects(config, results(config, additive)))
    assert found["cell", "lstm"] == pytest.approx(2)  # of one and two layers, which both cells have
    assert found["layers", 4] == pytest.approx(5)  # of the lstm alone


def test_a_single_factor_is_told_by_the_table_itself() -> None:
    config = table(axes={"cell": ["gru", "lstm"]})
    assert effects(config, []) == []
