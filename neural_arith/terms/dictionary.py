"""The dictionary of units an equation may be made of, and the plain units it begins with."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

from neural_arith.terms.units import Number, Unit, power


@dataclass
class Dictionary:
    """Units each equation may be made of.

    Attributes:
        units: for each equation its units.
        values: first guesses of the fitted numbers within them.
    """

    units: list[list[Unit]]
    values: dict[Number, float] = field(default_factory=dict)


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
