"""A trained run, ready to translate and to be scored: `load(run).translate([...])`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from seq2seq_lightning.config import Config
from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.decoding import DecodingConfig, Requests
from seq2seq_lightning.decoding.ensemble import Average
from seq2seq_lightning.decoding.protocol import Details, Hypothesis, SpecialIds
from seq2seq_lightning.errors import CheckpointError, ConfigurationError
from seq2seq_lightning.metrics import MetricsConfig
from seq2seq_lightning.models.seq2seq import Seq2Seq, build_model
from seq2seq_lightning.plugins import needing
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.training.asked import Asked, requests_in_ids
from seq2seq_lightning.training.checkpoint_index import best_checkpoint
from seq2seq_lightning.training.checkpoints import read_checkpoint
from seq2seq_lightning.training.ensemble import EnsembleModel
from seq2seq_lightning.training.evaluation import Evaluation, Evaluator
from seq2seq_lightning.training.searching import OnProgress, SplitRequest

NUMBERS = {"64-true": torch.float64}  # mixed precision trains float32 weights


class Trained:
    """A model with its configuration and vocabularies, as a checkpoint holds them."""

    def __init__(
        self,
        config: Config,
        model: Seq2Seq,
        source: SourceCodec,
        target: TargetCodec,
        global_step: int | None,
        ensemble: EnsembleModel | None = None,
    ) -> None:
        """ensemble: several models, of which this one is the first, to be searched and scored instead."""
        self.config = config
        self.model = model
        self.global_step = global_step
        self.evaluator = Evaluator(ensemble or model, source, target, special_ids(target))

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
        self.evaluator.model.to(device)
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
        with_token_log_probs: bool = False,
        with_attention: bool = False,
        trace: int = 0,
        first_place: int = 0,
    ) -> list[list[Hypothesis]]:
        """The n-best hypotheses of each text, in order (token ids of the target vocabulary, without bos and eos).

        Ids beyond the vocabulary stand for words that only that text has; ``text`` knows them. asked: prefixes,
        required phrases and allowed outputs, one entry per text; trace: tell of each step so many most probable tokens;
        first_place: of the first text in the file it is from, which noise is drawn by.
        """
        if not texts:
            return []
        target = "" if self.target.config.eos else "-"  # nobody reads it, but a batch has at least one label per row
        pairs = [Pair(text, target, (target,)) for text in texts]
        requests = None
        if asked is not None:
            requests = requests_in_ids(asked, texts, self.evaluator.copying, self.model.copies)
        request = SplitRequest(
            requests or Requests(),
            Details(with_token_log_probs, with_attention),
            texts,
            self.config.metrics,
            trace,
            first_place,
        )
        return self.evaluator.search(
            self.evaluator.encode(pairs), decoding or self.config.decoding, on_progress, request
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

    def score_each(
        self,
        pairs: Sequence[Pair],
        decodings: Sequence[DecodingConfig],
        metrics: MetricsConfig | None = None,
        on_progress: OnProgress | None = None,
        quality: int | None = None,
    ) -> list[Evaluation | Exception]:
        """The same of several decodings in one pass over the pairs; in the place of one that failed, why.

        quality: the width of a beam that each search is compared with.
        """
        return self.evaluator.evaluate_each(pairs, decodings, metrics or self.config.metrics, on_progress, quality)


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
    missing = [side for side in ("source", "target") if not isinstance(checkpoint.vocabularies.get(side), dict)]
    if missing:
        raise CheckpointError(f"{path} is incomplete: it lacks the vocabulary of the {' and the '.join(missing)}.")
    source = SourceCodec.from_plain(checkpoint.vocabularies["source"])
    target = TargetCodec.from_plain(checkpoint.vocabularies["target"])
    model = new_model(config, source, target)
    try:
        model.load_state_dict(checkpoint.model_weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit the model its configuration describes: {error}") from error
    return Trained(config, model.eval().to(device), source, target, checkpoint.global_step)


def load_together(
    runs: Sequence[str | Path], average: Average = Average.log_probs, device: str | torch.device = "cpu"
) -> Trained:
    """Several runs or checkpoints as one model, whose steps are averaged; of one alone it is that one.

    Raises ConfigurationError for members that do not read and write alike.
    """
    return join({str(run): load(run, device) for run in runs}, average)


def join(members: Mapping[str, Trained], average: Average = Average.log_probs) -> Trained:
    """Trained models as one, by what to call each; see ``load_together``."""
    (name, first), *others = members.items()
    if not others:
        return first
    problems = [
        f"{other} {problem}, so {name} and it cannot be searched as one."
        for other, trained in others
        for problem in _differences(first, trained)
    ]
    if problems:
        raise ConfigurationError(
            "\n".join(problems) + "\nEnsembles are made of runs on the same data and text settings."
        )
    models = [first.model, *(trained.model for _, trained in others)]
    ensemble = EnsembleModel(models, average).eval()
    return Trained(first.config, first.model, first.source, first.target, first.global_step, ensemble)


def _differences(one: Trained, other: Trained) -> Iterator[str]:
    """What keeps two models from being members of one ensemble."""
    if one.target.to_plain() != other.target.to_plain():
        yield (
            f"has another target vocabulary or other settings of text.target ({len(other.target.vocabulary)} tokens, "
            f"not {len(one.target.vocabulary)})"
        )
    if one.source.to_plain() != other.source.to_plain():
        yield (
            f"has another source vocabulary or other settings of text.source ({len(other.source.vocabulary)} tokens, "
            f"not {len(one.source.vocabulary)})"
        )
    if one.model.copies != other.model.copies:
        yield f"has model.decoder.copy={other.config.model.decoder.copy.name}"
    long = torch.tensor([1024])
    if int(one.model.attended_lengths(long)) != int(other.model.attended_lengths(long)):
        yield "shortens its source otherwise (model.encoder.pyramid)"


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
