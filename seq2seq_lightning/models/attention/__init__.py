"""Attentions: one line maps each config to the score it builds."""

from __future__ import annotations

from seq2seq_lightning.models.attention.additive import AdditiveAttention, AdditiveAttentionConfig
from seq2seq_lightning.models.attention.attention import Attention, AttentionConfig
from seq2seq_lightning.models.attention.coverage import CoverageAttention, CoverageAttentionConfig
from seq2seq_lightning.models.attention.dot import DotAttention, DotAttentionConfig
from seq2seq_lightning.models.attention.general import GeneralAttention, GeneralAttentionConfig
from seq2seq_lightning.models.attention.location import LocationAttention, LocationAttentionConfig
from seq2seq_lightning.models.attention.multi_head import MultiHeadAttention, MultiHeadAttentionConfig
from seq2seq_lightning.models.attention.scaled_dot import ScaledDotAttention, ScaledDotAttentionConfig
from seq2seq_lightning.plugins import Table

ATTENTIONS: Table[type[AttentionConfig], type[Attention]] = Table(
    "attentions",
    AttentionConfig,
    {
        DotAttentionConfig: DotAttention,
        ScaledDotAttentionConfig: ScaledDotAttention,
        GeneralAttentionConfig: GeneralAttention,
        AdditiveAttentionConfig: AdditiveAttention,
        LocationAttentionConfig: LocationAttention,
        CoverageAttentionConfig: CoverageAttention,
        MultiHeadAttentionConfig: MultiHeadAttention,
    },
)


def build_attention(config: AttentionConfig, query_size: int, key_size: int) -> Attention:
    """The attention that a config describes."""
    return ATTENTIONS[type(config)](config, query_size, key_size)
