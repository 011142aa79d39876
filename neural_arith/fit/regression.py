"""One right-hand side in the integral form, with the numbers within its units fitted by variable projection.

Units without numbers of their own are taken out once for all that stands beside them; of the others the coefficients
are projected out (:mod:`neural_arith.fit.variable_projection`) and the numbers follow by Levenberg-Marquardt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from neural_arith.fit.integral_form import POINTS, IntegralForm
from neural_arith.fit.variable_projection import best_coefficients, damped_step, dot, orthogonalise, remove, span
from neural_arith.solve.compiled.cache import compiled
from neural_arith.solve.compiled.prediction import values_at
from neural_arith.solve.compiled.tables import Tables, pack
from neural_arith.solve.compiled.values import NONE, NUMBERS, load_numbers, many_values
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import Number, Unit, numbers_of

_SPANNED = 1e-18
"""Share of a column's square that must be left beside the others."""

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
            for p in range(m, m + POINTS):
                running += values[p] * step[p]
            m += POINTS
        if not abs(running) < 1e100:
            return False
        out[k] = running
        total[window[k]] += running * weight[k] * weight[k]
    for k in range(len(first)):
        out[k] = (out[k] - total[window[k]] * share[window[k]]) * weight[k]
    remove(basis, len(basis), out)
    return True


@compiled()
def _search(points, log_scale, tables, step, first, window, weight, share, basis, target, inner, iterations):
    """Fit the numbers ``inner`` in place; returns the coefficients of the units that hold them, and what is left."""
    n_terms, n_numbers, n = tables.live[3], len(inner), len(target)
    rows, mixing = np.empty((n_terms + 1, n)), np.zeros((n_terms, n_terms + 1))
    residual, mixed = rows[n_terms], np.empty(points.shape[0])
    moved = np.empty((n_numbers, n))
    normal, slope = np.zeros((n_numbers, n_numbers)), np.zeros(n_numbers)
    matrix, change, work = np.zeros((n_numbers, n_numbers)), np.zeros(n_numbers), np.zeros((n_numbers, n_numbers))
    c = np.zeros(n_terms)
    trial = inner.copy()
    cost, damping, known = np.inf, 1e-2, False
    for _ in range(iterations + 1):
        load_numbers(tables, trial)
        values, slopes = many_values(points, log_scale, tables, np.int64(NUMBERS))  # a literal is compiled for anew
        good = True
        for t in range(n_terms):
            good = good and _column(values[t], step, first, window, weight, share, basis, rows[t])
        rss = np.inf
        if good:
            residual[:] = target
            if orthogonalise(rows, n_terms, n_terms + 1, _SPANNED, mixing) == n_terms:
                rss = dot(residual, residual)
        if rss < cost:
            gain = cost - rss
            cost = rss
            inner[:] = trial
            best_coefficients(mixing, n_terms, c)
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
                line = moved[a]
                if not _column(mixed, step, first, window, weight, share, basis, line):
                    line[:] = 0.0
                remove(rows, n_terms, line)
                slope[a] = dot(line, residual)
                for b in range(a + 1):
                    normal[a, b] = dot(line, moved[b])
            known = True
        else:
            damping *= 6.0
        if not known or damping > 1e6:
            break
        if not damped_step(normal, slope, n_numbers, damping, matrix, work, change):
            damping *= 6.0
            change[:] = 0.0
        for a in range(n_numbers):
            longest = 0.5 * abs(inner[a]) + 0.2
            trial[a] = inner[a] + min(max(change[a], -longest), longest)
    return c, cost


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
        self._span = lru_cache(max(_SPANS, _KEPT // (POINTS * len(self.target))))(self._span_of)
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
        """The span of columns without numbers of their own, None if dependent, and the target without them."""
        found = span(self.columns(units))
        if found is None:
            return None, np.zeros((0, 0)), self.target
        basis, triangle = found
        return basis, triangle, self.target - basis.T @ (basis @ self.target)

    def _tables(self, structure: Structure, inner: np.ndarray) -> Tables:
        if structure not in self._packed:
            theta = np.concatenate([np.zeros(structure.n_terms), inner])
            self._packed[structure] = Tables(*(array[0] for array in pack([structure], [theta], self.scale)))
        # Several threads may fit the same units at once, and a fit writes into its tables.
        return Tables(*(array.copy() for array in self._packed[structure]))
