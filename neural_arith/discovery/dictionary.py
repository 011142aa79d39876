"""The dictionary of plain units an equation may be made of, and what every unit costs.

Plain low-degree monomials stand next to what the population found, each of its exponents as found and snapped to the
nearest simple fractions. Every choice has a price (description length), or the search would fit odd powers to noise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from neural_arith.discovery.population import Fitted
from neural_arith.integrate.structure import Structure
from neural_arith.integrate.units import FITTED, Number, Sum, Unit, is_simple, power

SHARED_PRICE = 2.0
"""For using again a unit or sum that stands elsewhere."""

_USUAL = {0.0: 0.0, 1.0: 2.0, 2.0: 4.0, 3.0: 6.0, 0.5: 6.0, -1.0: 6.0, FITTED: 10.0}
_LIFTED = 6.0
_UNKNOWN_PACE = 8.0  # a wave or an exponential of any pace bends like a parabola somewhere
_SUM = 4.0
_BOTH = 6.0  # a variable is either an angle or an amount: theta^2 beside sin(theta) is rare


@dataclass
class Dictionary:
    """Units each equation may be made of.

    Attributes:
        units: for each equation its units.
        values: first guesses of the fitted numbers within them.
    """

    units: list[list[Unit]]
    values: dict[Number, float] = field(default_factory=dict)


def exponent_price(exponent: float) -> float:
    """Price of one factor in units of 2 log likelihood: 2 for x, 4 for x^2, more for every less usual exponent.

    Two units are one factor e in prior odds, so these are the code lengths of a prior that expects low whole powers.
    """
    e = float(exponent)
    if e in _USUAL:
        return _USUAL[e]
    whole, half = e == round(e), 2 * e == round(2 * e)
    return (8.0 if whole or half else 10.0) + max(0.0, abs(e) - 3.0)


def _own_price(unit: Unit) -> float:
    """Price of a unit's exponents and lifted factors, its sums left out."""
    cost = sum(exponent_price(e) for e in unit.powers)
    for table in (unit.rates, unit.frequencies, unit.logs):
        if table:
            cost += _LIFTED + 2.0 * sum(bool(v) for v in table)
            cost += sum(_UNKNOWN_PACE if v == FITTED else 2.0 * (abs(v) - 1.0) for v in table if v)
    return cost


def sum_price(total: Sum) -> float:
    """Price of naming a sum: its parts, each with a choice of whether its coefficient is one or fitted."""
    if all(part.logs and not any(part.powers) for part, _ in total.parts):
        return _LIFTED + 2.0 * len(total.parts)  # the logarithm of a ratio
    return _SUM + sum(_own_price(part) + (2.0 if m else 0.0) for m, (part, _) in enumerate(total.parts))


@lru_cache(100_000)
def unit_price(unit: Unit) -> float:
    """Price of naming a unit: that there is one more term at all, which variables it has, exponents and factors."""
    cost = 2 * math.log(2 * (1 + len(unit.powers))) + _own_price(unit)
    return cost + sum(sum_price(total) + _sum_power_price(q) for total, q in unit.sums)


def _sum_power_price(q: float) -> float:
    return 0.0 if q in (-1.0, 1.0) else exponent_price(q)


def structure_price(structure: Structure, per_number: float) -> float:
    """Description length in units of 2 log likelihood.

    Args:
        structure: the candidate.
        per_number: price of one fitted number, a coefficient or a number within a unit.

    Returns:
        Each fitted number, each distinct unit and sum once, a little for each time one is used again, and something for
        each variable that stands both within waves and outside.
    """
    uses: dict[Unit, int] = {}
    for _, unit in structure.terms:
        uses[unit] = uses.get(unit, 0) + 1
    code, told = 0.0, set()
    for unit, n in uses.items():
        price = unit_price(unit)
        code += price + (n - 1) * min(SHARED_PRICE, price)
        for total, _ in unit.sums:
            if total in told:
                code -= sum_price(total) - SHARED_PRICE
            told.add(total)
    return structure.n_fitted * per_number + code + _BOTH * len(_angles(uses) & _amounts(uses))


