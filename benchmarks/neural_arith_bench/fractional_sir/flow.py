"""Trajectories of a population of fields by a fixed-step solver, with the exact gradient of a loss on them.

The steps of a trajectory follow one another, but what they need for the gradient does not: once the states are known,
the Jacobians of all steps, and the derivatives by the parameters, are one batched call each. What remains in a loop is
the product of small Jacobians (the discrete adjoint).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from neural_arith.errors import OptionError

Field = Callable[[Tensor], Tensor]
"""States ``(members, points, states)`` to derivatives of that shape."""

_START, _GROWTH, _SUBSTEPS = 16, 1.3, 2


@dataclass(frozen=True)
class Solver:
    """A fixed-step solver with linear interpolation to the times of the data.

    Attributes:
        method: "euler" or "rk4".
        grid: its times, increasing, shape ``(steps + 1,)``.
        times: those of the data, within the grid, shape ``(times,)``.
    """

    method: Literal["euler", "rk4"]
    grid: np.ndarray
    times: np.ndarray

    @classmethod
    def published(cls, times: np.ndarray) -> Solver:
        """Euler steps of 1, as in the published code; linear in between.

        Raises:
            OptionError: the last time is not a whole number.
        """
        if times[0] != 0 or times[-1] != round(times[-1]):
            raise OptionError(f"steps of 1 need times from 0 to a whole number, got {times[0]:g} to {times[-1]:g}")
        return cls("euler", np.arange(times[-1] + 1), times)

    @classmethod
    def accurate(cls, times: np.ndarray) -> Solver:
        """Runge-Kutta steps of fourth order, two in each interval and 16 growing ones in the first.

        The epidemic starts with 0.01 infected, whose square root changes within a hundredth of the first interval; the
        true equations score 4.5e-7 on the published data (mean square over 3 states and 40 times).
        """
        growing = np.cumsum(_GROWTH ** np.arange(_START))
        first = times[0] + (times[1] - times[0]) * growing / growing[-1]
        share = np.arange(1, _SUBSTEPS + 1) / _SUBSTEPS
        later = (times[1:-1, None] + np.diff(times)[1:, None] * share).ravel()
        return cls("rk4", np.concatenate([times[:1], first, later]), times)

    @cached_property
    def lengths(self) -> Tensor:
        """Lengths of the steps, ``(steps,)``."""
        return torch.from_numpy(np.diff(self.grid))

    @cached_property
    def _interpolation(self) -> Tensor:
        """The matrix from states on the grid to states at the times, ``(times, steps + 1)``."""
        right = np.clip(np.searchsorted(self.grid, self.times - 1e-9), 1, len(self.grid) - 1)
        share = (self.times - self.grid[right - 1]) / (self.grid[right] - self.grid[right - 1])
        matrix = np.zeros((len(self.times), len(self.grid)))
        rows = np.arange(len(self.times))
        matrix[rows, right - 1], matrix[rows, right] = 1 - share, share
        return torch.from_numpy(matrix)

    def step(self, field: Field, x: Tensor, length: Tensor | float) -> Tensor:
        """One step from each of some states.

        Args:
            field: the right-hand side.
            x: states, ``(members, points, states)``.
            length: of the step, or ``(points, 1)``.
        """
        a = field(x)
        if self.method == "euler":
            return x + length * a
        b = field(x + length / 2 * a)
        c = field(x + length / 2 * b)
        d = field(x + length * c)
        return x + length / 6 * (a + 2 * (b + c) + d)

    @torch.no_grad()
    def _states(self, field: Field, start: Tensor) -> Tensor:
        """States on the grid, ``(members, steps + 1, states)``, from the first ones, ``(members, 1, states)``."""
        states = [start]
        for length in self.lengths.tolist():
            states.append(self.step(field, states[-1], length))
        return torch.cat(states, 1)

    def trajectory(self, field: Field, start: Tensor) -> Tensor:
        """States at the times of the data.

        Args:
            field: the right-hand side.
            start: first states, ``(members, states)``.

        Returns:
            ``(members, times, states)``; not finite where a member diverged.
        """
        return self._interpolation @ self._states(field, start[:, None])

    def loss_and_gradient(self, field: Callable[[Tensor], Field], p: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
        """Mean squares of the differences from the data, and their gradients.

        Args:
            field: parameters to right-hand side.
            p: parameters, ``(members, numbers)``.
            data: ``(times, states)``; the first row is where all start.

        Returns:
            ``(members,)`` and ``(members, numbers)``; not finite where a member diverged.
        """
        states = self._states(field(p), data[0].expand(len(p), 1, -1))
        error = self._interpolation @ states - data
        loss = error.square().mean((1, 2))
        pull = self._interpolation.mT @ (error * (2 / data.numel()))
        x = states[:, :-1].requires_grad_()
        p = p.detach().requires_grad_()
        after = self.step(field(p), x, self.lengths[:, None])
        columns = [torch.autograd.grad(after[..., i].sum(), x, retain_graph=True)[0] for i in range(x.shape[-1])]
        jacobian = torch.stack(columns, -1)
        adjoint = pull[:, -1, :, None]
        adjoints = [adjoint]
        for k in range(len(self.lengths) - 1, 0, -1):
            adjoint = torch.baddbmm(pull[:, k, :, None], jacobian[:, k], adjoint)
            adjoints.append(adjoint)
        weight = torch.cat(adjoints[::-1], 2).mT
        (gradient,) = torch.autograd.grad(after, p, weight)
        return loss, gradient
