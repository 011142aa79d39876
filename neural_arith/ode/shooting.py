"""Shooting: measurements cut into segments, all of them integrated at once, and what they miss with its Jacobian.

The segments are integrated by the embedded pair of Dormand and Prince, every lane with its own step size. Forward
evaluations are cheap and sequential; the Jacobians of the right-hand side are expensive per *call*, not per state, in
eager torch. So the states of all stages of all steps are recorded first, one call evaluates the Jacobians at all of
them, and plain matrix products then carry the sensitivities along (discrete forward sensitivities of the very steps
that were taken: exact derivatives of the computed solution, step sizes held fixed).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from neural_arith.errors import OptionError
from neural_arith.fit.curves import filled
from neural_arith.fit.segments import edges
from neural_arith.solve.tableau import ERROR, NODES, STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from neural_arith.data import Trajectories
    from neural_arith.ode.flat import FlatField


@dataclass(frozen=True)
class Segments:
    """Equal-shaped pieces of trajectories; shorter pieces are padded with intervals of length zero.

    Attributes:
        t: sample times, ``(lanes, points)``.
        x: measured states, ``(lanes, points, states)``; a missing or padded value is 0 with weight 0.
        weight: ``1 / sd`` of each state where a value was measured, else 0; the first point has weight 0
            because every segment starts from it. Same shape as ``x``.
        start: state at the first point, ``(lanes, states)``; interpolated only in runs where no sample has all states.
        u: inputs at the sample times, ``(lanes, points, inputs)`` (no columns without inputs).
        scale: standard deviation of each state over all data, ``(states,)``.
    """

    t: Tensor
    x: Tensor
    weight: Tensor
    start: Tensor
    u: Tensor
    scale: Tensor

    @property
    def n_residuals(self) -> int:
        """Number of measured values that are compared."""
        return int((self.weight > 0).sum())


def state_scale(data: Trajectories) -> np.ndarray:
    """Standard deviation of each state over all runs, ``(states,)``; 1 where a state does not vary."""
    sd = np.nanstd(np.concatenate([run.x for run in data]), axis=0)
    return np.where(np.isfinite(sd) & (sd > 0), sd, 1.0)


def cut(data: Trajectories, length: int | None = None, *, dtype: torch.dtype = torch.float64) -> Segments:
    """Cut every run into segments of ``length`` sample intervals.

    Args:
        data: the measurements.
        length: intervals per segment, at least 1, more where the next sample lacks a state; None keeps each run
            whole. A run begins at its first sample that has all states, if there is one.
        dtype: of the tensors.

    Raises:
        OptionError: ``length`` below 1.
        DataError: a state without any value in a run.
    """
    if length is not None and length < 1:
        raise OptionError(f"a segment needs at least 1 sample interval, got length={length}")
    scale = state_scale(data)
    pieces = list(_pieces(data, length))
    longest = max(len(t) for t, *_ in pieces)
    lanes, d, q = len(pieces), len(scale), pieces[0][3].shape[1]
    t = np.empty((lanes, longest))
    x, weight = np.zeros((lanes, longest, d)), np.zeros((lanes, longest, d))
    u = np.zeros((lanes, longest, q))
    start = np.empty((lanes, d))
    for i, (ti, xi, full, ui) in enumerate(pieces):
        n = len(ti)
        seen = ~np.isnan(xi)
        seen[0] = False
        t[i, :n], t[i, n:] = ti, ti[-1]
        x[i, :n] = np.where(seen, xi, 0.0)
        weight[i, :n] = seen / scale
        u[i, :n], u[i, n:] = ui, ui[-1]
        start[i] = full[0]
    parts = (torch.as_tensor(a, dtype=dtype) for a in (t, x, weight, start, u, scale))
    return Segments(*parts)


def _pieces(data: Trajectories, length: int | None) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    for run in data:
        full = filled(run.t, run.x)
        u = np.zeros((len(run.t), 0)) if run.u is None else run.u
        # A start must be known: at samples that have all states, or anywhere in a run that has no such sample.
        complete = np.asarray(np.isfinite(run.x).all(axis=1))
        first = int(complete.argmax()) if complete[:-1].any() else 0
        may_begin = complete if complete.any() else ~complete
        for a, b in pairwise(edges(may_begin, len(run.t) if length is None else length, first)):
            piece = slice(a, b + 1)
            yield run.t[piece], run.x[piece], full[piece], u[piece]


# Plain numbers: sums of a few terms in eager torch, which skip those that are zero. The last stage is the step's end.
C = tuple(NODES[:6].tolist())
A = tuple(tuple(row[:i]) for i, row in enumerate(STAGES[:6].tolist()))
B = tuple(STAGES[6].tolist())
E = tuple(ERROR.tolist())


class Step(NamedTuple):
    """One accepted step of some lanes: ``n`` of them, 6 stages."""

    interval: int
    lanes: Tensor  # (n,)
    h: Tensor  # (n, 1)
    t: Tensor  # (n, 6)
    x: Tensor  # (n, 6, states)
    u: Tensor  # (n, 6, inputs)


@dataclass(frozen=True)
class Flight:
    """The computed states at the sample times and the steps that led there.

    Attributes:
        x: ``(lanes, points, states)``; NaN from the interval on in which a lane failed.
        reached: ``(lanes,)`` bool, True where the end was reached.
        steps: the accepted steps in order of time within each lane; empty unless recorded.
    """

    x: Tensor
    reached: Tensor
    steps: list[Step]


def fly(
    f: Callable[[Tensor, Tensor, Tensor], Tensor],
    segments: Segments,
    *,
    rtol: float,
    record: bool = False,
    max_tries: int = 400,
    give_up: bool = False,
) -> Flight:
    """Integrate every segment from its start through its sample times.

    Args:
        f: right-hand side ``f(t, x, u)`` with shapes ``(n,), (n, states), (n, inputs) -> (n, states)``.
        segments: what to integrate; inputs are interpolated linearly between samples.
        rtol: error per step relative to ``|x| + 0.001 sd`` of each state.
        record: keep the stages for :func:`sensitivities`.
        max_tries: steps tried per sample interval before a lane is given up.
        give_up: end at once when one lane is given up.
    """
    times, lanes = segments.t, segments.t.shape[0]
    x = segments.start.clone()
    out = torch.full((lanes, *segments.x.shape[1:]), torch.nan, dtype=x.dtype)
    out[:, 0] = x
    floor = 1e-3 * segments.scale
    slope = f(times[:, 0], x, segments.u[:, 0]).clone()
    alive = torch.isfinite(slope).all(-1)
    rate = (slope.abs() / (x.abs() + floor)).amax(-1)
    h_next = 0.05 / rate.clamp_min(1e-12)
    steps: list[Step] = []
    for k in range(times.shape[1] - 1):
        end = times[:, k + 1]
        now = times[:, k].clone()
        width = end - now
        du = segments.u[:, k + 1] - segments.u[:, k]
        todo = torch.nonzero(alive & (width > 0)).squeeze(-1)
        tries = 0
        while len(todo):
            if tries == max_tries:
                alive[todo] = False
                if give_up:
                    return Flight(out, alive, steps)
                break
            tries += 1
            # A last sliver is merged into this step, so that no step of rounding length follows.
            left = end[todo] - now[todo]
            h1 = torch.where(h_next[todo] * 1.01 >= left, left, h_next[todo])
            h, x0, t0 = h1[:, None], x[todo], now[todo]
            stages, ts, us, ks = [x0], [t0], [], [slope[todo]]
            u0, du0, w0 = segments.u[todo, k], du[todo], width[todo]
            us.append(u0 + ((t0 - times[todo, k]) / w0)[:, None] * du0)
            for i in range(1, 6):
                xi = x0 + h * sum_of(A[i], ks)
                ti = t0 + C[i] * h1
                ui = u0 + ((ti - times[todo, k]) / w0)[:, None] * du0
                ks.append(f(ti, xi, ui))
                stages.append(xi)
                ts.append(ti)
                us.append(ui)
            new = x0 + h * sum_of(B, ks)
            ks.append(f(ts[5], new, us[5]))
            error = (h * sum_of(E, ks)).abs() / (rtol * (torch.maximum(x0.abs(), new.abs()) + floor))
            ratio = error.amax(-1)
            ratio = torch.where(torch.isfinite(ratio), ratio, torch.inf)
            good = ratio <= 1
            h_next[todo] = h1 * (0.9 * ratio.clamp_min(1e-9) ** -0.2).clamp(0.15, 6.0)
            if bool(good.any()):
                keep = torch.nonzero(good).squeeze(-1)
                accepted = todo[keep]
                if record:
                    steps.append(
                        Step(
                            k,
                            accepted,
                            h[keep],
                            torch.stack(ts, 1)[keep],
                            torch.stack(stages, 1)[keep],
                            torch.stack(us, 1)[keep],
                        )
                    )
                x[accepted] = new[keep]
                slope[accepted] = ks[6][keep]
                done = h1 >= left
                now[accepted] = torch.where(done[keep], end[accepted], t0[keep] + h1[keep])
                todo = todo[~(good & done)]
        # Inputs may have a corner at a sample: the slope there stays the same, only its derivative jumps.
        out[:, k + 1] = torch.where(alive[:, None], x, torch.nan)
    return Flight(out, alive, steps)


def sum_of(weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    """Weighted sum of slopes, skipping zeros."""
    total = weights[0] * slopes[0]
    for w, k in zip(weights[1:], slopes[1:], strict=True):
        if w:
            total = total + w * k
    return total


def sensitivities(
    jacobians: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
    flight: Flight,
    n_params: int,
    *,
    start: bool = False,
) -> Tensor:
    """Derivative of the states at the sample times in the parameters, ``(lanes, points, states, columns)``.

    Args:
        jacobians: ``(t, x, u) -> (df/dx (n, d, d), df/dp (n, d, params))`` for ``n`` states at once.
        flight: the recorded integration.
        n_params: number of parameters.
        start: prepend the derivative in the lane's own start state (``states`` more columns in front).
    """
    lanes, points, d = flight.x.shape
    carry = torch.zeros(lanes, d, d + n_params, dtype=flight.x.dtype)
    carry[:, :, :d] = torch.eye(d, dtype=carry.dtype)
    out = torch.zeros(lanes, points, d, d + n_params, dtype=carry.dtype)
    out[:, 0] = carry
    if flight.steps:
        propagators = _propagators(jacobians, flight.steps, d)
        at, interval = 0, 0
        for step in flight.steps:
            while interval < step.interval:
                interval += 1
                out[:, interval] = carry
            n = len(step.lanes)
            m = propagators[at : at + n]
            at += n
            moved = m[:, :, :d] @ carry[step.lanes]
            moved[:, :, d:] += m[:, :, d:]
            carry[step.lanes] = moved
        for k in range(interval + 1, points):
            out[:, k] = carry
    return out if start else out[..., d:]


def _propagators(
    jacobians: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]], steps: list[Step], d: int
) -> Tensor:
    """Derivative of each step's end in its start and in the parameters, ``(all steps, d, d + params)``."""
    t, x, u = (torch.cat([getattr(s, name) for s in steps]) for name in ("t", "x", "u"))
    h = torch.cat([s.h for s in steps])[:, :, None]
    n = len(t)
    fx, fp = jacobians(t.reshape(-1), x.reshape(n * 6, d), u.reshape(n * 6, -1))
    # A power below one has an infinite slope at exactly zero, met only where a run starts at zero; there the
    # sensitivity in the parameters is still zero, and infinity times zero must not become NaN.
    fx = torch.nan_to_num(fx, nan=0.0, posinf=0.0, neginf=0.0).reshape(n, 6, d, d)
    fp = torch.nan_to_num(fp, nan=0.0, posinf=0.0, neginf=0.0).reshape(n, 6, d, -1)
    first = torch.cat([torch.eye(d, dtype=x.dtype).expand(n, d, d), torch.zeros_like(fp[:, 0])], -1)
    ks: list[Tensor] = []
    for i in range(6):
        inner = first if i == 0 else first + h * sum_of(A[i], ks)
        k = fx[:, i] @ inner
        k[:, :, d:] += fp[:, i]
        ks.append(k)
    return first + h * sum_of(B, ks)


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
