"""Units beyond powers that an equation may need: waves, exponentials, logarithms, fractions, powers of sums.

Each comes with first guesses of the numbers fitted within it, spread over what the measurements can tell apart: a wave
that turns by less than a tenth of a radian over the data, or an exponential that hardly bends, only imitates a line.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace

import numpy as np

from neural_arith.terms.dictionary import Dictionary
from neural_arith.terms.units import FITTED, Number, Sum, Unit, one_plus, power

SINE = -math.pi / 2
"""Phase that makes a cosine a sine."""

_FARTHEST = 300.0
"""Largest exponent at the middle of a logistic curve; where a variable hardly changes, no number holds it."""

_NEW_COPIES = 1000
"""Numbers of copies of units that are not part of any candidate yet start here."""


@dataclass(frozen=True)
class Ranges:
    """What the measurements span, in scaled numbers.

    Attributes:
        low, high: smallest and largest value of each variable, ``(variables,)``.
        step: how far each moves between neighbouring samples, nine times out of ten.
        positive: which never change sign.
        scale: sizes of the variables.
        nothing: which were measured as exactly zero somewhere, where a logarithm has no value.
    """

    low: np.ndarray
    high: np.ndarray
    step: np.ndarray
    positive: np.ndarray
    scale: np.ndarray
    nothing: np.ndarray

    @property
    def span(self) -> np.ndarray:
        """Largest minus smallest value."""
        return self.high - self.low


@dataclass
class _Collector:
    """Gathers units; those with fitted numbers get a copy number of their own, so that each keeps its guesses."""

    n: int
    units: list[Unit] = field(default_factory=list)
    values: dict[Number, float] = field(default_factory=dict)
    count: int = _NEW_COPIES

    def axis(self, v: int, value: float = 1.0) -> tuple[float, ...]:
        return tuple(value if w == v else 0.0 for w in range(self.n))

    def add(self, unit: Unit, **numbers: float) -> None:
        """Add a unit; ``numbers`` are its own fitted numbers, all of one kind equal."""
        if numbers:
            self.count += 1
            unit = replace(unit, copy=self.count)
            for kind, table in (("power", unit.powers), ("rate", unit.rates), ("frequency", unit.frequencies)):
                self.values.update({Number(kind, unit, v): numbers[kind] for v, x in enumerate(table) if x == FITTED})
        self.units.append(unit)

    def fraction(self, tops: list[Unit], part: Unit, size: float, b: float, q: float = -1.0, **numbers: float) -> None:
        """Add units over 1 + b * part / size, all over the same sum; ``numbers`` are the part's own."""
        self.count += 1
        if part.n_fitted:
            part = replace(part, copy=self.count)
            for kind, table in (("power", part.powers), ("rate", part.rates)):
                self.values.update({Number(kind, part, v): numbers[kind] for v, x in enumerate(table) if x == FITTED})
        self.over(tops, one_plus(part, copy=self.count), [b / size], q, **numbers)

    def over(self, tops: list[Unit], total: Sum, coefficients: list[float], q: float = -1.0, **numbers: float) -> None:
        """Add units over a sum with guesses of its fitted coefficients; its copy number is the latest."""
        self.values.update({Number("coefficient", total, m): b for m, b in enumerate(coefficients, 1)})
        for top in tops:
            unit = top.over(total, q)
            if q == FITTED:
                unit = replace(unit, copy=self.count)
                self.values[Number("sum power", unit, 0)] = numbers["sum_power"]
            self.units.append(unit)


def waves(ranges: Ranges, found: _Collector) -> None:
    """Sines and cosines of one variable, of sums and differences of two, and times a variable or each other."""
    n, one = found.n, power(*[0.0] * found.n)
    turn = ranges.span * ranges.scale
    stride = ranges.step * ranges.scale
    angles = [v for v in range(n) if turn[v] > 0.1 and stride[v] < 1.5 and turn[v] < 80]
    for v in angles:
        for w, phase in itertools.product((1.0, 2.0), (0.0, SINE)):
            found.add(replace(one, frequencies=found.axis(v, w), phase=phase))
        for other, phase in itertools.product(range(n), (0.0, SINE)):
            found.add(replace(power(*found.axis(other)), frequencies=found.axis(v), phase=phase))
    for v, w in itertools.combinations(angles, 2):
        for sign, phase in itertools.product((1.0, -1.0), (0.0, SINE)):
            both = tuple(1.0 if k == v else sign if k == w else 0.0 for k in range(n))
            found.add(replace(one, frequencies=both, phase=phase))
        for first, second in itertools.product((0.0, SINE), (0.0, SINE)):
            factor = Sum(((replace(one, frequencies=found.axis(w), phase=second), 1.0),))
            found.add(replace(one, frequencies=found.axis(v), phase=first).over(factor, 1.0))
    # The basin of a frequency is about 0.65 half turns wide on either side.
    for v in range(n):
        for half_turns, phase in itertools.product((1.0, 2.0, 3.0, 4.0, 5.0), (0.0, SINE)):
            frequency = half_turns * math.pi / max(ranges.span[v], 1e-9)
            if frequency * ranges.step[v] < 1.5:
                found.add(replace(one, frequencies=found.axis(v, FITTED), phase=phase), frequency=frequency)


