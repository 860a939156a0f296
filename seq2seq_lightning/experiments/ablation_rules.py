"""What an ablation file may not say: checked before anything runs, all problems reported at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import Enum
from typing import Any

from seq2seq_lightning.errors import ConfigurationError, nearest
from seq2seq_lightning.experiments.ablation_config import (
    ALL,
    BUCKET,
    BY_SENTENCE,
    AblationConfig,
    ComparisonConfig,
    CriterionConfig,
    Design,
    Mark,
    PublishedConfig,
    SignificanceTest,
    Statistic,
    cells,
    columns,
    length_range,
    partners,
    published,
    selects,
)


def check(config: AblationConfig) -> None:
    """Raise one ConfigurationError that lists every problem, each with its key."""
    problems = list(_problems(config))
    if problems:
        raise ConfigurationError("\n".join(problems))


def _problems(config: AblationConfig) -> Iterable[str]:
    yield from _shape(config)
    yield from _axes(config)
    yield from _left_out(config)
    yield from _published(config)
    for index, comparison in enumerate(config.comparisons):
        yield from _comparison(config, comparison, f"ablation.comparisons[{index}]")
    for index, criterion in enumerate(config.criteria):
        yield from _criterion(config, criterion, f"ablation.criteria[{index}]")
    if not config.criteria and _has_published(config):
        yield (
            "ablation.criteria is empty, but the file holds published values. Write the rule that decides before "
            "anything runs, for example {row: …, metric: …, within: 2.0}."
        )


def _shape(config: AblationConfig) -> Iterable[str]:
    if not config.rows and not config.axes:
        yield "ablation.rows and ablation.axes are both empty. Name at least one row, or one axis with its values."
    for key in ("seeds", "metrics", "test_sets"):
        if not getattr(config, key):
            yield f"ablation.{key} is empty. Name at least one."
        yield from _repeated(f"ablation.{key}", getattr(config, key))
    for metric in config.metrics:
        yield from _range(metric)
    for row in config.trained.but if config.trained else []:
        if row not in (labels := [item.label for item in config.rows]):
            yield f"ablation.trained.but: '{row}' is not a row of the table. {nearest(row, labels)}"
    yield from _labels("ablation.rows", [row.label for row in config.rows])
    yield from _labels("ablation.decodings", [decoding.label for decoding in config.decodings])


def _range(metric: str) -> Iterable[str]:
    """Scores are kept for buckets of source lengths; several buckets make one score where sentences add up."""
    name, low, high = length_range(metric)
    if low is None or high is None:
        return
    if low % BUCKET != 1 or high % BUCKET or low > high:
        yield (
            f"ablation.metrics: '{metric}' does not begin and end with what scores are kept for: sources of 1 to "
            f"{BUCKET} tokens, {BUCKET + 1} to {2 * BUCKET}, … Write for example {name}[{BUCKET * 2 + 1}-{BUCKET * 4}]."
        )
    elif high - low >= BUCKET and name not in BY_SENTENCE:
        yield (
            f"ablation.metrics: '{metric}' cannot be put together from the scores that are kept, of {BUCKET} lengths "
            f"each: only {', '.join(BY_SENTENCE)} are means over sentences. Write {name}[{low}-{low + BUCKET - 1}]."
        )


def _labels(key: str, labels: list[str]) -> Iterable[str]:
    for index, label in enumerate(labels):
        if not label:
            yield f"{key}[{index}].label is empty. Every line of the table needs a name."
    yield from _repeated(f"{key}.label", [label for label in labels if label])


def _repeated(key: str, values: Iterable[Any]) -> Iterable[str]:
    for value, times in Counter(map(str, values)).items():
        if times > 1:
            yield f"{key}: '{value}' stands there {times} times. Each may stand once."


def _axes(config: AblationConfig) -> Iterable[str]:
    shared = {_key_of(override) for override in config.base}
    for axis, values in config.axes.items():
        if not values:
            yield f"ablation.axes[{axis}] has no values. Name at least one, or remove the axis."
        yield from _repeated(f"ablation.axes[{axis}]", values)
        owners = ["ablation.base"] * (axis in shared)
        owners += [f"row '{row.label}'" for row in config.rows if axis in map(_key_of, row.overrides)]
        for owner in owners:
            yield f"{axis} is set by {owner} and is an axis too. Keep one of the two."
    for index, decoding in enumerate(config.decodings):
        for override in decoding.overrides:
            if not _key_of(override).split(".")[0].split("@")[0].startswith("decoding"):
                yield (
                    f"ablation.decodings[{index}].overrides: '{override}' is not a key of `decoding`. A decoding never "
                    "retrains; what changes training belongs in rows or axes."
                )


def _left_out(config: AblationConfig) -> Iterable[str]:
    yield from _member("ablation.design", config.design, Design)
    if config.design is Design.one_factor and not config.axes:
        yield "ablation.design=one_factor goes along axes, but ablation.axes is empty. Name axes, or remove design."
    for index, entry in enumerate(config.leave_out):
        key = f"ablation.leave_out[{index}]"
        yield from _selection(config, key, entry.row, entry.where, entry.decoding)
        if entry.row is None and not entry.where and entry.decoding is None:
            yield f"{key} names neither row nor where nor decoding, which leaves nothing. Name one of them."


def _published(config: AblationConfig) -> Iterable[str]:
    for index, row in enumerate(config.rows):
        yield from _numbers(config, row.published, f"ablation.rows[{index}].published")
    for index, entry in enumerate(config.published_cells):
        key = f"ablation.published_cells[{index}]"
        unknown = list(_selection(config, key, entry.row, entry.where, entry.decoding))
        yield from unknown
        yield from _numbers(config, entry.published, f"{key}.published")
        matching = [cell for cell in cells(config) if selects(config, cell, entry.row, entry.where, entry.decoding)]
        if not unknown and len(matching) != 1:
            yield f"{key} selects {len(matching)} cells of the table, but a published value belongs to one."


def _numbers(config: AblationConfig, numbers: dict[str, PublishedConfig], key: str) -> Iterable[str]:
    names = [*config.metrics, *(f"{test_set}/{metric}" for test_set, metric in columns(config))]
    for name, number in numbers.items():
        if name not in names:
            yield f"{key}: '{name}' is not a metric of the table. {nearest(name, names)}"
        yield from _member(f"{key}.{name}.mark", number.mark, Mark)


def _comparison(config: AblationConfig, comparison: ComparisonConfig, key: str) -> Iterable[str]:
    unknown = list(_selection(config, key, comparison.row, comparison.where, comparison.decoding))
    unknown += _selection(config, f"{key}.minus", comparison.minus, comparison.minus_where, comparison.minus_decoding)
    yield from unknown
    if comparison.metric is not None and comparison.metric not in config.metrics:
        seen = comparison.metric
        yield f"{key}.metric='{seen}' is not in ablation.metrics. {nearest(seen, config.metrics)}"
    yield from _member(f"{key}.test", comparison.test, SignificanceTest)
    if comparison.minus is None and not comparison.minus_where and comparison.minus_decoding is None:
        yield f"{key} sets nothing against anything. Name minus, minus_where or minus_decoding."
    elif not unknown and not partners(config, comparison):
        yield f"{key} finds no two cells of the table that differ in what it names. Look at its row, where and minus."


def _criterion(config: AblationConfig, criterion: CriterionConfig, key: str) -> Iterable[str]:
    unknown = list(_selection(config, key, criterion.row, criterion.where, criterion.decoding))
    unknown += _selection(config, f"{key}.minus", criterion.minus, criterion.minus_where, criterion.minus_decoding)
    yield from unknown
    if criterion.metric not in config.metrics:
        seen = criterion.metric
        yield f"{key}.metric='{seen}' is not in ablation.metrics. {nearest(seen, config.metrics)}"
    if criterion.test_set is not None and criterion.test_set not in config.test_sets:
        seen = criterion.test_set
        yield f"{key}.test_set='{seen}' is not in ablation.test_sets. {nearest(seen, config.test_sets)}"
    yield from _member(f"{key}.statistic", criterion.statistic, Statistic)
    if (criterion.at_least, criterion.at_most, criterion.within, criterion.clear_by) == (None, None, None, None):
        yield f"{key} has no bound. Set at_least, at_most, within or clear_by."
    if criterion.clear_by is not None and (not criterion.subtracts or criterion.statistic is not Statistic.mean):
        yield f"{key}.clear_by is about a difference of means: name minus, minus_where or minus_decoding, no statistic."
    if not unknown:
        yield from _against_published(config, criterion, key)


def _against_published(config: AblationConfig, criterion: CriterionConfig, key: str) -> Iterable[str]:
    """What compares with published values needs them: one for `within`, several for `spearman`."""
    select = criterion.row, criterion.where, criterion.decoding
    matching = [cell for cell in cells(config) if selects(config, cell, *select)]
    test_set = criterion.test_set or next(iter(config.test_sets), "")
    found = [published(config, cell, test_set, criterion.metric) for cell in matching] if config.test_sets else []
    if criterion.statistic is Statistic.spearman:
        if len(found) < 3 or None in found:
            yield (
                f"{key}.statistic=spearman needs at least three cells, each with a published {criterion.metric}, but "
                f"{sum(each is not None for each in found)} of the {len(matching)} selected have one."
            )
        if criterion.subtracts or criterion.within is not None:
            yield f"{key}.statistic=spearman is a correlation: remove minus and within."
    if criterion.within is None:
        return
    if len(found) != 1 or found[0] is None:
        yield f"{key}.within needs one cell with a published {criterion.metric}, but {len(matching)} are selected."
    if criterion.subtracts or criterion.statistic is not Statistic.mean:
        yield f"{key}.within compares one mean with its published value: remove minus and statistic."


def _selection(
    config: AblationConfig, key: str, row: str | None, where: dict[str, Any], decoding: str | None
) -> Iterable[str]:
    rows = [item.label for item in config.rows]
    if row is not None and row not in rows:
        yield f"{key}.row='{row}' is not a row of the table. {nearest(row, rows)}"
    labels = [item.label for item in config.decodings]
    if decoding not in (None, ALL) and decoding not in labels:
        yield f"{key}.decoding='{decoding}' is not a decoding of the table. {nearest(str(decoding), labels)}"
    for axis, value in where.items():
        if axis not in config.axes:
            yield f"{key}.where: '{axis}' is not an axis. {nearest(axis, config.axes)}"
        elif value not in config.axes[axis]:
            yield f"{key}.where: '{value}' is not a value of {axis}. {nearest(str(value), map(str, config.axes[axis]))}"


def _member(key: str, value: Any, allowed: type[Enum]) -> Iterable[str]:
    if not isinstance(value, allowed):
        yield f"{key}='{value}' is unknown. {nearest(str(value), [member.name for member in allowed])}"


def _has_published(config: AblationConfig) -> bool:
    return bool(config.published_cells) or any(row.published for row in config.rows)


def _key_of(override: str) -> str:
    return override.split("=", 1)[0].lstrip("+~").strip()
