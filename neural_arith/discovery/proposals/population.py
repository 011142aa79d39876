"""A population of power units fitted by variable projection: where units with unusual constants come from.

One scalar equation is sum_h c_h * prod_j x_j^e_hj, or with lifted units, the same times exp(rates . x) and
cos(frequencies . x + phase). For given units the coefficients are a least-squares solve, so only the numbers inside the
units are searched: Levenberg-Marquardt on the projected residual (Golub & Pereyra, 1973) with Kaufman's approximate
Jacobian J = -P D c, from many random starts, each a lane of :mod:`neural_arith.fit.projection`.

First where the restarts begin, then how they are carried to their optima, then which units these show.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from neural_arith.clock import Clock, OutOfTimeError
from neural_arith.fit.integral_form import IntegralForm
from neural_arith.fit.projection import Grid, make_grid, search_range
from neural_arith.parallel import partition, run_blocks
from neural_arith.terms.dictionary import snap
from neural_arith.terms.units import FITTED, Number, Unit, is_simple, power

_STARTS = np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0])
_WHOLE = np.array([0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0])

# What a lifted factor does over the range of its variable at the start: the exponent of e, the radians of the cosine.
_RATE_STARTS = (0.5, 6.0)
_FREQUENCY_STARTS = (1.5, 25.0)


@dataclass(frozen=True)
class Starts:
    """Where restarts begin, over the columns ``[log|x|, x, 1]`` or those of a :class:`Grid`.

    Attributes:
        real: exponents and rates, ``(restarts, units, columns)``.
        imaginary: frequencies and phases, the same shape.
        free: which of them are searched, ``(restarts, units, 2, columns)``: real, then imaginary.
    """

    real: np.ndarray
    imaginary: np.ndarray
    free: np.ndarray


def draw_plain(n: int, units: int, positive: np.ndarray, rng: np.random.Generator) -> Starts:
    """Products of powers: one or two variables for each unit.

    A variable that changes sign gets a whole exponent that stays: its real powers are not real.
    """
    n_variables = len(positive)
    shape = (n, units, 2 * n_variables + 1)
    real, free = np.zeros(shape), np.zeros((n, units, 2, shape[2]), dtype=bool)
    for _ in range(2):
        which = rng.integers(n_variables, size=(n, units, 1))
        powers = rng.choice(_STARTS, which.shape) + 0.2 * rng.standard_normal(which.shape)
        whole = rng.choice(_WHOLE, which.shape)
        np.put_along_axis(real, which, np.where(positive[which], powers, whole), axis=2)
        np.put_along_axis(free[:, :, 0], which, positive[which], axis=2)
    return Starts(real, np.zeros(shape), free)


def draw_lifted(n: int, units: int, positive: np.ndarray, extent: np.ndarray, rng: np.random.Generator) -> Starts:
    """At least one unit with an exponential or a cosine, of one or two variables, sometimes times a power.

    Args:
        n: restarts.
        units: number of units.
        positive: which variables never change sign, ``(variables,)``.
        extent: range of each variable, ``(variables,)``; one that never moves gets no lifted factor.
        rng: source of randomness.
    """
    starts = draw_plain(n, units, positive, rng)
    moving = np.flatnonzero(extent > 0)
    lifts = rng.random((n, units)) < 1 / 3
    lifts[:, 0] = True
    turns = rng.random((n, units)) < 0.5
    bare = rng.random((n, units)) < 2 / 3
    bounds = np.where(turns[..., None], np.log(_FREQUENCY_STARTS), np.log(_RATE_STARTS))
    size = np.exp(rng.uniform(bounds[..., 0], bounds[..., 1]))
    # Beside such a factor stands, as a rule, a constant or a single state: units without a number to search.
    n_variables = len(positive)
    simple = ~lifts & (rng.random((n, units)) < 2 / 3)
    starts.real[simple], starts.free[simple] = 0.0, False
    which = rng.permuted(np.tile(np.arange(n_variables + 1), (n, -(-units // (n_variables + 1)))), axis=1)[:, :units]
    starts.real[:, :, :n_variables][simple] = np.eye(n_variables + 1)[which[simple], :n_variables]
    both = rng.random((n, units)) < 1 / 3
    pick = rng.choice(moving, (n, units, 2))
    signs = rng.choice([-1.0, 1.0], (n, units, 2))
    quarter = rng.random((n, units)) < 0.5
    for r, h in zip(*np.nonzero(lifts), strict=True):
        real, free = starts.real[r, h], starts.free[r, h]
        if bare[r, h]:
            real[:], free[0] = 0.0, False
        else:  # one power is enough beside the other factor
            extra = np.flatnonzero(real)[1:]
            real[extra], free[0, extra] = 0.0, False
        kind = int(turns[r, h])
        weights = starts.imaginary[r, h] if turns[r, h] else real
        least = (_FREQUENCY_STARTS if turns[r, h] else _RATE_STARTS)[0]
        used = 2 if both[r, h] else 1
        wide = extent[pick[r, h, :used]].max()
        for v, sign in zip(pick[r, h, :used], signs[r, h], strict=False):
            # Two variables start with equal rates, as in sin(x - y), where their ranges allow it.
            rate = max(size[r, h] / wide, least / extent[v])
            weights[n_variables + v], free[kind, n_variables + v] = sign * rate, True
        if turns[r, h]:
            weights[-1], free[1, -1] = -np.pi / 2 if quarter[r, h] else 0.0, True
    return starts


_LARGEST = 6.0

# What a lifted factor may do over the range of its variable. Below the least, an exponential or a sine imitates the
# line or the parabola that a plain unit is; a restart that ends there has found nothing of its own.
_RATES = (0.3, 30.0)
_FREQUENCIES = (0.5, 80.0)

BLOCK = 1e7
"""Weights times nodes times iterations of one block of restarts: about 20 ms, twice what it costs to hand it out."""

LIFTED_SHARE = 4
"""Lifted restarts for each plain one: their landscape has more valleys."""

_PREFERENCE = 1.05
"""Share by which each lifted factor must lower the cost to come before an optimum without it."""

_FLOOR = 1e-12
"""Share of the target's sum of squares below which costs count as equal."""


