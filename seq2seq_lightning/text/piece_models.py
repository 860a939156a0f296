"""Models of sentencepiece as bytes: learnt, read from a file, and checked before they are used."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator

import sentencepiece

from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.text.pieces_config import BLANK, PiecesConfig

_OURS_BESIDE_THEIRS = 3  # of our special tokens sentencepiece counts `unk` alone
_ANY_LENGTH = 1 << 30  # bytes of a text; sentencepiece would leave out texts of more than 4,192 without a word
_TRAINER, _NORMALIZER = 2, 3  # fields of a model, see sentencepiece_model.proto
_MODEL_TYPE = 3  # a field of the trainer's
_KINDS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}


def train_model(config: PiecesConfig, texts: Iterable[str]) -> bytes:
    """A model of these texts; raises ConfigurationError where they do not hold so many pieces."""
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type=config.kind,
            vocab_size=config.vocab_size - _OURS_BESIDE_THEIRS,
            character_coverage=config.character_coverage,
            byte_fallback=config.byte_fallback,
            normalization_rule_name=config.normalization.value,
            remove_extra_whitespaces=config.collapse_blanks,
            user_defined_symbols=[symbol.replace(" ", BLANK) for symbol in config.symbols],
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            max_sentence_length=_ANY_LENGTH,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _not_trained(config, str(error)) from error
    return model.getvalue()


def _not_trained(config: PiecesConfig, reason: str) -> Exception:
    """What sentencepiece says of sizes, in our words."""
    begins = f"`vocab_size` of the tokenizer {config.name} is {config.vocab_size}"
    if found := re.search(r"set it to a value <= (\d+)", reason):
        most = int(found[1]) + _OURS_BESIDE_THEIRS
        return ConfigurationError(f"{begins}, but the training text has pieces for {most} at most. Set it to {most}.")
    if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", reason):
        least = int(found[1]) + _OURS_BESIDE_THEIRS
        return ConfigurationError(
            f"{begins}, but the characters, symbols and special tokens of the training text are {least} already. Set "
            f"it to more than {least}, or lower `character_coverage` ({config.character_coverage})."
        )
    if "sentences_.empty()" in reason or "all_chars_count" in reason:
        reason = "it is empty"
    return DataError(f"The tokenizer {config.name} cannot be learnt from the training text: {reason}.")


def read_model_file(config: PiecesConfig) -> bytes:
    """The model in the file; ConfigurationError where it cannot be read or used."""
    blob = config.model_bytes()
    try:
        load_model(blob, config)
    except ValueError as error:
        raise ConfigurationError(
            f"`model_file` of the tokenizer {config.name} is {config.model_file}, which cannot be used: {error}. Give "
            f"a model of the kind {config.kind} that sentencepiece has written."
        ) from error
    return blob


def load_model(blob: bytes, config: PiecesConfig) -> sentencepiece.SentencePieceProcessor:
    """The model in these bytes; raises ValueError for what is none, is cut off, or is one of another kind."""
    model = sentencepiece.SentencePieceProcessor()
    try:
        parts = dict(_fields(blob))
        model.LoadFromSerializedProto(blob)
        kind = _KINDS[dict(_fields(bytes(parts[_TRAINER]))).get(_MODEL_TYPE, 1)]  # type: ignore[index]
        is_whole = bool(model.vocab_size()) and _NORMALIZER in parts
    except (RuntimeError, TypeError, KeyError, IndexError) as error:
        raise ValueError("these bytes are no sentencepiece model, or a damaged one") from error
    if not is_whole:
        raise ValueError("the end of the sentencepiece model is missing")
    if kind != config.kind:
        raise ValueError(f"it is a sentencepiece model of the kind {kind}, not {config.kind}")
    return model


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of the fields of a protocol buffer; IndexError where it ends too early."""
    place = 0

    def varint() -> int:
        nonlocal place
        value, shift = 0, 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(message):
        number, kind = divmod(varint(), 8)
        size = 0 if kind == 0 else {1: 8, 2: None, 5: 4}[kind]
        if size == 0:
            yield number, varint()
            continue
        size = varint() if size is None else size
        if place + size > len(message):
            raise IndexError(place)
        yield number, message[place : place + size]
        place += size
