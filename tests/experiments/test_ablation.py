from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.ablation import expand, override
from seq2seq_lightning.experiments.ablation_config import (
    AblationConfig,
    ComparisonConfig,
    CriterionConfig,
    DecodingRowConfig,
    Design,
    LeftOutConfig,
    PublishedCellConfig,
    PublishedConfig,
    RowConfig,
    Statistic,
    TrainedConfig,
    cells,
    partners,
    published,
    selects,
)
from seq2seq_lightning.experiments.ablation_rules import check

ABLATIONS = sorted((Path(__file__).parents[2] / "conf" / "ablation").glob("*.yaml"))


def config(**changes: Any) -> AblationConfig:
    settings: dict[str, Any] = {
        "base": ["experiment=scan"],
        "seeds": [3, 1],
        "rows": [RowConfig("left", ["data.split=left"]), RowConfig("jump", ["data.split=jump"])],
        "metrics": ["exact_match"],
    }
    return AblationConfig(**{**settings, **changes})


def test_rows_are_filled_evenly_before_the_next_seed() -> None:
    trials = expand(config())
    assert [(trial.seed, trial.row_label) for trial in trials] == [(3, "left"), (3, "jump"), (1, "left"), (1, "jump")]
    assert trials[1].overrides == ["experiment=scan", "data.split=jump", "seed=3"]
    assert trials[1].key == '["jump", {}, "", 3]'


def test_axes_cross_rows_and_a_decoding_never_retrains() -> None:
    axes = {"model/cell": ["gru", "lstm"], "text.source.reverse": [False, True]}
    beam = DecodingRowConfig("beam 5", ["decoding=beam", "decoding.beam_width=5"])
    trials = expand(config(axes=axes, decodings=[DecodingRowConfig("greedy", ["decoding=greedy"]), beam]))
    assert len(trials) == 2 * 2 * 4 * 2 == len({trial.key for trial in trials})
    assert len({tuple(trial.training_overrides) for trial in trials}) == 16
    last = trials[-1]
    assert last.cell == {"model/cell": "lstm", "text.source.reverse": True}
    assert last.training_overrides[-3:] == ["model/cell=lstm", "text.source.reverse=true", "seed=1"]
    assert last.overrides[-2:] == ["decoding=beam", "decoding.beam_width=5"]
    assert str(last) == "jump, model/cell=lstm, text.source.reverse=true, beam 5, seed 1"


def test_axes_alone_make_a_table() -> None:
    trials = expand(config(rows=[], axes={"model.encoder.layers": [1, 2]}, seeds=[0]))
    assert [trial.overrides for trial in trials] == [
        ["experiment=scan", "model.encoder.layers=1", "seed=0"],
        ["experiment=scan", "model.encoder.layers=2", "seed=0"],
    ]


AXES: dict[str, list[Any]] = {"depth": [2, 1, 4], "cell": ["gru", "lstm"]}


def test_one_factor_at_a_time_goes_from_the_first_values_along_each_axis() -> None:
    made = config(rows=[], axes=AXES, design=Design.one_factor)
    assert [dict(cell.axes) for cell in cells(made)] == [
        {"depth": 2, "cell": "gru"},
        {"depth": 1, "cell": "gru"},
        {"depth": 4, "cell": "gru"},
        {"depth": 2, "cell": "lstm"},
    ]
    assert len(cells(config(rows=[], axes=AXES))) == 6
    assert len(expand(made)) == 4 * 2


def test_with_one_factor_at_a_time_axes_that_are_not_named_stand_at_their_base() -> None:
    made = config(rows=[], axes=AXES, design=Design.one_factor)
    chosen = [str(cell) for cell in cells(made) if selects(made, cell, None, {"depth": 2}, None)]
    assert chosen == ["depth=2, cell=gru"]
    assert sum(selects(made, cell, None, {}, None) for cell in cells(made)) == 4
    full = config(rows=[], axes=AXES)
    assert sum(selects(full, cell, None, {"depth": 2}, None) for cell in cells(full)) == 2


def test_combinations_that_are_left_out_are_not_trained() -> None:
    made = config(axes=AXES, leave_out=[LeftOutConfig("left", {"cell": "lstm"}), LeftOutConfig(None, {"depth": 4})])
    assert [str(cell) for cell in cells(made)] == [
        "left, depth=2, cell=gru",
        "left, depth=1, cell=gru",
        "jump, depth=2, cell=gru",
        "jump, depth=2, cell=lstm",
        "jump, depth=1, cell=gru",
        "jump, depth=1, cell=lstm",
    ]


