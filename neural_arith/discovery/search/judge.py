"""Candidates judged by the likelihood of the raw measurements along their own trajectories."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from neural_arith.clock import Clock, OutOfTimeError
from neural_arith.discovery.measurements.constraints import Constraints
from neural_arith.discovery.measurements.problem import telling_runs
from neural_arith.discovery.measurements.scaling import can_be_written
from neural_arith.fit.refine import Refined, refine
from neural_arith.fit.tied import refine_tied
from neural_arith.parallel import Checkpoint
from neural_arith.solve.compiled.batch import Prediction, Problem, predict
from neural_arith.solve.compiled.kernel import profile_misfit
from neural_arith.terms.candidate import Judged
from neural_arith.terms.prices import structure_price, unit_price
from neural_arith.terms.structure import Structure, tidy
from neural_arith.terms.units import Number

HOPELESS = 50.0
"""Units of 2 log likelihood behind the best at which a candidate is not worth more: its tied values, or all runs."""

MANY_RUNS, FEW_RUNS = 8, 4
"""From how many runs on candidates have to show on a few of them that they are worth refining on all."""

NOISY = 1e-3
"""What the best candidate leaves, in shares of the states' sizes, from which on rough refinements are compared with it;
where hardly anything is left they would all look hopeless."""

ROUGH = 1e-5
"""Largest relative tolerance of the integrator where candidates are only compared roughly."""

ROUNDING = 1e-6
"""Share of a state's size below zero that is not told from zero."""

STEEPEST = 10.0
"""Largest fitted power; one that runs away imitates something else."""

BARELY = 1e-3
"""Start, in shares of a state's size, of what is never negative but was left there by an earlier refinement."""

MANY_STARTS = 3000
"""Starting states of short pieces, of all states together, from which on pieces are too dear to refine."""

PATIENCE = 24
"""Candidates that are refined through short pieces in vain before plain refinement is trusted alone."""