def _angles(units: Iterable[Unit]) -> set[int]:
    """Variables that waves turn with."""
    return {v for unit in units for v, w in enumerate(unit.frequencies) if w}


def _amounts(units: Iterable[Unit]) -> set[int]:
    """Variables of which there are powers."""
    return {v for unit in units for v, e in enumerate(unit.powers) if e}


def monomials(n_variables: int, degree: int) -> list[Unit]:
    """All products of whole powers up to a total degree, lowest first."""
    found = []
    for total in range(degree + 1):
        factors = itertools.combinations_with_replacement(range(n_variables), total)
        powers = [tuple(map(chosen.count, range(n_variables))) for chosen in factors]
        found.extend(power(*p) for p in sorted(powers, key=lambda p: p[::-1]))
    return found


def roots_and_ratios(positive: np.ndarray) -> list[Unit]:
    """Square roots, inverses and their products for the variables that stay positive; of many only ratios."""
    n = len(positive)
    pairs = {(-1.0, 1.0), (1.0, -1.0), (-1.0, 2.0), (2.0, -1.0)}
    if n <= 4:
        pairs |= {(0.5, 0.5), (0.5, 1.0), (1.0, 0.5), (0.5, -1.0), (-1.0, 0.5)}
    found = []
    for v in range(n):
        for e in (-1.0, 0.5, 1.5):
            if positive[v]:
                found.append(power(*(e if w == v else 0.0 for w in range(n))))
    for v, w in itertools.combinations(range(n), 2):
        for a, b in sorted(pairs):
            if (positive[v] or a in (1.0, 2.0)) and (positive[w] or b in (1.0, 2.0)):
                found.append(power(*(a if k == v else b if k == w else 0.0 for k in range(n))))
    return found


def snap(exponent: float, widest: float = 0.3) -> list[float]:
    """Simple fractions near an exponent, nearest first: a half-integer, and a third or quarter if closer."""
    grids = (1, 2, 3, 4)
    near = {round(exponent * d) / d for d in grids}
    near = [e for e in near if abs(e - exponent) <= widest / (1 if 2 * e == round(2 * e) else 4)]
    return sorted(near, key=lambda e: (abs(e - exponent), e))


def units_of(fitted: Fitted, best: int = 4, first_copy: int = 0) -> tuple[list[Unit], dict[Number, float]]:
    """Plain units of the best optima of a population: snapped in each plausible way, and as found.

    Args:
        fitted: the population.
        best: how many of its optima are read.
        first_copy: number of the first unit that holds fitted exponents; the next ones count on.

    Returns:
        The units, and the fitted exponents among them.
    """
    units: list[Unit] = []
    values: dict[Number, float] = {}
    for rows, lifted in zip(fitted.exponents[:best], fitted.lifted[:best], strict=True):
        for row in rows[~lifted]:
            row = np.where(np.abs(row) < 0.08, 0.0, row)
            options = [[0.0] if e == 0 else snap(e)[:2] or [FITTED] for e in row]
            as_found = [round(12 * e) / 12 if is_simple(round(float(e), 3)) else FITTED for e in row]
            for chosen in dict.fromkeys([*itertools.islice(itertools.product(*options), 8), tuple(as_found)]):
                if max(abs(e) if f == FITTED else abs(f) for e, f in zip(row, chosen, strict=True)) > 5:
                    continue
                unit = power(*chosen)
                if unit.n_fitted:
                    unit = Unit(unit.powers, copy=first_copy + len(units))
                    values.update(
                        {Number("power", unit, v): float(row[v]) for v, f in enumerate(unit.powers) if f == FITTED}
                    )
                units.append(unit)
    return units, values