def test_a_comparison_sets_cells_against_those_that_differ_in_what_it_names_alone() -> None:
    decodings = [DecodingRowConfig("greedy"), DecodingRowConfig("beam")]
    made = config(axes={"cell": ["gru", "lstm"]}, decodings=decodings)

    def pairs(**asked: Any) -> list[str]:
        return [f"{one} - {other}" for one, other in partners(made, ComparisonConfig(**asked))]

    assert pairs(minus="jump", decoding="beam") == [
        "left, cell=gru, beam - jump, cell=gru, beam",
        "left, cell=lstm, beam - jump, cell=lstm, beam",
    ]
    assert pairs(row="left", where={"cell": "lstm"}, minus_decoding="greedy") == [
        "left, cell=lstm, beam - left, cell=lstm, greedy"
    ]
    assert len(pairs(minus_where={"cell": "gru"})) == 4


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1) | st.sampled_from(
    ["null", "1e3", r"a\'b", "c\\"]
)


@settings(deadline=None)
@given(VALUES | TEXTS | st.lists(VALUES | TEXTS, max_size=3))
def test_hydra_reads_back_the_value_of_an_override(value: Any) -> None:
    seen = OverridesParser.create().parse_override(override("group.key", value)).value()
    plain = [getattr(element, "text", element) for element in seen] if isinstance(seen, list) else seen
    assert plain == value and type(plain) is type(value)


def test_published_values_find_their_place() -> None:
    number, other, cell_number = PublishedConfig(90.3), PublishedConfig(50.0), PublishedConfig(95.19)
    rows = [RowConfig("left", [], {"exact_match": number, "hard/exact_match": other}), RowConfig("jump")]
    entry = PublishedCellConfig("jump", {"model/cell": "gru"}, None, {"exact_match": cell_number})
    made = config(
        rows=rows,
        axes={"model/cell": ["gru", "lstm"]},
        test_sets=["test", "hard"],
        published_cells=[entry],
        decodings=[DecodingRowConfig("greedy"), DecodingRowConfig("beam")],
        criteria=[CriterionConfig("one", row="left", metric="exact_match", at_least=1.0)],
    )
    found = {str(cell): published(made, cell, "test", "exact_match") for cell in cells(made)}
    assert {place: value for place, value in found.items() if value} == {
        "left, model/cell=gru, greedy": number,
        "left, model/cell=lstm, greedy": number,
        "jump, model/cell=gru, greedy": cell_number,
    }
    assert published(made, cells(made)[0], "hard", "exact_match") is other


