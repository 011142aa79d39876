"""An equation as data: which units stand in which equation, without any code for it.

A right-hand side is a short list of numbers, so thousands of different ones can be handed to one compiled solver
(:mod:`neural_arith.integrate.batch`) without compiling anything for any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from neural_arith.integrate.units import FITTED, Number, Sum, Unit, numbers_of, rebuild

Equation = tuple[Unit, ...]
"""The units that stand in one equation, each with a coefficient of its own."""

Term = tuple[int, Unit]
"""An equation and the unit that stands in it."""


@dataclass(frozen=True)
class Structure:
    """The units of each equation, in canonical order; the values of its constants live elsewhere.

    Those values are one vector ``theta``: a coefficient for each of :attr:`terms`, then one for each of
    :attr:`numbers`.

    Attributes:
        equations: one tuple of units for each state. Two structures with the same terms compare equal.
    """

    equations: tuple[Equation, ...]

    def __post_init__(self) -> None:
        """Sort the terms, so that a structure has one spelling."""
        object.__setattr__(self, "equations", tuple(tuple(sorted(set(eq))) for eq in self.equations))

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The distinct units, sorted; a unit that several equations share is listed once."""
        return tuple(sorted({unit for equation in self.equations for unit in equation}))

    @cached_property
    def terms(self) -> list[Term]:
        """``(equation, unit)`` of each coefficient, in the order coefficients are stored."""
        return [(i, unit) for i, equation in enumerate(self.equations) for unit in equation]

    @cached_property
    def numbers(self) -> list[Number]:
        """Fitted numbers within the units, each once: equal units, and equal sums, share theirs."""
        return list(dict.fromkeys(number for unit in self.units for number in numbers_of(unit)))

    @property
    def n_terms(self) -> int:
        """Number of coefficients."""
        return len(self.terms)

    @property
    def n_fitted(self) -> int:
        """How many numbers have to be fitted: coefficients and the numbers within units."""
        return self.n_terms + len(self.numbers)

    def values(self, theta: Iterable[float]) -> dict[Term | Number, float]:
        """The entries of ``theta`` by what they belong to."""
        return dict(zip((*self.terms, *self.numbers), map(float, theta), strict=True))

    def theta(self, values: Mapping[Term | Number, float]) -> np.ndarray:
        """The vector of values in this structure's order; terms that are not mentioned get zero."""
        coefficients = [values.get(term, 0.0) for term in self.terms]
        return np.array([*coefficients, *(values[number] for number in self.numbers)], dtype=float)

    def replace(self, index: int, equation: Sequence[Unit]) -> Structure:
        """The structure with another set of units in equation ``index``."""
        equations = list(self.equations)
        equations[index] = tuple(equation)
        return Structure(tuple(equations))

    def __hash__(self) -> int:
        """Structures are looked up often, so their hash is kept."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.equations)

    def __getstate__(self) -> dict[str, object]:
        """Kept hashes and lists are not for other processes."""
        return {"equations": self.equations}


class Tables(NamedTuple):
    """One candidate, or with a leading axis many, as padded arrays: the form the compiled solver reads.

    Units stand inner ones (parts of sums) first. ``count`` holds the live (inner units, units, sums, terms, numbers).
    """

    powers: np.ndarray  # (units, variables)
    rates: np.ndarray
    frequencies: np.ndarray
    phases: np.ndarray  # (units,)
    logs: np.ndarray  # (units, variables)
    lifted: np.ndarray  # (units,) bits: 1 rates, 2 frequencies, 4 logs
    factor_first: np.ndarray  # (units + 1,) factors of each unit that are sums
    factor_sum: np.ndarray  # (factors,)
    factor_power: np.ndarray
    part_first: np.ndarray  # (sums + 1,)
    part_unit: np.ndarray  # (parts,)
    part_coefficient: np.ndarray
    equation: np.ndarray  # (terms,)
    unit: np.ndarray
    kind: np.ndarray  # (numbers,) index in KINDS
    place: np.ndarray  # (numbers, 2): (unit, variable), (part, 0) or (factor, 0)
    count: np.ndarray  # (5,)


KINDS = ("power", "rate", "frequency", "phase", "coefficient", "sum power")


def size_of(unit: Unit, scale: np.ndarray) -> float:
    """What a plain unit's value in scaled numbers is multiplied by to be its value in original ones."""
    return float(np.prod([s**e for s, e in zip(scale, unit.powers, strict=True)]))


