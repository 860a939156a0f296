"""Addition: numbers digit by digit, to be answered by their sum (Zaremba and Sutskever 2014, arXiv 1410.4615, §4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import Tensor

from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.data.tasks.generated import GeneratedConfig, GeneratedTask


@dataclass
class AdditionConfig(GeneratedConfig):
    """Add numbers; the length of a pair is the number of digits of its longest term.

    The others have from one to so many digits, each count as likely as the next.
    """

    name: str = "addition"
    train_max_length: int = 5
    evaluation_max_length: int = 5
    held_out: dict[str, list[int]] = field(default_factory=lambda: {"longer": [6, 8]})
    # how many numbers are added
    terms: int = 2
    # write the sum from its last digit on, so that each digit follows from what has been read and written
    reverse_answer: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least("terms", 2)


class AdditionTask(GeneratedTask):
    """`1 2 + 9 5` becomes `1 0 7`. A sum whose terms are seen in training is not evaluated in another order either."""

    config: AdditionConfig
    STREAM = "addition"

    def columns(self, longest: int) -> int:
        """Which term is longest; then, for each term, its count of digits and its digits."""
        return 1 + self.config.terms * (1 + longest)

    def pairs(self, lengths: list[int], draws: Tensor) -> Iterator[Pair]:
        """The terms, drawn digit by digit, and their sum."""
        for length, numbers in zip(lengths, draws.tolist(), strict=True):
            terms = self._terms(length, numbers)
            answer = str(sum(terms))
            yield Pair.of(
                " + ".join(" ".join(str(term)) for term in terms),
                " ".join(answer[::-1] if self.config.reverse_answer else answer),
            )

    def _terms(self, length: int, numbers: list[float]) -> list[int]:
        each = (len(numbers) - 1) // self.config.terms
        longest = int(numbers[0] * self.config.terms)
        terms = []
        for place in range(self.config.terms):
            own = numbers[1 + place * each : 1 + (place + 1) * each]
            digits = length if place == longest else 1 + int(own[0] * length)
            terms.append(_number(own[1 : 1 + digits]))
        return terms

    def key(self, pair: Pair) -> str:
        """The terms, whatever their order."""
        return " + ".join(sorted(pair.source.split(" + ")))


def _number(draws: list[float]) -> int:
    """A number of so many digits, the first of which is no zero unless it is the only one."""
    if len(draws) == 1:
        return int(draws[0] * 10)
    digits = [1 + int(draws[0] * 9), *(int(draw * 10) for draw in draws[1:])]
    return int("".join(map(str, digits)))
