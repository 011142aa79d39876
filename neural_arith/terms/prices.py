"""What naming a term costs: every choice has a price, or the search would fit odd powers to noise."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

from neural_arith.terms.structure import Structure
from neural_arith.terms.units import FITTED, Sum, Unit

SHARED_PRICE = 2.0
"""For using again a unit or sum that stands elsewhere."""

_USUAL = {0.0: 0.0, 1.0: 2.0, 2.0: 4.0, 3.0: 6.0, 0.5: 6.0, -1.0: 6.0, FITTED: 10.0}
_LIFTED = 6.0
_UNKNOWN_PACE = 8.0  # a wave or an exponential of any pace bends like a parabola somewhere
_SUM = 4.0
_BOTH = 6.0  # a variable is either an angle or an amount: theta^2 beside sin(theta) is rare


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
