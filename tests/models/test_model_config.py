"""What a model section may not say, and what the message answers."""

from __future__ import annotations

from typing import Any

import pytest

from seq2seq_lightning.models.attention import (
    AdditiveAttentionConfig,
    DotAttentionConfig,
    LocationAttentionConfig,
    MultiHeadAttentionConfig,
    ScaledDotAttentionConfig,
)
from seq2seq_lightning.models.bridges import CopyBridgeConfig, DenseBridgeConfig, ZeroBridgeConfig
from seq2seq_lightning.models.bridges.bridge import BridgeSource
from seq2seq_lightning.models.cells import GRUConfig, MinGRUConfig, MLSTMConfig, SLSTMConfig, SRUConfig
from seq2seq_lightning.models.decoder_config import (
    Context,
    DecoderConfig,
    DecoderDropout,
    Query,
    ReadoutConfig,
    Summary,
    Tie,
)
from seq2seq_lightning.models.embeddings import EmbeddingConfig
from seq2seq_lightning.models.encoder import EncoderConfig, EncoderDropout
from seq2seq_lightning.models.initialisation import InitialisationConfig
from seq2seq_lightning.models.model_config import ModelConfig, check
from seq2seq_lightning.models.stack import Combine, Direction, Norm, NormPlace, Residual