ROW: dict[str, Any] = {"row": "left", "metric": "exact_match"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": []}, r"ablation\.rows and ablation\.axes are both empty"),
        ({"seeds": []}, r"ablation\.seeds is empty"),
        ({"seeds": [1, 2, 1]}, r"ablation\.seeds: '1' stands there 2 times"),
        ({"metrics": ["bleu", "bleu"]}, r"ablation\.metrics: 'bleu' stands there 2 times"),
        ({"rows": [RowConfig("a"), RowConfig("a")]}, r"ablation\.rows\.label: 'a' stands there 2 times"),
        ({"rows": [RowConfig("")]}, r"ablation\.rows\[0\]\.label is empty"),
        ({"axes": {"model/cell": []}}, r"ablation\.axes\[model/cell\] has no values"),
        ({"axes": {"data.split": ["a"]}}, r"data\.split is set by row 'left' and is an axis too"),
        ({"axes": {"experiment": ["a"]}}, r"experiment is set by ablation\.base and is an axis too"),
        ({"decodings": [DecodingRowConfig("big", ["model.encoder.layers=2"])]}, "A decoding never retrains"),
        (
            {"rows": [RowConfig("left", [], {"exact_mach": PublishedConfig(1.0)})]},
            "'exact_mach' is not a metric of the table. Did you mean 'exact_match'",
        ),
        ({"rows": [RowConfig("left", [], {"exact_match": PublishedConfig(1.0)})]}, r"Write the rule that decides"),
        (
            {"axes": {"a": [1, 2]}, "published_cells": [PublishedCellConfig("left", {}, None, {})]},
            r"published_cells\[0\] selects 2 cells of the table, but a published value belongs to one",
        ),
        (
            {"criteria": [CriterionConfig(**{**ROW, "row": "lef"}, at_least=1.0)]},
            r"criteria\[0\]\.row='lef' is not a row of the table\. Did you mean 'left'",
        ),
        (
            {"criteria": [CriterionConfig(**ROW, minus="jmp", at_least=1.0)]},
            r"criteria\[0\]\.minus\.row='jmp' is not a row of the table\. Did you mean 'jump'",
        ),
        ({"criteria": [CriterionConfig(**ROW)]}, r"criteria\[0\] has no bound\. Set at_least, at_most, within or"),
        (
            {"criteria": [CriterionConfig(**{**ROW, "metric": "bleu"}, at_least=1.0)]},
            r"criteria\[0\]\.metric='bleu' is not in ablation\.metrics",
        ),
        (
            {"criteria": [CriterionConfig(**ROW, statistic="median", at_least=1.0)]},  # type: ignore[arg-type]
            r"criteria\[0\]\.statistic='median' is unknown\. .*Allowed: max, mean, min",
        ),
        (
            {"criteria": [CriterionConfig(**ROW, where={"model/cel": "gru"}, at_least=1.0)]},
            r"criteria\[0\]\.where: 'model/cel' is not an axis",
        ),
        (
            {"criteria": [CriterionConfig(**ROW, decoding="beam", at_least=1.0)]},
            r"criteria\[0\]\.decoding='beam' is not a decoding of the table",
        ),
        (
            {"criteria": [CriterionConfig(**ROW, test_set="tst", at_least=1.0)]},
            r"criteria\[0\]\.test_set='tst' is not in ablation\.test_sets\. Did you mean 'test'",
        ),
        (
            {"criteria": [CriterionConfig(**ROW, clear_by=2.0)]},
            r"criteria\[0\]\.clear_by is about a difference of means",
        ),
        (
            {"criteria": [CriterionConfig(metric="exact_match", statistic=Statistic.spearman, at_least=0.9)]},
            r"spearman needs at least three cells, each with a published exact_match, but 0 of the 2 selected have one",
        ),
        (
            {"criteria": [CriterionConfig(**ROW, minus_decoding="bem", at_least=1.0)]},
            r"criteria\[0\]\.minus\.decoding='bem' is not a decoding of the table",
        ),
        ({"design": Design.one_factor}, r"ablation\.design=one_factor goes along axes, but ablation\.axes is empty"),
        (
            {"metrics": ["exact_match[2-20]"]},
            r"'exact_match\[2-20\]' does not begin and end with what scores are kept for",
        ),
        ({"metrics": ["bleu[1-10]"]}, r"'bleu\[1-10\]' cannot be put together .* Write bleu\[1-5\]"),
        (
            {"trained": TrainedConfig(but=["lft"])},
            r"trained\.but: 'lft' is not a row of the table\. Did you mean 'left'",
        ),
        ({"design": "some"}, r"ablation\.design='some' is unknown"),
        ({"leave_out": [LeftOutConfig()]}, r"leave_out\[0\] names neither row nor where nor decoding"),
        ({"leave_out": [LeftOutConfig("lef")]}, r"leave_out\[0\]\.row='lef' is not a row of the table. Did you mean"),
        ({"comparisons": [ComparisonConfig(row="left")]}, r"comparisons\[0\] sets nothing against anything"),
        ({"comparisons": [ComparisonConfig(minus="jum")]}, r"comparisons\[0\]\.minus\.row='jum' is not a row"),
        (
            {"comparisons": [ComparisonConfig(row="left", minus="left")]},
            r"comparisons\[0\] finds no two cells of the table that differ",
        ),
        (
            {"comparisons": [ComparisonConfig(minus="left", metric="bleu")]},
            r"comparisons\[0\]\.metric='bleu' is not in ablation\.metrics",
        ),
        ({"criteria": [CriterionConfig(**ROW, within=2.0)]}, r"criteria\[0\]\.within needs one cell with a published"),
    ],
)
def test_what_an_ablation_may_not_say(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        expand(config(**changes))


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check(config(seeds=[], metrics=[], rows=[RowConfig("")]))
    assert len(str(caught.value).splitlines()) == 3


def test_a_bad_statistic_is_refused_when_the_file_is_read() -> None:
    with pytest.raises(OmegaConfBaseException, match="median"):
        OmegaConf.merge(OmegaConf.structured(AblationConfig), {"criteria": [{"statistic": "median"}]})


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_shipped_files_fit_the_schema_and_expand(path: Path) -> None:
    loaded = OmegaConf.load(path)
    assert loaded.pop("defaults") == [{"/schema/ablation@_here_": "ablation"}, "_self_"]
    made = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(AblationConfig), loaded))
    assert isinstance(made, AblationConfig)
    assert made.name == path.stem and made.title and made.source
    assert len(expand(made)) == len(made.seeds) * len(cells(made))


def test_the_two_ablations_of_the_first_release_ship() -> None:
    assert {"reverse", "scan_primitives"} <= {path.stem for path in ABLATIONS}
