"""A trained run, ready to translate and to be scored: `load(run).translate([...])`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from seq2seq_lightning.config import Config
from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.decoding import DecodingConfig
from seq2seq_lightning.decoding.protocol import Hypothesis, SpecialIds
from seq2seq_lightning.errors import CheckpointError
from seq2seq_lightning.metrics import MetricsConfig
from seq2seq_lightning.models.seq2seq import Seq2Seq, build_model
from seq2seq_lightning.plugins import needing
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.training.asked import Asked, requests_in_ids
from seq2seq_lightning.training.checkpoint_index import best_checkpoint
from seq2seq_lightning.training.checkpoints import read_checkpoint
from seq2seq_lightning.training.evaluation import Evaluation, Evaluator, OnProgress

NUMBERS = {"64-true": torch.float64}  # mixed precision trains float32 weights


class Trained:
    """A model with its configuration and vocabularies, as a checkpoint holds them."""

    def __init__(
        self, config: Config, model: Seq2Seq, source: SourceCodec, target: TargetCodec, global_step: int | None
    ) -> None:
        self.config = config
        self.model = model
        self.global_step = global_step
        self.evaluator = Evaluator(model, source, target, special_ids(target))

    @property
    def source(self) -> SourceCodec:
        """The source side's way from text to ids."""
        return self.evaluator.source

    @property
    def target(self) -> TargetCodec:
        """The target side's way from ids to text."""
        return self.evaluator.target

    def to(self, device: str | torch.device) -> Trained:
        """Move the model."""
        self.model.to(device)
        return self

    def translate(self, texts: Sequence[str], decoding: DecodingConfig | None = None) -> list[str]:
        """The best hypothesis of each text, in order; `decoding` defaults to the run's."""
        found = self.search(texts, decoding)
        return [self.text(best[0], text) for best, text in zip(found, texts, strict=True)]

    def text(self, hypothesis: Hypothesis, source: str) -> str:
        """What was written for a source."""
        return self.evaluator.text(hypothesis, source)

    def search(
        self,
        texts: Sequence[str],
        decoding: DecodingConfig | None = None,
        on_progress: OnProgress | None = None,
        asked: Sequence[Asked] | None = None,
        **wanted: bool,
    ) -> list[list[Hypothesis]]:
        """The n-best hypotheses of each text, in order (token ids of the target vocabulary, without bos and eos).

        Ids beyond the vocabulary stand for words that only that text has; ``text`` knows them. asked: prefixes,
        required phrases and allowed outputs, one entry per text.
        """
        pairs = [Pair(text, "", ("",)) for text in texts]
        requests = None
        if asked is not None:
            requests = requests_in_ids(asked, texts, self.evaluator.copying, self.model.copies)
        return self.evaluator.search(
            self.evaluator.encode(pairs), decoding or self.config.decoding, on_progress, requests, **wanted
        )

    def score(
        self,
        pairs: Sequence[Pair],
        decoding: DecodingConfig | None = None,
        metrics: MetricsConfig | None = None,
        on_progress: OnProgress | None = None,
    ) -> Evaluation:
        """Search the pairs' sources and score against their references."""
        return self.evaluator.evaluate(
            pairs, decoding or self.config.decoding, metrics or self.config.metrics, on_progress
        )


def load(run: str | Path, device: str | torch.device = "cpu") -> Trained:
    """A run directory's best checkpoint (the last one, where nothing was validated), or one checkpoint file.

    Raises CheckpointError when there is none, or it is damaged.
    """
    path = Path(run)
    if not path.exists() and path.suffix != ".ckpt":
        raise CheckpointError(
            f"{path} does not exist. Give the directory of a run, such as runs/<name>/<fingerprint>, or a checkpoint."
        )
    if path.is_dir():
        folder = path / "checkpoints"
        found = best_checkpoint(folder) if folder.is_dir() else None
        if found is None:
            raise CheckpointError(
                f"{path} holds no checkpoint. Give the directory of a run, such as runs/<name>/<fingerprint>, "
                "that has begun to train (and was not finished with checkpoint.after_scoring=delete)."
            )
        path = found
    checkpoint = read_checkpoint(path)
    with needing(checkpoint.plugins, str(path)):
        config = Config.from_plain(checkpoint.config)
    source = SourceCodec.from_plain(checkpoint.vocabularies["source"])
    target = TargetCodec.from_plain(checkpoint.vocabularies["target"])
    model = new_model(config, source, target)
    try:
        model.load_state_dict(checkpoint.model_weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit the model its configuration describes: {error}") from error
    return Trained(config, model.eval().to(device), source, target, checkpoint.global_step)


def new_model(config: Config, source: SourceCodec, target: TargetCodec) -> Seq2Seq:
    """The untrained model of a configuration, its weights drawn from the seed's `init` stream."""
    ids = special_ids(target)
    model = build_model(
        config.model, len(source.vocabulary), len(target.vocabulary), ids.pad, config.seed, target.vocabulary.unk_id
    )
    return model.to(NUMBERS.get(config.trainer.precision, torch.float32))


def special_ids(codec: SourceCodec | TargetCodec) -> SpecialIds:
    """The ids with a meaning of their own, as the vocabulary has them."""
    return SpecialIds(pad=codec.vocabulary.pad_id, bos=codec.vocabulary.bos_id, eos=codec.vocabulary.eos_id)
