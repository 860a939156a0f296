"""How the probability of feeding gold changes in training: one function per schedule, a pure function of the position.

Bengio et al. 2015 (arXiv 1506.03099), section 2.4, gives the formulas by constants. By end points, a curve of the same
family goes from ``start`` to ``end`` within ``over`` units and then stays there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.teacher_forcing.feeding import TeacherForcingConfig, Unit
from seq2seq_lightning.teacher_forcing.ranges import require, require_probability


@dataclass
class ConstantConfig(TeacherForcingConfig):
    """The same ratio throughout; 1.0 is plain teacher forcing, 0.0 feeds only the model's own tokens."""

    name: str = "constant"
    ratio: float = 1.0  # probability of feeding gold

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        super().__post_init__()
        require_probability("ratio", self.ratio)


@dataclass
class EndPointsConfig(TeacherForcingConfig):
    """A curve given by its end points or else by the constants of its formula, never by both.

    Without constants the end points hold; those not given are 1.0, 0.5 and the whole training.
    """

    unit: Unit = Unit.training
    start: float | None = None  # ratio at the first update; null: 1.0, unless constants are given
    end: float | None = None  # ratio after `over`; null: 0.5, unless constants are given
    over: float | None = None  # units from start to end; null: 1.0 if unit=training, else needed

    def constants(self) -> dict[str, float | None]:
        """The constants of the formula, by name."""
        raise NotImplementedError

    @property
    def is_by_constants(self) -> bool:
        """Is the curve given by the constants of its formula?"""
        return any(value is not None for value in self.constants().values())

    def __post_init__(self) -> None:
        """Complete the chosen parametrisation, so that records show every number; refuse both at once."""
        super().__post_init__()
        if self.is_by_constants:
            self._require_no_end_points()
        else:
            self._complete_end_points()

    def _require_no_end_points(self) -> None:
        given = [key for key in ("start", "end", "over") if getattr(self, key) is not None]
        names = ", ".join(self.constants())
        if given:
            raise ConfigurationError(
                f"teacher_forcing={self.name} is given both by constants ({names}) and by end points "
                f"({', '.join(given)}). Keep one: set "
                + " ".join(f"teacher_forcing.{key}=null" for key in given)
                + f" to use the constants, or leave out {names}."
            )
        if self.unit is Unit.training:
            raise ConfigurationError(
                f"teacher_forcing={self.name} by constants ({names}) counts updates or epochs, but "
                "teacher_forcing.unit=training. Set teacher_forcing.unit=update (or epoch), or give end points "
                "(start, end, over) instead of constants."
            )

    def _complete_end_points(self) -> None:
        self.start = 1.0 if self.start is None else self.start
        self.end = 0.5 if self.end is None else self.end
        if self.over is None:
            if self.unit is not Unit.training:
                raise ConfigurationError(
                    f"teacher_forcing.over is null, but teacher_forcing.unit={self.unit.name}: set "
                    f"teacher_forcing.over to the number of {self.unit.name}s from start to end, "
                    "or teacher_forcing.unit=training."
                )
            self.over = 1.0
        require_probability("start", self.start)
        require_probability("end", self.end)
        _require_span("over", self.over, self.unit)


@dataclass
class LinearConfig(EndPointsConfig):
    """A straight line: max(floor, k - c·i), or from `start` to `end`."""

    name: str = "linear"
    k: float | None = None  # offset (null: 1.0 once c is given)
    c: float | None = None  # decrease per unit
    floor: float | None = None  # smallest ratio (null: 0.0 once c is given)

    def constants(self) -> dict[str, float | None]:
        """k, c and floor."""
        return {"k": self.k, "c": self.c, "floor": self.floor}

    def __post_init__(self) -> None:
        """Complete and check k, c and floor."""
        super().__post_init__()
        if not self.is_by_constants:
            return
        if self.c is None:
            raise ConfigurationError(
                "teacher_forcing=linear has k or floor but no slope: set teacher_forcing.c to the decrease per unit."
            )
        self.k = 1.0 if self.k is None else self.k
        self.floor = 0.0 if self.floor is None else self.floor
        require(self.c >= 0, "c", self.c, "at least 0 (the ratio is max(floor, k - c·i))")
        require(0 <= self.k < math.inf, "k", self.k, "at least 0")
        require_probability("floor", self.floor)


@dataclass
class ExponentialConfig(EndPointsConfig):
    """A geometric decay: k^i, or start·(end/start)^(i/over)."""

    name: str = "exponential"
    k: float | None = None  # factor per unit, below 1

    def constants(self) -> dict[str, float | None]:
        """The factor k."""
        return {"k": self.k}

    def __post_init__(self) -> None:
        """Refuse factors outside (0, 1), and end points of zero, which no geometric curve meets."""
        super().__post_init__()
        if self.k is not None:
            require(0 < self.k < 1, "k", self.k, "between 0 and 1 (the ratio is k^i)")
        for key in ("start", "end"):
            if getattr(self, key) == 0:
                raise ConfigurationError(
                    f"teacher_forcing.{key} is 0, which an exponential curve never meets. "
                    "Give a small positive number such as 0.01, or choose teacher_forcing=linear."
                )