def _lay_out(structure: Structure, theta: np.ndarray, columns: Sequence[Number] | None, scale: np.ndarray) -> Tables:
    """Arrays of one structure; ``columns`` are the numbers to refine, default all fitted ones."""
    known = structure.values(theta)
    outer = structure.units
    sums = list(dict.fromkeys(total for unit in outer for total, _ in unit.sums))
    inner = list(dict.fromkeys(part for total in sums for part, _ in total.parts))
    units = [*inner, *outer]
    spot: dict[Unit, int] = {unit: h for h, unit in enumerate(inner)}
    outer_spot = {unit: len(inner) + h for h, unit in enumerate(outer)}
    n_variables = len(scale)

    def read(kind: str, unit: Unit, values: tuple[float, ...], factor: np.ndarray | None = None) -> list[float]:
        if not values:
            return [0.0] * n_variables
        return [
            known[Number(kind, unit, v)] if value == FITTED else value * (1.0 if factor is None else factor[v])
            for v, value in enumerate(values)
        ]

    factors = [(h, total, q) for unit, h in outer_spot.items() for total, q in unit.sums]
    parts = [(total, m, part, b) for total in sums for m, (part, b) in enumerate(total.parts)]
    where: dict[Number, tuple[int, int]] = {}
    for unit, h in (*spot.items(), *outer_spot.items()):
        for kind in ("power", "rate", "frequency"):
            where.update({Number(kind, unit, v): (h, v) for v in range(n_variables)})
        where[Number("phase", unit)] = (h, 0)
    coefficients = []
    for f, (total, m, part, b) in enumerate(parts):
        where[Number("coefficient", total, m)] = (f, 0)
        anchor = size_of(total.parts[0][0], scale) if b != FITTED else 1.0
        coefficients.append(
            known[Number("coefficient", total, m)] if b == FITTED else b * size_of(part, scale) / anchor
        )
    powers_of_sums, seen = [], dict.fromkeys(outer_spot.values(), 0)
    for f, (h, _, q) in enumerate(factors):
        key = Number("sum power", units[h], seen[h])
        seen[h] += 1
        where[key] = (f, 0)
        powers_of_sums.append(known[key] if q == FITTED else q)
    first = np.searchsorted([h for h, _, _ in factors], np.arange(len(units) + 1)) if factors else [0] * (len(units) + 1)
    refined = structure.numbers if columns is None else list(columns)
    return Tables(
        powers=np.array([read("power", u, u.powers) for u in units]).reshape(-1, n_variables),
        rates=np.array([read("rate", u, u.rates, scale) for u in units]).reshape(-1, n_variables),
        frequencies=np.array([read("frequency", u, u.frequencies, scale) for u in units]).reshape(-1, n_variables),
        phases=np.array([known[Number("phase", u)] if u.phase == FITTED else u.phase for u in units]),
        logs=np.array([u.logs or (0,) * n_variables for u in units], dtype=float).reshape(-1, n_variables),
        lifted=np.array([bool(u.rates) + 2 * bool(u.frequencies) + 4 * bool(u.logs) for u in units], dtype=np.int64),
        factor_first=np.asarray(first, dtype=np.int64),
        factor_sum=np.array([sums.index(total) for _, total, _ in factors], dtype=np.int64),
        factor_power=np.array(powers_of_sums, dtype=float),
        part_first=np.cumsum([0, *(len(total.parts) for total in sums)]).astype(np.int64),
        part_unit=np.array([spot[part] for _, _, part, _ in parts], dtype=np.int64),
        part_coefficient=np.array(coefficients, dtype=float),
        equation=np.array([i for i, _ in structure.terms], dtype=np.int64),
        unit=np.array([outer_spot[u] for _, u in structure.terms], dtype=np.int64),
        kind=np.array([KINDS.index(number.kind) for number in refined], dtype=np.int64),
        place=np.array([where[number] for number in refined], dtype=np.int64).reshape(-1, 2),
        count=np.array([len(inner), len(units), len(sums), structure.n_terms, len(refined)], dtype=np.int64),
    )


