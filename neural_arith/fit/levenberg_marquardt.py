"""Levenberg-Marquardt, damped Gauss-Newton with scaled damping (Marquardt, 1963; More, 1978), with two faces.

:func:`descend` takes a misfit with its slope and matrix, as solvers with sensitivities fill them; torch residuals with
their Jacobian, whose last digits count, go through :func:`levenberg_marquardt`. Many candidates at once are refined by
the compiled one, :func:`neural_arith.fit.refine.refine`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor


class Local(Protocol):
    """A misfit at a point, infinite where there is none, with half its slope and half its second derivatives."""

    @property
    def misfit(self) -> float:
        """The misfit."""
        ...

    @property
    def gradient(self) -> np.ndarray:
        """Half its slope, ``(values,)``."""
        ...

    @property
    def normal(self) -> np.ndarray:
        """Half its second derivatives, ``(values, values)``."""
        ...


L = TypeVar("L", bound=Local)

_RIDGE = 1e-12
"""Least damping, as a share of the diagonal: directions that the data do not fix stay where they are."""


def is_usable(here: Local) -> bool:
    """Whether there is a misfit, and a matrix to step by."""
    return bool(np.isfinite(here.misfit) and np.isfinite(here.normal).all() and np.isfinite(here.gradient).all())


def descend(
    look: Callable[[np.ndarray], L],
    point: np.ndarray,
    here: L,
    *,
    steps: int,
    settled: Callable[[float, float, np.ndarray], bool],
    basis: np.ndarray | None = None,
    damping: float = 1e-3,
    patience: int = 1,
    inside: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> tuple[np.ndarray, L, bool]:
    """Minimise a misfit by its local quadratic models.

    Args:
        look: from a point to the misfit there.
        point: where to begin, ``(values,)``.
        here: the misfit there.
        steps: accepted steps at most.
        settled: told what a step gains, the misfit and the step along each direction, says whether it is negligible.
        basis: directions that are free, ``(values, directions)``; default all.
        damping: first damping, relative to the largest diagonal so far.
        patience: negligible steps in a row after which it ends.
        inside: brings a point back into its bounds.

    Returns:
        The best point, what was seen there, and whether it ended because nothing was to be gained.
    """
    widest, quiet = np.zeros(0), 0
    for _ in range(steps):
        if not is_usable(here):
            return point, here, False
        normal, gradient = here.normal, here.gradient
        if basis is not None:
            normal, gradient = basis.T @ normal @ basis, basis.T @ gradient
        widest = np.maximum(np.diag(normal), widest if widest.size else 1e-300)
        scale = np.sqrt(widest)
        scaled, right = normal / scale[:, None] / scale, gradient / scale
        tried, gained, step = 0, 0.0, np.zeros(len(scale))
        while damping < 1e10:
            step = -np.linalg.solve(scaled + (damping + _RIDGE) * np.eye(len(scale)), right) / scale
            there_at = inside(point + (step if basis is None else basis @ step))
            there = look(there_at)
            if there.misfit < here.misfit:
                gained = here.misfit - there.misfit
                point, here, damping = there_at, there, damping * 0.2
                break
            tried += 1
            if tried == 1 and settled(float(-step @ (2 * gradient + normal @ step)), here.misfit, step):
                break
            damping = max(5.0 * damping, 1e-3)
        quiet = quiet + 1 if settled(gained, here.misfit, step) else 0
        if not gained or quiet == patience:
            return point, here, True
    return point, here, False


class Residual(Protocol):
    """A vector function of the parameters whose mean square is to be made small."""

    def value(self, p: Tensor, /) -> Tensor | None:
        """Residual ``(n,)``, or None where it cannot be computed."""
        ...

    def linearise(self, p: Tensor, /) -> tuple[Tensor, Tensor] | None:
        """Residual ``(n,)`` and Jacobian ``(n, params)``, or None."""
        ...


@dataclass(frozen=True)
class LMState:
    """Everything the next step depends on, so that a run can be cut anywhere and continued to the same bits.

    Attributes:
        p: parameters, ``(params,)``.
        loss: mean square residual there.
        step: accepted steps so far.
        damping: damping factor.
        slow: accepted steps in a row without progress.
        scale: largest column norms of the Jacobian so far, ``(params,)``; empty before the first step.
    """

    p: Tensor
    loss: float
    step: int
    damping: float
    slow: int
    scale: Tensor


@dataclass(frozen=True)
class LMResult:
    """Best parameters, their mean square residual, why it ended, and the accepted steps."""

    p: Tensor
    loss: float
    status: str
    steps: int


OnStep = Callable[[LMState], bool]


def mean_square(r: Tensor | None) -> float:
    """Mean of squares; infinity for a residual that could not be computed."""
    if r is None or not bool(torch.isfinite(r).all()):
        return float("inf")
    return float(r.square().mean()) if len(r) else 0.0


def levenberg_marquardt(
    residual: Residual,
    start: Tensor | LMState,
    *,
    steps: int = 100,
    goal: float = 0.0,
    tolerance: float = 1e-3,
    patience: int = 5,
    lower: Tensor | None = None,
    fixed: Tensor | None = None,
    damping: float = 1e-3,
    on_step: OnStep | None = None,
) -> LMResult:
    """Minimise the mean square of a residual.

    Args:
        residual: function and Jacobian.
        start: parameters, ``(params,)``, or the state of a run to continue.
        steps: accepted steps at most.
        goal: stop at this mean square.
        tolerance: relative decrease that counts as progress.
        patience: accepted steps without progress before stopping.
        lower: lower bounds, ``(params,)``; numbers at a bound that want to leave it are held for the step.
        fixed: numbers that do not move, ``(params,)`` bool.
        damping: first damping factor, relative to the squared column norms.
        on_step: called with the state after each accepted step; True stops.
    """
    if isinstance(start, Tensor):
        p = start if lower is None else torch.maximum(start, lower)
        state = LMState(p, float("inf"), 0, damping, 0, torch.zeros_like(p))
    else:
        state = start
    while True:
        linear = residual.linearise(state.p)
        if linear is None or mean_square(linear[0]) == float("inf"):
            status = "no derivative" if state.step else "not finite at the start"
            return LMResult(state.p, state.loss, status, state.step)
        r, jac = linear
        state = replace(state, loss=mean_square(r))
        if state.loss <= goal:
            return LMResult(state.p, state.loss, "goal reached", state.step)
        if state.slow >= patience:
            return LMResult(state.p, state.loss, "converged", state.step)
        if state.step >= steps:
            return LMResult(state.p, state.loss, "step limit", state.step)
        new = _advance(residual, r, jac, state, tolerance, lower, fixed)
        if new is None:
            return LMResult(state.p, state.loss, "converged", state.step)
        state = new
        if on_step is not None and on_step(state):
            return LMResult(state.p, state.loss, "stopped", state.step)


def _advance(
    residual: Residual,
    r: Tensor,
    jac: Tensor,
    state: LMState,
    tolerance: float,
    lower: Tensor | None,
    fixed: Tensor | None,
) -> LMState | None:
    """One accepted step, or None if no damping makes one (damping after Nielsen, 1999)."""
    p, damping, grow = state.p, state.damping, 2.0
    scale = torch.maximum(state.scale, jac.norm(dim=0)).clamp_min(1e-12)
    free = torch.ones_like(p, dtype=torch.bool) if lower is None else (p > lower) | (jac.mT @ r < 0)
    if fixed is not None:
        free &= ~fixed
    if not bool(free.any()):
        return None
    while damping <= 1e10:
        q = p + _solve(jac, r, damping, scale, free)
        if lower is not None:
            q = torch.maximum(q, lower)
        new = mean_square(residual.value(q))
        if new < state.loss:
            expected = state.loss - mean_square(r + jac @ (q - p))
            gain = min((state.loss - new) / max(expected, 1e-300), 2.0)
            damping = max(damping * max(1 / 5, 1 - (2 * gain - 1) ** 3), 1e-13)
            slow = state.slow + 1 if new > state.loss * (1 - tolerance) else 0
            return LMState(q, new, state.step + 1, damping, slow, scale)
        damping *= grow
        grow *= 2.0
    return None


def _solve(jac: Tensor, r: Tensor, damping: float, scale: Tensor, free: Tensor) -> Tensor:
    """The damped Gauss-Newton step, by QR of the augmented, column-scaled system (never the normal equations)."""
    columns = jac[:, free] / scale[free]
    n = columns.shape[1]
    stacked = torch.cat([columns, damping**0.5 * torch.eye(n, dtype=jac.dtype)])
    right = torch.cat([-r, torch.zeros(n, dtype=r.dtype)])
    q, upper = torch.linalg.qr(stacked)
    y = torch.linalg.solve_triangular(upper, (q.mT @ right)[:, None], upper=True).squeeze(-1)
    move = torch.zeros_like(scale)
    move[free] = y / scale[free]
    return move