@dataclass
class InverseSigmoidConfig(EndPointsConfig):
    """A slow start, a fall, a slow end: k/(k + exp(i/k)), or a logistic curve from `start` to `end`."""

    name: str = "inverse_sigmoid"
    k: float | None = None  # at least 1; the ratio is one half at i = k·ln k

    def constants(self) -> dict[str, float | None]:
        """The k of the formula."""
        return {"k": self.k}

    def __post_init__(self) -> None:
        """Refuse k below 1, as the paper does."""
        super().__post_init__()
        if self.k is not None:
            require(1 <= self.k < math.inf, "k", self.k, "at least 1 (the ratio is k/(k + exp(i/k)))")


@dataclass
class Phase:
    """A point of a piecewise schedule: from here the ratio moves in a straight line to the next point."""

    at: float
    ratio: float


@dataclass
class PiecewiseConfig(TeacherForcingConfig):
    """Straight lines between points; constant before the first and after the last.

    The preset counts epochs: 1.0 to 0.9 over epochs 1-10, 0.9 to 0.5 over epochs 10-30, then to 0 at the same slope
    (epoch 55). Epoch 1 stands at 0, because `at` counts the epochs done.
    """

    name: str = "piecewise"
    unit: Unit = Unit.epoch
    phases: list[Phase] = field(
        default_factory=lambda: [Phase(0.0, 1.0), Phase(9.0, 0.9), Phase(29.0, 0.5), Phase(54.0, 0.0)]
    )

    def __post_init__(self) -> None:
        """Refuse no points, points out of order, and ratios that are no probabilities."""
        super().__post_init__()
        if not self.phases:
            raise ConfigurationError(
                "teacher_forcing.phases is empty; give at least one point, such as {at: 0, ratio: 1}."
            )
        for index, phase in enumerate(self.phases):
            require_probability(f"phases[{index}].ratio", phase.ratio)
            limit = 1.0 if self.unit is Unit.training else math.inf
            allowed = f"from 0 to {limit:g}" if limit == 1 else "at least 0"
            require(0 <= phase.at <= limit and phase.at < math.inf, f"phases[{index}].at", phase.at, allowed)
        for index, (before, after) in enumerate(zip(self.phases, self.phases[1:], strict=False), start=1):
            require(before.at < after.at, f"phases[{index}].at", after.at, f"above the point before it ({before.at})")


def constant(config: ConstantConfig, i: float) -> float:
    """The ratio, whatever the position."""
    return config.ratio


def linear(config: LinearConfig, i: float) -> float:
    """max(floor, k - c·i); by end points start + (end - start)·p, where p = min(i/over, 1)."""
    if config.is_by_constants:
        return max(_number(config.floor), _number(config.k) - _number(config.c) * i)
    progress = _progress(config, i)
    return _number(config.start) * (1 - progress) + _number(config.end) * progress


def exponential(config: ExponentialConfig, i: float) -> float:
    """k^i; by end points start·(end/start)^p, where p = min(i/over, 1), written without the quotient's overflow."""
    if config.is_by_constants:
        return math.pow(_number(config.k), i)
    progress = _progress(config, i)
    return math.pow(_number(config.start), 1 - progress) * math.pow(_number(config.end), progress)


_SHAPE = 10.0  # 2·ln k of the inverse sigmoid that end points stretch: k = e^5, about 148


def inverse_sigmoid(config: InverseSigmoidConfig, i: float) -> float:
    """k/(k + exp(i/k)) = σ(ln k - i/k), where σ is the logistic function, so that no exponential overflows.

    By end points: the curve of k = e^5 from i = 0 to 2·k·ln k, where it has fallen from σ(5) to σ(-5), with time and
    ratio stretched so that it meets the end points exactly. With p = min(i/over, 1) and g(p) = σ(10·(1/2 - p)):
    end + (start - end)·(g(p) - g(1))/(g(0) - g(1)).
    """
    if config.is_by_constants:
        k = _number(config.k)
        return _logistic(math.log(k) - i / k)
    start, end, progress = _number(config.start), _number(config.end), _progress(config, i)
    high, low = _logistic(_SHAPE / 2), _logistic(-_SHAPE / 2)
    weight = (_logistic(_SHAPE * (0.5 - progress)) - low) / (high - low)
    return start * weight + end * (1 - weight)


def piecewise(config: PiecewiseConfig, i: float) -> float:
    """Interpolate linearly between the two points around the position."""
    before = config.phases[0]
    for after in config.phases:
        if i < after.at:
            share = (i - before.at) / (after.at - before.at) if after is not before else 0.0
            return before.ratio * (1 - share) + after.ratio * share
        before = after
    return before.ratio


def _progress(config: EndPointsConfig, i: float) -> float:
    return min(i / _number(config.over), 1.0)


def _logistic(x: float) -> float:
    """1/(1 + exp(-x)) for any finite x: the exponential is taken of a negative number only."""
    small = math.exp(-abs(x))
    return 1 / (1 + small) if x >= 0 else small / (1 + small)


def _number(value: float | None) -> float:
    assert value is not None, "completed in __post_init__"
    return value


def _require_span(key: str, value: float, unit: Unit) -> None:
    if unit is Unit.training:
        require(
            0 < value <= 1, key, value, "a share of the training, above 0 and up to 1 (teacher_forcing.unit=training)"
        )
    else:
        require(0 < value < math.inf, key, value, f"a number of {unit.name}s above 0")