def pack(
    structures: Sequence[Structure],
    thetas: Sequence[np.ndarray],
    scale: np.ndarray,
    columns: Sequence[Sequence[Number]] | None = None,
) -> Tables:
    """Lay structures out as padded arrays with a leading axis for the candidates.

    Args:
        structures: the candidates.
        thetas: for each one its values.
        scale: size of each variable: what a scaled value is multiplied by to be an original one, ``(variables,)``.
        columns: for each one the numbers to refine or differentiate by, fixed ones allowed; default all fitted ones.
    """
    chosen = columns or [None] * len(structures)
    laid = [_lay_out(s, np.asarray(p), c, scale) for s, p, c in zip(structures, thetas, chosen, strict=True)]
    if not laid:
        laid = [_lay_out(Structure(()), np.zeros(0), None, scale)]
    padded = []
    for arrays in zip(*laid, strict=True):
        # At least one entry each: the compiled code takes views of first rows.
        shape = [max(1, *(a.shape[k] for a in arrays)) for k in range(arrays[0].ndim)]
        out = np.zeros((len(structures), *shape), dtype=arrays[0].dtype)
        for c, a in enumerate(arrays[: len(structures)]):
            out[(c, *(slice(n) for n in a.shape))] = a
        padded.append(out)
    return Tables(*padded)


def rewrite(
    structure: Structure,
    values: Mapping[Term | Number, float],
    edit: Callable[[Number, float], float],
    copy: Callable[[Unit | Sum], int] = lambda owner: owner.copy,
) -> tuple[Structure, dict[Term | Number, float]]:
    """A structure with some numbers within its units exchanged (see :func:`neural_arith.integrate.units.rebuild`).

    Args:
        structure: the structure.
        values: its values; those of numbers that become fitted must be among them.
        edit: what shall stand in a place.
        copy: the copy number of a new unit or sum.

    Returns:
        The new structure and its values; terms that became equal are added up.
    """
    new: dict[Term | Number, float] = {}
    units: dict[Unit, Unit] = {}
    for unit in structure.units:
        units[unit], moved = rebuild(unit, edit, copy)
        new.update({there: values[here] for here, there in moved.items() if here in values})
    for i, unit in structure.terms:
        term = (i, units[unit])
        new[term] = new.get(term, 0.0) + values.get((i, unit), 0.0)
    return Structure(tuple(tuple(units[unit] for unit in eq) for eq in structure.equations)), new


def tidy(structure: Structure, theta: np.ndarray) -> tuple[Structure, np.ndarray]:
    """The same equations with the copies of units and sums numbered from zero, in order of their first number.

    A structure that was put together from several sources has one spelling afterwards.
    """
    values = structure.values(theta)
    if not structure.numbers:
        return structure, np.asarray(theta, dtype=float)
    numbering: dict[Unit | Sum, int] = {}
    for step in (_parts_of, _sums_of, _units_of):
        families: dict[object, list[tuple[tuple[float, ...], Unit | Sum]]] = {}
        for owner, bare, numbers in step(structure):
            families.setdefault(bare, []).append((tuple(values[n] for n in numbers), owner))
        for family in families.values():
            family.sort()
            for k, (rank, owner) in enumerate(family):
                numbering[owner] = k if rank else 0
        structure, values = rewrite(structure, values, lambda _, v: v, lambda owner: numbering.get(owner, owner.copy))
        numbering = {}
    return structure, structure.theta(values)


def _parts_of(structure: Structure) -> list[tuple[Unit, object, list[Number]]]:
    """Each part of a sum with its form and its fitted numbers."""
    parts = dict.fromkeys(part for unit in structure.units for total, _ in unit.sums for part, _ in total.parts)
    return [(part, replace(part, copy=0), list(numbers_of(part))) for part in parts]


def _sums_of(structure: Structure) -> list[tuple[Sum, object, list[Number]]]:
    """Each sum with its form and its fitted numbers."""
    totals = dict.fromkeys(total for unit in structure.units for total, _ in unit.sums)
    return [(total, total.parts, list(numbers_of(Unit((), sums=((total, 1.0),))))) for total in totals]


def _units_of(structure: Structure) -> list[tuple[Unit, object, list[Number]]]:
    """Each unit with its form and its fitted numbers."""
    return [(unit, replace(unit, copy=0), list(numbers_of(unit))) for unit in structure.units]
