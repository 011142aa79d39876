"""Adaptive integration of many segments at once, with the derivative in the parameters.

One explicit Runge-Kutta pair of order 5(4) (Dormand and Prince, 1980), every lane with its own step size. Forward
evaluations are cheap and sequential; the Jacobians of the right-hand side are expensive per *call*, not per state, in
eager torch. So the states of all stages of all steps are recorded first, one call evaluates the Jacobians at all of
them, and plain matrix products then carry the sensitivities along (discrete forward sensitivities of the very steps
that were taken: exact derivatives of the computed solution, step sizes held fixed).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from neural_arith.solve.tableau import ERROR, NODES, STAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from neural_arith.ode.segments import Segments

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
