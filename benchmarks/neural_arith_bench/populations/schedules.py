"""What changes during training, as small objects: rates, weights of penalties, fresh starts.

A schedule maps a step to a number, or to one number per member of a population: every field of the schedules here is
a number or a sequence with one number per member, so a table of settings is one schedule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from neural_arith.layers import Layer

Numbers = float | Sequence[float]

Schedule = Callable[[int], np.ndarray]
"""A step, from 0 on, to an array of shape ``()`` or ``(members,)``."""

_LEAST = 1e-3


@dataclass(frozen=True)
class Constant:
    """The same at every step.

    Attributes:
        value: a number, or one per member.
    """

    value: Numbers

    def __call__(self, step: int) -> np.ndarray:
        """The value."""
        return np.asarray(self.value, dtype=float)


@dataclass(frozen=True)
class Ramp:
    """``scale * clip((step - start) / (end - start), 0, 1)`` (Madsen & Johansen, ICLR 2020, eq. 8).

    Attributes:
        scale: value from ``end`` on; 10 for the NMU and 0.01 for the NAU in the paper.
        start: last step of value 0.
        end: first step of value ``scale``.
    """

    scale: Numbers
    start: Numbers
    end: Numbers

    def __call__(self, step: int) -> np.ndarray:
        """The value at a step."""
        start, end = np.asarray(self.start, dtype=float), np.asarray(self.end, dtype=float)
        return np.asarray(self.scale, dtype=float) * np.clip((step - start) / (end - start), 0.0, 1.0)


@dataclass(frozen=True)
class Tenfold:
    """``first``, times ten after every ``every`` steps, never above ``last`` (Heim, Pevný, Šmídl, NeurIPS 2020).

    Attributes:
        first: value of the first steps.
        last: largest value.
        every: steps between two changes.
    """

    first: Numbers
    last: Numbers
    every: int = 10_000

    def __call__(self, step: int) -> np.ndarray:
        """The value at a step."""
        grown = np.asarray(self.first, dtype=float) * 10.0 ** (step // self.every)
        return np.minimum(grown, np.asarray(self.last, dtype=float))


@dataclass(frozen=True)
class Falling:
    """``first`` until ``start``, then down half a cosine to a thousandth of it at ``end``.

    After Loshchilov and Hutter (ICLR 2017, https://arxiv.org/abs/1608.03983), without restarts.

    Attributes:
        first: value of the first steps.
        start: last step of that value.
        end: first step of the least one.
    """

    first: Numbers
    start: float
    end: float

    def __call__(self, step: int) -> np.ndarray:
        """The value at a step."""
        gone = np.clip((step - self.start) / (self.end - self.start), 0.0, 1.0)
        return np.asarray(self.first, dtype=float) * (_LEAST + (1 - _LEAST) * (1 + np.cos(np.pi * gone)) / 2)


@dataclass(frozen=True)
class During:
    """A value from step ``start`` to before ``end``, and zero before and after.

    Attributes:
        value: a number, or one per member.
        start: first step of the value.
        end: first step of zero again.
    """

    value: Numbers
    start: float
    end: float

    def __call__(self, step: int) -> np.ndarray:
        """The value at a step."""
        return np.asarray(self.value, dtype=float) * (self.start <= step < self.end)


@dataclass(frozen=True)
class AuthorPenalty:
    """The regularisers ``penalty()`` of all units of one kind in a network, summed.

    Attributes:
        kind: a class of layers.
    """

    kind: type[Layer]

    def __call__(self, network: nn.Module) -> Tensor:
        """A scalar."""
        return torch.stack([u.penalty() for u in network.modules() if isinstance(u, self.kind)]).sum(0)

    def together(self, network: nn.Module, members: int) -> Tensor:
        """One number per member of a network that holds them all, ``(members,)``."""
        return self(network)


@dataclass(frozen=True)
class Lasso:
    """Sum of the sizes of all parameters."""

    def __call__(self, network: nn.Module) -> Tensor:
        """A scalar."""
        return self.together(network, 1)[0]

    def together(self, network: nn.Module, members: int) -> Tensor:
        """One number per member of a network that holds them all, ``(members,)``."""
        sizes = [parameter.abs().reshape(members, -1).sum(1) for parameter in network.parameters()]
        return torch.stack(sizes).sum(0)


@dataclass(frozen=True)
class Penalty:
    """A term added to the loss of each member.

    Attributes:
        measure: what is penalised, a scalar of one network, differentiable. It must work under ``torch.vmap``; with a
            method ``together(network, members)`` it is asked for all members at once where units allow that, which
            is several times as fast.
        weight: its factor.
        after: no step before this one has the term.
        below: a member has the term only at steps at which its own loss is below this. With ``after=10_000,
            below=1.0`` and ``AuthorPenalty(INALU)`` it is iNALU's conditional regulariser.
    """

    measure: Callable[[nn.Module], Tensor]
    weight: Schedule
    after: int = 0
    below: float = math.inf


@dataclass(frozen=True)
class Restart:
    """iNALU's reinitialisation: a member that has stalled at a large loss starts again.

    Every ``every`` steps, a member with more than ``patience`` losses since its last start is restarted if the mean of
    the later half of them exceeds ``above`` and the mean of the earlier half does not exceed that by more than one
    standard deviation of the later half (Schlör, Ring, Hotho 2020, https://arxiv.org/abs/2003.07629).

    Attributes:
        redraw: draws a network's parameters anew, in place, from a generator.
        every: steps between two looks.
        patience: losses that a member must have.
        above: loss that is small enough.
    """

    redraw: Callable[[nn.Module, torch.Generator], object]
    every: int = 10_000
    patience: int = 10_000
    above: float = 1.0

    def stalled(self, losses: Tensor) -> bool:
        """Whether a member with these losses, ``(steps,)``, starts again."""
        if len(losses) <= self.patience:
            return False
        early, late = losses[: len(losses) // 2], losses[len(losses) // 2 :]
        return bool(late.mean() > self.above) and bool(early.mean() <= late.mean() + late.std(correction=0))
