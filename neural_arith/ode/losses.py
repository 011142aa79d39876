"""What training makes small, differentiable by autograd.

Simulated against measured states, or the right-hand side against the measurements' slopes or increments; all are mean
squares in units of each state's own variance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from neural_arith.ode.matching import Targets
    from neural_arith.ode.segments import Segments

LOSSES = ("trajectory", "segments", "derivative", "integral")


def rollout(f: Callable[[Tensor, Tensor, Tensor], Tensor], segments: Segments, substeps: int = 4) -> Tensor:
    """States of all segments at their sample times by the classical Runge-Kutta method, ``(lanes, points, states)``.

    Args:
        f: right-hand side ``f(t, x, u)`` of batches.
        segments: starts, times and inputs; inputs are interpolated linearly between samples.
        substeps: steps per sample interval.
    """
    x = segments.start
    out = [x]
    for k in range(segments.t.shape[1] - 1):
        t0, width = segments.t[:, k], segments.t[:, k + 1] - segments.t[:, k]
        u0, du = segments.u[:, k], segments.u[:, k + 1] - segments.u[:, k]
        h = (width / substeps)[:, None]
        for i in range(substeps):
            a, m, b = (i / substeps, (i + 0.5) / substeps, (i + 1) / substeps)
            k1 = f(t0 + a * width, x, u0 + a * du)
            k2 = f(t0 + m * width, x + h / 2 * k1, u0 + m * du)
            k3 = f(t0 + m * width, x + h / 2 * k2, u0 + m * du)
            k4 = f(t0 + b * width, x + h * k3, u0 + b * du)
            # Padded intervals have h = 0; where keeps a pole there from turning into NaN.
            x = torch.where(h > 0, x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), x)
        out.append(x)
    return torch.stack(out, 1)


def shooting_loss(f: Callable[[Tensor, Tensor, Tensor], Tensor], segments: Segments, substeps: int = 4) -> Tensor:
    """Mean square of simulated minus measured states over their standard deviations; missing values do not count."""
    seen = segments.weight > 0
    gap = (rollout(f, segments, substeps) - segments.x)[seen] * segments.weight[seen]
    return gap.square().mean()


def matching_loss(f: Callable[[Tensor, Tensor, Tensor], Tensor], targets: Targets) -> Tensor:
    """Mean square of the gathered right-hand side minus its targets."""
    sums = targets.gather(f(targets.t, targets.x, targets.u)) / targets.scale
    return (sums - targets.y)[targets.seen > 0].square().mean()
