"""Units: what the terms of an equation are made of, as plain data.

A unit is the lifted power unit of :mod:`neural_arith.layers` with its weights read off,

    prod_j x_j^e_j * (log x_j)^l_j * exp(sum_j r_j x_j) * cos(sum_j w_j x_j + phase) * prod_k S_k^q_k,

in which every number is either fixed or marked :data:`FITTED`, and each S_k is a sum of such units (the second storey:
with exponent -1 it is a fraction bar, with -3/2 Kepler's law). Fixed numbers are meant in the user's own units of
measurement, so that sin(x) and 1 + x^2 stay what they are; fitted ones live in the scaled problem.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache

FITTED = math.inf
"""Stands where a number is a constant to fit."""


@dataclass(frozen=True, order=True)
class Sum:
    """A sum of units, the first with coefficient one.

    Attributes:
        parts: the units with their coefficients, fixed or :data:`FITTED`; the first coefficient is 1.
        copy: tells apart sums of one form whose constants differ.
    """

    parts: tuple[tuple[Unit, float], ...]
    copy: int = 0

    def __hash__(self) -> int:
        """Sums are looked up often, so their hash is kept."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.parts, self.copy))

    def __getstate__(self) -> dict[str, object]:
        """Kept hashes are not for other processes."""
        return {"parts": self.parts, "copy": self.copy}


@dataclass(frozen=True, order=True)
class Unit:
    """One product of factors; every tuple has one entry for each variable (states first, then inputs).

    Attributes:
        powers: exponents.
        rates: coefficients within the exponential; empty for none.
        frequencies: coefficients within the cosine; empty for none.
        phase: within the cosine.
        logs: 1 where the logarithm of a variable is a factor, else 0; empty for none.
        sums: sums of units and the power each is raised to.
        copy: tells apart units of one form whose constants differ.
    """

    powers: tuple[float, ...]
    rates: tuple[float, ...] = ()
    frequencies: tuple[float, ...] = ()
    phase: float = 0.0
    logs: tuple[int, ...] = ()
    sums: tuple[tuple[Sum, float], ...] = ()
    copy: int = 0

    def __hash__(self) -> int:
        """Units are looked up often, so their hash is kept."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.powers, self.rates, self.frequencies, self.phase, self.logs, self.sums, self.copy))

    def __getstate__(self) -> dict[str, object]:
        """Kept hashes are not for other processes."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def plain(self) -> bool:
        """Whether it is a product of powers and nothing else."""
        return not (self.rates or self.frequencies or self.logs or self.sums)

    @property
    def n_fitted(self) -> int:
        """Fitted numbers of the unit itself, without those of its sums."""
        numbers = (*self.powers, *self.rates, *self.frequencies, self.phase, *(q for _, q in self.sums))
        return sum(v == FITTED for v in numbers)

    @property
    def variables(self) -> set[int]:
        """The variables that occur in it."""
        tables = (self.powers, self.rates, self.frequencies, self.logs)
        own = {v for table in tables for v, value in enumerate(table) if value}
        return own.union(*(part.variables for total, _ in self.sums for part, _ in total.parts))

    def times(self, other: Unit) -> Unit:
        """The product with a plain unit of fixed powers."""
        return replace(self, powers=tuple(a + b for a, b in zip(self.powers, other.powers, strict=True)))

    def over(self, total: Sum, power: float = -1.0) -> Unit:
        """The unit with one more sum raised to a power."""
        return replace(self, sums=tuple(sorted((*self.sums, (total, power)))))


def power(*exponents: float) -> Unit:
    """The plain unit with these exponents."""
    return Unit(tuple(float(e) for e in exponents))


def one_plus(*parts: Unit, copy: int = 0) -> Sum:
    """The sum 1 + b_1 * part_1 + b_2 * part_2 + ... with fitted coefficients."""
    return Sum(((power(*[0.0] * len(parts[0].powers)), 1.0), *((part, FITTED) for part in sorted(parts))), copy)


def is_simple(exponent: float) -> bool:
    """Whether an exponent is a fraction with denominator 1, 2, 3 or 4; any other is a constant to fit."""
    return any(abs(exponent * d - round(exponent * d)) < 1e-9 for d in (1, 2, 3, 4))


@dataclass(frozen=True, order=True)
class Number:
    """The place of a number that is, or could be, fitted.

    Attributes:
        kind: "power", "rate", "frequency", "phase", "coefficient" (of a part of a sum) or "sum power".
        owner: the unit, or for "coefficient" the sum, that holds it.
        index: the variable; for "coefficient" the part; for "sum power" the place among the unit's sums; else 0.
    """

    kind: str
    owner: Unit | Sum
    index: int = 0


@lru_cache(100_000)
def numbers_of(unit: Unit) -> tuple[Number, ...]:
    """The fitted numbers of a unit and its sums, in reading order."""
    return tuple(_numbers(unit))


def _numbers(unit: Unit) -> Iterator[Number]:
    for kind, values in (("power", unit.powers), ("rate", unit.rates), ("frequency", unit.frequencies)):
        yield from (Number(kind, unit, v) for v, value in enumerate(values) if value == FITTED)
    if unit.phase == FITTED:
        yield Number("phase", unit)
    for k, (total, power_) in enumerate(unit.sums):
        for m, (part, coefficient) in enumerate(total.parts):
            yield from _numbers(part)
            if coefficient == FITTED:
                yield Number("coefficient", total, m)
        if power_ == FITTED:
            yield Number("sum power", unit, k)


def rebuild(
    unit: Unit, edit: Callable[[Number, float], float], copy: Callable[[Unit | Sum], int]
) -> tuple[Unit, dict[Number, Number]]:
    """A unit with some of its numbers exchanged.

    Args:
        unit: the unit.
        edit: told a place and what stands there, returns what shall stand there (:data:`FITTED` or a fixed number).
        copy: the copy number of the new unit (or sum) made from one.

    Returns:
        The new unit, and for every place of the old unit the same place in the new one.
    """
    moved: dict[Number, Number] = {}

    def own(old: Unit) -> dict[str, object]:
        def table(kind: str, values: tuple[float, ...]) -> tuple[float, ...]:
            return tuple(edit(Number(kind, old, v), value) for v, value in enumerate(values))

        return {
            "powers": table("power", old.powers),
            "rates": table("rate", old.rates),
            "frequencies": table("frequency", old.frequencies),
            "phase": edit(Number("phase", old), old.phase) if old.frequencies else old.phase,
            "copy": copy(old),
        }

    def track(old: Unit, new: Unit) -> None:
        for kind in ("power", "rate", "frequency"):
            moved.update({Number(kind, old, v): Number(kind, new, v) for v in range(len(old.powers))})
        moved[Number("phase", old)] = Number("phase", new)

    sums: list[tuple[Sum, float, int]] = []
    for k, (total, q) in enumerate(unit.sums):
        parts = []
        for m, (part, b) in enumerate(total.parts):
            new_part = replace(part, **own(part))
            track(part, new_part)
            parts.append((new_part, edit(Number("coefficient", total, m), b) if m else b))
        new_total = Sum(tuple(parts), copy(total))
        moved.update({Number("coefficient", total, m): Number("coefficient", new_total, m) for m in range(len(parts))})
        sums.append((new_total, edit(Number("sum power", unit, k), q), k))
    sums.sort()
    new = replace(unit, sums=tuple((total, q) for total, q, _ in sums), **own(unit))
    track(unit, new)
    moved.update({Number("sum power", unit, k): Number("sum power", new, at) for at, (_, _, k) in enumerate(sums)})
    return new, moved
