"""The search among systems of equations: every step judged by the trajectory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from neural_arith.discovery.proposals.neighbours import Proposal, propose, propose_exchanges, with_plain_numbers
from neural_arith.discovery.proposals.pairings import with_equation
from neural_arith.discovery.proposals.shortlists import Pick
from neural_arith.discovery.proposals.sums import other_fractions, other_sums, over_present_sums, shared_fractions
from neural_arith.discovery.search.archive import Archive
from neural_arith.discovery.search.judging import improve, judge
from neural_arith.fit.evidence import STRONG
from neural_arith.terms.candidate import Judged
from neural_arith.terms.dictionary import Dictionary
from neural_arith.terms.structure import Structure


def triage(
    archive: Archive,
    proposals: Sequence[tuple[Structure, np.ndarray]],
    starts: np.ndarray | None = None,
    *,
    again: bool = False,
    until_floor: bool = False,
) -> None:
    """Refine many candidates a little and the best of them thoroughly.

    Args:
        archive: remembers the candidates.
        proposals: structures with first guesses.
        starts: first guess of the starting states; default the smoothed ones.
        again: see :func:`neural_arith.discovery.search.judging.judge`.
        until_floor: see :func:`neural_arith.discovery.search.judging.judge`.
    """
    rough = judge(
        archive, proposals, starts, iterations=archive.effort.rough, again=again, roughly=True, until_floor=until_floor
    )
    improve(archive, sorted(rough, key=lambda j: j.score)[: archive.effort.refined], archive.effort.fine)
    archive.raise_floor()


def one_by_one(
    archive: Archive,
    lists: Sequence[Sequence[Pick]],
    *,
    tried: int | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Exchange one equation of the best candidate after the other for entries of its shortlist, while that helps."""
    for _ in range(2 if archive.ranked else 0):  # what is known may have left none
        current = archive.ranked[0].structure
        for i, picks in enumerate(lists):
            best = archive.ranked[0]
            report(f"{len(archive.seen)} candidates, best score {best.score:.1f}")
            proposals = [with_equation(best, i, pick) for pick in picks[: tried or archive.effort.one_by_one]]
            triage(archive, [p for p in proposals if archive.can_win(p[0])], best.starts, until_floor=True)
        if archive.ranked[0].structure == current:
            break


def climb(
    archive: Archive,
    dictionary: Dictionary,
    *,
    report: Callable[[str], None] = lambda _: None,
) -> list[Judged]:
    """Walk to better candidates: neighbours of the best few, until none of them leads on.

    Args:
        archive: remembers the candidates.
        dictionary: units allowed in each equation.
        report: told what is being tried.

    Returns:
        All candidates, best first.
    """
    expanded: set[Structure] = set()
    effort = archive.effort
    n_variables = len(archive.likelihood.problem.scale)
    for _ in range(effort.climb_rounds * effort.climb_width):
        front = [j for j in archive.ranked[: effort.climb_width] if j.structure not in expanded]
        # Where the measurements are met as closely as can be told, only something simpler than the best can still win.
        if not front or (archive.slack < STRONG and front[0] is not archive.ranked[0]):
            break
        best = front[0]
        expanded.add(best.structure)
        report(f"{len(archive.seen)} candidates, best score {archive.ranked[0].score:.1f}")
        proposals = propose(archive.likelihood, best, _around(best, dictionary, n_variables), effort)
        most = effort.at_floor_tried if archive.slack < STRONG else effort.climb_tried
        chosen = [*_worth(archive, proposals, most), *other_sums(best, n_variables), *other_fractions(best)]
        triage(archive, chosen, best.starts, again=True)
    return archive.ranked


def plain_numbers(archive: Archive) -> None:
    """Try plain values for the fitted numbers within the best candidates, where the search came to its end too early.

    An exponent of 0.994 that explains no more than one would say is the work of a search, not of the measurements.
    """
    for judged in archive.ranked[: archive.effort.plain_numbers]:
        judge(archive, with_plain_numbers(judged, archive.likelihood.problem.scale), judged.starts, iterations=10)


def rearrange(
    archive: Archive,
    dictionary: Dictionary,
    *,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Exchange several terms of the best few candidates at once, and climb on where that helps.

    Args:
        archive: remembers the candidates.
        dictionary: units allowed in each equation.
        report: told what is being tried.
    """
    effort = archive.effort
    for _ in range(effort.exchange_rounds):
        before = archive.best
        for best in archive.ranked[: effort.rearranged]:
            proposals = propose_exchanges(
                archive.likelihood, best, _around(best, dictionary, len(archive.likelihood.problem.scale)), effort
            )
            triage(archive, _worth(archive, proposals, effort.exchanges_tried), best.starts, again=True)
        for judged in archive.ranked[: effort.respelt]:
            judge(archive, shared_fractions(judged), judged.starts)
        if archive.best is before or before is None:
            return
        climb(archive, dictionary, report=report)


def _worth(archive: Archive, proposals: Sequence[Proposal], most: int) -> list[tuple[Structure, np.ndarray]]:
    """The first proposals that are worth refining."""
    worth = (p for p in proposals if archive.worth_trying(p.structure, p.expected))
    return [(p.structure, p.theta) for p in itertools.islice(worth, most)]


def _around(judged: Judged, dictionary: Dictionary, n_variables: int) -> Dictionary:
    """The units allowed, those of a candidate, and others over its sums."""
    shared = over_present_sums(judged, n_variables)
    units = [sorted({*allowed, *judged.structure.units, *shared}) for allowed in dictionary.units]
    return Dictionary(units, dictionary.values)
