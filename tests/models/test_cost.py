"""Multiply-adds against worked numbers, and against torch's own count of what a forward pass multiplies."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from seq2seq_lightning.models.attention.additive import AdditiveAttentionConfig
from seq2seq_lightning.models.attention.general import GeneralAttentionConfig
from seq2seq_lightning.models.bridges.copy import CopyBridgeConfig
from seq2seq_lightning.models.bridges.dense import DenseBridgeConfig
from seq2seq_lightning.models.cells import CELLS
from seq2seq_lightning.models.cells.cell import Cell
from seq2seq_lightning.models.cells.gru import GRUConfig
from seq2seq_lightning.models.cells.lstm import LSTMConfig
from seq2seq_lightning.models.cells.mlstm import MLSTMConfig
from seq2seq_lightning.models.cost import FLOPS_PER_MULTIPLY_ADD, PASSES_OF_TRAINING, Positions, multiply_adds
from seq2seq_lightning.models.decoder_config import Context, DecoderConfig, Query, ReadoutActivation, ReadoutConfig
from seq2seq_lightning.models.encoder import EncoderConfig
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.models.stack import Combine, Direction
from tests.models.variants import PAD, VOCAB, build, configure, example, pairwise, title

LUONG = {"context": Context.attention, "query": Query.current}
NO_READOUT_LAYER = ReadoutConfig(activation=ReadoutActivation.none)


def benchmark_model(**decoder: object) -> Seq2Seq:
    """The model of the published figures (Multi30k, words seen twice or more), without memory for its weights."""
    config = ModelConfig(
        cell=LSTMConfig(),
        encoder=EncoderConfig(embedding_size=256, hidden_size=256, direction=Direction.bidirectional),
        decoder=DecoderConfig(embedding_size=256, hidden_size=512, **{**LUONG, **decoder}),  # type: ignore[arg-type]
        attention=GeneralAttentionConfig(),
        bridge=CopyBridgeConfig(),
    )
    with torch.device("meta"):
        return Seq2Seq(config, 5921, 7859, PAD)


@pytest.mark.parametrize(
    ("decoder", "megaflops"),
    [
        # encoder 2 · 512 · 4 · 256 + keys 512 · 512 + decoder 768 · 4 · 512 + 14 · (512 + 512) + readout 1024 · 512
        # + output 512 · 7859 = 7,446,016 multiply-adds for one target position beside one source position; · 2 · 3
        ({}, 44.676),
        ({"input_feeding": True}, 50.968),  # the decoder reads 512 more: + 512 · 4 · 512
        # without keys, comparisons, readout layer: - (512 · 512 + 14 · 1024 + 1024 · 512)
        ({"context": Context.initial, "query": None, "readout": NO_READOUT_LAYER}, 39.871),
    ],
)
def test_the_benchmark_model_costs_what_was_worked_out_by_hand(decoder: dict, megaflops: float) -> None:
    positions = Positions.of([14] * 64, [14] * 64)
    total = sum(multiply_adds(benchmark_model(**decoder), positions).values())
    flops = total * FLOPS_PER_MULTIPLY_ADD * PASSES_OF_TRAINING / positions.target
    assert flops / 1e6 == pytest.approx(megaflops, abs=1e-3)


def counted(model: Seq2Seq, source: torch.Tensor, lengths: torch.Tensor, inputs: torch.Tensor) -> int:
    """What torch counts in one pass, in float64: its float32 kernels for whole sequences would be opaque to it."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        readout = model.readouts(source, lengths, inputs).readout
        model.output_layer(readout)
    return counter.get_total_flops() // FLOPS_PER_MULTIPLY_ADD


MATRIX_MEMORY = {config for config, cell in CELLS.items() if cell.state_products is not Cell.state_products}
COUNTED = [choice for choice in pairwise() if not {choice["encoder_cell"], choice["decoder_cell"]} & MATRIX_MEMORY]


