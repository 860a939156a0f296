"""Gradients by source distance: against a known recurrence, against differences, and however a split is batched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.models.bridges.copy import CopyBridgeConfig
from seq2seq_lightning.models.cells import CELLS
from seq2seq_lightning.models.cells.rnn import RNNConfig
from seq2seq_lightning.models.decoder_config import Context, DecoderConfig
from seq2seq_lightning.models.encoder import EncoderConfig
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.models.seq2seq import Seq2Seq, build_model
from seq2seq_lightning.training.source_gradients import BINS, SourceGradients, mean_norms, source_gradient_norms
from tests.models.variants import BOS, PAD, SIZE, VOCAB, configure, example
from tests.training.test_diagnostics import CHOICE, LEGAL
from tests.training.tiny import tiny_config, train

POSITION = 2


def batch_of(source: Tensor, lengths: Tensor, labels: Tensor, rows: slice = slice(None)) -> Batch:
    """Some rows as a batch without needless padding."""
    width = int(lengths[rows].max())
    inputs = torch.cat([torch.full_like(labels[:, :1], BOS), labels[:, :-1]], 1)
    counted, places = (labels[rows] != PAD).sum(1), torch.arange(len(labels[rows]))
    total = int(counted.sum())
    return Batch(source[rows, :width], lengths[rows], inputs[rows], labels[rows], counted, places, places, total, 1)


def some(rows: slice = slice(None)) -> Batch:
    """Five sentences of one to five words; the third has one label."""
    drawn = example(batch=5)
    labels = torch.randint(3, VOCAB, (5, 4), generator=torch.Generator().manual_seed(1))
    labels[2, 1:] = PAD
    return batch_of(drawn.source, drawn.source_lengths, labels, rows)


def model_of(sight: str = "initial", **changes: object) -> Seq2Seq:
    return build_model(configure(CHOICE | {"sight": sight} | changes), VOCAB, VOCAB, PAD, 1).double().eval()


def tally(model: Seq2Seq, *batches: Batch, position: int = POSITION) -> dict[str, float]:
    found = SourceGradients(position)
    for batch in batches:
        found.add(model, batch, PAD)
    return mean_norms([found.plain()])


@pytest.mark.parametrize("weight", [0.5, 0.9, 1.1])
def test_in_a_linear_recurrence_the_norm_is_a_power_of_its_weight(weight: float) -> None:
    """Inputs of 1e-7 leave tanh linear: ∂h_n/∂e_s = w^(n − s) W, so that the norm at distance d is w^d of the last."""
    side = {"embedding_size": SIZE, "hidden_size": SIZE}
    encoder = EncoderConfig(cell=RNNConfig(), **side)  # type: ignore[arg-type]
    decoder = DecoderConfig(cell=RNNConfig(), context=Context.initial, **side)  # type: ignore[arg-type]
    config = ModelConfig(encoder=encoder, decoder=decoder, bridge=CopyBridgeConfig())
    model = build_model(config, VOCAB, VOCAB, PAD, 1).double().eval()
    with torch.no_grad():
        for name, parameter in model.encoder.stack.named_parameters():
            parameter.copy_(
                weight * torch.eye(SIZE, dtype=torch.float64) if "weight_hh" in name else parameter * ("weight" in name)
            )
        model.encoder.embedding.weight.mul_(1e-7)
    time, stream = 12, torch.Generator().manual_seed(0)
    source = torch.randint(3, VOCAB, (4, time), generator=stream)
    labels = torch.randint(3, VOCAB, (4, 3), generator=stream)
    found = tally(model, batch_of(source, torch.full((4,), time), labels))
    powers = {"6-7": (weight**6 + weight**7) / 2, "8-10": (weight**8 + weight**9 + weight**10) / 3}
    powers |= {str(distance): weight**distance for distance in range(6)} | {"11-15": weight**11}
    assert found["gradient_at_distance/0"] > 1e-3
    shares = {name.rsplit("/", 1)[1]: norm / found["gradient_at_distance/0"] for name, norm in found.items()}
    assert shares == pytest.approx(powers, rel=1e-9)


@pytest.mark.parametrize("sight", LEGAL)
def test_the_norm_is_that_of_differences(sight: str) -> None:
    """Of the first sentence, each number of each embedding moved a little to either side, and read step by step."""
    model, batch = model_of(sight), some()
    norms, is_counted = source_gradient_norms(model, batch, POSITION, PAD)
    alone, tiny = some(slice(0, 1)), 1e-6
    moved = torch.zeros(1, alone.source.shape[1], SIZE, dtype=torch.float64)
    handle = model.encoder.embedding.register_forward_hook(lambda module, given, output: output + moved)

    @torch.no_grad()
    def loss() -> float:
        memory, state = model.start(alone.source, alone.source_lengths)
        for place in range(POSITION):
            output = model.step(alone.target_inputs[:, place], state, memory)
            state = output.state
        return -float(output.log_probs[0, alone.target_labels[0, POSITION - 1]])

    squares = []
    for place in range(alone.source.shape[1]):
        slopes = []
        for unit in range(SIZE):
            sides = []
            for sign in (1, -1):
                moved[0, place, unit] = sign * tiny
                sides.append(loss())
            moved[0, place, unit] = 0
            slopes.append((sides[0] - sides[1]) / (2 * tiny))
        squares.append(sum(each**2 for each in slopes))
    handle.remove()
    assert is_counted[0].all() and max(squares) > 1e-8
    assert norms[0].tolist() == pytest.approx([square**0.5 for square in squares], rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_and_batching_change_nothing(cell: type) -> None:
    for sight in ("initial", "current"):
        model = model_of(sight, encoder_cell=cell)
        whole = tally(model, some())
        assert tally(model, *(some(slice(row, row + 1)) for row in range(5))) == pytest.approx(whole, rel=1e-9)
        assert tally(model, some(slice(0, 3)), some(slice(3, 5))) == pytest.approx(whole, rel=1e-9)
        assert set(whole) == {f"gradient_at_distance/{distance}" for distance in range(5)}


def test_only_sentences_with_such_a_label_count() -> None:
    model = model_of()
    assert tally(model, some(slice(2, 3))) == {}
    assert tally(model, some(), position=9) == {}
    assert tally(model, some(slice(2, 3)), position=1)
    _, is_counted = source_gradient_norms(model, some(), POSITION, PAD)
    assert is_counted.sum(1).tolist() == [n * (row != 2) for row, n in enumerate(some().source_lengths.tolist())]


def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither gradients, nor hooks, nor the kernels' setting; and frozen embeddings are followed too."""
    model = model_of()
    free = tally(model, some())
    model.encoder.embedding.weight.requires_grad_(False)
    monkeypatch.setattr(torch.backends.cudnn, "enabled", True)
    with torch.inference_mode():
        made = some()
        assert tally(model, replace(made, source=made.source + 0)) == free
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.encoder.embedding._forward_hooks
    assert torch.backends.cudnn.enabled


