"""The search: from units to systems of equations, every step judged by the trajectory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from neural_arith.discovery.dictionary import unit_price
from neural_arith.discovery.integral_form import IntegralForm
from neural_arith.discovery.judge import FLOOR, Judge, Judged, spelling
from neural_arith.discovery.neighbours import propose
from neural_arith.discovery.subsets import Subset, best_subsets
from neural_arith.integrate.structure import Structure, Unit
from neural_arith.layers import functional


@dataclass(frozen=True)
class Shortlist:
    """Promising right-hand sides of one equation, best first.

    Attributes:
        units: what each right-hand side is made of.
        coefficients: first guesses.
    """

    units: tuple[tuple[Unit, ...], ...]
    coefficients: tuple[np.ndarray, ...]


def unit_values(nodes: np.ndarray, units: Sequence[Unit]) -> np.ndarray:
    """Values of units at the quadrature points, ``(units, points)``."""
    polar = functional.log_polar(torch.from_numpy(nodes))
    return functional.power_unit(
        polar[0], polar[1], torch.tensor(units, dtype=torch.float64), None, polar[2]
    ).mT.numpy()


def shortlist(forms: Sequence[IntegralForm], state: int, units: Sequence[Unit], per_coefficient: float) -> Shortlist:
    """Best subsets of the dictionary for one equation under each integral form, joined."""
    ranked: dict[tuple[Unit, ...], tuple[float, np.ndarray]] = {}
    prices = np.array([unit_price(u) for u in units])
    for form in forms:
        columns = form.columns(unit_values(form.nodes, units), state)
        n = int((form.weight[state] > 0).sum())
        found: list[Subset] = best_subsets(
            columns, form.target[state], prices, per_coefficient=per_coefficient, floor=FLOOR, n_samples=n
        )
        for rank, subset in enumerate(found):
            members = tuple(units[j] for j in subset.members)
            order = sorted(range(len(members)), key=lambda k: members[k])
            key = tuple(members[k] for k in order)
            if key not in ranked or rank < ranked[key][0]:
                ranked[key] = (rank, subset.coefficients[order])
    rows = sorted(ranked.items(), key=lambda item: item[1][0])
    return Shortlist(tuple(key for key, _ in rows), tuple(c for _, (_, c) in rows))


def combinations(lists: Sequence[Shortlist], most: int) -> list[tuple[Structure, np.ndarray]]:
    """Systems from the first entries of each equation's shortlist, the most promising pairings first."""
    per_equation = max(1, int(most ** (1.0 / len(lists))))
    ranges = [range(min(len(s.units), per_equation)) for s in lists]
    picks = sorted(itertools.product(*ranges), key=lambda p: (sum(p), p))
    for i, entry in enumerate(lists):
        picks.extend(
            tuple(k if j == i else 0 for j in range(len(lists))) for k in range(per_equation, len(entry.units))
        )
    systems = []
    for pick in picks:
        structure = Structure(tuple(lists[i].units[k] for i, k in enumerate(pick)))
        systems.append((structure, np.concatenate([lists[i].coefficients[k] for i, k in enumerate(pick)])))
    return systems


def climb(
    judge: Judge,
    dictionary: Sequence[Sequence[Unit]],
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
    expanded: set[tuple] = set()
    for _ in range(rounds * width):
        front = [j for j in judge.ranked[:width] if spelling(j.structure) not in expanded]
        if not front:
            break
        best = front[0]
        expanded.add(spelling(best.structure))
        report(f"{len(judge.seen)} candidates, best score {judge.ranked[0].score:.1f}")
        wider = [sorted({*units, *eq}) for units, eq in zip(dictionary, best.structure.equations, strict=True)]
        proposals = [p for p in propose(judge, best, wider) if judge.worth_trying(p.structure, p.expected)][:tried]
        judge.judge([(p.structure, p.coefficients) for p in proposals], best.starts, iterations=15, again=True)
    return judge.ranked
