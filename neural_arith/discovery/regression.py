"""One right-hand side in the integral form, with the numbers within its units fitted by variable projection.

For given numbers the coefficients are a least-squares solve, so only the numbers are searched, by Levenberg-Marquardt
on the projected residual (Golub & Pereyra, 1973; Kaufman's approximate Jacobian).
"""

from __future__ import annotations

import numpy as np

from neural_arith.discovery.integral_form import IntegralForm
from neural_arith.integrate.batch import evaluator, values_at
from neural_arith.integrate.structure import Structure
from neural_arith.integrate.units import numbers_of


def project(
    form: IntegralForm,
    state: int,
    structure: Structure,
    theta: np.ndarray,
    scale: np.ndarray,
    *,
    iterations: int = 12,
) -> tuple[np.ndarray, float]:
    """Fit coefficients and numbers of one right-hand side to the integral form.

    Args:
        form: the regression problem.
        state: whose equation.
        structure: the right-hand side as the only equation of a structure.
        theta: first guess; its coefficients do not matter.
        scale: sizes of the variables.
        iterations: most Levenberg-Marquardt iterations.

    Returns:
        The fitted values and the residual sum of squares; inf where the units are not finite.
    """
    target, n = form.target[state], structure.n_terms
    best, cost, damping = theta.copy(), np.inf, 1e-2
    inner = theta[n:].copy()
    pending: tuple[np.ndarray, np.ndarray] | None = None
    columns = np.empty((n, len(target)))
    moving = np.array([next(numbers_of(unit), None) is not None for _, unit in structure.terms], dtype=bool)
    # Units without numbers of their own have the same columns all along.
    still, bending = (Structure((tuple(u for (_, u), m in zip(structure.terms, moving, strict=True) if m == which),))
                      for which in (False, True))  # fmt: skip
    if still.n_terms:
        values = values_at(still.equations[0], {}, form.nodes, scale)
        if not np.isfinite(values).all():
            return best, cost
        columns[~moving] = form.columns(values, state)
    head = np.zeros(bending.n_terms)
    at = evaluator(bending, np.concatenate([head, inner]), form.nodes, scale)
    for _ in range(iterations + 1):
        values, slopes = at(np.concatenate([head, inner]))
        finite = bool(np.isfinite(values).all())
        if finite and bending.n_terms:
            columns[moving] = form.columns(values, state)
        solved = _solve(columns, target) if finite else None
        if solved is not None and solved[2] @ solved[2] < cost:
            c, q, residual = solved
            rss = float(residual @ residual)
            gain = cost - rss
            best, cost = np.concatenate([c, inner]), rss
            if len(inner) == 0 or gain < 1e-4 * rss:
                break
            damping = max(damping * 0.3, 1e-9)
            moved = form.columns(np.einsum("t,tqp->qp", c[moving], np.nan_to_num(slopes)), state)
            moved = moved - (moved @ q) @ q.T
            pending = (moved @ moved.T, moved @ residual)
        else:
            damping *= 6.0
        if pending is None or damping > 1e6:
            break
        normal, slope = pending
        ridge = damping * np.diag(normal) + 1e-300
        step = np.linalg.solve(normal + np.diag(ridge), slope)
        longest = 0.5 * np.abs(best[n:]) + 0.2
        inner = best[n:] + np.clip(step, -longest, longest)
    return best, cost


def _solve(columns: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Coefficients, an orthonormal basis of the columns and the residual; None where columns depend on each other."""
    if not np.abs(columns).max(initial=0.0) < 1e100:
        return None
    size = np.maximum(np.sqrt((columns**2).sum(1)), 1e-300)
    q, r = np.linalg.qr((columns / size[:, None]).T)
    if np.abs(np.diag(r)).min(initial=np.inf) <= 1e-9:
        return None
    c = np.linalg.solve(r, q.T @ target) / size
    return c, q, target - c @ columns