@pytest.mark.parametrize("choice", COUNTED, ids=title)
def test_the_count_is_that_of_torch(choice: dict) -> None:
    model, batch = build(configure(choice)), example()
    full = torch.full_like(batch.source_lengths, batch.source.shape[1])  # torch counts padding too
    positions = Positions.of(full.tolist(), [batch.target_inputs.shape[1]] * len(full))
    assert sum(multiply_adds(model, positions).values()) == counted(model, batch.source, full, batch.target_inputs)


def test_the_count_is_that_of_torch_where_no_two_sizes_are_equal() -> None:
    config = ModelConfig(
        cell=GRUConfig(),
        encoder=EncoderConfig(
            embedding_size=3, hidden_size=5, layers=2, direction=Direction.bidirectional, combine=Combine.concat
        ),
        decoder=DecoderConfig(embedding_size=7, hidden_size=11, layers=2, **{**LUONG, "query": Query.previous}),
        attention=AdditiveAttentionConfig(size=13),
        bridge=DenseBridgeConfig(),
    )
    model, batch = Seq2Seq(config, VOCAB, 17, PAD).double(), example()
    full = torch.full_like(batch.source_lengths, batch.source.shape[1])
    parts = multiply_adds(model, Positions.of(full.tolist(), [4] * 3))
    assert sum(parts.values()) == counted(model, batch.source, full, batch.target_inputs)
    assert parts["bridge"] == 3 * 2 * 10 * 11  # three sentences, two layers, 10 → 11


def test_a_matrix_memory_costs_its_products_per_position() -> None:
    def model(heads: int) -> Seq2Seq:
        sides = {"cell": MLSTMConfig(heads=heads), "embedding_size": 4, "hidden_size": 8}
        decoder = DecoderConfig(**sides, context=Context.initial)  # type: ignore[arg-type]
        return Seq2Seq(ModelConfig(encoder=EncoderConfig(**sides), decoder=decoder), VOCAB, VOCAB, PAD)  # type: ignore[arg-type]

    positions = Positions.of([5], [3])
    for heads in (1, 2):
        parts = multiply_adds(model(heads), positions)
        # query, key, value, output gate; two gates a head; v k' and C q in each head
        each = 4 * 8 * 4 + 2 * heads * 4 + 2 * heads * (8 // heads) ** 2
        assert (parts["encoder"], parts["decoder"]) == (5 * each, 3 * each)


def test_a_pyramid_reads_half_the_positions_from_layer_to_layer() -> None:
    encoder = EncoderConfig(embedding_size=4, input_projection=3, hidden_size=5, layers=3, pyramid=2)
    config = ModelConfig(encoder=encoder, decoder=DecoderConfig(embedding_size=4, hidden_size=5, **LUONG))
    positions = Positions.of([5, 2], [3, 4])
    parts = multiply_adds(Seq2Seq(config, VOCAB, VOCAB, PAD), positions)
    gru = [3 * 5 * (3 + 5), 3 * 5 * (10 + 5), 3 * 5 * (10 + 5)]
    assert parts["encoder"] == (5 + 2) * 4 * 3 + (5 + 2) * gru[0] + (3 + 1) * gru[1] + (2 + 1) * gru[2]
    assert positions.after(2) == Positions(sentences=2, source=2 + 1, target=7, products=2 * 3 + 1 * 4)
    assert positions.after(9).source == 2


def test_positions_are_summed_over_pairs() -> None:
    assert Positions.of([2, 5], [3, 1]) == Positions(sentences=2, source=7, target=4, products=2 * 3 + 5 * 1)


def test_search_pays_the_source_once_and_the_target_once_per_row() -> None:
    model, positions = benchmark_model(), Positions.of([9], [4])
    one, five = multiply_adds(model, positions), multiply_adds(model, positions, rows=5)
    assert {part: five[part] / one[part] for part in one if one[part]} == {
        "encoder": 1, "keys": 1, "decoder": 5, "attention": 5, "readout": 5, "output": 5,
    }  # fmt: skip