@dataclass(frozen=True)
class Fitted:
    """Local optima of one equation and one number of units, best first; plain units first at equal cost.

    Attributes:
        exponents: ``(optima, units, variables)``.
        rates: of the exponential factors, 0 where there is none, ``(optima, units, variables)``.
        frequencies: of the cosines, 0 where there is none, ``(optima, units, variables)``; the first one of a unit is
            positive.
        phases: of the cosines, within [-3 pi/4, pi/4): 0 is a cosine, -pi/2 a sine; ``(optima, units)``.
        cost: share of the target's sum of squares that is left, ``(optima,)``.
    """

    exponents: np.ndarray
    rates: np.ndarray
    frequencies: np.ndarray
    phases: np.ndarray
    cost: np.ndarray

    @property
    def lifted(self) -> np.ndarray:
        """Which units have an exponential or a cosine, ``(optima, units)``."""
        return (self.rates != 0).any(2) | (self.frequencies != 0).any(2)


def _bounds(extent: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least and largest size of each weight and what a change of one does over the data, each ``(2, columns)``."""
    n = len(extent)
    safe = np.where(extent > 0, extent, 1.0)
    low, high, reach = np.zeros((2, 2 * n + 1)), np.full((2, 2 * n + 1), np.inf), np.ones((2, 2 * n + 1))
    high[0, :n] = _LARGEST
    for kind, (least, most) in enumerate((_RATES, _FREQUENCIES)):
        low[kind, n:-1], high[kind, n:-1], reach[kind, n:-1] = least / safe, most / safe, safe
    return low, high, reach


def _slopes(free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Free weights of each restart as ``(unit, column, imaginary)``, by unit, and how many there are."""
    counts = free.sum(axis=(1, 2, 3))
    restart, unit, kind, column = np.nonzero(free)
    place = np.arange(len(restart)) - np.repeat(np.cumsum(counts) - counts, counts)
    slopes = np.zeros((len(free), max(int(counts.max(initial=0)), 1), 3), dtype=np.int64)
    slopes[restart, place] = np.stack([unit, column, kind], axis=1)
    return slopes, counts


def fit_population(
    form: IntegralForm,
    state: int,
    units: int,
    positive: np.ndarray,
    *,
    restarts: int = 64,
    iterations: int = 40,
    seed: int = 0,
    lifted: bool = False,
    n_jobs: int | None = 1,
    clock: Clock | None = None,
) -> Fitted:
    """Fit one equation with a given number of units from many random starts.

    Args:
        form: the regression problem.
        state: whose equation.
        units: number of units.
        positive: which variables never change sign, ``(variables,)``; only they get real exponents.
        restarts: members of the population; :data:`LIFTED_SHARE` times as many more with ``lifted``.
        iterations: most Levenberg-Marquardt iterations of each.
        seed: of the random starts, which also depend on ``state`` and ``units``.
        lifted: whether units with exponentials and cosines are tried as well.
        n_jobs: as in joblib, threads by default; the answer does not depend on it.
        clock: asked between blocks of restarts; default no limit.

    Returns:
        Distinct optima, best first.

    Raises:
        OutOfTimeError: time was over before all restarts were.
        DataError: a variable said to be positive is negative at a node of ``form``.
    """
    grid = make_grid(form, state, positive)
    starts = draw_plain(restarts, units, grid.positive, np.random.default_rng([seed, state, units]))
    if lifted and (grid.range > 0).any():
        rng = np.random.default_rng([seed, state, units, 1])
        more = draw_lifted(LIFTED_SHARE * restarts, units, grid.positive, grid.range, rng)
        more.imaginary[..., -1] += more.imaginary[..., len(positive) : -1] @ grid.middle
        starts = Starts(
            *(np.concatenate([getattr(s, k) for s in (starts, more)]) for k in ("real", "imaginary", "free"))
        )
    cost, _ = climb_all(grid, starts, iterations, n_jobs, clock)
    total = max(float(grid.target @ grid.target), 1e-300)
    starts.imaginary[..., -1] -= starts.imaginary[..., len(positive) : -1] @ grid.middle
    return _distinct(starts, cost / total, grid.range)


def _climb_block(
    real: np.ndarray,
    imaginary: np.ndarray,
    slopes: np.ndarray,
    counts: np.ndarray,
    grid: Grid,
    iterations: int,
    halt: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weights, costs and evaluations of a few restarts at their optima, wherever this is run."""
    # What arrives in another process may be read-only; the kernel is compiled for arrays that are not.
    real, imaginary, slopes, counts = (np.array(a) for a in (real, imaginary, slopes, counts))
    columns, states, positive, step, target, weight, square, share, opens = (
        np.require(a, requirements=["C", "W"])
        for a in (grid.columns, grid.states, grid.positive, grid.step, grid.target, grid.weight, grid.square,
                  grid.share, grid.opens)
    )  # fmt: skip
    low, high, reach = _bounds(grid.range)
    cost, spent = np.full(len(real), np.inf), np.zeros(len(real), dtype=np.int64)
    search_range(
        0, len(real), real, imaginary, slopes, counts, low, high, reach, iterations, columns, states, positive, step,
        target, weight, square, share, opens, cost, spent, halt,
    )  # fmt: skip
    return real, imaginary, cost, spent


def climb_all(
    grid: Grid, starts: Starts, iterations: int, n_jobs: int | None = 1, clock: Clock | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Carry every restart to its optimum, in place.

    Args:
        grid: the equation.
        starts: weights of its columns to start from; those found replace them.
        iterations: most for each restart.
        n_jobs: as in joblib.
        clock: asked between blocks of restarts; default no limit.

    Returns:
        Sum of squares left and evaluations spent, each ``(restarts,)``.

    Raises:
        OutOfTimeError: time was over before all restarts were.
    """
    clock = clock or Clock()
    slopes, counts = _slopes(starts.free)
    n = len(counts)
    cost, spent = np.full(n, np.inf), np.zeros(n, dtype=np.int64)
    ranges = partition(iterations * len(grid.step) * (starts.real.shape[1] + counts.astype(float)), BLOCK)
    blocks = [(starts.real[i:j], starts.imaginary[i:j], slopes[i:j], counts[i:j]) for i, j in ranges]
    found = run_blocks(_climb_block, blocks, grid, iterations, n_jobs=n_jobs, in_time=clock.in_time, halt=clock.halt)
    if clock.halt[0] or any(result is None for result in found):
        raise OutOfTimeError
    for (i, j), result in zip(ranges, found, strict=True):
        starts.real[i:j], starts.imaginary[i:j], cost[i:j], spent[i:j] = result
    return cost, spent


def _distinct(starts: Starts, cost: np.ndarray, extent: np.ndarray, most: int = 6) -> Fitted:
    """The best optima that differ from each other in more than the order of their units."""
    n = len(extent)
    low, high, _ = _bounds(extent)
    weights = np.stack([starts.real, starts.imaginary], axis=2)  # (restarts, units, 2, columns)
    lifts = starts.free.copy()
    lifts[..., :n] = lifts[..., -1] = False
    held = lifts & ((np.abs(weights) <= low * (1 + 1e-9)) | (np.abs(weights) >= high * (1 - 1e-9)))
    cost = np.where(held.any(axis=(1, 2, 3)), np.inf, cost)
    exponents, rates = starts.real[..., :n], starts.real[..., n:-1]
    frequencies, phases = _canonical(starts.imaginary[..., n:-1], starts.imaginary[..., -1])
    rows = np.concatenate([exponents, rates * extent, frequencies * extent, phases[..., None]], axis=2)
    order = np.argsort((np.maximum(cost, 0) + _FLOOR) * _PREFERENCE ** lifts.sum(axis=(1, 2, 3)), kind="stable")
    kept: list[int] = []
    sorting: list[np.ndarray] = []
    for member in order:
        if not np.isfinite(cost[member]) or len(kept) == most:
            break
        by = np.lexsort(np.round(rows[member], 2).T)
        if all(np.abs(rows[member][by] - rows[k][s]).max() > 0.02 for k, s in zip(kept, sorting, strict=True)):
            kept.append(int(member))
            sorting.append(by)
    members = np.array(kept, dtype=np.int64)[:, None]
    places = np.array(sorting, dtype=np.int64).reshape(len(kept), rows.shape[1])
    exponents, rates, frequencies, phases = (
        part[members, places] + 0.0 for part in (exponents, rates, frequencies, phases)
    )
    return Fitted(exponents, rates, frequencies, phases, np.maximum(cost[members[:, 0]], 0.0))


def _canonical(frequencies: np.ndarray, phases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies with a positive first and phases within half a turn; a coefficient's sign makes up for it."""
    first = np.take_along_axis(frequencies, (frequencies != 0).argmax(axis=2)[..., None], axis=2)
    sign = np.where(first < 0, -1.0, 1.0)
    turned = phases * sign[..., 0]
    return frequencies * sign, (turned + 0.75 * np.pi) % np.pi - 0.75 * np.pi


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
