"""Diagnostics against loops over single sentences, tokens and parameters; however a split is batched."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seq2seq_lightning.models.attention.additive import AdditiveAttentionConfig
from seq2seq_lightning.models.bridges.dense import DenseBridgeConfig
from seq2seq_lightning.models.decoder_config import Copy, Tie
from seq2seq_lightning.models.model_config import check
from seq2seq_lightning.models.seq2seq import Seq2Seq, build_model
from seq2seq_lightning.teacher_forcing import ArgMax
from seq2seq_lightning.training import diagnostics
from seq2seq_lightning.training.diagnostics import (
    CURVES,
    PositionCurves,
    accuracies,
    gradient_norms,
    most_probable,
    output_diagnostics,
    read_norms,
    repetition_rate,
)
from tests.models.variants import AXES, BOS, BRIDGE_CHOICES, PAD, SIGHTS, VOCAB, Example, configure, example
from tests.training.tiny import train

UNK = 3
TIME = 7
CHOICE = {axis: options[0] for axis, options in AXES.items()} | {
    "way": "concat",
    "bridge": next(index for index, bridge in enumerate(BRIDGE_CHOICES) if isinstance(bridge, DenseBridgeConfig)),
    "attention": AdditiveAttentionConfig,
}
LEGAL = [sight for sight in SIGHTS if not check(configure(CHOICE | {"sight": sight}))]


def spread(sight: str, copies: bool = False) -> Seq2Seq:
    """An untrained model whose predictions vary: its weights are large."""
    config = configure(CHOICE | {"sight": sight})
    if copies:
        config = replace(config, decoder=replace(config.decoder, copy=Copy.pointer_generator))
    model = build_model(config, VOCAB, VOCAB, PAD, 1, UNK).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6)
    return model


def copied(batch: Example, model: Seq2Seq) -> Tensor | None:
    """Source words as ids of the target: the first of each sentence beyond its vocabulary."""
    if not model.copies:
        return None
    ids = batch.source.clone()
    ids[:, 0] = VOCAB
    return ids


def learnt_by_half(model: Seq2Seq, batch: Example) -> Tensor:
    """Labels of 2 to 7 positions, of which about half are what the model says after those before: (batch, 7)."""
    draw = random.Random(0)
    memory, state = model.start(batch.source, batch.source_lengths, copied(batch, model))
    token, columns = torch.full((len(batch.source),), BOS), []
    for _ in range(TIME):
        output = model.step(token, state, memory)
        said = [max(int(each), 1) for each in output.log_probs.argmax(1)]
        token = torch.tensor([each if draw.random() < 0.5 else draw.randrange(1, VOCAB) for each in said])
        state = output.state
        columns.append(token)
    labels = torch.stack(columns, 1)
    for row, length in enumerate([TIME, 2, 5, 6, 3]):
        labels[row, length:] = PAD
    return labels


def counted(model: Seq2Seq, batch: Example, labels: Tensor, rows: slice = slice(None)) -> diagnostics.Tally:
    """The diagnostics of some rows as one batch."""
    inputs = torch.cat([torch.full_like(labels[:, :1], BOS), labels[:, :-1]], 1)[rows]
    ids = copied(batch, model)
    given = batch.source[rows], batch.source_lengths[rows], inputs
    ids, labels = None if ids is None else ids[rows], labels[rows]
    gold_mask = torch.zeros_like(labels, dtype=torch.bool)
    gold_mask[:, 0] = True
    curves = PositionCurves()
    with torch.no_grad():
        curves.add_teacher_forced(model, model.readouts(*given, copy_ids=ids), labels, PAD)
        curves.add_free_running(model, model.readouts(*given, gold_mask, ArgMax(), ids), labels, PAD)
    return curves.plain()


def by_hand(model: Seq2Seq, batch: Example, labels: Tensor) -> dict[str, float]:
    """The same by steps of one sentence and one token."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in range(len(labels)):
        alone, gold = batch.row(row), [label for label in labels[row].tolist() if label != PAD]
        ids = copied(alone, model)
        for own in (False, True):
            memory, state = model.start(alone.source, alone.source_lengths, ids)
            token = BOS
            for position, label in enumerate(gold, start=1):
                output = model.step(torch.tensor([token]), state, memory)
                said, state = int(output.log_probs.argmax()), output.state
                keys = ["free_running_accuracy_at/" + named(position)] if own else ["accuracy_at/" + named(position)]
                if not own and output.attention is not None:
                    keys.append("accuracy_at_source/" + named(int(output.attention.argmax()) + 1))
                if not own and output.attention is None:
                    keys.append(f"accuracy_at_quarter/{1 + (position - 1) * 4 // len(gold)}")
                for key in keys:
                    counts[key][0] += 1
                    counts[key][1] += said == label
                token = said if own else label
    return {key: 100 * right / all_ for key, (all_, right) in counts.items()}


def named(position: int) -> str:
    return str(position) if position <= 5 else "6-10"


