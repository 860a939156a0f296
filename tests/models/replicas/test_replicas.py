"""Several models at once are each what it is alone: tokens, readouts, gradients, under its own dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq_lightning.config import Config
from seq2seq_lightning.models.replicas.model import Replicas
from seq2seq_lightning.models.seq2seq import Readouts, Seq2Seq, build_model
from seq2seq_lightning.replica_rules import ATTENTIONS, CELLS
from seq2seq_lightning.teacher_forcing.fed_back import ArgMax

VOCAB, PAD = 10, 0
SIZES = {"embedding_size": 8, "hidden_size": 8}
DROPOUT = {"embedding": 0.3, "output": 0.2}


@dataclass(frozen=True)
class Shape:
    """Replicas whose batches differ in width."""

    sources: tuple[int, ...]
    targets: tuple[int, ...]
    rows: int


@dataclass(frozen=True)
class Extent:
    rows: int
    source_time: int
    target_time: int


def model_config(encoder: dict[str, Any], decoder: dict[str, Any], **parts: str) -> Config:
    chosen = {"cell": "gru", "attention": "additive", "bridge": "copy"} | parts
    sides = {"encoder": SIZES | {"dropout": DROPOUT} | encoder, "decoder": SIZES | {"dropout": DROPOUT} | decoder}
    return Config.from_plain({"model": {key: {"name": name} for key, name in chosen.items()} | sides})


def kinds() -> dict[str, Config]:
    """Every cell and attention alone, each way of seeing the source, and what may stand around them."""
    initial, none = {"context": "initial"}, {"activation": "none"}
    twice: dict[str, Any] = {"layers": 2, "dropout": {"layers": 0.3, "variational": True}}
    found = {f"{each().name}, no attention": model_config({}, initial, cell=each().name) for each in CELLS}
    for each in CELLS:
        found[f"{each().name}, previous"] = model_config({}, {"query": "previous"}, cell=each().name)
    for each in ATTENTIONS:
        found[each().name] = model_config({}, {"query": "previous", "readout": none}, attention=each().name)
    return (
        found
        | {
            "current": model_config({}, {"query": "current"}),
            "input feeding": model_config({}, {"input_feeding": True}, cell="lstm"),
            "every step": model_config({}, {"context": "every_step", "readout": {"embedding": True}}),
            "learned summary": model_config({}, {"context": "every_step", "summary": "learned"}, bridge="dense"),
            "both directions": model_config({"direction": "bidirectional"}, {}, cell="lstm", bridge="dense"),
            "projected": model_config({"direction": "bidirectional", "combine": "project"}, {"tie": "decoder"}),
            "deep": model_config(twice, twice | initial, cell="lstm"),
            "residual": model_config(
                twice | {"residual": "add", "norm": "layer"}, twice | initial | {"residual": "concat", "norm": "layer"}
            ),
            "maxout": model_config({"input_projection": 6}, {"readout": {"activation": "maxout"}}),
            "frozen": model_config({"embedding": {"freeze": True}}, {}),
        }
        | plain_kinds()
    )


def plain_kinds() -> dict[str, Config]:
    """Those whose output layer reads the state, or the state and what it saw, and nothing else."""
    embedding: dict[str, Any] = {"dropout": {"embedding": 0.3}}
    bare = embedding | {"readout": {"activation": "none"}}
    two = {"layers": 2, "dropout": {"embedding": 0.3, "layers": 0.2}}
    found = {
        f"plain, {each().name}": model_config({}, bare | {"query": "previous"}, cell=each().name) for each in CELLS
    }
    for each in ATTENTIONS:
        its = bare | {"query": "previous", "dropout": {"context": 0.3}}
        found[f"plain, {each().name}"] = model_config({}, its, attention=each().name, cell="lstm")
    return found | {
        "plain, unseen": model_config(
            {}, bare | {"query": "previous", "readout": {"activation": "none", "context": False}}
        ),
        "plain, no attention": model_config({}, bare | {"context": "initial"}, cell="lstm"),
        "plain, deep": model_config({"layers": 2}, bare | two | {"context": "initial"}, cell="lstm"),
    }


KINDS = kinds()
WIDE = Shape((5, 3, 7), (4, 9, 6), 2)
SINGLE = Shape((5, 3, 7, 2, 4), (4, 9, 6, 2, 6), 1)
SHAPES = [(kind, WIDE) for kind in KINDS] + [(kind, SINGLE) for kind in KINDS if "plain" in kind or "deep" in kind]


@dataclass(frozen=True)
class Alone:
    source: Tensor
    lengths: Tensor
    tokens: Tensor
    own: Tensor
    readouts: Readouts
    gradients: dict[str, Tensor]


def alone(model: Seq2Seq, replica: int, shape: Shape) -> Alone:
    """A batch of its own width, with one short source, half of whose target is fed own tokens."""
    noise = torch.Generator().manual_seed(replica)
    source_time, time = shape.sources[replica], shape.targets[replica]
    source = torch.randint(4, 12, (shape.rows, source_time), generator=noise)
    source[1:, 2:] = PAD
    lengths = torch.tensor([source_time, 2][: shape.rows])
    tokens = torch.randint(4, VOCAB, (shape.rows, time), generator=noise)
    own = torch.rand(shape.rows, time, generator=noise) < 0.5
    own[:, 0] = False
    torch.manual_seed(100 + replica)
    readouts = model.readouts(source, lengths, tokens, ~own, ArgMax())
    loss_of(model.output_layer(readouts.readout)).backward()
    gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    return Alone(source, lengths, tokens, own, readouts, gradients)


def loss_of(logits: Tensor) -> Tensor:
    """Every number counts differently. logits: (rows, time, vocab)."""
    return (logits * torch.arange(1.0, logits.numel() + 1, dtype=logits.dtype).sin().view_as(logits)).sum()


def widened(parts: list[Tensor], time: int) -> Tensor:
    return torch.cat([torch.nn.functional.pad(part, (0, time - part.shape[1])) for part in parts])


@pytest.mark.parametrize(("kind", "shape"), SHAPES, ids=lambda each: each if isinstance(each, str) else str(each.rows))
def test_each_replica_is_what_it_is_alone(kind: str, shape: Shape) -> None:
    config, count, rows_of = KINDS[kind].model, len(shape.sources), shape.rows
    models = [build_model(config, 12, VOCAB, PAD, seed).double().train() for seed in range(count)]
    replicas = Replicas(models)
    apart = [alone(model, replica, shape) for replica, model in enumerate(models)]
    source_time, time = max(shape.sources), max(shape.targets)
    extents = [Extent(rows_of, *widths) for widths in zip(shape.sources, shape.targets, strict=True)]
    drawn = replicas.draw(extents, [100 + replica for replica in range(count)], rows_of, source_time, time)
    source, tokens, own = (
        widened([getattr(each, name) for each in apart], wide)
        for name, wide in (("source", source_time), ("tokens", time), ("own", time))
    )
    begun = replicas.begin(source, torch.cat([each.lengths for each in apart]), tokens, drawn)
    readouts = replicas.unroll(begun, own, shape.targets)
    logits = replicas.logits(readouts.readout).unflatten(0, (count, rows_of))
    losses = [loss_of(each[:, :wide]) for each, wide in zip(logits, shape.targets, strict=True)]
    replicas.backward(torch.stack(losses).sum())
    assert readouts.fed_tokens is not None
    for replica, each in enumerate(apart):
        rows, wide = slice(replica * rows_of, (replica + 1) * rows_of), shape.targets[replica]
        assert each.readouts.fed_tokens is not None
        assert torch.equal(readouts.fed_tokens[rows, :wide], each.readouts.fed_tokens)
        torch.testing.assert_close(readouts.readout[rows, :wide], each.readouts.readout, rtol=0, atol=1e-10)
        gradients = replicas.block.read(replica, replicas.block.gradient)
        assert gradients.keys() == each.gradients.keys()
        for name, gradient in each.gradients.items():
            torch.testing.assert_close(
                gradients[name], gradient, rtol=0, atol=1e-10, msg=lambda text, of=name: f"{of}: {text}"
            )


def test_each_replica_is_clipped_by_its_own_norm() -> None:
    models = [build_model(KINDS["dot"].model, 12, VOCAB, PAD, seed) for seed in range(2)]
    replicas = Replicas(models)
    replicas.block.gradient.fill_(0.0)
    replicas.block.gradient[0, :4], replicas.block.gradient[1, :4] = 1.0, 0.1  # norms 2 and 0.2
    norms = replicas.clip(0.5)
    torch.testing.assert_close(norms, torch.tensor([2.0, 0.2]))
    torch.testing.assert_close(replicas.block.gradient[:, 0], torch.tensor([0.25, 0.1]))


def test_weights_come_back_as_they_went() -> None:
    models = [build_model(KINDS["frozen"].model, 12, VOCAB, PAD, seed) for seed in range(2)]
    replicas = Replicas(models)
    for replica, model in enumerate(models):
        for name, value in replicas.block.read(replica).items():
            assert torch.equal(value, model.get_parameter(name))
    assert torch.equal(replicas.block.fixed["encoder.embedding.weight"][1], models[1].encoder.embedding.weight)


@pytest.mark.parametrize("kind", ["plain, additive", "plain, dot", "plain, no attention", "plain, gru"])
def test_what_diverged_leaves_nothing_behind(kind: str) -> None:
    """Past the end of a replica memory is read that an earlier update wrote, times zero."""
    models = [build_model(KINDS[kind].model, 12, VOCAB, PAD, seed).double() for seed in range(2)]
    replicas = Replicas(models)
    tokens, weights = torch.full((2, 6), 5), replicas.block.values.detach().clone()

    def gradient(*times: int) -> Tensor:
        extents = [Extent(1, time, time) for time in times]
        begun = replicas.begin(tokens, torch.tensor(times), tokens, replicas.draw(extents, [1, 2], 1, 6, 6))
        logits = replicas.logits(replicas.unroll(begun, None, times).readout)
        replicas.backward(sum((each[:time].sum() for each, time in zip(logits, times, strict=True)), torch.zeros(())))
        return replicas.block.gradient.clone()

    before = gradient(6, 3)
    with torch.no_grad():
        replicas.block.values.fill_(torch.nan)
    assert gradient(3, 6).isnan().any()
    with torch.no_grad():
        replicas.block.values.copy_(weights)
    torch.testing.assert_close(gradient(6, 3), before, rtol=0, atol=0)
