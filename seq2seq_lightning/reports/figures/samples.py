"""The same sentences as every row of the table wrote them, to be read side by side."""

from __future__ import annotations

from seq2seq_lightning.reports.figures.evidence import Evidence
from seq2seq_lightning.reports.tables import Table

MOST = 12  # sentences
FIXED = 2  # columns that always stand: source and reference


def sample_outputs(evidence: Evidence) -> Table | None:
    """source | reference | one column per cell, of its first run and the table's first decoding; None without any."""
    found: dict[str, dict[str, str]] = {}
    references: dict[str, str] = {}
    for cell, runs in evidence.runs.items():
        outputs = [
            row
            for run in runs[:1]
            for decoding in run.decodings
            if decoding.folder.name in run.chosen and decoding.scores.test_set == evidence.config.test_sets[0]
            for row in decoding.outputs[: 4 * MOST]
        ]
        own = {str(row.get("source", "")): str(row.get("hypothesis", "")) for row in outputs}
        references |= {str(row.get("source", "")): " / ".join(map(str, row.get("references", []))) for row in outputs}
        if own:
            found[cell.label] = own
    shared = [source for source in references if all(source in own for own in found.values())]
    rows = [[source, references[source], *(own[source] for own in found.values())] for source in shared[:MOST]]
    note = f"The first sentences of {evidence.config.test_sets[0]}, by the first run of each row."
    return (
        Table("Outputs side by side", ["source", "reference", *found], [list(row) for row in rows], [note])
        if rows
        else None
    )
