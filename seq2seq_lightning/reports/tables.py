"""The tables of an ablation as neutral values: what stands in each cell, not how it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seq2seq_lightning.experiments.ablation_config import AblationConfig, Cell, cells, columns
from seq2seq_lightning.experiments.ledger import State, TrialResult
from seq2seq_lightning.reports.comparisons import Comparison, compare
from seq2seq_lightning.reports.effects import Effect, effects
from seq2seq_lightning.reports.evidence import comparisons_table, effects_table
from seq2seq_lightning.reports.frame import frame, score, summary, wanted
from seq2seq_lightning.reports.neutral import Link, Page, Table, place, place_columns, score_name
from seq2seq_lightning.reports.verdicts import Assessment, CriterionResult, assess, concerns, number

REASONS_SHOWN = 10
MARKS = {"M": "[M] from memory, unverified", "T": "[T] read in somebody else's transcription"}


def page(
    config: AblationConfig,
    results: Sequence[TrialResult],
    compared: Sequence[Comparison] | None = None,
    mattered: Sequence[Effect] | None = None,
) -> Page:
    """Build all tables and the verdict from what is there by now; compared, mattered: where they are known already."""
    assessment = assess(config, results)
    compared = compare(config, results) if compared is None else compared
    mattered = effects(config, results) if mattered is None else mattered
    return Page(
        title=config.title or config.name,
        source=config.source,
        results=results_table(config, results, assessment),
        criteria=criteria_table(assessment),
        comparisons=comparisons_table(config, compared),
        effects=effects_table(config, mattered),
        runs=runs_table(config, results),
        deviations=list(config.deviations),
        verdict=assessment.verdict.value if assessment.verdict else None,
        reasons=_shorten(assessment.reasons),
        cost=config.cost,
    )


def results_table(config: AblationConfig, results: Sequence[TrialResult], assessment: Assessment) -> Table:
    """row, axes, decoding, metric (where there is more than one) | published | ours | difference | criterion."""
    several = len(columns(config)) > 1
    ours = f"{columns(config)[0][1]}, ours" if not several else "ours"
    names = [
        *place_columns(config),
        *["metric"] * several,
        "published",
        f"{ours}: mean ± sd (n)",
        "difference",
        "criterion",
    ]
    places = {str(cell): cell for cell in cells(config)}
    rows: list[list[str | Link]] = [
        [
            *place(config, places[line["place"]]),
            *[score_name(config, line["test_set"], line["metric"])] * several,
            _published(line),
            _ours(line),
            "" if pd.isna(line["difference"]) else f"{line['difference']:+.2f}",
            _criterion(config, places[line["place"]], line, assessment),
        ]
        for line in summary(config, results).to_dict("records")
    ]
    return Table("Results", names, rows, [*_marks(config), *_signatures(config, results), *_conditions(results)])


def criteria_table(assessment: Assessment) -> Table:
    """Label, what was seen, what was asked, whether it holds."""
    rows: list[list[str | Link]] = [
        [
            item.label,
            f"{item.criterion.statistic.value} {item.criterion.metric}",
            number(item.seen),
            item.bound,
            item.outcome,
        ]
        for item in assessment.criteria
    ]
    return Table("Criteria", ["criterion", "statistic", "seen", "asked", "outcome"], rows)


def runs_table(config: AblationConfig, results: Sequence[TrialResult]) -> Table:
    """One line per trial: seed, scores, training score, seconds, status, commit, and the record it all comes from."""
    names = [f"{test_set}/{metric}" for test_set, metric in wanted(config)]
    places = {str(result.trial.place): result.trial.place for result in results}
    rows: list[list[str | Link]] = [
        [
            *place(config, places[line["place"]]),
            str(line["seed"]),
            *("–" if pd.isna(line[name]) else f"{line[name]:.2f}" for name in names),
            "–" if pd.isna(line["seconds"]) else f"{line['seconds']:.0f}",
            str(line["status"]),
            _word(line["commit"]),
            _record(line),
        ]
        for line in frame(config, results).to_dict("records")
    ]
    return Table("Runs", [*place_columns(config), "seed", *names, "seconds", "status", "commit", "record"], rows)


def _published(line: dict[Any, Any]) -> str:
    if pd.isna(line["published"]):
        return ""
    spread = "" if pd.isna(line["published_sd"]) else f" ± {line['published_sd']:g}"
    n = "" if pd.isna(line["published_n"]) else f" ({line['published_n']:.0f})"
    mark = f" [{line['mark']}]" if line["mark"] in MARKS else ""
    return f"{line['published']:g}{spread}{n}{mark}"


def _ours(line: dict[Any, Any]) -> str:
    if not line["n"]:
        return f"– (0 of {line['trials']})"
    spread = "" if pd.isna(line["sd"]) else f" ± {line['sd']:.2f}"
    n = f"{line['n']}" if line["n"] == line["trials"] else f"{line['n']} of {line['trials']}"
    return f"{line['mean']:.2f}{spread} ({n})"


def _criterion(config: AblationConfig, cell: Cell, line: dict[Any, Any], assessment: Assessment) -> str:
    def speaks(item: CriterionResult) -> bool:
        same_score = item.criterion.metric == line["metric"]
        same_score &= (item.criterion.test_set or config.test_sets[0]) == line["test_set"]
        return same_score and concerns(config, item.criterion, cell)

    found = [item for item in assessment.criteria if speaks(item)]
    return "; ".join(f"{item.criterion.statistic.value} {item.bound}: {item.outcome}" for item in found)


def _marks(config: AblationConfig) -> list[str]:
    numbers = [*(row.published for row in config.rows), *(entry.published for entry in config.published_cells)]
    used = {item.mark.value for published in numbers for item in published.values()}
    return [MARKS[mark] for mark in sorted(used & set(MARKS))]


def _signatures(config: AblationConfig, results: Sequence[TrialResult]) -> list[str]:
    """One line per score: its signature, and the number of sentences of each row."""
    lines = []
    for test_set, metric in wanted(config):
        found = {
            result.trial.row_label or str(result.trial.place): item
            for result in results
            if (item := score(result, test_set, metric)) is not None
        }
        if not found:
            continue
        sizes = {item.n for item in found.values()}
        each = [f"{item.n:,} ({row})" if len(sizes) > 1 else f"{item.n:,}" for row, item in found.items()]
        signature = next(iter(found.values())).signature
        lines.append(f"{test_set}/{metric}: {signature}; sentences: {', '.join(dict.fromkeys(each))}")
    return lines


def _conditions(results: Sequence[TrialResult]) -> list[str]:
    """On what the runs ran, each combination once."""
    records = [result.record for result in results if result.record is not None and result.state is State.finished]
    seen = {
        ", ".join(
            part
            for part in (
                *(f"{name} {record.versions[name]}" for name in ("python", "torch") if name in record.versions),
                str(record.hardware.get("gpu") or record.hardware.get("cpu") or ""),
                f"{record.threads} thread{'s' * (record.threads > 1)} per run" if record.threads else "",
            )
            if part
        )
        for record in records
    }
    return [f"ran with {combination}" for combination in sorted(seen - {""})]


def _record(line: dict[Any, Any]) -> str | Link:
    if isinstance(line["record"], Path):
        return Link(str(line["fingerprint"]), line["record"])
    return _word(line["fingerprint"])


def _word(value: Any) -> str:
    return value if isinstance(value, str) else "–"


def _shorten(reasons: list[str]) -> list[str]:
    hidden = len(reasons) - REASONS_SHOWN
    return reasons if hidden <= 0 else [*reasons[:REASONS_SHOWN], f"and {hidden} more"]
