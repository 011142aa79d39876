"""Gradient descent on a field: the slow, general way, for ordinary networks in the right-hand side.

What is made small, differentiable by autograd: simulated against measured states, or the right-hand side against the
measurements' slopes or increments; all are mean squares in units of each state's own variance.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from neural_arith.layers import Layer
from neural_arith.ode.calls import differentiated

if TYPE_CHECKING:
    from collections.abc import Callable

    from neural_arith.ode.checkpoint import Tracker
    from neural_arith.ode.field import ArithmeticField
    from neural_arith.ode.gauss_newton import Task
    from neural_arith.ode.matching import Targets
    from neural_arith.ode.shooting import Segments
    from neural_arith.ode.sparsity import Sparsity


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


_RETREATS = 10


def descend(
    field: ArithmeticField,
    task: Task,
    tracker: Tracker,
    saved: dict[str, Any] | None,
    *,
    loss: str,
    optimizer: str,
    steps: int,
    rate: float | None,
    sparsity: Sparsity | None,
    goal: float,
    tolerance: float,
    patience: int | None,
    substeps: int,
) -> str:
    """Run the optimizer over the field in place; the tracker keeps the best. Options as in ``train``.

    A step to where the loss is not finite (a trajectory that blows up) is taken back to the best field, with the
    learning rate halved; after ten of these the run ends.

    Returns:
        Why it ended.
    """
    parameters = [p for p in field.parameters() if p.requires_grad]
    method = _optimizer(optimizer, parameters, rate)
    objective = _objective(field, task, loss, substeps)
    first, retreats, waiting, best = 0, 0, 0, float("inf")
    if saved is None:
        tracker.begin(loss, steps)
    else:
        field.load_state_dict(saved["field"])
        method.load_state_dict(saved["optimizer"])
        first, retreats = int(saved["step"]), int(saved["retreats"])
        waiting, best = int(saved["waiting"]), float(saved["best_total"])
    for step in range(first, steps):
        strength = 0.0 if sparsity is None else sparsity.strength(step)
        plain, extra = _value(field, objective, sparsity, strength)
        total = float(plain.detach() + extra.detach())
        tracker.record(loss, step, float(plain.detach()), float(extra.detach()))
        if not math.isfinite(total):
            retreats += 1
            if retreats > _RETREATS:
                return "diverged"
            field.load_state_dict(tracker.best_field().state_dict())
            method = _optimizer(optimizer, parameters, method.param_groups[0]["lr"] / 2)
            continue
        if sparsity is not None and step and strength != sparsity.strength(step - 1):
            tracker.forget_rank()
            best, waiting = float("inf"), 0
        tracker.offer(field, float(plain.detach()), float(extra.detach()))
        if total <= goal:
            return "goal reached"
        waiting = 0 if total < best * (1 - tolerance) else waiting + 1
        best = min(best, total)
        if patience is not None and waiting > patience:
            return "early stop"
        _step(method, field, objective, sparsity, strength)
        if tracker.due(step + 1):
            tracker.save(
                {
                    "field": {n: v.detach().clone() for n, v in field.state_dict().items()},
                    "optimizer": method.state_dict(),
                    "step": step + 1,
                    "retreats": retreats,
                    "waiting": waiting,
                    "best_total": best,
                }
            )
    with torch.no_grad():
        last = float(objective())
    if math.isfinite(last):
        tracker.offer(field, last, tracker.history[-1]["penalty"] if tracker.history else 0.0)
    return "step limit" if math.isfinite(tracker.best_loss) else "not finite at the start"


def _optimizer(name: str, parameters: list[torch.nn.Parameter], rate: float | None) -> torch.optim.Optimizer:
    if name == "adam":
        return torch.optim.Adam(parameters, lr=0.01 if rate is None else rate)
    if name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=0.01 if rate is None else rate)
    return torch.optim.LBFGS(parameters, lr=1.0 if rate is None else rate, max_iter=20, line_search_fn="strong_wolfe")


def _objective(field: ArithmeticField, task: Task, loss: str, substeps: int) -> Callable[[], Tensor]:
    if loss == "trajectory":
        return lambda: shooting_loss(field, task.runs, substeps)
    if loss == "segments":
        return lambda: shooting_loss(field, task.segments, substeps)
    targets = task.integral if loss == "integral" else task.derivative
    return lambda: matching_loss(field, targets)


def _value(
    field: ArithmeticField, objective: Callable[[], Tensor], sparsity: Sparsity | None, strength: float
) -> tuple[Tensor, Tensor]:
    plain = objective()
    extra = torch.zeros_like(plain)
    if sparsity is not None and strength:
        extra = strength * sparsity.penalty(field)
    return plain, extra


def _step(
    method: torch.optim.Optimizer,
    field: ArithmeticField,
    objective: Callable[[], Tensor],
    sparsity: Sparsity | None,
    strength: float,
) -> None:
    def closure() -> Tensor:
        method.zero_grad()
        total = torch.stack(_value(field, objective, sparsity, strength)).sum()
        with differentiated():
            total.backward()
        # A pole (0 to a negative power) has an infinite gradient; one such entry must not spoil all the others.
        for p in field.parameters():
            if p.grad is not None:
                torch.nan_to_num_(p.grad, nan=0.0, posinf=0.0, neginf=0.0)
        return total

    try:
        method.step(closure)  # pyright: ignore[reportCallIssue, reportArgumentType]
    except IndexError:
        # torch's line search has no answer where every point it tries is infinite; the next value will say so
        with torch.no_grad():
            for p in field.parameters():
                p.fill_(math.nan)
    for layer in field.modules():
        if isinstance(layer, Layer):
            layer.project_()
