"""The distributions of the inputs, each a map from one number in [0, 1): every entry costs one random number.

So a stream of random numbers read in large pieces gives the same inputs as read in small ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from neural_arith.errors import OptionError


class Distribution(Protocol):
    """Where inputs come from."""

    def quantile(self, u: Tensor) -> Tensor:
        """Numbers in [0, 1) to inputs, of any shape, increasing."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Uniform between two bounds, with the sign drawn as well where ``mirrored``.

    Attributes:
        low: lower bound.
        high: upper bound.
        mirrored: half of the numbers come from ``[-high, -low]``; then ``0 <= low``.

    Raises:
        OptionError: the bounds are not in order, or mirrored ones overlap.

    >>> Uniform(2, 6, mirrored=True).quantile(torch.tensor([0.0, 0.25, 0.5, 0.75]))
    tensor([-6., -4.,  2.,  4.])
    """

    low: float
    high: float
    mirrored: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.mirrored and self.low < 0):
            raise OptionError(f"expected low < high, and 0 <= low where mirrored, got {self}")

    def __str__(self) -> str:
        one = f"[{self.low:g},{self.high:g}]"
        return f"[{-self.high:g},{-self.low:g}]u{one}" if self.mirrored else one

    def quantile(self, u: Tensor) -> Tensor:
        """Numbers in [0, 1) to inputs."""
        width = self.high - self.low
        if not self.mirrored:
            return self.low + width * u
        return torch.where(u < 0.5, 2 * width * u - self.high, self.low + width * (2 * u - 1))

    def moment(self, order: int, *, absolute: bool = False) -> float:
        """The expectation of ``x^order``, or of ``|x|^order`` (then the bounds must have one sign).

        ``order`` may be negative where zero is outside.

        Raises:
            OptionError: the moment does not exist, or is not known here.
        """
        if self.low < 0 < self.high and (order < 0 or absolute):
            raise OptionError(f"this moment needs bounds of one sign, got {self}")
        if order < 0 and 0 in (self.low, self.high):
            raise OptionError(f"1/x has no moments on {self}; use bounds away from zero")
        if self.mirrored and order % 2 and not absolute:
            return 0.0
        bounds = sorted(map(abs, (self.low, self.high))) if absolute else (self.low, self.high)
        if order == -1:
            return math.log(bounds[1] / bounds[0]) / (bounds[1] - bounds[0])
        rise = bounds[1] ** (order + 1) - bounds[0] ** (order + 1)
        return rise / ((order + 1) * (bounds[1] - bounds[0]))


ONE_TO_TWO, TWO_TO_SIX = Uniform(1, 2), Uniform(2, 6)
"""The usual ranges of training and extrapolation since Madsen and Johansen."""


@dataclass(frozen=True)
class TruncatedNormal:
    """Normal with its mean in the middle of two bounds, a sixth of their distance as deviation, cut off at the bounds.

    Attributes:
        low: lower bound, three deviations below the mean.
        high: upper bound.
    """

    low: float
    high: float

    def __str__(self) -> str:
        return f"N({self.low:g},{self.high:g})"

    def quantile(self, u: Tensor) -> Tensor:
        """Numbers in [0, 1) to inputs."""
        below = 0.5 * math.erfc(3 / math.sqrt(2))
        middle, deviation = (self.low + self.high) / 2, (self.high - self.low) / 6
        return middle + deviation * torch.special.ndtri(below + (1 - 2 * below) * u)


@dataclass(frozen=True)
class Exponential:
    """Exponential with mean ``scale``.

    Attributes:
        scale: the mean.
    """

    scale: float

    def __str__(self) -> str:
        return f"E({self.scale:g})"

    def quantile(self, u: Tensor) -> Tensor:
        """Numbers in [0, 1) to inputs."""
        return -self.scale * torch.log1p(-u)
