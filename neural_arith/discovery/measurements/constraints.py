"""What is known about the equations, in the numbers and units of the search: which structures and values may be.

Conserved sums are linear in the coefficients: sum_i c_i x_i stays the same wherever the states are if, for every unit,
the coefficients a_i it has in the equations satisfy sum_i c_i a_i = 0. So a unit may stand only in equations where such
coefficients, none of them zero, exist; and what is left free of them are the weights of a basis.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from neural_arith.terms.dictionary import Dictionary
from neural_arith.terms.structure import Structure, Term
from neural_arith.terms.units import FITTED, Number, Unit

ROOTS = "roots and ratios"
"""The kind of products of powers that are not polynomials."""

_TOO_NEAR = 0.1
"""Fitted numbers this near to those of another term (variables being of size one) say that term again."""

_MOST = 12
"""Completions of one structure that are tried."""


def kinds_of(unit: Unit) -> set[str]:
    """Which families of units (see :data:`neural_arith.terms.library.KINDS`) a unit needs; none for a monomial."""
    found = set()
    if any(e == FITTED or e < 0 or e != round(e) for e in unit.powers):
        found.add(ROOTS)
    if unit.rates or unit.logs:
        found.add("exponentials")
    if unit.frequencies:
        found.add("waves")
    for total, q in unit.sums:
        turns = all(part.frequencies for part, _ in total.parts)
        ratio = q == 1.0 and all(part.logs for part, _ in total.parts)
        kind = "fractions" if q == -1.0 else "powers of sums"
        found.add("waves" if turns else "exponentials" if ratio else kind)
    return found


@dataclass(frozen=True)
class Constraints:
    """What is known, made from :class:`neural_arith.discovery.Knowledge`; by default nothing.

    Attributes:
        required: for each equation the units that must stand in it; empty for none anywhere.
        forbidden: for each equation those that must not; empty for none anywhere.
        signs: of coefficients, 1 or -1, where the term is there.
        positive: variables that are never negative, ``(variables,)``; size 0 for none.
        conserved: coefficients of each conserved sum, one for each state in the user's own units.
        size: sizes of the states, ``(states,)``: what scaled values are multiplied by to be original ones.
        kinds: families of units allowed beside monomials; None for all.
        max_terms: most terms in one equation.
        max_numbers: most fitted numbers in all equations together, tied ones not counted.
        switches: variables with two values of which all functions are as well a constant and a multiple of themselves,
            so that only themselves may stand; what is required may all the same.
    """

    required: tuple[tuple[Unit, ...], ...] = ()
    forbidden: tuple[frozenset[Unit], ...] = ()
    signs: Mapping[Term, int] = field(default_factory=dict)
    positive: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    conserved: tuple[tuple[float, ...], ...] = ()
    size: np.ndarray = field(default_factory=lambda: np.zeros(0))
    kinds: frozenset[str] | None = None
    max_terms: int | None = None
    max_numbers: int | None = None
    switches: frozenset[int] = frozenset()

    # ------------------------------------------------------------------------------------------------ structures
    def may_stand(self, i: int, unit: Unit) -> bool:
        """Whether a unit may be a term of equation ``i``."""
        if self.forbidden and unit in self.forbidden[i]:
            return False
        if self.switches and not _plainest(unit, self.switches) and unit not in self.required_in(i):
            return False
        return self.kinds is None or kinds_of(unit) <= self.kinds

    def filter(self, dictionary: Dictionary) -> Dictionary:
        """The dictionary without what may not stand, and with what must."""
        return Dictionary([self.units(i, units) for i, units in enumerate(dictionary.units)], dictionary.values)

    def units(self, i: int, units: Iterable[Unit]) -> list[Unit]:
        """Those units that may stand in equation ``i``, and those that must."""
        return list(dict.fromkeys([*self.required_in(i), *(unit for unit in units if self.may_stand(i, unit))]))

    def required_in(self, i: int) -> tuple[Unit, ...]:
        """The units that must stand in equation ``i``."""
        return self.required[i] if self.required else ()

    def discount(self, naming: Callable[[Unit], float]) -> float:
        """What naming the required units would cost: they are given, so a candidate does not pay for them."""
        return sum(naming(unit) for unit in {unit for units in self.required for unit in units})

    def within_size(self, i: int, equation: Iterable[Unit]) -> bool:
        """Whether an equation, with the terms it must have, is short enough."""
        return self.max_terms is None or len({*equation, *self.required_in(i)}) <= self.max_terms

    def allows(self, structure: Structure) -> bool:
        """Whether a structure has what it must, nothing it must not, and is closed under the conserved sums."""
        for i, equation in enumerate(structure.equations):
            if not set(self.required_in(i)) <= set(equation) or not self.within_size(i, equation):
                return False
            if not all(self.may_stand(i, unit) for unit in equation):
                return False
        if self.max_numbers is not None and structure.n_fitted - self.n_tied(structure) > self.max_numbers:
            return False
        return all(closed(self.conserved, where) for where in _places(structure).values())

    def variants(self, structure: Structure) -> list[Structure]:
        """A structure made to fit: with what it must have, and completed in each plausible way to conserve the sums.

        A unit whose coefficients cannot cancel is put into one more equation (or the fewest that do), or taken out.
        Empty when nothing allowed is near.
        """
        if self._says_nothing:
            return [structure]
        if not self.required and not self.conserved:
            return [structure] if self.allows(structure) else []
        wide = Structure(tuple((*eq, *self.required_in(i)) for i, eq in enumerate(structure.equations)))
        places = _places(wide)
        options = {unit: self._options(unit, where) for unit, where in places.items()}
        if not all(options.values()):
            return []
        if math.prod(len(o) for o in options.values()) <= _MOST:
            choices = list(itertools.product(*options.values()))
        else:  # every way to go is tried, but all units go alike
            choices = [tuple(o[min(k, len(o) - 1)] for o in options.values()) for k in range(_MOST)]
        found = [
            Structure(
                tuple(
                    tuple(u for u, where in zip(options, choice, strict=True) if i in where)
                    for i in range(len(wide.equations))
                )
            )
            for choice in choices
        ]
        return [s for s in dict.fromkeys(found) if self.allows(s)]

    def complete(self, structure: Structure, theta: np.ndarray) -> list[tuple[Structure, np.ndarray]]:
        """:meth:`variants` with first guesses: new coefficients are zero, or what makes the sums cancel."""
        values = structure.values(theta)
        return [(variant, self._guess(variant, values)) for variant in self.variants(structure)]

    # ---------------------------------------------------------------------------------------------------- values
    def allows_values(self, structure: Structure, theta: np.ndarray) -> bool:
        """Whether coefficients have the signs they must, and no fitted number makes a term a forbidden one in disguise.

        In disguise is ``x**1.99`` for ``x**2``, or ``x/(1 + b*x)`` for ``x`` where the bracket is hardly more than one.
        """
        values = structure.values(theta)
        for i, unit in structure.terms if self.signs or self.forbidden else ():
            powers = nearly_powers(unit, values)
            if self.forbidden and any(_alike(unit, powers, other) for other in self.forbidden[i]):
                return False
            for (k, other), sign in self.signs.items():
                if k == i and values[(i, unit)] * sign < 0 and _alike(unit, powers, other):
                    return False
        return True

    def n_tied(self, structure: Structure) -> int:
        """How many of the coefficients follow from the others."""
        free = (null_space(self.conserved, where).shape[1] for where in _places(structure).values())
        return structure.n_terms - sum(free) if self.conserved else 0

    def basis(self, structure: Structure) -> np.ndarray | None:
        """Columns that span the values under which the sums are conserved, ``(values, free values)``; None for all."""
        if not self.conserved:
            return None
        row = {term: k for k, term in enumerate(structure.terms)}
        columns: list[np.ndarray] = []
        for unit, where in _places(structure).items():
            order = sorted(where)
            for direction in (null_space(self.conserved, where) / self.size[order, None]).T:
                column = np.zeros(structure.n_fitted)
                column[[row[(i, unit)] for i in order]] = direction / np.abs(direction).max()
                columns.append(column)
        inner = np.eye(structure.n_fitted)[:, structure.n_terms :]
        return np.column_stack([inner[:, :0], *columns, inner])

    # --------------------------------------------------------------------------------------------------- details
    @property
    def _says_nothing(self) -> bool:
        """Whether every structure is allowed."""
        limits = (self.kinds, self.max_terms, self.max_numbers)
        stated = self.required or self.forbidden or self.conserved or self.switches
        return not stated and limits == (None, None, None)

    def _options(self, unit: Unit, where: frozenset[int]) -> list[frozenset[int]]:
        """Equations a unit may stand in, near to where it stands now."""
        must = {i for i in where if unit in self.required_in(i)}
        near = closures(self.conserved, where)
        return [option for option in near if must <= option and all(self.may_stand(i, unit) for i in option)]

    def _guess(self, variant: Structure, values: Mapping[Term | Number, float]) -> np.ndarray:
        """Values of a variant of the structure with these values."""
        known = dict(values)
        sums = np.array(self.conserved)
        for unit, where in _places(variant).items() if self.conserved else ():
            old = [i for i in where if (i, unit) in values]
            new = [i for i in where if (i, unit) not in values]
            if old and new:
                left = -sums[:, old] @ [values[(i, unit)] * self.size[i] for i in old]
                cancelling = np.linalg.lstsq(sums[:, new], left)[0] / self.size[new]
                known.update({(i, unit): value for i, value in zip(new, cancelling.tolist(), strict=True)})
        return variant.theta(known)


@lru_cache(maxsize=100_000)
def _plainest(unit: Unit, switches: frozenset[int]) -> bool:
    """Whether variables with two values stand in a unit as themselves only, if at all.

    With values 0 and c, or -c and c, u**2 is c*u or a constant, and any f(u) is a + b*u. Only in a sum beside another
    variable, as in 1/(1 + x*u), they may say more.
    """
    tables = (unit.rates, unit.frequencies, unit.logs)
    if any(table[v] for table in tables if table for v in switches):
        return False
    if any(unit.powers[v] not in (0.0, 1.0) for v in switches):
        return False
    parts = [part for total, _ in unit.sums for part, _ in total.parts]
    return all(_plainest(part, switches) and (part.variables - switches or not part.variables) for part in parts)


def nearly_powers(unit: Unit, values: Mapping[Term | Number, float]) -> list[float] | None:
    """Exponents of the product of powers that a unit nearly is, given its fitted numbers in scaled variables."""
    one = (0.0,) * len(unit.powers)
    rates = [Number("rate", unit, v) for v, r in enumerate(unit.rates) if r == FITTED]
    fixed = any(r not in (0.0, FITTED) for r in unit.rates)
    if unit.frequencies or unit.logs or fixed or any(abs(values[n]) > _TOO_NEAR for n in rates):
        return None
    for total, _ in unit.sums:
        rest = [Number("coefficient", total, m) for m, (_, b) in enumerate(total.parts) if m and b == FITTED]
        first = total.parts[0][0]
        vary = len(rest) + 1 < len(total.parts) or any(abs(values[n]) > _TOO_NEAR for n in rest)
        if vary or not first.plain or first.powers != one:
            return None
    return [values[Number("power", unit, v)] if e == FITTED else e for v, e in enumerate(unit.powers)]


def _alike(unit: Unit, powers: list[float] | None, other: Unit) -> bool:
    """Whether a unit is another one, or nearly so, ``powers`` being those of :func:`nearly_powers`."""
    if unit == other or powers is None or not other.plain:
        return unit == other
    apart = np.abs(np.subtract(powers, other.powers))
    loose = _TOO_NEAR if FITTED in unit.powers else 1e-9
    return bool(apart.max() < loose)


@lru_cache(maxsize=4096)
def null_space(sums: tuple[tuple[float, ...], ...], where: frozenset[int]) -> np.ndarray:
    """Coefficients in some equations that conserve the sums: an orthonormal basis as columns, equations in order."""
    matrix = np.array(sums).reshape(len(sums), -1)[:, sorted(where)] if sums else np.zeros((0, len(where)))
    _, sizes, rows = np.linalg.svd(matrix)
    rank = int((sizes > 1e-12 * sizes.max(initial=0.0)).sum())
    basis = rows[rank:].T
    return np.where(np.abs(basis) > 1e-12, basis, 0.0)


def closed(sums: tuple[tuple[float, ...], ...], where: frozenset[int]) -> bool:
    """Whether a unit in these equations can have coefficients, none of them zero, that conserve the sums."""
    return not sums or bool((null_space(sums, where) != 0).any(axis=1).all())


@lru_cache(maxsize=4096)
def closures(sums: tuple[tuple[float, ...], ...], where: frozenset[int]) -> tuple[frozenset[int], ...]:
    """Where a unit may stand instead: the fewest equations more in which it can cancel, then none of those in sums."""
    if closed(sums, where):
        return (where,)
    members = {i for total in sums for i, c in enumerate(total) if c}
    found: list[frozenset[int]] = []
    for n in range(1, 1 + min(3, len(members - where))):
        wider = (where | set(more) for more in itertools.combinations(sorted(members - where), n))
        found = [w for w in wider if closed(sums, w)]
        if found:
            break
    return (*found, where - members)


def _places(structure: Structure) -> dict[Unit, frozenset[int]]:
    """In which equations each unit stands."""
    found: dict[Unit, set[int]] = {}
    for i, unit in structure.terms:
        found.setdefault(unit, set()).add(i)
    return {unit: frozenset(where) for unit, where in found.items()}
