"""How each attention compares, within a loop over positions and on the way back."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from seq2seq_lightning.models.attention.additive import AdditiveAttention
from seq2seq_lightning.models.attention.attention import Attention
from seq2seq_lightning.models.attention.dot import DotAttention
from seq2seq_lightning.models.attention.general import GeneralAttention
from seq2seq_lightning.models.attention.scaled_dot import ScaledDotAttention
from seq2seq_lightning.models.replicas.looking import Look
from seq2seq_lightning.models.replicas.reach import Some


class AdditiveLook(Look):
    """v · tanh(W q + key)."""

    @classmethod
    def sizes(cls, source_time: int, size: int, key_size: int) -> dict[str, int]:
        """See ``Look.sizes``."""
        wide = {"asked": key_size, "of_asked": key_size}
        found = super().sizes(source_time, size, key_size) | wide
        return found | {name: source_time * key_size for name in ("bent", "slopes")}

    def look(self) -> None:
        """See ``Room.look``."""
        super().look()
        held, size = self.held, self.held["asked"].shape[3]
        self.asked_at, self.asked_wide = held["asked"].unbind(0), held["asked"].unsqueeze(3).unbind(0)
        bent = held["bent"].unflatten(3, (-1, size))
        self.bent_at, self.bent_flat = bent.unbind(0), bent.flatten(2, 3).unbind(0)
        self.slopes_alone = held["slopes"].unflatten(3, (-1, size)).flatten(1, 2).unbind(0)
        self.of_asked_at, self.of_asked_alone = (
            held["of_asked"].unbind(0),
            held["of_asked"].flatten(1, 2).unsqueeze(2).unbind(0),
        )

    @classmethod
    def parameters(cls, attention: Attention) -> tuple[Tensor, ...]:
        """See ``Look.parameters``."""
        assert isinstance(attention, AdditiveAttention)
        assert attention.query_map is not None
        return attention.query_map.weight, attention.score_map.weight

    def compare(self, attention: Attention) -> None:
        """See ``Look.compare``."""
        asks, self.score = (each.detach() for each in self.parameters(attention))
        self.asks_turned = asks.transpose(1, 2)
        self.asks_back = self.score.transpose(1, 2) * asks  # what comes back through v and W
        self.score_turned = self.score.transpose(1, 2)

    def lend(self, part: Self, some: Some) -> None:
        """See ``Room.lend``."""
        super().lend(part, some)
        part.asks_turned, part.asks_back = self.asks_turned[some.slice], self.asks_back[some.slice]
        part.score_turned = self.score_turned[some.slice]

    def arrange(self) -> None:
        """See ``Look.arrange``."""
        super().arrange()
        self.closed_flat = None if self.closed is None else self.closed.flatten(1, 2).unsqueeze(2)

    def scores(self, position: int, hidden: Tensor) -> Tensor:
        """See ``Look.scores``."""
        torch.bmm(hidden, self.asks_turned, out=self.asked_at[position])
        torch.add(self.asked_wide[position], self.keys, out=self.bent_at[position]).tanh_()
        bent = self.bent_flat[position]
        if self.closed_flat is None:
            return torch.bmm(bent, self.score_turned).view(self.weights_at[position].shape)
        return torch.baddbmm(self.closed_flat, bent, self.score_turned).view(self.weights_at[position].shape)

    def factor(self) -> None:
        """See ``Look.factor``."""
        time, held = self.reach.time, self.held
        one = held["bent"].new_ones(())
        torch.addcmul(one, held["bent"][:time], held["bent"][:time], value=-1, out=held["slopes"][:time])
        if not self.reach.is_even:
            held["of_asked"][:time].zero_()

    def ask_back(self, position: int, of_hidden: Tensor) -> None:
        """See ``Look.ask_back``."""
        torch.bmm(self.of_scores_alone[position], self.slopes_alone[position], out=self.of_asked_alone[position])
        of_hidden.baddbmm_(self.of_asked_at[position], self.asks_back)

    def of_comparison(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """See ``Look.of_comparison``."""
        time, held, score = self.reach.time, self.held, self.score.squeeze(1)
        of_scores = held["of_scores"][:time]
        slopes = held["slopes"][:time].unflatten(3, (of_scores.shape[3], -1))
        of_keys = slopes.mul_(of_scores.unsqueeze(4)).sum(0).mul_(score[:, None, None])
        bent = held["bent"][:time].view(time * self.replicas, -1, score.shape[1])
        of_score = (
            torch.bmm(of_scores.reshape(time * self.replicas, 1, -1), bent).view(time, self.replicas, 1, -1).sum(0)
        )
        of_asked = self.by_row("of_asked").flatten(1, 2).mul_(score.unsqueeze(1))
        of_asks = torch.bmm(hidden.transpose(1, 2), of_asked).transpose(1, 2)
        return of_keys.flatten(0, 1), of_asks, of_score


class DotLook(Look):
    """q · key."""

    scale = 1.0

    def compare(self, attention: Attention) -> None:
        """See ``Look.compare``."""
        self.scale = self.keys.shape[3] ** -0.5 if isinstance(attention, ScaledDotAttention) else 1.0
        self.keys = self.keys if self.scale == 1.0 else self.keys * self.scale

    def arrange(self) -> None:
        """See ``Look.arrange``."""
        super().arrange()
        self.keys_alone = self.keys.flatten(0, 1)
        self.keys_turned = self.keys_alone.transpose(1, 2)
        self.closed_alone = None if self.closed is None else self.closed.flatten(0, 1).unsqueeze(1)

    def scores(self, position: int, hidden: Tensor) -> Tensor:
        """See ``Look.scores``."""
        asked = hidden.flatten(0, 1).unsqueeze(1)
        if self.closed_alone is None:
            found = torch.bmm(asked, self.keys_turned)
        else:
            found = torch.baddbmm(self.closed_alone, asked, self.keys_turned)
        return found.view(self.weights_at[position].shape)

    def ask_back(self, position: int, of_hidden: Tensor) -> None:
        """See ``Look.ask_back``."""
        of_hidden.flatten(0, 1).unsqueeze(1).baddbmm_(self.of_scores_alone[position], self.keys_alone)

    def of_comparison(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """See ``Look.of_comparison``."""
        of_scores = self.by_row("of_scores").flatten(0, 1)
        of_keys = torch.bmm(of_scores.transpose(1, 2), hidden.view(len(of_scores), -1, hidden.shape[2]))
        return (of_keys if self.scale == 1.0 else of_keys * self.scale,)


LOOKS: dict[type[Attention], type[Look]] = {
    AdditiveAttention: AdditiveLook,
    DotAttention: DotLook,
    ScaledDotAttention: DotLook,
    GeneralAttention: DotLook,
}
