"""The conventions of other programs: each follows its own rule, written as a plain loop, and none is another's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from seq2seq_lightning.decoding import SEARCHES, BeamConfig, DecodingConfig, StopRule
from seq2seq_lightning.structure import from_plain
from tests.decoding.table_model import best_by_loop, random_model, run

FILES = sorted((Path(__file__).parents[2] / "conf" / "decoding").glob("like_*.yaml"))
COMMENTS = ("Length:", "Penalty:", "Beam:", "Stops", "At most", "Deviates:")


def preset(path: Path, **changes: object) -> BeamConfig:
    plain = yaml.safe_load(path.read_text("utf-8"))
    del plain["defaults"]
    config = from_plain(DecodingConfig, plain | {"name": "beam"}, {DecodingConfig: SEARCHES})
    assert isinstance(config, BeamConfig)
    return replace(config, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_preset_follows_its_own_rule(path: Path) -> None:
    config = preset(path, max_length=5, beam_width=2, n_best=2)
    for seed in range(4):
        model = random_model(seed, 6, sharpness=0.8)
        stop = None if config.stop is StopRule.exact else config.stop
        expected = best_by_loop(model, seed, 3, config, 5, stop)
        found = run(model, [seed], config)[0]
        assert [(each.tokens, each.finished) for each in found] == [each[:2] for each in expected]
        assert [each.score for each in found] == pytest.approx([each[2] for each in expected], abs=1e-9)


def test_no_preset_is_another() -> None:
    """The same width and maximum length everywhere: what is left are conventions."""
    model = random_model(1, 9, sharpness=0.8)
    seen = {}
    for path in FILES:
        config = preset(path, max_length=12, beam_width=4, n_best=4)
        found = run(model, range(40), config)
        seen[path.stem] = [[(each.tokens, round(each.score, 6)) for each in best] for best in found]
    different = {str(outputs) for outputs in seen.values()}
    assert len(different) == len(FILES) == 6


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_preset_says_how_it_counts_penalises_stops_and_deviates(path: Path) -> None:
    comment = path.read_text("utf-8").split("defaults:")[0]
    for word in COMMENTS:
        assert word in comment or (word == "At most" and "maximum length" in comment), word
    assert "/" in comment or "arXiv" in comment  # its source