def exponentials(ranges: Ranges, found: _Collector) -> None:
    """Exponentials of a variable with a fitted rate, logarithms, also of ratios; times a state."""
    n, one = found.n, power(*[0.0] * found.n)
    tops = [one, *(power(*found.axis(v)) for v in range(n))]
    for v in range(n):
        if ranges.span[v] < 1e-9:
            continue
        for effect, top in itertools.product((-4.0, -1.5, 1.5), tops):
            found.add(replace(top, rates=found.axis(v, FITTED)), rate=effect / ranges.span[v])
        if ranges.positive[v] and not ranges.nothing[v]:
            logs = tuple(int(w == v) for w in range(n))
            for top in tops:
                found.add(replace(top, logs=logs))
    for v, w in itertools.combinations(np.flatnonzero(ranges.positive & ~ranges.nothing), 2):
        over = [(replace(one, logs=tuple(int(k == u) for k in range(n))), sign) for u, sign in ((v, 1.0), (w, -1.0))]
        for top in tops:
            found.add(top.over(Sum(tuple(over)), 1.0))


def fractions(ranges: Ranges, found: _Collector) -> None:
    """Units over 1 + b * part: Monod, Holling, Hill, logistic in the exponential; over x + b * y."""
    n, one = found.n, power(*[0.0] * found.n)
    axes = [power(*found.axis(v)) for v in range(n)]
    guesses = {1: (0.1, 0.3, 1.0, 3.0, 10.0, 30.0), 2: (0.2, 1.0, 5.0, 25.0), 3: (0.3, 2.0, 10.0)}.get(n, (1.0, 8.0))
    middle = np.maximum((np.abs(ranges.low) + np.abs(ranges.high)) / 2, 1e-9)
    for v in range(n):
        if ranges.span[v] < 1e-9:
            continue
        products = [axes[v].times(x) for x in axes]
        tops = [one, *axes, *products]
        if n <= 2:
            tops = list(dict.fromkeys([*tops, *(a.times(b) for a in axes for b in axes)]))
        for b in guesses:
            if ranges.positive[v]:
                found.fraction(tops, axes[v], middle[v], b)
            found.fraction(tops, axes[v].times(axes[v]), middle[v] ** 2, b)
        if ranges.positive[v]:
            for b in (0.3, 2.0):
                hill = power(*found.axis(v, FITTED))
                found.fraction([one, *axes], hill, middle[v] ** -2.5, b, power=-2.5)
        if n <= 3 and ranges.positive[v]:
            # Haldane: too much of it hinders
            own = [x.times(axes[v]) for x in dict.fromkeys((one, *axes))]
            for b, c in ((0.3, 0.3), (1.0, 10.0), (10.0, 1.0)):
                found.count += 1
                total = one_plus(axes[v], axes[v].times(axes[v]), copy=found.count)
                sizes = {axes[v]: b / middle[v], axes[v].times(axes[v]): c / middle[v] ** 2}
                found.over([one, *own], total, [sizes[part] for part, _ in total.parts[1:]])
        if n <= 4:
            for slope, place in itertools.product((-8.0, -2.0, 2.0, 8.0), (-0.5, 0.25, 0.75, 1.5)):
                rate = slope / ranges.span[v]
                centre = ranges.low[v] + place * ranges.span[v]
                if abs(rate * centre) > _FARTHEST:
                    continue
                part = replace(one, rates=found.axis(v, FITTED))
                found.fraction([one], part, math.exp(rate * centre), 1.0, rate=rate)
    sigmoids_of_two(ranges, found)
    for v, w in itertools.permutations(range(n), 2):
        if n <= 4 and ranges.positive[v] and ranges.positive[w]:
            # x*y / (x + b*y), written with one fitted number
            ratio = power(*(-1.0 if k == v else 1.0 if k == w else 0.0 for k in range(n)))
            for b in (0.3, 3.0):
                found.fraction([*axes], ratio, middle[w] / middle[v], b)


