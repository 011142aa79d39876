"""Residual functions of a flat field with their Jacobians, for Levenberg-Marquardt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from neural_arith.ode.flight import Flight, fly, sensitivities

if TYPE_CHECKING:
    from torch import Tensor

    from neural_arith.ode.flat import FlatField
    from neural_arith.ode.segments import Segments


class ShootingResidual:
    """Simulated minus measured states of all segments, each state divided by its standard deviation.

    Args:
        flat: the field.
        segments: what to hit; whole runs give single shooting, short pieces multiple shooting from data.
        rtol: tolerance of the integration.
        max_tries: steps tried per sample interval.
    """

    def __init__(self, flat: FlatField, segments: Segments, *, rtol: float = 1e-7, max_tries: int = 80) -> None:
        self._flat = flat
        self._segments = segments
        self._rtol = rtol
        self._max_tries = max_tries
        self._seen = segments.weight > 0
        self._last: tuple[Tensor, Flight] | None = None

    def value(self, p: Tensor) -> Tensor | None:
        """Residual ``(n,)``, or None where a segment cannot be integrated."""
        flight = self._fly(p)
        return None if flight is None else self._compare(flight.x)

    def linearise(self, p: Tensor) -> tuple[Tensor, Tensor] | None:
        """Residual ``(n,)`` and Jacobian ``(n, params)``."""
        flight = self._fly(p)
        if flight is None:
            return None
        columns = sensitivities(lambda t, x, u: self._flat.jacobians(p, t, x, u), flight, self._flat.n_params)
        jac = columns[self._seen] * self._segments.weight[self._seen][:, None]
        return self._compare(flight.x), jac

    def _fly(self, p: Tensor) -> Flight | None:
        # An accepted step is first tried and then linearised at the same place: one flight serves both.
        if self._last is None or not torch.equal(self._last[0], p):
            with torch.no_grad():
                rhs = self._flat.at(p)
                flight = fly(
                    rhs,
                    self._segments,
                    rtol=self._rtol,
                    record=True,
                    max_tries=self._max_tries,
                    give_up=True,
                )
            self._last = (p.clone(), flight)
        flight = self._last[1]
        return flight if bool(flight.reached.all()) else None

    def _compare(self, x: Tensor) -> Tensor:
        gap = (x - self._segments.x)[self._seen]
        return gap * self._segments.weight[self._seen]


class PenalisedResidual:
    """Another residual with a smooth L1 penalty on every parameter added as further rows.

    ``strength * sum |p|`` is written as squares, ``p^2 / (|p| + eps)``, so that Gauss-Newton can use it. The rows
    are scaled so that the mean square of the whole is the other's mean square plus the penalty.

    Args:
        residual: what to penalise.
        strength: factor of the sum of absolute values.
        eps: width of the rounded corner at zero.
    """

    def __init__(self, residual: ShootingResidual, strength: float, eps: float = 1e-6) -> None:
        self._residual = residual
        self._strength = strength
        self._eps = eps

    def value(self, p: Tensor) -> Tensor | None:
        """Residual with the penalty's rows."""
        r = self._residual.value(p)
        return None if r is None else self._join(r, self._rows(p))

    def linearise(self, p: Tensor) -> tuple[Tensor, Tensor] | None:
        """Residual and Jacobian with the penalty's rows."""
        linear = self._residual.linearise(p)
        if linear is None:
            return None
        r, jac = linear
        size = p.abs() + self._eps
        slope = self._strength**0.5 * (1 / size.sqrt() - 0.5 * p.abs() / size**1.5)
        return self._join(r, self._rows(p)), self._join(jac, torch.diag(slope))

    def _rows(self, p: Tensor) -> Tensor:
        return self._strength**0.5 * p / (p.abs() + self._eps).sqrt()

    @staticmethod
    def _join(data: Tensor, rows: Tensor) -> Tensor:
        n, m = len(data), len(rows)
        return torch.cat([data * ((n + m) / n) ** 0.5, rows * (n + m) ** 0.5])
