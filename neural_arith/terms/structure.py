"""An equation as data: which units stand in which equation, without any code for it.

A right-hand side is a short list of numbers, so thousands of different ones can be handed to one compiled solver
(:mod:`neural_arith.solve.compiled.prediction`) without compiling anything for any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from neural_arith.terms.units import Number, Sum, Unit, numbers_of, rebuild

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


def rewrite(
    structure: Structure,
    values: Mapping[Term | Number, float],
    edit: Callable[[Number, float], float] | None = None,
    copy: Callable[[Unit | Sum], int] = lambda owner: owner.copy,
) -> tuple[Structure, dict[Term | Number, float]]:
    """A structure with some numbers within its units exchanged (see :func:`neural_arith.terms.units.rebuild`).

    Args:
        structure: the structure.
        values: its values; those of numbers that become fitted must be among them.
        edit: what shall stand in a place; default what stands there.
        copy: the copy number of a new unit or sum.

    Returns:
        The new structure and its values; terms that became equal are added up.
    """
    new: dict[Term | Number, float] = {}
    units: dict[Unit, Unit] = {}
    for unit in structure.units:
        if edit is None and all(copy(owner) == owner.copy for owner, _ in _owners(unit)):
            units[unit] = unit
            new.update({number: values[number] for number in numbers_of(unit)})
            continue
        units[unit], moved = rebuild(unit, edit or _as_it_is, copy)
        new.update({there: values[here] for here, there in moved.items() if here in values})
    for i, unit in structure.terms:
        term = (i, units[unit])
        new[term] = new.get(term, 0.0) + values.get((i, unit), 0.0)
    return Structure(tuple(tuple(units[unit] for unit in eq) for eq in structure.equations)), new


def _as_it_is(_: Number, value: float) -> float:
    return value


def tidy(structure: Structure, theta: np.ndarray) -> tuple[Structure, np.ndarray]:
    """The same equations with the copies of units and sums numbered from zero, in order of their own fitted numbers.

    A structure that was put together from several sources has one spelling afterwards; units and sums without fitted
    numbers of their own have no copies.
    """
    values = structure.values(theta)
    if not any(_has_copies(unit) for unit in structure.units):
        return structure, structure.theta(values)
    if _each_form_once(structure):
        bare = {unit: _bare(unit) for unit in structure.units}
        plain = Structure(tuple(tuple(bare[unit] for unit in eq) for eq in structure.equations))
        new: dict[Term | Number, float] = {(i, bare[unit]): values[(i, unit)] for i, unit in structure.terms}
        for unit in structure.units:
            new.update(
                {there: values[here] for here, there in zip(numbers_of(unit), numbers_of(bare[unit]), strict=True)}
            )
        return plain, plain.theta(new)
    # From the outside in as well: what loses its copies must not make two units or sums with numbers of their own one.
    steps = (
        (_compound_units, True), (_sums, True), (_simple_units, False), (_sums, False), (_compound_units, False)
    )  # fmt: skip
    for step, widely in steps:
        families: dict[object, list[tuple[tuple[float, ...], Unit | Sum]]] = {}
        for owner in step(structure):
            rank = tuple(values[number] for number in _own_numbers(owner))
            form = form_of(owner) if widely else replace(owner, copy=0)
            families.setdefault(form, []).append((rank, owner))
        numbering = {o: k if rank else 0 for family in families.values() for k, (rank, o) in enumerate(sorted(family))}

        def copy(owner: Unit | Sum, numbering: dict[Unit | Sum, int] = numbering) -> int:
            return numbering.get(owner, owner.copy)

        structure, values = rewrite(structure, values, copy=copy)
    return structure, structure.theta(values)


@lru_cache(100_000)
def form_of(owner: Unit | Sum) -> Unit | Sum:
    """What is left of a unit or sum without copy numbers."""
    return _bare_sum(owner) if isinstance(owner, Sum) else _bare(owner)


def _bare_sum(total: Sum) -> Sum:
    return Sum(tuple((replace(part, copy=0), b) for part, b in total.parts))


@lru_cache(100_000)
def _bare(unit: Unit) -> Unit:
    """The unit with no copy numbers."""
    return replace(unit, sums=tuple(sorted((_bare_sum(total), q) for total, q in unit.sums)), copy=0)


@lru_cache(100_000)
def _owners(unit: Unit) -> tuple[tuple[Unit | Sum, Unit | Sum], ...]:
    """The unit, its sums and their parts, each with its form."""
    sums = [total for total, _ in unit.sums]
    owners = (unit, *sums, *(part for total in sums for part, _ in total.parts))
    return tuple((owner, form_of(owner)) for owner in owners)


def _each_form_once(structure: Structure) -> bool:
    """Whether no two units or sums differ in their copy numbers only."""
    forms: dict[Unit | Sum, Unit | Sum] = {}
    for unit in structure.units:
        for owner, form in _owners(unit):
            if forms.setdefault(form, owner) != owner:
                return False
    return True


@lru_cache(100_000)
def _has_copies(unit: Unit) -> bool:
    return bool(unit.copy or any(total.copy or any(p.copy for p, _ in total.parts) for total, _ in unit.sums))


def _own_numbers(owner: Unit | Sum) -> list[Number]:
    """The fitted numbers of a unit or sum itself, without those of the sums or parts within it."""
    whole = owner if isinstance(owner, Unit) else Unit((), sums=((owner, 1.0),))
    return [number for number in numbers_of(whole) if number.owner == owner]


def _simple_units(structure: Structure) -> list[Unit | Sum]:
    """Units without sums, those that are parts of sums among them: equal ones share their numbers."""
    parts = (part for unit in structure.units for total, _ in unit.sums for part, _ in total.parts)
    return list(dict.fromkeys((*parts, *(unit for unit in structure.units if not unit.sums))))


def _sums(structure: Structure) -> list[Unit | Sum]:
    return list(dict.fromkeys(total for unit in structure.units for total, _ in unit.sums))


def _compound_units(structure: Structure) -> list[Unit | Sum]:
    return [unit for unit in structure.units if unit.sums]
