"""The dictionary of units an equation may be made of, and what each of them costs.

Plain low-degree monomials stand next to what the population found, each of its exponents as found and snapped to the
nearest simple fractions. Every choice has a price (description length), or the search would fit odd powers to noise.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from neural_arith.discovery.population import Fitted
from neural_arith.integrate.structure import Structure, Unit, is_simple

SHARED_PRICE = 2.0
_USUAL = {0.0: 0.0, 1.0: 2.0, 2.0: 4.0, 3.0: 6.0, 0.5: 6.0, -1.0: 6.0}


def exponent_price(exponent: float) -> float:
    """Price of one factor in units of 2 log likelihood: 2 for x, 4 for x^2, more for every less usual exponent.

    Two units are one factor e in prior odds, so these are the code lengths of a prior that expects low whole powers.
    """
    e = float(exponent)
    if e in _USUAL:
        return _USUAL[e]
    whole, half = e == round(e), 2 * e == round(2 * e)
    return (8.0 if whole or half else 10.0) + max(0.0, abs(e) - 3.0)


def unit_price(unit: Unit) -> float:
    """Price of naming a unit: that there is one more term at all, which variables it has, and its exponents."""
    return 2 * math.log(2 * (1 + len(unit))) + sum(exponent_price(e) for e in unit)


def structure_price(structure: Structure, per_coefficient: float) -> float:
    """Description length in units of 2 log likelihood.

    Args:
        structure: the candidate.
        per_coefficient: price of one fitted number, coefficient or exponent.

    Returns:
        Each fitted number, each distinct unit once, and a little for each time a unit is used again.
    """
    uses: dict[Unit, int] = {}
    for _, unit in structure.terms:
        uses[unit] = uses.get(unit, 0) + 1
    fitted = structure.n_terms + sum(not is_simple(e) for unit in uses for e in unit)
    code = sum(unit_price(u) + (n - 1) * min(SHARED_PRICE, unit_price(u)) for u, n in uses.items())
    return fitted * per_coefficient + code


def monomials(n_variables: int, degree: int) -> list[Unit]:
    """All products of whole powers up to a total degree, lowest first."""
    powers = itertools.product(range(degree + 1), repeat=n_variables)
    return sorted((tuple(map(float, p)) for p in powers if sum(p) <= degree), key=lambda p: (sum(p), p[::-1]))


def roots_and_ratios(positive: np.ndarray) -> list[Unit]:
    """Square roots, inverses and their products for the variables that stay positive."""
    n = len(positive)
    choices = (-1.0, 0.5, 1.0)
    found = []
    for v in range(n):
        for e in (-1.0, 0.5, 1.5):
            if positive[v]:
                found.append(tuple(e if w == v else 0.0 for w in range(n)))
    for v, w in itertools.combinations(range(n), 2):
        for a, b in itertools.product(choices, choices):
            if (a, b) != (1.0, 1.0) and (a, b) != (-1.0, -1.0) and (positive[v] or a == 1) and (positive[w] or b == 1):
                found.append(tuple(a if k == v else b if k == w else 0.0 for k in range(n)))
    return found


def snap(exponent: float, widest: float = 0.3) -> list[float]:
    """Simple fractions near an exponent, nearest first: a half-integer, and a third or quarter if closer."""
    grids = (1, 2, 3, 4)
    near = {round(exponent * d) / d for d in grids}
    near = [e for e in near if abs(e - exponent) <= widest / (1 if 2 * e == round(2 * e) else 4)]
    return sorted(near, key=lambda e: (abs(e - exponent), e))


def units_of(fitted: Fitted, best: int = 4) -> list[Unit]:
    """Plain units of the best optima of a population: snapped in each plausible way, and as found."""
    units: list[Unit] = []
    for rows, lifted in zip(fitted.exponents[:best], fitted.lifted[:best], strict=True):
        for row in rows[~lifted]:
            row = np.where(np.abs(row) < 0.08, 0.0, row)
            options = [[0.0] if e == 0 else snap(e)[:2] or [round(float(e), 3)] for e in row]
            units.extend(u for u in itertools.islice(itertools.product(*options), 8) if max(map(abs, u)) <= 5)
            if not all(is_simple(e) for e in np.round(row, 3)):
                units.append(tuple(round(float(e), 3) for e in row))
    return units
