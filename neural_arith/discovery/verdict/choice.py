"""The choice: the simplest structure that no other beats by strong evidence, and everything it leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from neural_arith.discovery.likelihood import Likelihood
from neural_arith.errors import OptionError
from neural_arith.fit.evidence import STRONG
from neural_arith.solve.compiled.prediction import Problem, slopes_at
from neural_arith.terms.candidate import Judged
from neural_arith.terms.structure import Structure

ALIKE = 1.0
"""Units of 2 log likelihood below which the data do not tell candidates with as many fitted numbers apart at all."""

_POINTS, _WIDER, _ALMOST = 200, 3.0, 0.01
"""Points at which right-hand sides are compared, how far beyond the measurements, and shares not told apart."""

_APART = 0.1
"""Share of a right-hand side by which others must differ for data from there to tell them apart."""

_UP_FOR_CHOICE = 25.0, 30
"""How far behind the best a candidate may be to be chosen, and how many there may be."""


@dataclass(frozen=True)
class Choice:
    """The outcome of choosing.

    Attributes:
        selected: the choice.
        near_ties: candidates by other terms that strong evidence does not exclude, best first.
        table: choice, near-ties, the Pareto front and the best of the rest.
    """

    selected: Judged
    near_ties: tuple[Judged, ...]
    table: tuple[Judged, ...]


def up_for_choice(ranked: list[Judged], likelihood: Likelihood) -> tuple[list[Judged], list[Judged]]:
    """The candidates that can be chosen, their starting states priced, and all others as if theirs were the dearest."""
    priced = likelihood.with_start_prices(ranked, *_UP_FOR_CHOICE)
    chosen, again = without_twins(priced, likelihood.problem)
    known = {j.structure for j in priced}
    dearest = max((j.start_price for j in priced), default=0.0)
    return chosen, [*again, *(replace(j, start_price=dearest) for j in ranked if j.structure not in known)]


def without_twins(ranked: Sequence[Judged], problem: Problem) -> tuple[list[Judged], list[Judged]]:
    """Candidates, best score first, without those that are an earlier one spelt in a longer way; then these.

    No measurement tells ``x/(1 + x)`` from ``1 - 1/(1 + x)``, so they are no two answers. They are the same where their
    right-hand sides agree in a space three times as wide as what was measured.
    """
    points = _points(problem, range(problem.measured.shape[1]))
    kept: list[tuple[Judged, np.ndarray]] = []
    again: list[Judged] = []
    for judged in ranked:
        sides = _right_hand_sides(judged, points, problem.scale)
        if any(
            first.price <= judged.price
            and first.structure.n_fitted <= judged.structure.n_fitted
            and _same(theirs, sides)
            for first, theirs in kept
        ):
            again.append(judged)
        else:
            kept.append((judged, sides))
    return [judged for judged, _ in kept], again


def telling(choice: Choice, problem: Problem) -> str:
    """Which further data would tell the choice from its near-ties: other "starts", other "inputs", or "" for neither.

    That is where their right-hand sides differ in a space three times as wide as what was measured.
    """
    n_states, n = problem.x.shape[1], len(problem.scale)
    for what, wide in (("starts", range(n_states)), ("inputs", range(n_states, n))):
        if len(wide) and choice.near_ties:
            points = _points(problem, wide)
            mine, *others = (_right_hand_sides(j, points, problem.scale) for j in (choice.selected, *choice.near_ties))
            if any(not _same(mine, theirs, _APART) for theirs in others):
                return what
    return ""


def _points(problem: Problem, wide: Sequence[int]) -> np.ndarray:
    """Points at random, of some variables in a wide range around what was measured, of the others as measured."""
    rng, measured = np.random.default_rng(0), problem.measured
    low, high = np.nanmin(measured, axis=0), np.nanmax(measured, axis=0)
    wider = np.where(low > 0, high, high - low)
    box = np.where(low > 0, low / _WIDER, low - wider), np.where(low > 0, high * _WIDER, high + wider)
    points = rng.uniform(*box, (_POINTS, len(low)))
    fixed = [k for k in range(len(low)) if k not in wide]
    for k in fixed:
        points[:, k] = rng.choice(measured[np.isfinite(measured[:, k]), k], _POINTS)
    return points


def _right_hand_sides(judged: Judged, points: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """``(equations, points)``."""
    structure = judged.structure
    sides = np.zeros((len(structure.equations), len(points)))
    values, _ = slopes_at(structure, judged.theta, points, scale, slopes=False)
    for (i, _), coefficient, value in zip(structure.terms, judged.theta, values, strict=False):
        sides[i] += coefficient * value
    return sides


def _same(a: np.ndarray, b: np.ndarray, almost: float = _ALMOST) -> bool:
    """Whether right-hand sides agree wherever they have values, which has to be at most points."""
    both = (np.isfinite(a) & np.isfinite(b)).all(axis=0)
    if 2 * both.sum() < both.size:
        return False
    a, b = a[:, both], b[:, both]
    return bool((((a - b) ** 2).sum(axis=1) <= almost**2 * (a**2).sum(axis=1)).all())


def extends(wider: Structure, narrower: Structure) -> bool:
    """Whether every term of one structure stands in the other."""
    return all(set(b) <= set(a) for a, b in zip(wider.equations, narrower.equations, strict=True))


def pareto_front(ranked: Sequence[Judged]) -> list[Judged]:
    """Candidates that no simpler one explains the data as well as."""
    front: list[Judged] = []
    for judged in sorted(ranked, key=lambda j: (j.price, j.misfit)):
        if not front or judged.misfit < front[-1].misfit - 1e-6:
            front.append(judged)
    return front


def choose(ranked: Sequence[Judged], others: Sequence[Judged] = (), rows: int = 40) -> Choice:
    """Choose among candidates: of those that no other beats by strong evidence the one with the fewest fitted numbers.

    Of several such ones it is the best, or one with a shorter description that is hardly behind.

    Args:
        ranked: candidates that can be chosen, best score first.
        others: candidates that are only shown.
        rows: how many of the best go into the table besides the Pareto front.

    Raises:
        OptionError: there is no candidate, which only knowledge that does not fit the measurements can cause.
    """
    if not ranked:
        raise OptionError(
            "no equations that agree with the stated knowledge could be fitted to these data; "
            "check signs, positive variables and conserved sums, and leave out what is not certain"
        )
    best = ranked[0].score
    eligible = [j for j in ranked if j.score <= best + STRONG]
    fewest = min(j.structure.n_fitted for j in eligible)
    plain = [j for j in eligible if j.structure.n_fitted == fewest]
    alike = [j for j in plain if j.score <= min(p.score for p in plain) + ALIKE]
    selected = min(alike, key=lambda j: (j.price, j.score))
    ties: list[Judged] = []
    for judged in ranked:
        narrower = [j for j in (selected, *ties) if j.score <= judged.score]
        if (
            judged is not selected
            and judged.score <= selected.score + STRONG
            and not any(extends(judged.structure, j.structure) for j in narrower)
        ):
            ties.append(judged)
    everything = (*ranked, *others)
    table = {id(j): j for j in (selected, *ties, *pareto_front(everything), *everything[:rows])}
    order = sorted(table.values(), key=lambda j: (j.whole_price, j.misfit))
    return Choice(selected, tuple(ties), tuple(order))