@pytest.mark.parametrize("sight, copies", [*((sight, False) for sight in LEGAL), ("current", True)])
@torch.no_grad()
def test_accuracies_are_those_of_single_sentences_and_steps(sight: str, copies: bool) -> None:
    model, batch = spread(sight, copies), example(batch=5)
    labels = learnt_by_half(model, batch)
    found = accuracies([counted(model, batch, labels)])
    assert found == pytest.approx(by_hand(model, batch, labels), rel=1e-12)
    assert 20 < sum(found.values()) / len(found) < 80  # neither all right nor all wrong
    shares = [counted(model, batch, labels, rows) for rows in (slice(0, 1), slice(1, 4), slice(4, 5))]
    assert accuracies(shares) == found


def test_every_label_is_in_one_bin_of_each_curve() -> None:
    model, batch = spread("current"), example(batch=5)
    labels = learnt_by_half(model, batch)
    for curve, (all_, right) in counted(model, batch, labels).items():
        assert sum(all_) == int((labels != PAD).sum()) and 0 < sum(right) < sum(all_), curve


def test_rows_that_only_keep_a_rank_in_step_count_nothing() -> None:
    model, batch = spread("initial"), example(batch=5)
    tally = counted(model, batch, torch.full((5, TIME), PAD))
    assert accuracies([tally]) == {} and set(tally) == {
        "accuracy_at",
        "free_running_accuracy_at",
        "accuracy_at_quarter",
    }


def test_bins_end_where_their_names_say() -> None:
    for bin_, name in enumerate(CURVES["accuracy_at"]):
        first, _, last = name.removesuffix("+").partition("-")
        ends = torch.tensor([int(first), int(last or first) if not name.endswith("+") else 10**6])
        assert diagnostics._bins_of(ends).tolist() == [bin_, bin_]


def test_no_more_scores_at_a_time_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = spread("current"), example(batch=5)
    labels = learnt_by_half(model, batch)
    with torch.no_grad():
        readouts = model.readouts(batch.source, batch.source_lengths, labels)
        whole = most_probable(model, readouts, labels, PAD)
        monkeypatch.setattr(diagnostics, "BLOCK_BYTES", 3 * 8 * VOCAB)
        sizes: list[int] = []
        scores = model.scores
        monkeypatch.setattr(model, "scores", lambda said: sizes.append(len(said.readout)) or scores(said))
        assert torch.equal(most_probable(model, readouts, labels, PAD), whole)
    assert max(sizes) == 3 and sum(sizes) == int((labels != PAD).sum())


def test_outputs_worked_by_hand() -> None:
    hypotheses = [[5, 6, 5, 6, 5], [7], []]
    references = ["a b a b", "c", "d e f"]
    # bigrams 56 65 56 65: 2 of 4 stood before; of the references ab ba ab: 1 of 3 + 2
    found = output_diagnostics(hypotheses, [each.split() for each in references], [True, False, True])
    assert found == {
        "length_ratio": 6 / 8,
        "repetition_rate": 2 / 4,
        "reference_repetition_rate": 1 / 5,
        "unfinished": pytest.approx(1 / 3),
    }
    assert "unfinished" not in output_diagnostics(hypotheses, hypotheses, None)
    assert repetition_rate([[1], [2]]) == 0.0


@pytest.mark.parametrize("tie", Tie)
def test_the_norms_of_the_parts_are_those_of_a_loop_and_make_the_whole(tie: Tie) -> None:
    model = build_model(configure(CHOICE | {"sight": "current", "tie": tie}), VOCAB, VOCAB, PAD, 1).double()
    stream, squares = torch.Generator().manual_seed(0), defaultdict(float)
    for name, parameter in model.named_parameters():
        parameter.grad = torch.randn(parameter.shape, generator=stream, dtype=torch.float64)
        place = "attention" if "attention" in name else name.split(".")[0]
        squares[place] += sum(each**2 for each in parameter.grad.flatten().tolist())
    assert set(squares) == {"encoder", "bridge", "attention", "decoder", "output_layer"}
    found = read_norms(gradient_norms(model))
    assert found == pytest.approx({f"gradient_norm/{part}": square**0.5 for part, square in squares.items()})
    whole = float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9))
    assert sum(norm**2 for norm in found.values()) == pytest.approx(whole**2)


def test_a_run_keeps_them_in_its_history(tmp_path: Path) -> None:
    run = train(
        tmp_path / "run", trainer={"max_steps": 2}, validation={"diagnostics": True, "free_running_loss": False}
    )
    keys = {key for step, key in run.history if step == 2}
    parts = {f"train/gradient_norm/{part}" for part in ("encoder", "bridge", "attention", "decoder", "output_layer")}
    assert parts < keys and "val/free_running_loss" not in keys
    assert {"val/accuracy_at/1", "val/accuracy_at/6-10", "val/free_running_accuracy_at/5"} < keys
    assert {"val/length_ratio", "val/repetition_rate", "val/reference_repetition_rate", "val/unfinished"} < keys
    assert any(key.startswith("val/accuracy_at_source/") for key in keys)
    squares = sum(run.history[2, part] ** 2 for part in parts)
    assert squares**0.5 == pytest.approx(run.history[2, "train/gradient_norm"])
