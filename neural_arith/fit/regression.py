"""One right-hand side in the integral form, with the numbers within its units fitted by variable projection.

For given numbers the coefficients are a least-squares solve, so only the numbers are searched, by Levenberg-Marquardt
on the projected residual (Golub & Pereyra, 1973; Kaufman's approximate Jacobian).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from neural_arith.fit.integral_form import IntegralForm
from neural_arith.fit.refine import solve_positive
from neural_arith.solve.compiled.batch import values_at
from neural_arith.solve.compiled.cache import compiled
from neural_arith.solve.compiled.tables import Tables, pack
from neural_arith.solve.compiled.values import NONE, NUMBERS, load_numbers, many_values
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import Number, Unit, numbers_of

_POINTS = 4

_SPANS, _KEPT = 500, 10**7
"""Sets of columns whose orthonormal basis is kept at least, and numbers kept for them where these are few: one lifted
unit after the other is tried beside the same ones."""


@compiled()
def _column(values, step, first, window, weight, share, basis, out):
    """The regression column of unit values, freed of its part along ``basis``; False where it is not finite."""
    running, m = 0.0, 0
    total = np.zeros(len(share))
    for k in range(len(first)):
        if not first[k]:
            for p in range(m, m + _POINTS):
                running += values[p] * step[p]
            m += _POINTS
        if not abs(running) < 1e100:
            return False
        out[k] = running
        total[window[k]] += running * weight[k] * weight[k]
    for k in range(len(first)):
        out[k] = (out[k] - total[window[k]] * share[window[k]]) * weight[k]
    _remove(basis, len(basis), out)
    return True


@compiled()
def _remove(basis, rows, line):
    """Free ``line`` of its part along orthonormal rows."""
    for b in range(rows):
        along = 0.0
        for k in range(len(line)):
            along += basis[b, k] * line[k]
        for k in range(len(line)):
            line[k] -= along * basis[b, k]


@compiled()
def _search(points, log_scale, tables, step, first, window, weight, share, basis, target, inner, iterations):
    """Fit the numbers ``inner`` in place; returns the coefficients of the units that hold them, and what is left."""
    n_terms, n_numbers, n = tables.live[3], len(inner), len(target)
    columns, q = np.empty((n_terms, n)), np.empty((n_terms, n))
    r = np.zeros((n_terms, n_terms))
    residual, line, mixed = np.empty(n), np.empty(n), np.empty(points.shape[0])
    moved = np.empty((n_numbers, n))
    normal, slope = np.zeros((n_numbers, n_numbers)), np.zeros(n_numbers)
    matrix, delta, work = np.zeros((n_numbers, n_numbers)), np.zeros(n_numbers), np.zeros((n_numbers, n_numbers))
    c, best_c, full = np.zeros(n_terms), np.zeros(n_terms), np.zeros(n_numbers, dtype=np.int64)
    trial = inner.copy()
    cost, damping, known = np.inf, 1e-2, False
    for _ in range(iterations + 1):
        load_numbers(tables, trial)
        values, slopes = many_values(points, log_scale, tables, np.int64(NUMBERS))  # a literal is compiled for anew
        good = True
        for t in range(n_terms):
            good = good and _column(values[t], step, first, window, weight, share, basis, columns[t])
        if good:
            residual[:] = target
            for t in range(n_terms):
                size = np.sqrt((columns[t] ** 2).sum())
                q[t] = columns[t]
                for b in range(t):
                    r[b, t] = (q[b] * q[t]).sum()
                    q[t] -= r[b, t] * q[b]
                r[t, t] = np.sqrt((q[t] ** 2).sum())
                if not r[t, t] > 1e-9 * size or size == 0.0:
                    good = False
                    break
                q[t] /= r[t, t]
                c[t] = (q[t] * target).sum()
                residual -= c[t] * q[t]
        rss = (residual**2).sum() if good else np.inf
        if rss < cost:
            gain = cost - rss
            cost = rss
            inner[:] = trial
            for t in range(n_terms - 1, -1, -1):
                for b in range(t + 1, n_terms):
                    c[t] -= r[t, b] * c[b]
                c[t] /= r[t, t]
            best_c[:] = c
            if n_numbers == 0 or gain < 1e-4 * rss:
                break
            damping = max(damping * 0.3, 1e-9)
            for a in range(n_numbers):
                for p in range(len(mixed)):
                    acc = 0.0
                    for t in range(n_terms):
                        if np.isfinite(slopes[t, a, p]):
                            acc += c[t] * slopes[t, a, p]
                    mixed[p] = acc
                if not _column(mixed, step, first, window, weight, share, basis, line):
                    line[:] = 0.0
                _remove(q, n_terms, line)
                moved[a] = line
                slope[a] = (line * residual).sum()
                for b in range(a + 1):
                    normal[a, b] = (moved[a] * moved[b]).sum()
            known = True
        else:
            damping *= 6.0
        if not known or damping > 1e6:
            break
        matrix[:, :] = normal
        delta[:] = slope
        for a in range(n_numbers):
            matrix[a, a] = normal[a, a] * (1.0 + damping) + 1e-300
        if not solve_positive(matrix, delta, n_numbers, work, full):
            damping *= 6.0
            delta[:] = 0.0
        for a in range(n_numbers):
            longest = 0.5 * abs(inner[a]) + 0.2
            trial[a] = inner[a] + min(max(delta[a], -longest), longest)
    return best_c, cost


class Regression:
    """Right-hand sides of one equation fitted to the integral form.

    Args:
        form: the regression problem.
        state: whose equation.
        scale: sizes of the variables.
    """

    def __init__(self, form: IntegralForm, state: int, scale: np.ndarray) -> None:
        # What arrives in another process may be read-only; the kernel is compiled for arrays that are not.
        form = IntegralForm(**{name: np.require(a, requirements=["C", "W"]) for name, a in vars(form).items()})
        self.form, self.state, self.scale = form, state, scale
        self.target = form.target[state]
        square = form.weight[state] ** 2
        self.share = 1.0 / np.maximum(np.bincount(form.window, square), 1e-300)
        self._columns: dict[Unit, np.ndarray] = {}
        self._span = lru_cache(max(_SPANS, _KEPT // (_POINTS * len(self.target))))(self._span_of)
        self._packed: dict[Structure, Tables] = {}

    def __reduce__(self) -> tuple[type[Regression], tuple[IntegralForm, int, np.ndarray]]:
        """Kept columns and tables are not for other processes."""
        return Regression, (self.form, self.state, self.scale)

    def columns(self, units: tuple[Unit, ...]) -> np.ndarray:
        """Regression columns of units without numbers of their own, ``(units, samples)``; kept for the next time."""
        if new := [unit for unit in units if unit not in self._columns]:
            self.guesses(new, {})
        return np.array([self._columns[unit] for unit in units]).reshape(len(units), len(self.target))

    @property
    def n_seen(self) -> int:
        """Number of measured values."""
        return int((self.form.weight[self.state] > 0).sum())

    def guesses(self, units: Sequence[Unit], values: Mapping[Number, float]) -> np.ndarray:
        """Regression columns of units with guessed numbers, ``(units, samples)``; inf where one is not finite."""
        found = values_at(units, values, self.form.nodes, self.scale)
        finite = np.all(np.abs(found) < 1e100, axis=1)
        columns = self.form.columns(np.where(finite[:, None], found, 0.0), self.state)
        columns[~finite] = np.inf
        self._columns.update((u, column) for u, column in zip(units, columns, strict=True) if not numbers_of(u))
        return columns

    def fit(
        self, structure: Structure, theta: np.ndarray, *, iterations: int = 12, coefficients: bool = True
    ) -> tuple[np.ndarray, float]:
        """Fit coefficients and numbers of one right-hand side.

        Args:
            structure: the right-hand side as the only equation of a structure.
            theta: first guess; its coefficients do not matter.
            iterations: most Levenberg-Marquardt iterations.
            coefficients: whether they are wanted; left zero otherwise where units have numbers, which saves time.

        Returns:
            The fitted values and the residual sum of squares; inf where the units are not finite.
        """
        n = structure.n_terms
        moving = np.array([bool(numbers_of(unit)) for _, unit in structure.terms], dtype=bool)
        units = structure.equations[0]
        basis, triangle, rest = self._span(tuple(u for u, m in zip(units, moving, strict=True) if not m))
        if basis is None:
            return theta, np.inf
        bending = Structure((tuple(u for u, m in zip(units, moving, strict=True) if m),))
        inner = np.array(theta[n:], dtype=float)  # the search writes into it
        found = np.zeros(n)
        if not bending.n_terms:
            found[:] = np.linalg.solve(triangle, basis @ self.target)
            return found, float(rest @ rest)
        tables = self._tables(bending, inner)
        form = self.form
        c, rss = _search(
            form.nodes, np.log(self.scale), tables, form.step, form.first, form.window, form.weight[self.state],
            self.share, basis, rest, inner, iterations,
        )  # fmt: skip
        if not np.isfinite(rss):
            return theta, np.inf
        if not coefficients:
            return np.concatenate([found, inner]), float(rss)
        load_numbers(tables, inner)
        values, _ = many_values(form.nodes, np.log(self.scale), tables, NONE)
        found[moving] = c
        if len(basis):
            left = self.target - c @ form.columns(values, self.state)
            found[~moving] = np.linalg.solve(triangle, basis @ left)
        return np.concatenate([found, inner]), float(rss)

    def _span_of(self, units: tuple[Unit, ...]) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
        """What :func:`_orthonormal` makes of columns without numbers of their own, and the target without them."""
        basis, triangle = _orthonormal(self.columns(units))
        return basis, triangle, self.target if basis is None else self.target - basis.T @ (basis @ self.target)

    def _tables(self, structure: Structure, inner: np.ndarray) -> Tables:
        if structure not in self._packed:
            theta = np.concatenate([np.zeros(structure.n_terms), inner])
            self._packed[structure] = Tables(*(array[0] for array in pack([structure], [theta], self.scale)))
        # Several threads may fit the same units at once, and a fit writes into its tables.
        return Tables(*(array.copy() for array in self._packed[structure]))


def _orthonormal(columns: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Orthonormal rows that span the columns, and the triangle that makes coefficients of them; None if dependent."""
    if not len(columns):
        return np.zeros((0, columns.shape[1])), np.zeros((0, 0))
    if not np.abs(columns).max() < 1e100:
        return None, np.zeros((0, 0))
    size = np.maximum(np.sqrt((columns**2).sum(1)), 1e-300)
    q, r = np.linalg.qr((columns / size[:, None]).T)
    if np.abs(np.diag(r)).min() <= 1e-9:
        return None, r
    return np.ascontiguousarray(q.T), r * size
