"""The search: from units to systems of equations, every step judged by the trajectory."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from neural_arith.discovery.choice import STRONG
from neural_arith.discovery.dictionary import Dictionary, structure_price, unit_price
from neural_arith.discovery.integral_form import IntegralForm
from neural_arith.discovery.judge import FLOOR, Judge, Judged
from neural_arith.discovery.neighbours import other_sums, over_present_sums, propose
from neural_arith.discovery.regression import project
from neural_arith.discovery.subsets import best_subsets
from neural_arith.integrate.batch import values_at
from neural_arith.integrate.structure import Structure, Term, rewrite, tidy
from neural_arith.integrate.units import Number, Unit, numbers_of


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
    forms: Sequence[IntegralForm],
    state: int,
    dictionary: Dictionary,
    scale: np.ndarray,
    per_number: float,
    *,
    largest: int = 6,
    keep: int = 60,
) -> list[Pick]:
    """Best right-hand sides of one equation under each integral form, those of either form in turn.

    Args:
        forms: the integral form over whole runs, over windows.
        state: whose equation.
        dictionary: units allowed.
        scale: sizes of the variables.
        per_number: price of one fitted number.
        largest: most terms.
        keep: subsets whose numbers are fitted, under each form.
    """
    units = dictionary.units[state]
    prices = np.array([unit_price(u) + per_number * len(list(numbers_of(u))) for u in units])
    ranked: dict[Structure, tuple[int, Pick]] = {}
    for form in forms:
        values = values_at(units, dictionary.values, form.nodes, scale)
        columns = form.columns(values, state)
        n = int((form.weight[state] > 0).sum())
        picks: dict[Structure, Pick] = {}
        tries: Counter[Structure] = Counter()
        for subset in best_subsets(
            columns,
            form.target[state],
            prices,
            per_coefficient=per_number,
            floor=FLOOR,
            n_samples=n,
            largest=largest,
            keep=keep,
        ):
            wide = Structure((tuple(units[j] for j in subset.members),))
            guess = {(0, units[j]): c for j, c in zip(subset.members, subset.coefficients, strict=True)}
            structure, theta = tidy(wide, wide.theta({**dictionary.values, **guess}))
            misfit = subset.misfit
            if structure.numbers:
                tries[structure] += 1
                if tries[structure] > 2:
                    continue
                theta, rss = project(form, state, structure, theta, scale)
                misfit = n * np.log(rss / n + FLOOR**2)
            score = misfit + structure_price(structure, per_number) * n / max(n - structure.n_fitted - 2, 1)
            if np.isfinite(score) and (structure not in picks or score < picks[structure].score):
                picks[structure] = Pick(structure, theta, float(score))
        for rank, pick in enumerate(sorted(picks.values(), key=lambda p: p.score)):
            if pick.structure not in ranked or rank < ranked[pick.structure][0]:
                ranked[pick.structure] = (rank, pick)
    return [pick for _, pick in sorted(ranked.values(), key=lambda item: (item[0], item[1].score))]


def around_each(
    form: IntegralForm,
    state: int,
    simple: Sequence[Unit],
    lifted: Dictionary,
    scale: np.ndarray,
    per_number: float,
    *,
    companions: int = 3,
    keep: int = 40,
    check: Callable[[], None] = lambda: None,
) -> list[Pick]:
    """Best right-hand sides made of one lifted unit and a few simple ones, best first.

    The numbers within the lifted unit are fitted along, from several guesses; a grid of guesses alone would rank the
    right unit with wrong numbers behind wrong units.

    Args:
        form: the integral form.
        state: whose equation.
        simple: plain units of low degree.
        lifted: units with first guesses of their numbers.
        scale: sizes of the variables.
        per_number: price of one fitted number.
        companions: most simple units beside the lifted one.
        keep: how many to return.
        check: called often; may raise to stop.
    """
    n = int((form.weight[state] > 0).sum())
    rich = lifted.units[state]
    columns = form.columns(values_at(rich, lifted.values, form.nodes, scale), state)
    plain_columns = form.columns(values_at(simple, {}, form.nodes, scale), state)
    plain_prices = [unit_price(u) for u in simple]
    rough: dict[Structure, list[tuple[float, np.ndarray]]] = defaultdict(list)
    for column, unit in zip(columns, rich, strict=True):
        check()
        price = unit_price(unit) + per_number * len(list(numbers_of(unit)))
        for subset in best_subsets(
            np.concatenate([plain_columns, column[None]]),
            form.target[state],
            np.array([*plain_prices, price]),
            per_coefficient=per_number,
            floor=FLOOR,
            n_samples=n,
            largest=companions + 1,
            keep=3,
            forced=len(simple),
        ):
            units = [simple[j] if j < len(simple) else unit for j in subset.members]
            wide = Structure((tuple(units),))
            guess = {(0, u): c for u, c in zip(units, subset.coefficients, strict=True)}
            structure, theta = tidy(wide, wide.theta({**lifted.values, **guess}))
            rough[structure].append((subset.score, theta))

    def fitted(structure: Structure, theta: np.ndarray, iterations: int) -> Pick:
        check()
        theta, rss = project(form, state, structure, theta, scale, iterations=iterations)
        price = structure_price(structure, per_number) * n / max(n - structure.n_fitted - 2, 1)
        return Pick(structure, theta, n * float(np.log(rss / n + FLOOR**2)) + price)

    # Each form of a lifted unit has its few best company tried, whatever the others look like.
    picks, company = [], Counter()
    for structure, starts in sorted(rough.items(), key=lambda item: min(score for score, _ in item[1])):
        form_of_unit = tuple(u for u in structure.units if not u.plain or u.n_fitted)
        company[form_of_unit] += 1
        if company[form_of_unit] <= 3:
            starts.sort(key=lambda item: item[0])
            picks.extend(fitted(structure, theta, 3) for _, theta in starts[: 2 if structure.numbers else 1])
    picks = sorted((p for p in picks if np.isfinite(p.score)), key=lambda p: p.score)[:keep]
    picks = [fitted(p.structure, p.theta, 20) if p.structure.numbers else p for p in picks]
    best: dict[Structure, Pick] = {}
    for pick in sorted(picks, key=lambda p: p.score):
        best.setdefault(pick.structure, pick)
    return list(best.values())[:keep]


def interleave(*lists: Sequence[Pick]) -> list[Pick]:
    """Entries of several shortlists of one equation, the better of equal ranks first, each structure once."""
    order = sorted(
        [(rank, pick.score, k, pick) for k, picks in enumerate(lists) for rank, pick in enumerate(picks)],
        key=lambda item: item[:3],
    )
    return list({pick.structure: pick for *_, pick in reversed(order)}.values())[::-1]


def combinations(lists: Sequence[Sequence[Pick]], most: int) -> list[tuple[Structure, np.ndarray]]:
    """Systems from the first entries of each equation's shortlist, the most promising pairings first."""
    per_equation = max(1, int(most ** (1.0 / len(lists))))
    ranges = [range(min(len(entries), per_equation)) for entries in lists]
    choices = sorted(itertools.product(*ranges), key=lambda p: (sum(p), p))[:most]
    return [join([lists[i][k] for i, k in enumerate(choice)]) for choice in choices]


