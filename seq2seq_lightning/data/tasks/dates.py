"""Dates as people write them, to be written as ISO 8601 does; a task of characters (`text=characters`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date

from torch import Tensor

from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.data.tasks.generated import GeneratedConfig, GeneratedTask
from seq2seq_lightning.errors import ConfigurationError

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FORMATS: tuple[Callable[[date], str], ...] = (
    lambda day: f"{day.day}.{day.month}.{day.year:04}",
    lambda day: f"{day.day:02}/{day.month:02}/{day.year:04}",
    lambda day: f"{day.day} {_month(day)[:3]} {day.year:04}",
    lambda day: f"{_month(day)[:3]} {day.day}, {day.year:04}",
    lambda day: f"{day.day} {_month(day)} {day.year:04}",
    lambda day: f"{_month(day)} {day.day}, {day.year:04}",
    lambda day: f"{_ordinal(day)} of {_month(day)} {day.year:04}",
    lambda day: f"{_weekday(day)[:3]} {day.day} {_month(day)[:3]} {day.year:04}",
    lambda day: f"{_weekday(day)}, {day.day} {_month(day)} {day.year:04}",
    lambda day: f"{_weekday(day)}, {_month(day)} {day.day}, {day.year:04}",
    lambda day: f"{_weekday(day)} the {_ordinal(day)} of {_month(day)} {day.year:04}",
)


@dataclass
class DatesConfig(GeneratedConfig):
    """Write dates as year-month-day; the length of a pair counts the characters of its source (8 to 36)."""

    name: str = "dates"
    train_size: int = 20000
    train_min_length: int = 8
    evaluation_min_length: int = 8
    held_out: dict[str, list[int]] = field(default_factory=lambda: {"longer": [21, 36]})
    # dates from the first day of one year to the last day of another
    first_year: int = 1900
    last_year: int = 2099

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.first_year <= self.last_year <= 9999:
            raise ConfigurationError(
                f"`data.first_year={self.first_year}` and `data.last_year={self.last_year}` are no span of years "
                "from 1 to 9999. Set the first to the last or less."
            )


class DatesTask(GeneratedTask):
    """`Friday the 2nd of May 1997` becomes `1997-05-02`; numbers alone come day first. No date of training is tested.

    Days and ways of writing are drawn alike, and drawn again where the text is not of the lengths asked for.
    """

    config: DatesConfig
    STREAM = "dates"

    def columns(self, longest: int) -> int:
        """The day and the way it is written."""
        del longest
        return 2

    def pairs(self, lengths: list[int], draws: Tensor) -> Iterator[Pair]:
        """A day and one way of writing it."""
        del lengths
        first = date(self.config.first_year, 1, 1).toordinal()
        days = date(self.config.last_year, 12, 31).toordinal() - first + 1
        for drawn, written in draws.tolist():
            day = date.fromordinal(first + int(drawn * days))
            yield Pair.of(FORMATS[int(written * len(FORMATS))](day), day.isoformat())

    def key(self, pair: Pair) -> str:
        """The day, however it is written."""
        return pair.target

    def has_length(self, pair: Pair, low: int, high: int) -> bool:
        """By the characters of the source."""
        return low <= len(pair.source) <= high


def _month(day: date) -> str:
    return MONTHS[day.month - 1]


def _weekday(day: date) -> str:
    return WEEKDAYS[day.weekday()]


def _ordinal(day: date) -> str:
    """1st, 2nd, 3rd, 4th; 11th, 12th and 13th are no exceptions of the exceptions."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th") if day.day // 10 != 1 else "th"
    return f"{day.day}{ending}"
