"""What a way of feeding needs of the model and of validation, told without building either."""

from __future__ import annotations

from collections.abc import Iterator

from seq2seq_lightning.teacher_forcing.adaptive import AdaptiveConfig, Signal
from seq2seq_lightning.teacher_forcing.feeding import FedBackToken, Mechanism, TeacherForcingConfig

NEEDS_VALIDATION = (
    "teacher_forcing=adaptive lowers the ratio after validations, but there is no validation split. Give one "
    "(data.val, data.val_size), or choose a schedule of time such as teacher_forcing=linear."
)


def feeding_problems(
    config: TeacherForcingConfig, *, is_fusible: bool, copies: bool, has_validation: bool, free_running_loss: bool
) -> Iterator[str]:
    """What cannot be, one sentence each with what to do.

    is_fusible: the decoder carries nothing on but its state; copies: it may write words beyond its vocabulary;
    has_validation: there is a validation split; free_running_loss: its free-running loss is measured.
    """
    if config.mechanism is Mechanism.parallel and not is_fusible:
        yield (
            "teacher_forcing.mechanism=parallel computes all positions at once, but in this decoder more than the "
            "state goes from one position to the next (input feeding, attention asked by the previous state, an "
            "attention that remembers). Set teacher_forcing.mechanism=stepwise (or auto), or "
            "model.decoder.query=current model.decoder.input_feeding=false with such an attention as general."
        )
    if config.fed_back is FedBackToken.gumbel and copies:
        yield (
            "teacher_forcing.fed_back=gumbel mixes the embeddings of the vocabulary, but this model also copies words "
            "that have none. Set teacher_forcing.fed_back=argmax or sample, or model.decoder.copy=none."
        )
    if isinstance(config, AdaptiveConfig) and not has_validation:
        yield NEEDS_VALIDATION
    elif isinstance(config, AdaptiveConfig) and config.signal is Signal.gap and not free_running_loss:
        yield (
            "teacher_forcing.signal=gap compares the free-running with the teacher-forced loss, but "
            "validation.free_running_loss=false. Set validation.free_running_loss=true, or teacher_forcing.signal=loss."
        )