def sigmoids_of_two(ranges: Ranges, found: _Collector) -> None:
    """Logistic curves of what two variables add up to, as in models of neurons."""
    n, one = found.n, power(*[0.0] * found.n)
    pairs = [p for p in itertools.combinations(range(n), 2) if n <= 4 and min(ranges.span[list(p)]) > 1e-9]
    for (v, w), *effects in itertools.product(pairs, (1.0, 4.0), (1.0, -1.0), (1.0, -1.0)):
        rates = np.zeros(n)
        rates[[v, w]] = effects[0] * np.array(effects[1:]) / ranges.span[[v, w]]
        middle = float(rates @ (ranges.low + ranges.high)) / 2
        if abs(middle) > _FARTHEST:
            continue
        found.count += 1
        part = replace(one, rates=tuple(FITTED if k in (v, w) else 0.0 for k in range(n)), copy=found.count)
        found.values.update({Number("rate", part, k): float(rates[k]) for k in (v, w)})
        found.over([one], one_plus(part, copy=found.count), [math.exp(-middle)])


def real_powers(ranges: Ranges, found: _Collector) -> None:
    """Fitted powers of a positive variable, alone and times another variable."""
    n, one = found.n, power(*[0.0] * found.n)
    for v in np.flatnonzero(ranges.positive & (ranges.span > 1e-9)) if n <= 4 else ():
        for top in (one, *(power(*found.axis(w)) for w in range(n) if w != v)):
            powers = tuple(FITTED if w == v else e for w, e in enumerate(top.powers))
            for e in (-0.7, 0.6, 1.6):
                found.add(replace(top, powers=powers), power=e)


def powers_of_sums(ranges: Ranges, found: _Collector) -> None:
    """Absolute values, powers of x^2 + y^2 (Kepler, drag) and of 1 - x / capacity."""
    n, one = found.n, power(*[0.0] * found.n)
    for v in range(n):
        x = power(*found.axis(v))
        if ranges.low[v] < 0 < ranges.high[v]:
            size = Sum(((x.times(x), 1.0),))
            found.add(x.over(size, 0.5))
            found.add(one.over(size, 0.5))
        elif ranges.positive[v] and n <= 2 and ranges.span[v] > 1e-9:
            found.fraction([one, x], x, ranges.high[v], -0.9, FITTED, sum_power=1.3)
            if ranges.low[v] > 0.1 * ranges.high[v]:  # what counts is by how much it is above something
                for share in (0.5, 0.95):
                    found.count += 1
                    above = Sum(((x, 1.0), (one, FITTED)), found.count)
                    found.over([one], above, [-share * ranges.low[v]], FITTED, sum_power=1.3)
    for v, w in itertools.combinations(range(n), 2):
        x, y = power(*found.axis(v)), power(*found.axis(w))
        total = Sum(((x.times(x), 1.0), (y.times(y), 1.0)))
        for top, q in itertools.product((x, y), (-1.5, -0.5, 0.5)):
            found.count += 1
            unit = replace(top.over(total, FITTED), copy=found.count)
            found.units.append(unit)
            found.values[Number("sum power", unit, 0)] = q


KINDS = {
    "roots and ratios": real_powers,
    "waves": waves,
    "exponentials": exponentials,
    "fractions": fractions,
    "powers of sums": powers_of_sums,
}
"""Families of units beyond products of whole powers, by the name a user allows or forbids them with."""


def lifted_units(ranges: Ranges, n_equations: int, kinds: tuple[str, ...] = tuple(KINDS)) -> Dictionary:
    """All units beyond products of powers, the same for every equation.

    Args:
        ranges: what the measurements span.
        n_equations: number of equations.
        kinds: families allowed, of :data:`KINDS`.
    """
    found = _Collector(len(ranges.low))
    for kind in kinds:
        KINDS[kind](ranges, found)
    units = list(dict.fromkeys(found.units))
    return Dictionary([list(units) for _ in range(n_equations)], found.values)