def test_bins_follow_one_another() -> None:
    ends = [(int(first), int(last or first)) for first, _, last in (name.rstrip("+").partition("-") for name in BINS)]
    assert [low for low, _ in ends] == [0, *(high + 1 for _, high in ends[:-1])]


def test_a_run_keeps_them_in_its_history(tmp_path: Path) -> None:
    run = train(tmp_path / "run", trainer={"max_steps": 2}, validation={"gradient_position": 1})
    found = {key: value for (step, key), value in run.history.items() if step == 2 and "at_distance" in key}
    assert {f"val/gradient_at_distance/{name}" for name in ("0", "1", "6-7")} <= set(found)
    assert min(found.values()) > 0
    plain = train(tmp_path / "plain", trainer={"max_steps": 2})
    assert all(torch.equal(weight, plain.weights[name]) for name, weight in run.weights.items())


def test_a_place_before_the_first_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"validation.gradient_position is 0; it must be at least 1, or null"):
        tiny_config(validation={"gradient_position": 0})


@pytest.mark.parametrize(
    ("key", "value", "plain", "default"),
    [("gradient_position", 2, "2", "null"), ("diagnostics", True, "true", "false")],
)
def test_without_validation_it_is_refused(key: str, value: object, plain: str, default: str) -> None:
    expected = rf"validation.{key}={plain} .* no validation split.*or set validation.{key}={default}"
    with pytest.raises(ConfigurationError, match=expected):
        tiny_config(data={"val_size": 0}, validation={key: value})
