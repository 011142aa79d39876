"""The search among systems of equations: every step judged by the trajectory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from neural_arith.discovery.proposals.exchanges import propose_exchanges
from neural_arith.discovery.proposals.neighbours import Proposal, propose, with_plain_numbers
from neural_arith.discovery.proposals.pairings import with_equation
from neural_arith.discovery.proposals.shortlists import Pick
from neural_arith.discovery.proposals.sums import other_fractions, other_sums, over_present_sums, shared_fractions
from neural_arith.discovery.search.judge import Judge
from neural_arith.discovery.verdict.choice import STRONG
from neural_arith.terms.candidate import Judged
from neural_arith.terms.dictionary import Dictionary
from neural_arith.terms.structure import Structure

_RESPELT = 100
"""Best candidates whose fractions are also written as those of other equations."""


_PLAIN = 5
"""Best candidates of which plain values are tried for the numbers within them."""


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
    judge.raise_floor()


def one_by_one(
    judge: Judge, lists: Sequence[Sequence[Pick]], *, tried: int = 60, report: Callable[[str], None] = lambda _: None
) -> None:
    """Exchange one equation of the best candidate after the other for entries of its shortlist, while that helps."""
    for _ in range(2 if judge.ranked else 0):  # what is known may have left none
        current = judge.ranked[0].structure
        for i, picks in enumerate(lists):
            best = judge.ranked[0]
            report(f"{len(judge.seen)} candidates, best score {best.score:.1f}")
            proposals = [with_equation(best, i, pick) for pick in picks[:tried]]
            triage(judge, [p for p in proposals if judge.can_win(p[0])], best.starts, until_floor=True)
        if judge.ranked[0].structure == current:
            break


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
        # Where the measurements are met as closely as can be told, only something simpler than the best can still win.
        if not front or (judge.slack < STRONG and front[0] is not judge.ranked[0]):
            break
        best = front[0]
        expanded.add(best.structure)
        report(f"{len(judge.seen)} candidates, best score {judge.ranked[0].score:.1f}")
        proposals = propose(judge, best, _around(best, dictionary, n_variables))
        most = 8 if judge.slack < STRONG else tried
        chosen = [*_worth(judge, proposals, most), *other_sums(best, n_variables), *other_fractions(best)]
        triage(judge, chosen, best.starts, again=True)
    return judge.ranked


def plain_numbers(judge: Judge) -> None:
    """Try plain values for the fitted numbers within the best candidates, where the search came to its end too early.

    An exponent of 0.994 that explains no more than one would say is the work of a search, not of the measurements.
    """
    for judged in judge.ranked[:_PLAIN]:
        judge.judge(with_plain_numbers(judged, judge.problem.scale), judged.starts, iterations=10)


def rearrange(
    judge: Judge,
    dictionary: Dictionary,
    *,
    width: int = 4,
    tried: int = 60,
    rounds: int = 3,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Exchange several terms of the best few candidates at once, and climb on where that helps.

    Args:
        judge: holds the candidates to start from.
        dictionary: units allowed in each equation.
        width: how many of the best candidates are rearranged.
        tried: exchanges for one candidate that are refined.
        rounds: how often to go on from a better candidate.
        report: told what is being tried.
    """
    for _ in range(rounds):
        before = judge.best
        for best in judge.ranked[:width]:
            proposals = propose_exchanges(judge, best, _around(best, dictionary, len(judge.problem.scale)))
            triage(judge, _worth(judge, proposals, tried), best.starts, again=True)
        for judged in judge.ranked[:_RESPELT]:
            judge.judge(shared_fractions(judged), judged.starts)
        if judge.best is before or before is None:
            return
        climb(judge, dictionary, report=report)


def _worth(judge: Judge, proposals: Sequence[Proposal], most: int) -> list[tuple[Structure, np.ndarray]]:
    """The first proposals that are worth refining."""
    worth = (p for p in proposals if judge.worth_trying(p.structure, p.expected))
    return [(p.structure, p.theta) for p in itertools.islice(worth, most)]


def _around(judged: Judged, dictionary: Dictionary, n_variables: int) -> Dictionary:
    """The units allowed, those of a candidate, and others over its sums."""
    shared = over_present_sums(judged, n_variables)
    units = [sorted({*allowed, *judged.structure.units, *shared}) for allowed in dictionary.units]
    return Dictionary(units, dictionary.values)
