"""How good equations are: R2 of what they simulate, their error on a box around the truth, the terms that matter.

The definitions are those of the ODEBench protocol (d'Ascoli et al., ODEFormer, ICLR 2024, arXiv:2310.05573): R2 is
pooled over the states, each weighted by its variance, and an integration that fails is a failed prediction.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable

import numpy as np
import sympy as sp
from scipy.integrate import solve_ivp

from neural_arith.equations import EquationSystem

Field = Callable[[float, np.ndarray], np.ndarray]
"""``f(t, x)`` of shapes ``(*batch, states)`` to ``(*batch, states)``."""

RTOL, ATOL = 1e-8, 1e-10

GROWTH = 1e6
"""A solution has blown up when a state exceeds so many times ``1 + max |x0|``, at the solver's trial points too."""

PATIENCE = 15.0
"""Seconds after which an integration has failed."""

BOX_POINTS, BOX_MARGIN = 400, 0.1

NEGLIGIBLE = 1e-3
"""The share of its equation below which a term along the true solutions does not count."""

_LARGEST = 1e6


class _FailedError(Exception):
    """Raised inside the right-hand side to leave the solver."""


def simulated(f: Field, x0: np.ndarray, t: np.ndarray) -> np.ndarray | None:
    """Solve from ``x0`` over all times.

    Args:
        f: the right-hand side.
        x0: state at ``t[0]``, shape ``(states,)``.
        t: increasing times, shape ``(time,)``.

    Returns:
        States, shape ``(time, states)``; None where the end was not reached, the solution blew up, or it took too long.
    """
    bound = GROWTH * (1.0 + np.abs(x0).max())
    end = time.monotonic() + PATIENCE

    def guarded(s: float, x: np.ndarray) -> np.ndarray:
        if not np.all(np.abs(x) < bound) or time.monotonic() > end:
            raise _FailedError
        slope = f(s, x)
        if not np.all(np.isfinite(slope)):
            raise _FailedError
        return slope

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # the solver says in warnings what it also says in its status
        try:
            solution = solve_ivp(guarded, (t[0], t[-1]), x0, method="LSODA", t_eval=t, rtol=RTOL, atol=ATOL)
        except _FailedError:
            return None
    if not solution.success or solution.y.shape[1] != len(t) or not np.all(np.isfinite(solution.y)):
        return None
    return solution.y.T


def r2(true: np.ndarray, found: np.ndarray) -> float:
    """The coefficient of determination pooled over states, each weighted by its variance.

    Args:
        true: shape ``(time, states)``.
        found: of the same shape.

    Returns:
        At most 1; minus infinity where the truth never changes and what was found does not equal it.

    >>> r2(np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [1.0], [1.0]]))
    0.5
    """
    missed = float(((true - found) ** 2).sum())
    spread = float(((true - true.mean(axis=0)) ** 2).sum())
    if spread > 0:
        return 1.0 - missed / spread
    return 1.0 if missed == 0 else -math.inf


def box(visited: np.ndarray, seed: int) -> np.ndarray:
    """Random states in the box around what was visited, a tenth wider, yet on the side of zero where the truth stays.

    Args:
        visited: shape ``(points, states)``.
        seed: of the draw; the number of the system.

    Returns:
        Shape ``(BOX_POINTS, states)``.
    """
    low, high = visited.min(axis=0), visited.max(axis=0)
    wider = (high - low) * BOX_MARGIN
    # many systems have no value beyond zero
    least = np.where((low >= 0) & (low - wider < 0), low, low - wider)
    draw = np.random.default_rng(seed).random((BOX_POINTS, visited.shape[1]))
    return least + (high + wider - least) * draw


def rhs_error(found: Field, true: Field, points: np.ndarray) -> float:
    """The root mean square difference of two right-hand sides, as a share of the true one's.

    Args:
        found: right-hand side.
        true: the true one; points where it is not finite, or huge, do not count.
        points: shape ``(points, states)``.

    Returns:
        The error; infinite where the right-hand side found has no value at one of the points.
    """
    with np.errstate(all="ignore"):
        ours, theirs = found(0.0, points), true(0.0, points)
        counts = np.isfinite(theirs).all(axis=1) & (np.abs(theirs) < _LARGEST).all(axis=1)
        ours, theirs = ours[counts], theirs[counts]
        if not np.isfinite(ours).all():
            return math.inf
        return float(np.sqrt(((ours - theirs) ** 2).sum() / max(float((theirs**2).sum()), 1e-300)))


def without_negligible(found: EquationSystem, visited: np.ndarray) -> EquationSystem:
    """Equations without the terms that hardly contribute where the true solutions go.

    Args:
        found: equations.
        visited: states along the true solutions, shape ``(points, states)``.
    """
    symbols = [sp.Symbol(state) for state in found.states]

    def size(part: sp.Expr) -> float:
        values = sp.lambdify(symbols, part, "numpy")(*visited.T)
        return float(np.sqrt(np.mean(np.abs(np.broadcast_to(values, len(visited))) ** 2)))

    def kept(side: sp.Expr) -> sp.Expr:
        # a decimal exponent, unlike a fraction, holds a power of a sum together
        decimals = {r: sp.Float(r) for r in side.atoms(sp.Rational) if not r.is_Integer}
        terms = sp.Add.make_args(sp.expand(side.xreplace(decimals)))
        least = NEGLIGIBLE * size(side)
        small = [size(term) < least for term in terms]
        return sp.Add(*(term for term, goes in zip(terms, small, strict=True) if not goes)) if any(small) else side

    with np.errstate(all="ignore"):
        return EquationSystem({state: kept(side) for state, side in found.rhs.items()})
