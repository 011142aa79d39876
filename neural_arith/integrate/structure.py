"""An equation as data: which power units stand in which equation, without any code for it.

A right-hand side of products of powers is a short list of numbers, so thousands of different ones can be handed to
one compiled solver (:mod:`neural_arith.integrate.batch`) without compiling anything for any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Unit = tuple[float, ...]
"""Exponents of one power unit, one for each variable (states first, then inputs): x_1^e_1 * x_2^e_2 * ..."""

Equation = tuple[Unit, ...]
"""The units that stand in one equation, each with a coefficient of its own."""


@dataclass(frozen=True)
class Structure:
    """The units of each equation, in canonical order; its coefficients live elsewhere.

    Attributes:
        equations: one tuple of units for each state. Two structures with the same terms compare equal.
    """

    equations: tuple[Equation, ...]

    def __post_init__(self) -> None:
        """Sort the terms, so that a structure has one spelling."""
        object.__setattr__(self, "equations", tuple(tuple(sorted(set(eq))) for eq in self.equations))

    @property
    def units(self) -> tuple[Unit, ...]:
        """The distinct units, sorted; a unit that several equations share is listed once."""
        return tuple(sorted({unit for equation in self.equations for unit in equation}))

    @property
    def n_terms(self) -> int:
        """Number of coefficients."""
        return sum(len(equation) for equation in self.equations)

    @property
    def n_fitted(self) -> int:
        """How many numbers have to be fitted: coefficients and exponents that are no simple fractions."""
        return self.n_terms + len(free_exponents(self))

    @property
    def terms(self) -> list[tuple[int, Unit]]:
        """``(equation, unit)`` of each coefficient, in the order coefficients are stored."""
        return [(i, unit) for i, equation in enumerate(self.equations) for unit in equation]

    def replace(self, index: int, equation: Sequence[Unit]) -> Structure:
        """The structure with another set of units in equation ``index``."""
        equations = list(self.equations)
        equations[index] = tuple(equation)
        return Structure(tuple(equations))

    def substitute(self, old: Unit, new: Unit) -> Structure:
        """The structure with one unit exchanged for another wherever it stands."""
        return Structure(tuple(tuple(new if u == old else u for u in eq) for eq in self.equations))


@dataclass(frozen=True)
class Packed:
    """Structures as padded arrays, the form the compiled solver reads.

    Attributes:
        exponents: shape ``(candidates, units, variables)``.
        n_units: live units of each candidate.
        equation, unit: shape ``(candidates, terms)``; where each coefficient stands.
        n_terms: live terms of each candidate.
        free: shape ``(candidates, free, 2)``; (unit, variable) of each exponent that is refined too.
        n_free: live entries of ``free``.
    """

    exponents: np.ndarray
    n_units: np.ndarray
    equation: np.ndarray
    unit: np.ndarray
    n_terms: np.ndarray
    free: np.ndarray
    n_free: np.ndarray


def is_simple(exponent: float) -> bool:
    """Whether an exponent is a fraction with denominator 1, 2, 3 or 4; any other is a constant to fit."""
    return any(abs(exponent * d - round(exponent * d)) < 1e-9 for d in (1, 2, 3, 4))


def free_exponents(structure: Structure) -> list[tuple[int, int]]:
    """``(unit, variable)`` of the exponents that are constants to fit, in reading order."""
    return [(h, v) for h, unit in enumerate(structure.units) for v, e in enumerate(unit) if not is_simple(e)]


def with_exponents(
    structure: Structure, values: Iterable[float], coefficients: Iterable[float]
) -> tuple[Structure, np.ndarray]:
    """The structure with its free exponents exchanged for refined ones.

    Args:
        structure: the structure.
        values: one exponent for each entry of :func:`free_exponents`.
        coefficients: one for each term.

    Returns:
        The new structure and its coefficients; terms that became equal are added up.
    """
    units = [list(u) for u in structure.units]
    for (h, v), value in zip(free_exponents(structure), values, strict=True):
        units[h][v] = float(value)
    renamed = dict(zip(structure.units, (tuple(u) for u in units), strict=True))
    total: dict[tuple[int, Unit], float] = {}
    for (i, unit), c in zip(structure.terms, coefficients, strict=True):
        term = (i, renamed[unit])
        total[term] = total.get(term, 0.0) + float(c)
    new = Structure(tuple(tuple(renamed[u] for u in eq) for eq in structure.equations))
    return new, np.array([total[term] for term in new.terms])


def pack(
    structures: Sequence[Structure],
    n_variables: int,
    free: Sequence[Sequence[tuple[int, int]]] | None = None,
) -> Packed:
    """Lay structures out as padded arrays.

    Args:
        structures: the candidates.
        n_variables: states plus inputs.
        free: for each candidate the (unit, variable) pairs whose exponents are refined as well; default none.
    """
    n = len(structures)
    units = [s.units for s in structures]
    terms = [s.terms for s in structures]
    free = free or [[] for _ in structures]
    most_units = max((len(u) for u in units), default=0) or 1
    most_terms = max((len(t) for t in terms), default=0) or 1
    most_free = max((len(f) for f in free), default=0) or 1
    exponents = np.zeros((n, most_units, n_variables))
    equation = np.zeros((n, most_terms), dtype=np.int64)
    unit = np.zeros((n, most_terms), dtype=np.int64)
    pairs = np.zeros((n, most_free, 2), dtype=np.int64)
    for c in range(n):
        place = {u: h for h, u in enumerate(units[c])}
        if units[c]:
            exponents[c, : len(units[c])] = units[c]
        for k, (i, u) in enumerate(terms[c]):
            equation[c, k], unit[c, k] = i, place[u]
        for k, pair in enumerate(free[c]):
            pairs[c, k] = pair
    count = [np.array([len(item) for item in items], dtype=np.int64) for items in (units, terms, free)]
    return Packed(exponents, count[0], equation, unit, count[1], pairs, count[2])
