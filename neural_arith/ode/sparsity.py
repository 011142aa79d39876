"""Penalties that drive weights to simple values, and how their strength changes over training."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from neural_arith.errors import OptionError
from neural_arith.layers import Layer
from neural_arith.ode.flat import live_entries


class Sparsity(Protocol):
    """A penalty with a schedule.

    Examples:
        >>> import neural_arith as na
        >>> class Ridge:
        ...     def strength(self, step):
        ...         return 0.01
        ...     def penalty(self, field):
        ...         return sum(weight.square().sum() for weight in field.parameters())
        >>> Ridge().penalty(na.NAU.from_weights([[2.0, -3.0]])).item()  # na.train(field, data, sparsity=Ridge(), ...)
        13.0
    """

    def strength(self, step: int) -> float:
        """Factor of the penalty at a step, counted from 0."""
        ...

    def penalty(self, field: nn.Module) -> Tensor:
        """The penalty, a scalar."""
        ...


@dataclass(frozen=True)
class L1Growth:
    """Sum of all absolute values, growing by a factor every so many steps (Heim et al. 2020: ten every 10,000).

    Attributes:
        start: strength at step 0.
        stop: greatest strength.
        factor: growth.
        every: steps between growths.

    Raises:
        OptionError: a negative strength, ``stop`` below ``start``, a factor not above 1, ``every`` below 1.

    Examples:
        >>> from neural_arith.ode import L1Growth
        >>> growth = L1Growth(start=1e-3, stop=1e-1, every=100)
        >>> [round(growth.strength(step), 6) for step in (0, 100, 250, 900)]
        [0.001, 0.01, 0.1, 0.1]
    """

    start: float = 1e-5
    stop: float = 1e-4
    factor: float = 10.0
    every: int = 10_000

    def __post_init__(self) -> None:
        if not (
            all(isinstance(v, numbers.Real) for v in (self.start, self.stop, self.factor, self.every))
            and 0 <= self.start <= self.stop < math.inf
            and self.factor > 1
            and self.every >= 1
        ):
            raise OptionError(
                f"L1Growth needs 0 <= start <= stop, factor > 1 and every >= 1, got start={self.start!r}, "
                f"stop={self.stop!r}, factor={self.factor!r}, every={self.every!r}"
            )

    def strength(self, step: int) -> float:
        """``start * factor ** (step // every)``, at most ``stop``."""
        return min(self.start * self.factor ** min(step // self.every, 300), self.stop)

    def penalty(self, field: nn.Module) -> Tensor:
        """Sum of absolute values of all live, trainable numbers."""
        live = live_entries(field)
        parts = [p[live[n]].abs().sum() for n, p in field.named_parameters() if n in live]
        return torch.stack([part.double() for part in parts]).sum()


@dataclass(frozen=True)
class MadsenRamp:
    """The layers' own regularisers (``layer.penalty()``), switched on linearly (Madsen and Johansen, ICLR 2020).

    Attributes:
        scale: strength at the end of the ramp.
        begin: last step without penalty.
        end: first step at full strength.

    Raises:
        OptionError: a negative scale, or ``end`` not after ``begin``.

    Examples:
        >>> from neural_arith.ode import MadsenRamp
        >>> ramp = MadsenRamp(scale=0.1, begin=100, end=200)
        >>> [round(ramp.strength(step), 6) for step in (0, 150, 300)]
        [0.0, 0.05, 0.1]
    """

    scale: float = 0.01
    begin: int = 5_000
    end: int = 50_000

    def __post_init__(self) -> None:
        if not (
            all(isinstance(v, numbers.Real) for v in (self.scale, self.begin, self.end))
            and 0 <= self.scale < math.inf
            and self.begin < self.end
        ):
            raise OptionError(
                f"MadsenRamp needs scale >= 0 and begin < end, got {self.scale!r}, {self.begin!r}, {self.end!r}"
            )

    def strength(self, step: int) -> float:
        """0 up to ``begin``, then linear, ``scale`` from ``end`` on."""
        return self.scale * min(max((step - self.begin) / (self.end - self.begin), 0.0), 1.0)

    def penalty(self, field: nn.Module) -> Tensor:
        """Sum of the layers' penalties."""
        parts = [layer.penalty().double() for layer in field.modules() if isinstance(layer, Layer)]
        return torch.stack(parts).sum() if parts else torch.zeros((), dtype=torch.float64)
