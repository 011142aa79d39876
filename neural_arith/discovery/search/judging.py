"""Candidates refined, compared and put into the archive."""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from neural_arith.clock import OutOfTimeError
from neural_arith.discovery.measurements.problem import telling_runs
from neural_arith.discovery.search.archive import Archive
from neural_arith.fit.refine import Refined
from neural_arith.solve.compiled.prediction import predict
from neural_arith.terms.candidate import Judged
from neural_arith.terms.structure import Structure, tidy

HOPELESS = 50.0
"""Units of 2 log likelihood behind the best at which a candidate is not worth more: its tied values, or all runs."""

NOISY = 1e-3
"""What the best candidate leaves, in shares of the states' sizes, from which on rough refinements are compared with it;
where hardly anything is left they would all look hopeless."""

Proposals = Iterable[tuple[Structure, np.ndarray]]
"""Structures with first guesses of their values."""


def judge(
    archive: Archive,
    proposals: Proposals,
    starts: np.ndarray | None = None,
    *,
    iterations: int | None = None,
    again: bool = False,
    roughly: bool = False,
    until_floor: bool = False,
) -> list[Judged]:
    """Refine what has not been seen yet, made to fit what is known; what breaks that afterwards has failed.

    While it helps, guesses go through short pieces first, which forgives those too poor for a long trajectory.

    Args:
        archive: remembers what was tried.
        proposals: structures with first guesses of their coefficients.
        starts: first guess of the starting states.
        iterations: Levenberg-Marquardt iterations; default those of the effort.
        again: refine structures that were seen before as well, keeping the better result.
        roughly: spend few integration steps, of low accuracy.
        until_floor: once one of these meets the measurements as closely as can be told, leave out what is not
            simple enough to win.

    Returns:
        The successful ones.
    """
    asked: dict[Structure, list[np.ndarray]] = defaultdict(list)
    known = archive.likelihood.known
    for structure, theta in itertools.chain.from_iterable(known.complete(*proposal) for proposal in proposals):
        neat, values = tidy(structure, theta)
        # Numbers within units can end in different optima, so a few starts of one structure are welcome.
        if (again or neat not in archive.seen) and len(asked[neat]) < (archive.effort.from_each if neat.numbers else 1):
            asked[neat].append(values)
    items = [(structure, theta) for structure, thetas in asked.items() for theta in thetas]
    results: list[Judged] = []
    iterations = archive.effort.iterations if iterations is None else iterations
    sizes = itertools.chain([8, 16], itertools.repeat(32))
    while items:
        if until_floor and any(map(archive.likelihood.meets_floor, results)):
            items = [item for item in items if archive.can_win(item[0])]
        size = next(sizes)
        part, items = items[:size], items[size:]
        if not part:
            break
        structures, thetas = [list(column) for column in zip(*part, strict=True)]
        begin = archive.likelihood.starts if starts is None else starts
        results.extend(_batch(archive, structures, thetas, begin, iterations, starts is None, roughly))
    return results


def improve(archive: Archive, judged: Sequence[Judged], iterations: int) -> None:
    """Refine candidates further, each from where it stands."""
    if judged:
        starts = np.stack([j.starts for j in judged])
        _batch(archive, [j.structure for j in judged], [j.theta for j in judged], starts, iterations)


def judge_nothing(archive: Archive) -> None:
    """Judge the baseline: no state ever changes. It is there even when time is over."""
    likelihood = archive.likelihood
    nothing = Structure(((),) * likelihood.problem.x.shape[1])
    with contextlib.suppress(OutOfTimeError):
        judge(archive, [(nothing, np.zeros(0))])
    for structure, theta in [] if likelihood.clock.in_time() else likelihood.known.complete(nothing, np.zeros(0)):
        if archive.seen.get(structure) is None and (found := likelihood.as_it_is(structure, theta)):
            archive.keep(found)


def may_go_to_pieces(archive: Archive) -> bool:
    """Whether there are shorter pieces, and not too many."""
    whole, pieces = archive.likelihood, archive.other
    return pieces.problem.n_pieces > whole.problem.n_pieces and pieces.starts.size <= archive.effort.many_starts


def chaotic(archive: Archive, proposals: Sequence[tuple[Structure, np.ndarray]]) -> bool:
    """Whether linked pieces follow the measurements far better than whole runs do, whatever the candidate.

    Along chaotic or fast series errors of the constants grow until nothing can be refined (multiple shooting: Bock,
    1983).
    """
    structures, thetas = [structure for structure, _ in proposals], [theta for _, theta in proposals]
    price = np.array([archive.likelihood.price(structure) for structure in structures])
    whole, pieces = (
        likelihood.refine(structures, thetas, likelihood.starts, 12, roughly=True).misfit + price
        for likelihood in (archive.likelihood, archive.other)
    )
    return bool(pieces.min() < whole.min() - archive.freedom)