BOTH = Direction.bidirectional
INITIAL = DecoderConfig(context=Context.initial)
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {
            "bridge": CopyBridgeConfig(),
            "encoder": EncoderConfig(hidden_size=33),
            "decoder": DecoderConfig(hidden_size=64),
        },
        "`model/bridge=copy` needs equal sizes, but the encoder ends with 33 and the decoder starts with 64. "
        "Set `model.decoder.hidden_size=33` or choose `model/bridge=dense`.",
    ),
    (
        {"bridge": CopyBridgeConfig(), "encoder": EncoderConfig(direction=BOTH)},
        "`model/bridge=copy` needs equal sizes, but the encoder ends with 512 (256 × 2 directions) and the decoder "
        "starts with 256. Set `model.decoder.hidden_size=512` or choose `model/bridge=dense`.",
    ),
    (
        {"bridge": DenseBridgeConfig(source=BridgeSource.last), "encoder": EncoderConfig(layers=2)},
        "`model.bridge.source=last` hands over layer by layer, but the encoder has 2 and the decoder 1. "
        "Set `model.decoder.layers=2` or choose `model.bridge.source=top`.",
    ),
    (
        {"bridge": ZeroBridgeConfig(), "decoder": INITIAL},
        "`model/bridge=zero` with `model.decoder.context=initial` leaves the decoder without any sight of the source. "
        "Choose `model/bridge=dense`, another context, or, if this is meant, `model.bridge.unconditional=true`.",
    ),
    (
        {"attention": DotAttentionConfig(), "encoder": EncoderConfig(direction=BOTH)},
        "`model/attention=dot` needs equal sizes, but encoder states have 512 and the decoder asks with 256. "
        "Set `model.decoder.hidden_size=512` or choose `model/attention=general`.",
    ),
    ({"attention": AdditiveAttentionConfig(size=0)}, "`model.attention.size=0` must be at least 1."),
    (
        {"decoder": DecoderConfig(context=Context.initial, query=Query.current)},
        "`model.decoder.query=current` asks an attention, but `model.decoder.context=initial` has none. "
        "Set `model.decoder.context=attention` or `model.decoder.query=null`.",
    ),
    (
        {"decoder": DecoderConfig(context=Context.every_step, input_feeding=True)},
        "`model.decoder.input_feeding=true` needs an attention, but `model.decoder.context=every_step` has none. "
        "Set `model.decoder.context=attention` or `model.decoder.input_feeding=false`.",
    ),
    (
        {"decoder": DecoderConfig(summary=Summary.mean)},
        "`model.decoder.summary=mean` is the vector of `context=every_step`, but `model.decoder.context=attention` has "
        "none. Set `model.decoder.context=every_step` or `model.decoder.summary=last`.",
    ),
    (
        {"decoder": DecoderConfig(context=Context.every_step, summary=Summary.top)},
        "`model.decoder.summary=top` is what `last` is: the last layer of this encoder reads forward only, and nothing "
        "is added to what its cell gives. Set `model.decoder.summary=last`, or choose mean, max or learned.",
    ),
    (
        {
            "encoder": EncoderConfig(direction=BOTH),
            "decoder": DecoderConfig(context=Context.every_step, summary=Summary.top),
        },
        "`model.decoder.summary=top` takes the encoder state at the last position, where the backward cell of "
        "`model.encoder.direction=bidirectional` has read one token only. Set `model.decoder.summary=last`, which has "
        "both directions at their ends, or choose mean, max or learned.",
    ),
    (
        {"attention": LocationAttentionConfig(width=4)},
        "`model.attention.width=4` must be an odd number of source positions, as many on either side of the place "
        "itself. Set `model.attention.width=5`.",
    ),
    ({"attention": LocationAttentionConfig(filters=0)}, "`model.attention.filters=0` must be at least 1."),
    (
        {"attention": ScaledDotAttentionConfig(), "encoder": EncoderConfig(hidden_size=9)},
        "`model/attention=scaled_dot` needs equal sizes, but encoder states have 9 and the decoder asks with 256. "
        "Set `model.decoder.hidden_size=9` or choose `model/attention=general`.",
    ),
    (
        {"attention": MultiHeadAttentionConfig(heads=3)},
        "`model.attention.heads=3` share a size equally, but do not divide 256, the encoder states'. "
        "Set `model.attention.size=258` or another number of heads.",
    ),
    (
        {"attention": MultiHeadAttentionConfig(heads=4, size=10)},
        "`model.attention.heads=4` share a size equally, but do not divide 10, `model.attention.size`. "
        "Set `model.attention.size=12` or another number of heads.",
    ),
    ({"attention": MultiHeadAttentionConfig(heads=0)}, "`model.attention.heads=0` must be at least 1."),
    (
        {"decoder": DecoderConfig(readout=ReadoutConfig(context=False))},
        "`model.decoder.readout.context=false` leaves the context of `model.decoder.query=current` unread: it reaches "
        "the readout alone. Set `model.decoder.readout.context=true` or `model.decoder.query=previous`.",
    ),
    (
        {"decoder": DecoderConfig(context=Context.initial, dropout=DecoderDropout(context=0.1))},
        "`model.decoder.dropout.context=0.1` has no context to drop from with `model.decoder.context=initial`. "
        "Set it to 0.0 or choose another context.",
    ),
    (
        {"encoder": EncoderConfig(norm=Norm.layer, norm_place=NormPlace.after), "decoder": INITIAL},
        "`model.encoder.norm_place=after` ends the encoder in a norm of its states, but with "
        "`model.decoder.context=initial` and this bridge only final states are read. "
        "Set `model.encoder.norm_place=before` or `model.bridge.source=mean`.",
    ),
    (
        {"decoder": DecoderConfig(tie=Tie.decoder)},
        "`model.decoder.tie=decoder` shares the target embedding with the output layer, which needs equal sizes, but "
        "the embedding has 128 and the readout 256. "
        "Set `model.decoder.readout.size=128` or `model.decoder.embedding_size=256`.",
    ),
    (
        {"decoder": DecoderConfig(tie=Tie.all, embedding_size=256)},
        "`model.decoder.tie=all` shares one embedding, but the source's has 128 and the target's 256. "
        "Set `model.encoder.embedding_size=256` or choose `model.decoder.tie=decoder`.",
    ),
    (
        {"decoder": DecoderConfig(tie=Tie.decoder, embedding_size=256, embedding=EmbeddingConfig(freeze=True))},
        "`model.decoder.embedding.freeze=true` would freeze the output layer too, which `model.decoder.tie=decoder` "
        "makes one with the embedding. Set `model.decoder.tie=none` or `model.decoder.embedding.freeze=false`.",
    ),
    *(
        (
            {
                "encoder": EncoderConfig(embedding=embedding),
                "decoder": DecoderConfig(tie=Tie.all, readout=ReadoutConfig(size=128)),
            },
            f"`model.encoder.embedding.{setting}` has no embedding of its own to act on: `model.decoder.tie=all` "
            "shares the target's. Set `model.decoder.embedding.path`, or choose `model.decoder.tie=decoder`.",
        )
        for embedding, setting in (
            (EmbeddingConfig(path="a.vec"), "path=a.vec"),
            (EmbeddingConfig(freeze=True), "freeze=true"),
        )
    ),
    ({"encoder": EncoderConfig(embedding_size=0)}, "`model.encoder.embedding_size=0` must be at least 1."),
    ({"decoder": DecoderConfig(readout=ReadoutConfig(size=0))}, "`model.decoder.readout.size=0` must be at least 1."),
    (
        {"encoder": EncoderConfig(dropout=EncoderDropout(layers=1.0))},
        "`model.encoder.dropout.layers=1.0` must be at least 0.0 and below 1.0: "
        "it is the probability of dropping a unit.",
    ),
    (
        {"decoder": DecoderConfig(dropout=DecoderDropout(output=-0.1))},
        "`model.decoder.dropout.output=-0.1` must be at least 0.0 and below 1.0: "
        "it is the probability of dropping a unit.",
    ),
    (
        {"initialisation": InitialisationConfig(uniform_bound=0.0)},
        "`model.initialisation.uniform_bound=0.0` must be above 0.",
    ),
    (
        {"cell": GRUConfig(name="lstm")},
        "`model.cell.name=lstm` renames the option `gru` without changing it. Choose it with `model/cell=lstm`.",
    ),
    (
        {"decoder": DecoderConfig(cell=GRUConfig(name="rnn"))},
        "`model.decoder.cell.name=rnn` renames the option `gru` without changing it. "
        "Choose it with `model/cell@model.decoder.cell=rnn`.",
    ),
    (
        {"encoder": EncoderConfig(direction=Direction.bidirectional_first)},
        "`model.encoder.direction=bidirectional_first` reads forward from the second layer on, but there is one layer. "
        "Set `model.encoder.layers=2` or `model.encoder.direction=bidirectional`.",
    ),
    (
        {"encoder": EncoderConfig(pyramid=1)},
        "`model.encoder.pyramid=1` joins pairs of positions at as many boundaries between layers, but 1 layer has 0. "
        "Set `model.encoder.layers=2` or `model.encoder.pyramid=0`.",
    ),
    (
        {"encoder": EncoderConfig(pyramid=3, layers=2)},
        "`model.encoder.pyramid=3` joins pairs of positions at as many boundaries between layers, but 2 layers have 1. "
        "Set `model.encoder.layers=4` or `model.encoder.pyramid=1`.",
    ),
    ({"encoder": EncoderConfig(pyramid=-1)}, "`model.encoder.pyramid=-1` must be at least 0."),
    (
        {"encoder": EncoderConfig(pyramid=1, layers=2, residual=Residual.add)},
        "`model.encoder.residual=add` adds what a layer reads to what it gives, but with `model.encoder.pyramid=1` "
        "layers read pairs of positions. Set `model.encoder.residual=concat` or `model.encoder.pyramid=0`.",
    ),
    (
        {"encoder": EncoderConfig(direction=Direction.bidirectional_first, layers=3, residual=Residual.add)},
        "`model.encoder.residual=add` needs equal sizes, but layer 2 reads 512 and gives 256. "
        "Set `model.encoder.combine=project` or `model.encoder.residual=concat`.",
    ),
    (
        {
            "bridge": CopyBridgeConfig(source=BridgeSource.last),
            "encoder": EncoderConfig(direction=Direction.bidirectional_first, layers=2),
            "decoder": DecoderConfig(layers=2),
        },
        "`model/bridge=copy` needs equal sizes, but the encoder's layers end with 256 and 512 (256 × 2 directions). "
        "Set `model.encoder.combine=project` or choose `model/bridge=dense`.",
    ),
    (
        {
            "bridge": CopyBridgeConfig(source=BridgeSource.max),
            "encoder": EncoderConfig(layers=2, residual=Residual.concat),
        },
        "`model/bridge=copy` needs equal sizes, but the encoder ends with 512 (its states, joined by "
        "`model.encoder.residual=concat`) and the decoder starts with 256. "
        "Set `model.decoder.hidden_size=512` or choose `model/bridge=dense`.",
    ),
    ({"encoder": EncoderConfig(input_projection=0)}, "`model.encoder.input_projection=0` must be at least 1."),
    (
        {"cell": SRUConfig(), "encoder": EncoderConfig(dropout=EncoderDropout(recurrent=0.2))},
        "`model.encoder.dropout.recurrent=0.2` acts on matrices that read the cell's own state, but `sru` has none. "
        "Set it to 0.0 or choose a cell that has them: gru, lngru, lnlstm, lstm, rnn, slstm.",
    ),
    (
        {"cell": MinGRUConfig(), "decoder": DecoderConfig(dropout=DecoderDropout(weight=0.5))},
        "`model.decoder.dropout.weight=0.5` acts on matrices that read the cell's own state, but `mingru` has none. "
        "Set it to 0.0 or choose a cell that has them: gru, lngru, lnlstm, lstm, rnn, slstm.",
    ),
    (
        {"decoder": DecoderConfig(dropout=DecoderDropout(zoneout=1.0))},
        "`model.decoder.dropout.zoneout=1.0` must be at least 0.0 and below 1.0: "
        "it is the probability of keeping a unit as it was.",
    ),
    (
        {"encoder": EncoderConfig(cell=MLSTMConfig(heads=3))},
        "`heads=3` of the cell `mlstm` must divide `model.encoder.hidden_size=256`. "
        "Set `model.encoder.hidden_size=255` or `model.encoder.cell.heads=1`.",
    ),
    ({"decoder": DecoderConfig(cell=SLSTMConfig(heads=0))}, "`model.decoder.cell.heads=0` must be at least 1."),
]
ACCEPTED: list[dict[str, Any]] = [
    {},
    {"bridge": ZeroBridgeConfig(unconditional=True), "decoder": INITIAL},
    {"bridge": ZeroBridgeConfig()},
    {"bridge": CopyBridgeConfig(), "encoder": EncoderConfig(direction=BOTH, combine=Combine.sum)},
    {"attention": DotAttentionConfig(), "encoder": EncoderConfig(hidden_size=99), "decoder": INITIAL},
    {"decoder": DecoderConfig(readout=ReadoutConfig(context=False), query=Query.previous)},
    {"decoder": DecoderConfig(tie=Tie.decoder, embedding_size=256, embedding=EmbeddingConfig(path="a.vec"))},
    {"encoder": EncoderConfig(embedding=EmbeddingConfig(freeze=True))},
    {
        "encoder": EncoderConfig(norm=Norm.layer, norm_place=NormPlace.after),
        "decoder": INITIAL,
        "bridge": DenseBridgeConfig(source=BridgeSource.mean),
    },
    {
        "encoder": EncoderConfig(norm=Norm.layer, norm_place=NormPlace.after),
        "decoder": DecoderConfig(context=Context.every_step, summary=Summary.mean),
    },
    *(
        {"encoder": encoder, "decoder": DecoderConfig(context=Context.every_step, summary=Summary.top)}
        for encoder in (
            EncoderConfig(norm=Norm.layer, norm_place=NormPlace.after),
            EncoderConfig(dropout=EncoderDropout(output=0.1)),
            EncoderConfig(layers=2, residual=Residual.add),
        )
    ),
]


@pytest.mark.parametrize(("sections", "message"), REFUSED, ids=[message.split("`")[1] for _, message in REFUSED])
def test_a_refusal_names_the_key_the_values_and_the_way_out(sections: dict[str, Any], message: str) -> None:
    assert check(ModelConfig(**sections)) == [message]


@pytest.mark.parametrize("sections", ACCEPTED, ids=str)
def test_what_is_meant_is_accepted(sections: dict[str, Any]) -> None:
    assert check(ModelConfig(**sections)) == []


def test_problems_of_several_parts_come_together() -> None:
    decoder = DecoderConfig(hidden_size=100, tie=Tie.decoder, readout=ReadoutConfig(size=100))
    encoder = EncoderConfig(direction=BOTH)
    found = check(
        ModelConfig(decoder=decoder, encoder=encoder, attention=DotAttentionConfig(), bridge=CopyBridgeConfig())
    )
    assert [problem.split("`")[1] for problem in found] == [
        "model/bridge=copy",
        "model/attention=dot",
        "model.decoder.tie=decoder",
    ]
