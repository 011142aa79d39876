"""A field inside a solver: initial states in, trajectories out, gradients through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from neural_arith.errors import DataError
from neural_arith.integrate.torch_solve import solve_torch

Inputs = Tensor | Callable[[Tensor], Tensor]


class NeuralODE(nn.Module):
    """x(t) of dx/dt = field(t, x, u) (Chen, Rubanova, Bettencourt, Duvenaud: Neural ODEs, NeurIPS 2018).

    Args:
        field: a module called as ``field(t, x, u)``, usually an :class:`ArithmeticField`.
        method: a method of torchdiffeq: adaptive ("dopri5", "dopri8", "bosh3", ...) or of fixed step ("rk4", "euler",
            "midpoint"), whose step size goes into ``options={"step_size": h}``.
        rtol: relative tolerance of adaptive methods.
        atol: absolute tolerance.
        adjoint: gradients by integrating the adjoint backwards: memory constant in time, slower for small fields.
        options: passed on to the method.
    """

    def __init__(
        self,
        field: nn.Module,
        method: str = "dopri5",
        rtol: float = 1e-7,
        atol: float = 1e-9,
        adjoint: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.field = field
        self.method = method
        self.rtol = rtol
        self.atol = atol
        self.adjoint = adjoint
        self.options = None if options is None else dict(options)

    def forward(self, x0: Tensor, t: Tensor, u: Inputs | None = None) -> Tensor:
        """Simulate.

        Args:
            x0: initial states, ``(*batch, states)``.
            t: times, ``(time,)``, increasing; the first is that of ``x0``.
            u: inputs: ``(*batch, time, inputs)`` at the times ``t``, interpolated linearly, or a function of time
                returning ``(*batch, inputs)``.

        Returns:
            ``(*batch, time, states)``.

        Raises:
            IntegrationError: the solver could not reach the end; it carries time, state and reason.
            DataError: inputs of the wrong length.
        """
        return solve_torch(
            _Driven(self.field, _as_function(t, u)),
            x0,
            t,
            method=self.method,
            rtol=self.rtol,
            atol=self.atol,
            adjoint=self.adjoint,
            options=self.options,
        )

    def extra_repr(self) -> str:
        """The solver."""
        return f"method={self.method!r}, rtol={self.rtol}, atol={self.atol}, adjoint={self.adjoint}"


class _Driven(nn.Module):
    """The field with its inputs filled in; a module, because the adjoint looks for parameters."""

    def __init__(self, field: nn.Module, drive: Callable[[Tensor], Tensor] | None) -> None:
        super().__init__()
        self.field = field
        self._drive = drive

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.field(t, x, None if self._drive is None else self._drive(t))


def _as_function(t: Tensor, u: Inputs | None) -> Callable[[Tensor], Tensor] | None:
    if u is None or not isinstance(u, Tensor):
        return u
    if u.dim() < 2 or u.shape[-2] != len(t):
        raise DataError(f"u must be (*batch, {len(t)}, inputs), one row per time, got {tuple(u.shape)}")

    def drive(now: Tensor) -> Tensor:
        k = int(torch.searchsorted(t, now.detach().to(t), right=True)) - 1
        k = min(max(k, 0), len(t) - 2)
        # Adaptive solvers look past the last time; a straight line goes on there, a constant would have a corner.
        share = (now - t[k]) / (t[k + 1] - t[k])
        return u[..., k, :] + share * (u[..., k + 1, :] - u[..., k, :])

    return drive
