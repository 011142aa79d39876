"""Right-hand sides of one equation that fit best in the integral form: what pairings and exchanges are made from.

First the best subsets of a dictionary's columns (exact for small sizes, a beam above), then the lists made from them:
their numbers fitted, each lifted unit in its best company, and everything of low degree.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neural_arith.clock import Clock
from neural_arith.fit.regression import Regression
from neural_arith.parallel import Checkpoint, partition, run_blocks
from neural_arith.terms.dictionary import Dictionary
from neural_arith.terms.prior import Prices
from neural_arith.terms.structure import Structure, tidy
from neural_arith.terms.units import Unit, numbers_of, power

_AT_ONCE = 10_000
"""Subsets that are measured without asking the clock."""


@dataclass(frozen=True)
class Subset:
    """One choice of columns.

    Attributes:
        members: indices of the columns.
        coefficients: their least-squares coefficients.
        misfit: n * log(rss / n + floor^2).
        score: misfit plus price.
    """

    members: tuple[int, ...]
    coefficients: np.ndarray
    misfit: float
    score: float


def best_subsets(
    columns: np.ndarray,
    target: np.ndarray,
    prices: np.ndarray,
    *,
    per_coefficient: float,
    floor: float,
    n_samples: int,
    largest: int = 6,
    keep: int = 60,
    beam: int = 150,
    exhaustive: int = 60_000,
    forced: int | None = None,
    clock: Clock | None = None,
) -> list[Subset]:
    """Score subsets of columns, best first.

    Args:
        columns: ``(candidates, samples)``.
        target: ``(samples,)``.
        prices: price of each column besides its coefficient, in units of 2 log likelihood.
        per_coefficient: units of 2 log likelihood one coefficient costs.
        floor: noise level below which differences do not count.
        n_samples: measured values behind the target.
        largest: most columns in a subset.
        keep: how many subsets to return; the best few of every size are among them.
        beam: subsets of one size that are extended to the next when there are too many for all.
        exhaustive: most subsets of one size that are all tried.
        forced: a column that every subset holds.
        clock: asked every few thousand subsets; default no limit.

    Raises:
        OutOfTimeError: time was over before the end.
    """
    clock = clock or Clock()
    size = np.linalg.norm(columns, axis=1)
    usable = np.flatnonzero(np.isfinite(size) & (size > 1e-12))
    scaled = columns[usable] / size[usable, None]
    gram = scaled @ scaled.T
    right = scaled @ target
    total = float(target @ target)
    cost = prices[usable] + per_coefficient
    found: list[tuple[float, float, np.ndarray, np.ndarray]] = []
    previous = np.zeros((1, 0), dtype=int)
    m = len(usable)

    def measure(sets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        k = sets.shape[1]
        a = gram[sets[:, :, None], sets[:, None, :]] + 1e-10 * np.eye(k)
        b = right[sets]
        c = np.linalg.solve(a, b[..., None])[..., 0]
        rss = np.maximum(
            total - 2 * (b * c).sum(1) + np.einsum("ni,nij,nj->n", c, gram[sets[:, :, None], sets[:, None, :]], c),
            0,
        )
        misfit = n_samples * np.log(rss / n_samples + floor**2)
        return misfit, misfit + cost[sets].sum(1) * n_samples / max(n_samples - k - 2, 1), c

    empty = n_samples * np.log(total / n_samples + floor**2)
    if forced is None:
        found.append((empty, empty, np.zeros(0, dtype=int), np.zeros(0)))
    count = 1.0
    for k in range(1, min(largest, m) + 1):
        count = count * (m - k + 1) / k
        if count <= exhaustive:
            sets = np.array(list(itertools.combinations(range(m), k)), dtype=int)
            if forced is not None:
                sets = sets[(usable[sets] == forced).any(1)]
                if not len(sets):
                    return []
        else:
            sets = np.concatenate([np.column_stack([previous, np.full(len(previous), j)]) for j in range(m)])
            sets = np.sort(sets, axis=1)
            sets = _distinct(sets[(np.diff(sets, axis=1) > 0).all(1)])
        parts = []
        for first in range(0, len(sets), _AT_ONCE if clock.limited else max(len(sets), 1)):
            clock.check()
            parts.append(measure(sets[first : first + _AT_ONCE] if clock.limited else sets))
        misfit, score, c = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(score, kind="stable")[: max(beam, keep)]
        found.extend((float(misfit[o]), float(score[o]), sets[o], c[o]) for o in order)
        previous = sets[order[:beam]]
    ranked = sorted(found, key=lambda f: f[1])
    chosen = ranked[:keep]
    for k in range(1, largest + 1):
        mine = [f for f in ranked if len(f[2]) == k][:4]
        chosen.extend(f for f in mine if not any(f is c for c in chosen))
    return [
        Subset(tuple(int(j) for j in usable[s]), c / size[usable[s]], float(mf), float(sc)) for mf, sc, s, c in chosen
    ]


def _distinct(rows: np.ndarray) -> np.ndarray:
    """The distinct rows in order, as ``np.unique`` finds them, in a fifth of its time."""
    ordered = rows[np.lexsort(rows.T[::-1])]
    return ordered[np.append(True, (np.diff(ordered, axis=0) != 0).any(1))[: len(ordered)]]


_Task = tuple[Structure, np.ndarray]

BLOCK = 1e6
"""Points times squared numbers times iterations of one block of fits: about 20 ms."""

EXACT = 1e-8
"""Relative misfits below this are not told apart in the integral form."""


@dataclass(frozen=True)
class Pick:
    """One right-hand side.

    Attributes:
        structure: the right-hand side as the only equation of a structure.
        theta: first guess of its values.
        score: of the integral form; lower is better.
    """

    structure: Structure
    theta: np.ndarray
    score: float


def shortlist(
    regressions: Sequence[Regression],
    dictionary: Dictionary,
    prices: Prices,
    *,
    largest: int = 6,
    keep: int = 60,
    required: Sequence[Unit] = (),
    clock: Clock | None = None,
) -> list[Pick]:
    """Best right-hand sides of one equation under each integral form, those of either form in turn.

    Args:
        regressions: the equation in the integral form over whole runs, over windows.
        dictionary: units allowed.
        prices: of terms and numbers.
        largest: most terms.
        keep: subsets whose numbers are fitted, under each form.
        required: units that all of them hold, and that are not paid for.
        clock: asked between fits; default no limit.

    Raises:
        OutOfTimeError: time was over before the end.
    """
    clock = clock or Clock()
    units = dictionary.units[regressions[0].state]
    costs = np.array([prices.unit(u) + prices.per_number * len(numbers_of(u)) for u in units])
    costs[[j for j, unit in enumerate(units) if unit in required]] = -prices.per_number
    ranked: dict[Structure, tuple[int, Pick]] = {}
    for regression in regressions:
        picks: dict[Structure, Pick] = {}
        tries: Counter[Structure] = Counter()
        for subset in best_subsets(
            regression.guesses(units, dictionary.values),
            regression.target,
            costs,
            per_coefficient=prices.per_number,
            floor=EXACT,
            n_samples=regression.n_seen,
            largest=largest,
            keep=keep,
            clock=clock,
        ):
            clock.check()
            wide = Structure(((*required, *(units[j] for j in subset.members)),))
            guess = {(0, units[j]): c for j, c in zip(subset.members, subset.coefficients, strict=True)}
            structure, theta = tidy(wide, wide.theta({**dictionary.values, **guess}))
            tries[structure] += 1
            if tries[structure] > 2:
                continue
            pick = _fitted(regression, structure, theta, prices, 12)
            if np.isfinite(pick.score) and (structure not in picks or pick.score < picks[structure].score):
                picks[structure] = pick
        of_size: Counter[int] = Counter()
        for rank, pick in enumerate(sorted(picks.values(), key=lambda p: p.score)):
            # On clean measurements many terms explain the errors of the curve: the best of every size come early.
            early = min(rank, 8 + 6 * of_size[pick.structure.n_terms])
            of_size[pick.structure.n_terms] += 1
            if pick.structure not in ranked or early < ranked[pick.structure][0]:
                ranked[pick.structure] = (early, pick)
    return [pick for _, pick in sorted(ranked.values(), key=lambda item: (item[0], item[1].score))]


def _fitted(
    regression: Regression,
    structure: Structure,
    theta: np.ndarray,
    prices: Prices,
    most: int,
    *,
    coefficients: bool = True,
) -> Pick:
    """A right-hand side with its numbers fitted and its score."""
    n = regression.n_seen
    theta, rss = regression.fit(structure, theta, iterations=most, coefficients=coefficients)
    price = prices.structure(structure) * n / max(n - structure.n_fitted - 2, 1)
    return Pick(structure, theta, n * float(np.log(rss / n + EXACT**2)) + price)


def around_each(
    regression: Regression,
    simple: Sequence[Unit],
    lifted: Dictionary,
    prices: Prices,
    *,
    companions: int = 3,
    keep: int = 40,
    required: Sequence[Unit] = (),
    n_jobs: int | None = 1,
    checkpoint: Checkpoint | None = None,
    clock: Clock | None = None,
) -> list[Pick]:
    """Best right-hand sides made of one lifted unit and a few simple ones, best first.

    The numbers within the lifted unit are fitted along, from several guesses and in several companies; a grid of
    guesses alone would rank the right unit with wrong numbers behind wrong units.

    Args:
        regression: the equation in the integral form.
        simple: plain units of low degree.
        lifted: units with first guesses of their numbers.
        prices: of terms and numbers.
        companions: most simple units beside the lifted one.
        keep: how many to return.
        required: units that all of them hold.
        n_jobs: as in joblib, threads by default; the answer does not depend on it.
        checkpoint: keeps what was fitted, a few lifted units at a time.
        clock: asked before each few lifted units; default no limit.

    Raises:
        OutOfTimeError: time was over before the end.
    """
    clock = clock or Clock()
    here = range(len(regression.scale))
    usual = [power(*[0.0 for _ in here]), power(*[float(j == regression.state) for j in here])]
    usual = [unit for unit in usual if unit in simple]
    always_tried = [c for k in range(len(usual) + 1) for c in itertools.combinations(usual, k)]
    tasks: list[_Task] = []
    companies = _companies(regression, simple, lifted, prices, companions, clock)
    for unit, sets in zip(lifted.units[regression.state], companies, strict=True):
        own = [tuple(simple[j] for j in members) for members in sets]
        for company in dict.fromkeys((*required, *c) for c in (*own, *always_tried)):
            structure = Structure(((unit, *company),))
            tasks.append((structure, structure.theta({**lifted.values})))

    def fit_all(tasks: Sequence[_Task], most: int, *, finished: bool) -> list[Pick]:
        n_points = len(regression.form.nodes)
        ranges = partition((most * n_points * (1 + s.n_fitted) ** 2 for s, _ in tasks), BLOCK)
        blocks = [(tasks[i:j],) for i, j in ranges]
        options = {"n_jobs": n_jobs, "checkpoint": checkpoint, "in_time": clock.in_time}
        found = run_blocks(_fit_block, blocks, regression, prices, most, finished, **options)
        clock.check()
        return [pick for picks in found for pick in picks]

    best: dict[Structure, Pick] = {}
    for rough in fit_all(tasks, 4, finished=False):
        if not np.isfinite(rough.score):
            continue
        pick = Pick(*tidy(rough.structure, rough.theta), rough.score)
        if pick.structure not in best or pick.score < best[pick.structure].score:
            best[pick.structure] = pick
    # Each form of a lifted unit has its best company of every size fitted to the end, whatever the others look like.
    picks = sorted(best.values(), key=lambda p: p.score)
    first: dict[object, Pick] = {}
    for pick in picks:
        own = tuple(u for u in pick.structure.units if not u.plain or u.n_fitted)
        first.setdefault((own, pick.structure.n_terms), pick)
    again = list({p.structure: p for p in (*picks[:keep], *first.values())}.values())
    done = [p for p in again if not p.structure.numbers]
    done += fit_all([(p.structure, p.theta) for p in again if p.structure.numbers], 20, finished=True)
    return sorted(done, key=lambda p: p.score)[:keep]


def _fit_block(tasks: Sequence[_Task], regression: Regression, prices: Prices, most: int, finished: bool) -> list[Pick]:
    """A few right-hand sides fitted, wherever this is run."""
    return [_fitted(regression, s, theta, prices, most, coefficients=finished) for s, theta in tasks]


def _companies(
    regression: Regression,
    simple: Sequence[Unit],
    lifted: Dictionary,
    prices: Prices,
    most: int,
    clock: Clock,
) -> list[list[tuple[int, ...]]]:
    """For each lifted unit, as first guessed, the sets of simple units that go best with it."""
    n = regression.n_seen
    rich = regression.guesses(lifted.units[regression.state], lifted.values)
    usable = np.all(np.isfinite(rich), axis=1)
    rich = np.where(usable[:, None], rich, 0.0)
    # In coordinates along the simple units, of which there are few, and one more for all that is at right angles.
    axes, plain = np.linalg.qr(regression.columns(tuple(simple)).T)
    target, along = axes.T @ regression.target, rich @ axes
    across, other = rich - along @ axes.T, regression.target - axes @ target
    shared, wide, rest_of_all = across @ other, (across**2).sum(1), other @ other
    whole = (rich**2).sum(1)
    sets = [s for k in range(most + 1) for s in itertools.combinations(range(len(simple)), k)]
    scores = np.full((len(sets), len(rich)), np.inf)
    for row, members in enumerate(sets):
        clock.check()
        basis, _ = np.linalg.qr(plain[:, list(members)])
        rest = target - basis @ (basis.T @ target)
        left = along - (along @ basis) @ basis.T
        size = (left**2).sum(1) + wide
        good = usable & (size > 1e-12 * whole) & (size > 0)
        rss = np.maximum(rest @ rest + rest_of_all - (left[good] @ rest + shared[good]) ** 2 / size[good], 0.0)
        price = sum(prices.unit(simple[j]) + prices.per_number for j in members) * n / max(n - len(members) - 3, 1)
        scores[row, good] = n * np.log(rss / n + EXACT**2) + price
    # What goes best with numbers that are only guessed is often too much: the best of every size gets its chance.
    sizes = np.array([len(members) for members in sets])
    chosen: list[list[tuple[int, ...]]] = []
    for column in scores.T:
        clock.check()
        rows = np.argsort(column, kind="stable")
        of_size = [rows[sizes[rows] == k][:2] for k in range(most + 1)]
        chosen.append([sets[r] for r in dict.fromkeys([*rows[:2], *np.concatenate(of_size)])])
    return chosen


def low_degree(
    regression: Regression,
    simple: Sequence[Unit],
    prices: Prices,
    largest: int = 3,
    required: Sequence[Unit] = (),
    clock: Clock | None = None,
) -> list[Pick]:
    """All right-hand sides of few simple units, best first.

    Where a fast state is enslaved by the others its equation is a small difference of large terms, which no integral
    of smoothed curves singles out; trajectories do.

    Args:
        regression: the equation in the integral form, for first guesses and the order.
        simple: plain units of low degree.
        prices: of terms and numbers.
        largest: most units beside those required.
        required: units that all of them hold.
        clock: asked between fits; default no limit.

    Raises:
        OutOfTimeError: time was over before the end.
    """
    clock, picks = clock or Clock(), []
    free = [unit for unit in simple if unit not in required]
    for k in range(0 if required else 1, largest + 1):
        for units in itertools.combinations(free, k):
            clock.check()
            structure = Structure(((*required, *units),))
            picks.append(_fitted(regression, structure, np.zeros(structure.n_terms), prices, 0))
    return sorted((p for p in picks if np.isfinite(p.score)), key=lambda p: p.score)