def join(picks: Sequence[Pick]) -> tuple[Structure, np.ndarray]:
    """A system of right-hand sides that were found one by one; numbers fitted within units stay their own."""
    values: dict[Term | Number, float] = {}
    equations = []
    for i, pick in enumerate(picks):
        structure, mine = rewrite(
            pick.structure,
            pick.structure.values(pick.theta),
            lambda _, value: value,
            lambda owner, far=100 * i if pick.structure.numbers else 0: owner.copy + far,
        )
        values.update({key: value for key, value in mine.items() if isinstance(key, Number)})
        values.update({(i, unit): mine[(0, unit)] for _, unit in structure.terms})
        equations.append(structure.equations[0])
    structure = Structure(tuple(equations))
    return structure, structure.theta(values)


def one_by_one(
    judge: Judge, lists: Sequence[Sequence[Pick]], *, tried: int = 60, report: Callable[[str], None] = lambda _: None
) -> None:
    """Exchange one equation of the best candidate after the other for entries of its shortlist, while that helps."""
    current: Structure | None = None
    for _ in range(2):
        for i, picks in enumerate(lists):
            best = judge.ranked[0]
            report(f"{len(judge.seen)} candidates, best score {best.score:.1f}")
            triage(judge, [_with_equation(best, i, pick) for pick in picks[:tried]], best.starts)
        if judge.ranked[0].structure == current:
            break
        current = judge.ranked[0].structure


