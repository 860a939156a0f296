"""Combinations of options: each is refused with a way out that leads out, or it builds and takes a step."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from seq2seq_lightning.config import FAMILIES
from seq2seq_lightning.models.model_config import ModelConfig, check
from seq2seq_lightning.models.seq2seq import build_model
from seq2seq_lightning.structure import from_plain, to_plain
from tests.models.variants import AXES, PAD, VOCAB, configure, example

SUGGESTED = re.compile(r"`model([./])([\w./]+)(@model\.[\w.]+)?=([^`]+)`")


def combinations(count: int, seed: int) -> Iterator[ModelConfig]:
    """Drawn from the full product, with sizes and dropout drawn too."""
    draw = random.Random(seed)
    for _ in range(count):
        config = configure({axis: draw.choice(options) for axis, options in AXES.items()}, draw.choice([0.0, 0.2]))
        config.encoder.hidden_size, config.decoder.hidden_size = draw.choice([3, 6]), draw.choice([6, 12])
        config.encoder.embedding_size = draw.choice([4, 6])
        config.decoder.readout.size = draw.choice([None, 4, 6])
        config.decoder.embedding.freeze = draw.random() < 0.1
        yield config


def ways_out(problem: str) -> list[tuple[str, str]]:
    """(dotted key, value) of every setting that a message tells to set or choose."""
    advice = problem[re.search(r"\b(Set|Choose) ", problem).start() :]  # type: ignore[union-attr]
    found = []
    for kind, key, _, value in SUGGESTED.findall(advice):
        found.append((f"{key}.name" if kind == "/" else key, value))
    return found


def mended(config: ModelConfig, key: str, value: str) -> ModelConfig:
    """The same with one setting changed as a user would."""
    plain: dict[str, Any] = to_plain(config)
    *path, last = key.split(".")
    node = plain
    for name in path:
        node[name] = node[name] or {}
        node = node[name]
    if last == "name":
        node.clear()
    node[last] = yaml.safe_load(value)
    return from_plain(ModelConfig, plain, FAMILIES)


def subject(problem: str) -> str:
    """What a problem is about, its numbers left aside: two of one subject are one rule."""
    return re.sub(r"[\d.]+", "#", problem.split("`")[1])


def hold_to_the_law(count: int, seed: int) -> dict[str, int]:
    """How many were refused and how many built; each rule's first message is followed to the end."""
    batch, found, seen = example(), {"refused": 0, "built": 0}, set()
    for config in combinations(count, seed):
        problems = check(config)
        for problem in problems:
            ways = ways_out(problem)
            assert ways, problem
            if subject(problem) in seen:
                continue
            seen.add(subject(problem))
            for key, value in ways:
                assert problem not in check(mended(config, key, value)), f"{key}={value} is no way out: {problem}"
        found["refused" if problems else "built"] += 1
        if not problems:
            model = build_model(config, VOCAB, VOCAB, PAD, 1)
            readouts = model.readouts(batch.source, batch.source_lengths, batch.target_inputs)
            assert model.output_layer(readouts.readout).shape == (3, 4, VOCAB)
    return found


def test_combinations_step_or_name_the_way_out() -> None:
    found = hold_to_the_law(250, seed=0)
    assert min(found.values()) > 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.very_slow) for seed in range(2, 5))])
def test_many_combinations_step_or_name_the_way_out(seed: int) -> None:
    found = hold_to_the_law(3000, seed)
    assert min(found.values()) > 200
