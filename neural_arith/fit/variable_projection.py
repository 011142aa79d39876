"""Variable projection: what is linear is solved for, so only the numbers within the columns are searched.

The best coefficients of columns D for a target y are a least-squares solve. What is left of y is a function of the
numbers within the columns alone (Golub & Pereyra, 1973); its Jacobian without the small part that bends the columns'
span is J = -P D' c with P the projection away from that span (Kaufman, 1975). All of it goes by orthonormal bases:
normal equations would lose half of the digits, and clean measurements are told apart by the last ones.

Compiled, for the searches that fit thousands of small problems, and for whole arrays: :func:`span`.
"""

from __future__ import annotations

import numpy as np

from neural_arith.fit.refine import solve_positive
from neural_arith.solve.compiled.cache import compiled


@compiled(fastmath={"reassoc", "contract"})
def dot(a, b):
    """Scalar product; the order of the sum is free, so that it becomes vector instructions."""
    total = 0.0
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


@compiled()
def orthogonalise(rows, columns, stop, least, mixing):
    """Make the first rows orthonormal and free those behind them of their part along these, in place.

    Args:
        rows: columns of the regression, then whatever else is projected, last the target, ``(rows, samples)``.
        columns: how many columns there are.
        stop: one behind the target.
        least: share of a column's square that must be left beside the columns before it; else it counts as spanned.
        mixing: receives the triangle and in column ``columns`` the products with the target, ``(columns, columns +
            1)``; zeros in the row of a spanned column.

    Returns:
        How many columns are independent; -1 when one is not finite.
    """
    rank = 0
    for h in range(columns):
        before = 0.0
        for j in range(h):
            before += mixing[j, h] ** 2
        row = rows[h]
        size = dot(row, row)
        if not size < np.inf:
            return -1
        if size <= least * (before + size) or size == 0.0:
            mixing[h, h] = 0.0
            for j in range(h + 1, columns + 1):
                mixing[h, j] = 0.0
            continue
        rank += 1
        size = np.sqrt(size)
        mixing[h, h] = size
        for k in range(len(row)):
            row[k] /= size
        for j in range(h + 1, stop):
            other = rows[j]
            along = dot(row, other)
            for k in range(len(row)):
                other[k] -= along * row[k]
            if j < columns:
                mixing[h, j] = along
            elif j == stop - 1:
                mixing[h, columns] = along
    return rank


@compiled()
def best_coefficients(mixing, columns, coefficients):
    """Coefficients from what :func:`orthogonalise` has left; 0 for a column that those before it span."""
    for h in range(columns - 1, -1, -1):
        c = mixing[h, columns]
        for j in range(h + 1, columns):
            c -= mixing[h, j] * coefficients[j]
        coefficients[h] = c / mixing[h, h] if mixing[h, h] != 0.0 else 0.0


@compiled()
def remove(basis, rows, line):
    """Free ``line`` of its part along orthonormal rows."""
    for b in range(rows):
        row = basis[b]
        along = dot(row, line)
        for k in range(len(line)):
            line[k] -= along * row[k]


@compiled()
def damped_step(normal, gradient, size, damping, damped, factor, change):
    """Levenberg-Marquardt step by Cholesky; whether the matrix was positive definite and the step is finite.

    Args:
        normal: lower triangle of J^T J, ``(size, size)``.
        gradient: minus half the slope of the cost, ``(size,)``.
        size: how many numbers count.
        damping: relative to the diagonal.
        damped: work, as large as ``normal``.
        factor: work, as large as ``normal``.
        change: receives the step.
    """
    largest = 0.0
    for a in range(size):
        largest = max(largest, normal[a, a])
    for a in range(size):
        change[a] = gradient[a]
        for b in range(a + 1):
            damped[a, b] = normal[a, b]
        damped[a, a] += damping * normal[a, a] + 1e-12 * largest + 1e-300
    full = np.zeros(size, dtype=np.int64)
    return solve_positive(damped, change, size, factor, full) and np.isfinite(change[:size]).all()


def span(columns: np.ndarray, ridge: float = 0.0) -> tuple[np.ndarray, np.ndarray] | None:
    """Orthonormal rows that span columns, and the triangle that makes coefficients of products with these rows.

    Args:
        columns: ``(columns, samples)``.
        ridge: added to columns of length one; it keeps nearly equal ones from taking huge opposite coefficients, and
            the rows are then a little shorter than one.

    Returns:
        Rows ``(columns, samples)`` and triangle ``(columns, columns)``: the coefficients for a target are
        ``solve(triangle, rows @ target)``. None where a column is not finite or, without a ridge, the others span it.
    """
    n, samples = columns.shape
    if not n:
        return np.zeros((0, samples)), np.zeros((0, 0))
    if not np.abs(columns).max() < 1e100:
        return None
    size = np.maximum(np.sqrt((columns**2).sum(1)), 1e-300)
    scaled = (columns / size[:, None]).T
    q, r = np.linalg.qr(np.concatenate([scaled, ridge * np.eye(n)]) if ridge else scaled)
    if not ridge and np.abs(np.diag(r)).min() <= 1e-9:
        return None
    return np.ascontiguousarray(q[:samples].T), r * size
