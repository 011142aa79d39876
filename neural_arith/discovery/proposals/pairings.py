"""Systems of equations put together from shortlists of single right-hand sides."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from neural_arith.discovery.proposals.shortlists import Pick
from neural_arith.terms.candidate import Judged
from neural_arith.terms.structure import Structure, Term, rewrite
from neural_arith.terms.units import Number


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


def abreast(lists: Sequence[Sequence[Pick]], most: int) -> list[tuple[Structure, np.ndarray]]:
    """The first entries of all shortlists together, then the second ones, and so on."""
    ranks = range(min(most, max(map(len, lists))) if all(lists) else 0)
    return [join([entries[min(k, len(entries) - 1)] for entries in lists]) for k in ranks]


def slim(lists: Sequence[Sequence[Pick]], largest: int = 5) -> list[tuple[Structure, np.ndarray]]:
    """The best entries of one term together, those of two terms at most, and so on: what is simple in all equations."""
    found = []
    for k in range(1, largest + 1):
        picks = [[p for p in entries if p.structure.n_terms <= k] for entries in lists]
        if all(picks):
            found.append(join([min(entries, key=lambda p: p.score) for entries in picks]))
    return found


def join(picks: Sequence[Pick]) -> tuple[Structure, np.ndarray]:
    """A system of right-hand sides that were found one by one; numbers fitted within units stay their own."""
    values: dict[Term | Number, float] = {}
    equations = []
    for i, pick in enumerate(picks):
        structure, mine = rewrite(
            pick.structure,
            pick.structure.values(pick.theta),
            copy=lambda owner, far=100 * i if pick.structure.numbers else 0: owner.copy + far,
        )
        values.update({key: value for key, value in mine.items() if isinstance(key, Number)})
        values.update({(i, unit): mine[(0, unit)] for _, unit in structure.terms})
        equations.append(structure.equations[0])
    structure = Structure(tuple(equations))
    return structure, structure.theta(values)


def with_equation(judged: Judged, index: int, pick: Pick) -> tuple[Structure, np.ndarray]:
    """A candidate with one equation exchanged."""
    here = judged.structure.values(judged.theta)
    picks = []
    for i, equation in enumerate(judged.structure.equations):
        alone = Structure((equation,))
        values = {(0, unit): here[(i, unit)] for unit in equation} | {n: here[n] for n in alone.numbers}
        picks.append(pick if i == index else Pick(alone, alone.theta(values), 0.0))
    return join(picks)