@dataclass
class Judge:
    """Refines candidates and remembers what it has seen.

    Attributes:
        problem: the measurements as candidates are judged by them: whole runs or, after :meth:`turn`, linked pieces.
        starts: first guess of the starting states, ``(pieces, states)``.
        pieces: the same measurements in the other form.
        piece_starts: first guess of the starting states there.
        rtol: tolerance of the integrator.
        n_jobs: as in joblib, threads by default.
        positive: which variables never change sign; only their powers may be fitted. Default all.
        undershoot: how far below zero noise may carry what is known to be positive, ``(states,)``.
        clock: asked often; what it raises stops the search. Candidates refined until then are kept.
        checkpoint: keeps refined candidates on disk.
        known: which structures and values may be.
        seen: every structure asked for, with its best result or None when it always failed.
        attempts: how often each structure was refined.
        best: the best candidate so far.
        patience: how many more candidates are refined through short pieces in vain before that is given up.
    """

    problem: Problem
    starts: np.ndarray
    pieces: Problem
    piece_starts: np.ndarray
    rtol: float
    n_jobs: int | None = 1
    positive: np.ndarray | None = None
    undershoot: np.ndarray | float = 0.0
    clock: Clock = field(default_factory=Clock)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    known: Constraints = field(default_factory=Constraints)
    seen: dict[Structure, Judged | None] = field(default_factory=dict)
    attempts: Counter[Structure] = field(default_factory=Counter)
    best: Judged | None = None
    patience: int = PATIENCE

    @property
    def per_number(self) -> float:
        """What one fitted number costs: log of the number of samples of a state (BIC)."""
        return float(np.log(max(2.0, self.problem.counts.max())))

    def price(self, structure: Structure) -> float:
        """Description length, larger when few values are left for many numbers.

        With an unknown noise level a useless number lowers n log(rss) by n / (n - k - 1) on average, not by one, and so
        does a useless choice; the price grows along. Naming what is required costs nothing.
        """
        n = int(self.problem.counts.sum())
        tied = self.known.n_tied(structure)
        left = n - structure.n_fitted + tied - self.problem.n_runs * self.problem.x.shape[1] - 1
        if left < 1 and structure.n_terms:
            return np.inf  # as many numbers as values: anything fits
        given = tied * self.per_number + self.known.discount(unit_price)
        return (structure_price(structure, self.per_number) - given) * n / max(left, 1)

    def price_starts(self, ranked: Sequence[Judged], within: float, most: int) -> list[Judged]:
        """The best candidates with the price of their starting states, best score first.

        The likelihood is integrated over starting states, a priori as wide as the states are large (Laplace): equations
        along which the smallest error grows meet the measurements from hardly any start.

        Args:
            ranked: candidates, best score first.
            within: units of 2 log likelihood behind the first that are still looked at.
            most: how many are looked at.
        """
        found = []
        for judged in itertools.takewhile(lambda j: j.score <= ranked[0].score + within, ranked[:most]):
            if found and not self.clock.in_time():
                break
            normal = self.predict(judged).normal[len(judged.theta) :, len(judged.theta) :]
            if np.isfinite(normal).all():
                found.append(replace(judged, start_price=float(np.linalg.slogdet(np.eye(len(normal)) + normal)[1])))
        return sorted(found, key=lambda j: j.score) or list(ranked)

    def may_free(self, number: Number) -> bool:
        """Whether a number that is fixed now may become fitted."""
        return number.kind != "power" or self.positive is None or bool(self.positive[number.index])

    def worth_trying(self, structure: Structure, expected: float) -> bool:
        """Whether a structure is new, or was left in a poor local optimum and is expected to score clearly better."""
        return any(self._worth_trying(variant, expected) for variant in self.known.variants(structure))

    def _worth_trying(self, structure: Structure, expected: float) -> bool:
        if structure not in self.seen:
            return True
        known = self.seen[structure]
        return self.attempts[structure] < 4 and (known is None or expected < known.score - 3)

    @property
    def ranked(self) -> list[Judged]:
        """All successful candidates, best score first."""
        return sorted((j for j in self.seen.values() if j is not None), key=lambda j: j.score)

    def spread(self, judged: Judged) -> np.ndarray:
        """Root mean square of what a candidate leaves of each state, weighted, ``(states,)``."""
        return np.sqrt(judged.rss / np.maximum(self.problem.counts, 1))

    def meets_floor(self, judged: Judged) -> bool:
        """Whether a candidate meets the measurements to within what the likelihood distinguishes."""
        return bool(np.all(self.spread(judged) < 2 * self.problem.floor))

    @property
    def at_floor(self) -> bool:
        """Whether the best candidate meets the measurements to within what the likelihood distinguishes."""
        return self.best is not None and self.meets_floor(self.best)

    def chaotic(self, proposals: Sequence[tuple[Structure, np.ndarray]]) -> bool:
        """Whether linked pieces follow the measurements far better than whole runs do, whatever the candidate.

        Along chaotic or fast series errors of the constants grow until nothing can be refined (multiple shooting: Bock,
        1983).
        """
        structures, thetas = [structure for structure, _ in proposals], [theta for _, theta in proposals]
        price = np.array([self.price(structure) for structure in structures])
        both = [
            self._refine(structures, thetas, starts, problem, 12, True).misfit + price
            for starts, problem in ((self.starts, self.problem), (self.piece_starts, self.pieces))
        ]
        return bool(both[1].min() < both[0].min() - self.freedom)

    @property
    def freedom(self) -> float:
        """Units of 2 log likelihood by which linked pieces may beat whole runs through their free starts alone."""
        return 5.0 * max(self.starts.size, self.piece_starts.size) + 30.0

    def judge_nothing(self) -> None:
        """Judge the baseline: no state ever changes. It is there even when time is over."""
        nothing = Structure(((),) * self.problem.x.shape[1])
        with contextlib.suppress(OutOfTimeError):
            self.judge([(nothing, np.zeros(0))])
        for structure, theta in [] if self.clock.in_time() else self.known.complete(nothing, np.zeros(0)):
            if self.seen.get(structure) is None:
                self.take_as_it_is(structure, theta)

    def take_as_it_is(self, structure: Structure, theta: np.ndarray) -> None:
        """Judge a candidate that is not refined: one integration from the first guess of the starting states."""
        found = predict(structure, theta, self.starts, self.problem, rtol=self.rtol, slopes=False)
        price = self.price(structure)
        judged = Judged(structure, theta, self.starts.copy(), found.misfit, price, found.rss)
        good = self._sensible(structure, theta) and self.known.allows_values(structure, theta)
        if not good or not np.isfinite(judged.score):
            return
        self.seen[structure] = judged
        if self.best is None or judged.score < self.best.score:
            self.best = judged

    def solution(self, judged: Judged) -> np.ndarray:
        """States of a candidate at the samples, ``(samples, states)``; they are there even when time is over."""
        return self._followed(judged, self.problem)

    def _followed(self, judged: Judged, problem: Problem) -> np.ndarray:
        """States of a candidate at the samples of a problem; once time is over without the sensitivities."""
        known = (judged.structure, judged.theta, judged.starts, problem)
        if self.clock.in_time():
            found = predict(*known, rtol=self.rtol, halt=self.clock.halt).x
            if self.clock.in_time():
                return found
        return predict(*known, rtol=self.rtol, slopes=False).x

    def turn(self, candidates: Sequence[Judged]) -> None:
        """Judge by linked pieces from now on or, if that is the way already, by whole runs; all else is forgotten.

        Args:
            candidates: judged first, from the starting states they have.
        """
        self.clock.check()
        first = ~self.problem.linked
        self.problem, self.pieces = self.pieces, self.problem
        self.starts, self.piece_starts = self.piece_starts, self.starts
        self.seen, self.attempts, self.best = {}, Counter(), None
        self.judge_nothing()
        if not candidates:
            return
        starts = self.starts
        if self.problem.n_pieces < self.pieces.n_pieces:
            starts = np.stack([j.starts[first][: self.problem.n_pieces] for j in candidates])
        self._judge([j.structure for j in candidates], [j.theta for j in candidates], starts, 30)

    @property
    def may_go_to_pieces(self) -> bool:
        """Whether there are shorter pieces, and not too many."""
        return self.pieces.n_pieces > self.problem.n_pieces and self.piece_starts.size <= MANY_STARTS

    @property
    def in_pieces(self) -> bool:
        """Whether candidates are judged by linked pieces."""
        return self.problem.n_pieces > self.pieces.n_pieces

    def raise_floor(self) -> None:
        """Where the solver itself is less certain than the floor, as in chaos, differences below that do not count."""
        if self.best is None or not np.all(self.best.rss < 1e-8 * len(self.problem.t)):
            return
        fine, coarse = (self.predict(self.best, rtol=self.rtol * much).x for much in (1.0, 100.0))
        if not np.isfinite(fine).all() or not np.isfinite(coarse).all():
            return
        apart = 0.1 * np.sqrt(((fine - coarse) ** 2).mean(0))
        if np.all(apart <= 1.5 * self.problem.floor):
            return
        old, new = self.problem.floor, np.clip(apart, self.problem.floor, 1e-4)
        self.problem, counts = replace(self.problem, floor=new), self.problem.counts
        for structure, judged in self.seen.items():
            if judged is not None:  # the gaps between pieces, in the misfit too, stay what they are
                more = profile_misfit(judged.rss, 0.0, counts, new) - profile_misfit(judged.rss, 0.0, counts, old)
                self.seen[structure] = replace(judged, misfit=judged.misfit + more)
        self.best = self.ranked[0]

    @property
    def slack(self) -> float:
        """How much a candidate could gain over the best one at most, in units of 2 log likelihood."""
        return np.inf if self.best is None else self.best.misfit - self._lowest

    @property
    def _lowest(self) -> float:
        """The misfit of a candidate that leaves nothing."""
        return float((self.problem.counts * 2 * np.log(self.problem.floor)).sum())

    def can_win(self, structure: Structure) -> bool:
        """Whether a structure would score best if it left nothing of the measurements."""
        return self.best is None or self.price(structure) + self._lowest < self.best.score

    def judge(
        self,
        proposals: Iterable[tuple[Structure, np.ndarray]],
        starts: np.ndarray | None = None,
        *,
        iterations: int = 25,
        again: bool = False,
        roughly: bool = False,
        until_floor: bool = False,
    ) -> list[Judged]:
        """Refine what has not been seen yet, made to fit what is known; what breaks that afterwards has failed.

        While it helps, guesses go through short pieces first, which forgives those too poor for a long trajectory.

        Args:
            proposals: structures with first guesses of their coefficients.
            starts: first guess of the starting states.
            iterations: Levenberg-Marquardt iterations.
            again: refine structures that were seen before as well, keeping the better result.
            roughly: spend few integration steps, of low accuracy.
            until_floor: once one of these meets the measurements as closely as can be told, leave out what is not
                simple enough to win.

        Returns:
            The successful ones.
        """
        asked: dict[Structure, list[np.ndarray]] = defaultdict(list)
        fitting = itertools.chain.from_iterable(self.known.complete(*proposal) for proposal in proposals)
        for structure, theta in fitting:
            neat, values = tidy(structure, theta)
            # Numbers within units can end in different optima, so a few starts of one structure are welcome.
            if (again or neat not in self.seen) and len(asked[neat]) < (3 if neat.numbers else 1):
                asked[neat].append(values)
        items = [(structure, theta) for structure, thetas in asked.items() for theta in thetas]
        results: list[Judged] = []
        sizes = itertools.chain([8, 16], itertools.repeat(32))
        while items:
            if until_floor and any(map(self.meets_floor, results)):
                items = [item for item in items if self.can_win(item[0])]
            size = next(sizes)
            part, items = items[:size], items[size:]
            if not part:
                break
            structures, thetas = [list(column) for column in zip(*part, strict=True)]
            begin = self.starts if starts is None else starts
            results.extend(self._judge(structures, thetas, begin, iterations, unsure=starts is None, roughly=roughly))
        return results

    def improve(self, judged: Sequence[Judged], iterations: int) -> None:
        """Refine candidates further, each from where it stands."""
        if judged:
            starts = np.stack([j.starts for j in judged])
            self._judge([j.structure for j in judged], [j.theta for j in judged], starts, iterations)

    def _judge(
        self,
        structures: list[Structure],
        thetas: list[np.ndarray],
        starts: np.ndarray,
        most: int,
        *,
        unsure: bool = False,
        roughly: bool = False,
    ) -> list[Judged]:
        """Refine one batch and remember it; ``unsure`` guesses go through short pieces, too, while that helps."""
        self.clock.check()
        if roughly and self.problem.n_runs >= MANY_RUNS:
            kept = self._race(structures, thetas, starts, most)
            structures, thetas = [structures[c] for c in kept], [thetas[c] for c in kept]
            starts = starts if starts.ndim == 2 else starts[kept]
            if not structures:
                return []
        refined = self._refine(structures, thetas, starts, self.problem, most, roughly)
        if unsure and self.patience > 0 and self.may_go_to_pieces:
            refined = self._through_pieces(structures, thetas, refined, most, roughly)
        refined = self._tie(structures, refined, most, roughly)
        results: list[Judged] = []
        for c, structure in enumerate(structures):
            self.attempts[structure] += 1
            self.seen.setdefault(structure, None)
            price = self.price(structure)
            if not np.isfinite(refined.misfit[c] + price) or not self._sensible(structure, refined.thetas[c]):
                continue
            judged = Judged(
                structure, refined.thetas[c], refined.starts[c], float(refined.misfit[c]), price, refined.rss[c]
            )
            if not self._fits_knowledge(judged):
                continue
            results.append(judged)
            if self.best is None or judged.score < self.best.score:
                self.best = judged
            old = self.seen[structure]
            if old is None or judged.misfit < old.misfit:
                self.seen[structure] = judged
        if not refined.complete:
            self.clock.check()
        return results

    def _sensible(self, structure: Structure, theta: np.ndarray) -> bool:
        """Whether all values are finite, no power has run away, and the constants can be written in original units."""
        powers = [k for k, number in enumerate(structure.numbers, structure.n_terms) if number.kind == "power"]
        tame = bool(np.isfinite(theta).all() and (np.abs(theta[powers]) <= STEEPEST).all())
        return tame and can_be_written(structure, theta, self.problem.scale)

    def _race(self, structures: list[Structure], thetas: list[np.ndarray], starts: np.ndarray, most: int) -> np.ndarray:
        """Which candidates a few of many runs do not show to be hopeless beside the best; the others have failed."""
        everyone, best = np.arange(len(structures)), self.best
        if best is None or not best.structure.n_terms or self.spread(best).max() < NOISY:
            return everyone
        few, pieces = self.problem.of_runs(telling_runs(self.problem, FEW_RUNS))
        # As it is for all runs: refitted to the few it could bend to what only they have in common.
        known = predict(best.structure, best.theta, best.starts[pieces], few, rtol=self._rtol(True)).misfit
        raced = self._refine(structures, thetas, starts[..., pieces, :], few, most, True)
        kept = everyone[raced.misfit <= known + HOPELESS] if raced.complete else everyone
        lost = set(structures) - {structures[c] for c in kept}
        self.seen.update((structure, None) for structure in lost if structure not in self.seen)
        self.attempts.update(lost)
        return kept

    def _through_pieces(
        self, structures: list[Structure], thetas: list[np.ndarray], plain: Refined, most: int, roughly: bool
    ) -> Refined:
        """The better of plain refinements and of those that begin with short pieces."""
        price = np.array([self.price(structure) for structure in structures])
        guide = self._refine(structures, thetas, self.piece_starts, self.pieces, 3, roughly)
        chosen = np.argsort(guide.misfit + price, kind="stable")[: max(6, len(structures) // 4)]
        structures, thetas = [structures[c] for c in chosen], [guide.thetas[c] for c in chosen]
        rough = self._refine(structures, thetas, guide.starts[chosen], self.pieces, 9, roughly)
        place = np.searchsorted(self.pieces.start[:-1], self.problem.start[:-1])
        begin = np.where(np.isfinite(rough.misfit)[:, None, None], rough.starts[:, place], self.starts)
        gentle = self._refine(structures, rough.thetas, begin, self.problem, most, roughly)
        best = (plain.misfit + price).min()
        # What matters is whether it brings candidates to the front that were not there.
        better = gentle.misfit < plain.misfit[chosen]
        helped = (gentle.misfit < plain.misfit[chosen] - 3.0) & (gentle.misfit + price[chosen] < best + 30.0)
        self.patience = PATIENCE if helped.any() else self.patience - len(plain.thetas)
        for c, k in zip(chosen[better], np.flatnonzero(better), strict=True):
            plain.thetas[c] = gentle.thetas[k]
            plain.starts[c], plain.misfit[c], plain.rss[c] = gentle.starts[k], gentle.misfit[k], gentle.rss[k]
        return replace(plain, complete=all(part.complete for part in (plain, guide, rough, gentle)))

    def _refine(
        self,
        structures: list[Structure],
        thetas: list[np.ndarray],
        starts: np.ndarray,
        problem: Problem,
        most: int,
        roughly: bool,
    ) -> Refined:
        if self.positive is not None:  # noise can carry a start where roots have no slope that leads back
            starts = np.where(self.positive[: starts.shape[-1]] & (starts <= 0), BARELY, starts)
        return refine(
            structures,
            thetas,
            starts,
            problem,
            iterations=most,
            rtol=self._rtol(roughly),
            max_steps=problem.step_limit(10 if roughly else 40),
            n_jobs=self.n_jobs,
            checkpoint=self.checkpoint,
            in_time=self.clock.in_time,
            halt=self.clock.halt,
        )

    def _rtol(self, roughly: bool) -> float:
        return min(max(100 * self.rtol, 1e-8), ROUGH) if roughly else self.rtol

    def _tie(self, structures: list[Structure], refined: Refined, most: int, roughly: bool) -> Refined:
        """Values that known sums tie refitted; candidates hopeless even with free values fail."""
        if not self.known.conserved:
            return refined
        thetas, starts = list(refined.thetas), refined.starts.copy()
        misfit, rss, complete = np.full(len(structures), np.inf), refined.rss.copy(), refined.complete
        for c, structure in enumerate(structures):
            basis, free = self.known.basis(structure), refined.misfit[c]
            if basis is None or not np.isfinite(free) or not np.isfinite(thetas[c]).all():
                continue
            if self.best is not None and free + self.price(structure) > self.best.score + HOPELESS:
                continue
            if not self.clock.in_time():
                complete = False
                break
            thetas[c], starts[c], found = refine_tied(
                structure, thetas[c], starts[c], self.problem, basis, iterations=most, rtol=self._rtol(roughly),
                halt=self.clock.halt,
            )  # fmt: skip
            misfit[c], rss[c] = found.misfit, found.rss
        return Refined(thetas, starts, misfit, rss, refined.iterations, complete)

    def _fits_knowledge(self, judged: Judged) -> bool:
        """Whether signs are right, and what is positive stays so at the samples but for noise and rounding."""
        if not self.known.allows_values(judged.structure, judged.theta):
            return False
        positive = self.known.positive[: self.starts.shape[1]]
        if not positive.any():
            return True
        return bool((self.predict(judged).x > -np.where(positive, ROUNDING + self.undershoot, np.inf)).all())

    def predict(
        self,
        judged: Judged,
        structure: Structure | None = None,
        theta: np.ndarray | None = None,
        columns: Sequence[Number] | None = None,
        rtol: float | None = None,
    ) -> Prediction:
        """Trajectory and certainty of a candidate, or of a wider structure around it.

        Args:
            judged: the candidate.
            structure: a wider structure to measure sensitivities in, with its values ``theta`` (zeros for new terms).
            theta: see ``structure``.
            columns: numbers within units to differentiate by; default all fitted ones.
            rtol: tolerance of the integrator; default the judge's.
        """
        if structure is None or theta is None:
            structure, theta = judged.structure, judged.theta
        return predict(
            structure, theta, judged.starts, self.problem, columns=columns, rtol=rtol or self.rtol, halt=self.clock.halt
        )

    def along(self, judged: Judged, parts: int) -> tuple[np.ndarray, np.ndarray]:
        """Times and states of a candidate, each interval between samples in so many parts, all runs in a row.

        The states are not finite where it cannot be followed.
        """
        old = self.problem
        runs = np.flatnonzero(~old.linked)
        ends = np.append(old.start[runs], len(old.t))
        spread = [np.interp(np.arange((b - a - 1) * parts + 1) / parts, np.arange(b - a), old.t[a:b])
                  for a, b in itertools.pairwise(ends)]  # fmt: skip
        run_of = np.searchsorted(runs, np.arange(old.n_pieces), side="right") - 1
        offset = np.append(0, np.cumsum([len(t) for t in spread]))
        start = offset[run_of] + (old.start[:-1] - ends[run_of]) * parts
        t, none = np.concatenate(spread), np.ones((int(offset[-1]), old.x.shape[1]))
        inputs = np.concatenate(
            [
                np.array([np.interp(s, old.t[a:b], u) for u in old.inputs[a:b].T]).reshape(-1, len(s)).T
                for (a, b), s in zip(itertools.pairwise(ends), spread, strict=True)
            ]
        )
        dense = replace(old, t=t, x=none, weight=none, inputs=inputs, start=np.append(start, len(t)))
        return t, self._followed(judged, dense)