def _with_equation(judged: Judged, index: int, pick: Pick) -> tuple[Structure, np.ndarray]:
    """A candidate with one equation exchanged."""
    here = judged.structure.values(judged.theta)
    picks = []
    for i, equation in enumerate(judged.structure.equations):
        alone = Structure((equation,))
        values = {(0, unit): here[(i, unit)] for unit in equation} | {n: here[n] for n in alone.numbers}
        picks.append(pick if i == index else Pick(alone, alone.theta(values), 0.0))
    return join(picks)


def triage(
    judge: Judge,
    proposals: Sequence[tuple[Structure, np.ndarray]],
    starts: np.ndarray | None = None,
    *,
    again: bool = False,
    until_floor: bool = False,
    kept: int = 12,
) -> None:
    """Refine many candidates a little and the best of them thoroughly.

    Args:
        judge: knows the measurements.
        proposals: structures with first guesses.
        starts: first guess of the starting states; default the smoothed ones.
        again: see :meth:`Judge.judge`.
        until_floor: see :meth:`Judge.judge`.
        kept: how many are refined thoroughly.
    """
    rough = judge.judge(proposals, starts, iterations=4, again=again, roughly=True, until_floor=until_floor)
    judge.improve(sorted(rough, key=lambda j: j.score)[:kept], 15)


def climb(
    judge: Judge,
    dictionary: Dictionary,
    *,
    width: int = 3,
    tried: int = 40,
    rounds: int = 12,
    report: Callable[[str], None] = lambda _: None,
) -> list[Judged]:
    """Walk to better candidates: neighbours of the best few, until none of them leads on.

    Args:
        judge: holds the candidates to start from.
        dictionary: units allowed in each equation.
        width: how many of the best candidates have their neighbours tried.
        tried: neighbours of one candidate that are refined.
        rounds: most candidates expanded, for each of ``width``.
        report: told what is being tried.

    Returns:
        All candidates, best first.
    """
    expanded: set[Structure] = set()
    n_variables = len(judge.problem.scale)
    for _ in range(rounds * width):
        front = [j for j in judge.ranked[:width] if j.structure not in expanded]
        if not front:
            break
        best = front[0]
        expanded.add(best.structure)
        report(f"{len(judge.seen)} candidates, best score {judge.ranked[0].score:.1f}")
        shared = over_present_sums(best, n_variables)
        units = [
            sorted({*allowed, *eq, *shared})
            for allowed, eq in zip(dictionary.units, best.structure.equations, strict=True)
        ]
        proposals = propose(judge, best, Dictionary(units, dictionary.values))
        # Where the measurements are met as closely as can be told, only something simpler can still win.
        most = 8 if judge.slack < STRONG else tried
        worth = [p for p in proposals if judge.worth_trying(p.structure, p.expected)][:most]
        chosen = [*((p.structure, p.theta) for p in worth), *other_sums(best, n_variables)]
        triage(judge, chosen, best.starts, again=True)
    return judge.ranked
