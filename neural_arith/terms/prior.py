"""What naming a term costs: every choice has a price, or the search would fit odd powers to noise.

Prices are description lengths in units of 2 log likelihood (Rissanen, 1978): two units are one factor e in prior odds.
They state which laws are expected before any measurement: few terms, of few factors, of low whole powers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache

from neural_arith.terms.structure import Structure
from neural_arith.terms.units import FITTED, Sum, Unit


@dataclass(frozen=True)
class Prior:
    """All prices of what stands in equations, set by hand; a number within them costs what its samples say (BIC).

    Attributes:
        naming: times the logarithm of the choices there are for a term: whether there is one, and of which variables.
        linear: the factor x.
        square: x^2; each whole power up to the third costs one choice more.
        cube: x^3.
        root: sqrt(x), about as rare among laws as a cube.
        inverse: 1/x.
        half: any other whole or half power.
        fraction: thirds and finer: rare, and many of them, so that one is always near.
        steep: for each power beyond the third, in addition.
        free_power: a power that is fitted: its number is paid for besides, but not that it could be anything.
        lifted: that a unit has rates, waves or logarithms at all.
        of_variable: for each variable they are of.
        harmonic: for each multiple of a frequency or rate beyond the first.
        pace: a fitted rate or frequency: a wave or an exponential of any pace bends like a parabola somewhere.
        sum: that a factor is a power of a sum.
        part: for each part of a sum but the first: whether its coefficient is one or fitted.
        shared: for using again a unit or sum that stands elsewhere: what leaves one state arrives in another.
        angle_and_amount: for a variable both within waves and outside: theta^2 beside sin(theta) is rare.

    Examples:
        >>> [Prior().exponent(e) for e in (1.0, 2.0, 0.5, 1 / 3)]
        [2.0, 4.0, 6.0, 10.0]
        >>> Prior(root=3.0).exponent(0.5)  # na.discover(data, prior=Prior(root=3.0)): roots are likely here
        3.0
    """

    naming: float = 2.0
    linear: float = 2.0
    square: float = 4.0
    cube: float = 6.0
    root: float = 6.0
    inverse: float = 6.0
    half: float = 8.0
    fraction: float = 10.0
    steep: float = 1.0
    free_power: float = 10.0
    lifted: float = 6.0
    of_variable: float = 2.0
    harmonic: float = 2.0
    pace: float = 8.0
    sum: float = 4.0
    part: float = 2.0
    shared: float = 2.0
    angle_and_amount: float = 6.0

    def exponent(self, exponent: float) -> float:
        """Price of one factor: more for every less usual exponent."""
        e = float(exponent)
        if e in self._usual:
            return self._usual[e]
        return (self.half if 2 * e == round(2 * e) else self.fraction) + self.steep * max(0.0, abs(e) - 3.0)

    def own(self, unit: Unit) -> float:
        """Price of a unit's exponents and lifted factors, its sums left out."""
        cost = sum(self.exponent(e) for e in unit.powers)
        for table in (unit.rates, unit.frequencies, unit.logs):
            if table:
                cost += self.lifted + self.of_variable * sum(bool(v) for v in table)
                cost += sum(self.pace if v == FITTED else self.harmonic * (abs(v) - 1.0) for v in table if v)
        return cost

    def of_sum(self, total: Sum) -> float:
        """Price of naming a sum: its parts, each with a choice of whether its coefficient is one or fitted."""
        if all(part.logs and not any(part.powers) for part, _ in total.parts):
            return self.lifted + self.of_variable * len(total.parts)  # the logarithm of a ratio
        return self.sum + sum(self.own(part) + (self.part if m else 0.0) for m, (part, _) in enumerate(total.parts))

    def unit(self, unit: Unit) -> float:
        """Price of naming a unit: that there is one more term at all, which variables it has, exponents and factors."""
        return _of_unit(self, unit)

    def structure(self, structure: Structure, per_number: float) -> float:
        """Description length of a candidate.

        Args:
            structure: the candidate.
            per_number: price of one fitted number, a coefficient or a number within a unit.

        Returns:
            Each fitted number, each distinct unit and sum once, a little for each time one is used again, and something
            for each variable that stands both within waves and outside.
        """
        uses: dict[Unit, int] = {}
        for _, unit in structure.terms:
            uses[unit] = uses.get(unit, 0) + 1
        code, told = 0.0, set()
        for unit, n in uses.items():
            price = self.unit(unit)
            code += price + (n - 1) * min(self.shared, price)
            for total, _ in unit.sums:
                if total in told:
                    code -= self.of_sum(total) - self.shared
                told.add(total)
        return structure.n_fitted * per_number + code + self.angle_and_amount * len(_angles(uses) & _amounts(uses))

    @cached_property
    def _usual(self) -> dict[float, float]:
        return {
            0.0: 0.0,
            1.0: self.linear,
            2.0: self.square,
            3.0: self.cube,
            0.5: self.root,
            -1.0: self.inverse,
            FITTED: self.free_power,
        }

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, field.name) for field in fields(self)))

    def __hash__(self) -> int:
        """Prices are looked up often, so the hash is kept."""
        return self._hash

    def __getstate__(self) -> dict[str, float]:
        """What is kept is not for other processes."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Prices:
    """A prior, and what one fitted number costs beside the samples that there are.

    Attributes:
        prior: what naming costs.
        per_number: log of the number of samples (BIC).
    """

    prior: Prior
    per_number: float

    def unit(self, unit: Unit) -> float:
        """Price of naming a unit."""
        return self.prior.unit(unit)

    def structure(self, structure: Structure) -> float:
        """Description length of a candidate, its numbers included."""
        return self.prior.structure(structure, self.per_number)


@lru_cache(100_000)
def _of_unit(prior: Prior, unit: Unit) -> float:
    cost = prior.naming * math.log(2 * (1 + len(unit.powers))) + prior.own(unit)
    powers = (0.0 if q in (-1.0, 1.0) else prior.exponent(q) for _, q in unit.sums)
    return cost + sum(prior.of_sum(total) for total, _ in unit.sums) + sum(powers)


def _angles(units: Iterable[Unit]) -> set[int]:
    """Variables that waves turn with."""
    return {v for unit in units for v, w in enumerate(unit.frequencies) if w}


def _amounts(units: Iterable[Unit]) -> set[int]:
    """Variables of which there are powers."""
    return {v for unit in units for v, e in enumerate(unit.powers) if e}