def turned(archive: Archive, candidates: Sequence[Judged] = ()) -> Archive:
    """An archive of the other likelihood: linked pieces instead of whole runs or, if they are the way now, whole runs.

    Args:
        archive: stays as it is.
        candidates: judged first, from the starting states they have.
    """
    archive.likelihood.clock.check()
    new = Archive(archive.other, archive.likelihood, archive.effort)
    new.patience = archive.patience
    judge_nothing(new)
    if candidates:
        starts, n = new.likelihood.starts, new.likelihood.problem.n_pieces
        if n < archive.likelihood.problem.n_pieces:
            first = ~archive.likelihood.problem.linked
            starts = np.stack([j.starts[first][:n] for j in candidates])
        _batch(new, [j.structure for j in candidates], [j.theta for j in candidates], starts, 30)
    return new


def _batch(
    archive: Archive,
    structures: list[Structure],
    thetas: list[np.ndarray],
    starts: np.ndarray,
    most: int,
    unsure: bool = False,
    roughly: bool = False,
) -> list[Judged]:
    """Refine one batch and remember it; ``unsure`` guesses go through short pieces, too, while that helps."""
    likelihood = archive.likelihood
    likelihood.clock.check()
    if roughly and likelihood.problem.n_runs >= archive.effort.many_runs:
        kept = _race(archive, structures, thetas, starts, most)
        structures, thetas = [structures[c] for c in kept], [thetas[c] for c in kept]
        starts = starts if starts.ndim == 2 else starts[kept]
        if not structures:
            return []
    refined = likelihood.refine(structures, thetas, starts, most, roughly=roughly)
    if unsure and archive.patience > 0 and may_go_to_pieces(archive):
        refined = _through_pieces(archive, structures, thetas, refined, most, roughly)
    hopeless = np.inf if archive.best is None else archive.best.score + HOPELESS
    refined = likelihood.tie(structures, refined, hopeless, most, roughly)
    results: list[Judged] = []
    for c, structure in enumerate(structures):
        archive.tried(structure)
        price, theta, misfit = likelihood.price(structure), refined.thetas[c], float(refined.misfit[c])
        if not np.isfinite(misfit + price) or not likelihood.sensible(structure, theta):
            continue
        judged = Judged(structure, theta, refined.starts[c], misfit, price, refined.rss[c])
        if likelihood.fits_knowledge(judged):
            results.append(judged)
            archive.keep(judged)
    if not refined.complete:
        likelihood.clock.check()
    return results


def _race(
    archive: Archive, structures: list[Structure], thetas: list[np.ndarray], starts: np.ndarray, most: int
) -> np.ndarray:
    """Which candidates a few of many runs do not show to be hopeless beside the best; the others have failed."""
    everyone, best, likelihood = np.arange(len(structures)), archive.best, archive.likelihood
    if best is None or not best.structure.n_terms or likelihood.spread(best).max() < NOISY:
        return everyone
    few, pieces = likelihood.problem.of_runs(telling_runs(likelihood.problem, archive.effort.few_runs))
    # As it is for all runs: refitted to the few it could bend to what only they have in common.
    known = predict(best.structure, best.theta, best.starts[pieces], few, rtol=likelihood.tolerance(True)).misfit
    raced = likelihood.refine(structures, thetas, starts[..., pieces, :], most, roughly=True, problem=few)
    kept = everyone[raced.misfit <= known + HOPELESS] if raced.complete else everyone
    for structure in set(structures) - {structures[c] for c in kept}:
        archive.tried(structure)
    return kept


def _through_pieces(
    archive: Archive,
    structures: list[Structure],
    thetas: list[np.ndarray],
    plain: Refined,
    most: int,
    roughly: bool,
) -> Refined:
    """The better of plain refinements and of those that begin with short pieces."""
    whole, pieces = archive.likelihood, archive.other
    price = np.array([whole.price(structure) for structure in structures])
    guide = pieces.refine(structures, thetas, pieces.starts, 3, roughly=roughly)
    chosen = np.argsort(guide.misfit + price, kind="stable")[: max(6, len(structures) // 4)]
    structures, thetas = [structures[c] for c in chosen], [guide.thetas[c] for c in chosen]
    rough = pieces.refine(structures, thetas, guide.starts[chosen], 9, roughly=roughly)
    place = np.searchsorted(pieces.problem.start[:-1], whole.problem.start[:-1])
    begin = np.where(np.isfinite(rough.misfit)[:, None, None], rough.starts[:, place], whole.starts)
    gentle = whole.refine(structures, rough.thetas, begin, most, roughly=roughly)
    best = (plain.misfit + price).min()
    # What matters is whether it brings candidates to the front that were not there.
    better = gentle.misfit < plain.misfit[chosen]
    helped = (gentle.misfit < plain.misfit[chosen] - 3.0) & (gentle.misfit + price[chosen] < best + 30.0)
    archive.patience = archive.effort.patience if helped.any() else archive.patience - len(plain.thetas)
    for c, k in zip(chosen[better], np.flatnonzero(better), strict=True):
        plain.thetas[c] = gentle.thetas[k]
        plain.starts[c], plain.misfit[c], plain.rss[c] = gentle.starts[k], gentle.misfit[k], gentle.rss[k]
    return replace(plain, complete=all(part.complete for part in (plain, guide, rough, gentle)))
