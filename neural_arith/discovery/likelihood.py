"""How well a candidate explains the raw measurements, and what it costs to say it: one immutable value, no memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from neural_arith.clock import Clock
from neural_arith.discovery.measurements.constraints import Constraints
from neural_arith.discovery.measurements.scaling import can_be_written
from neural_arith.fit.refine import Refined, refine, refine_tied
from neural_arith.parallel import Checkpoint
from neural_arith.solve.compiled.prediction import Prediction, Problem, predict
from neural_arith.terms.candidate import Judged
from neural_arith.terms.prior import Prices, Prior
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import Number

ROUGH = 1e-5
"""Largest relative tolerance of the integrator where candidates are only compared roughly."""

ROUNDING = 1e-6
"""Share of a state's size below zero that is not told from zero."""

STEEPEST = 10.0
"""Largest fitted power; one that runs away imitates something else."""

BARELY = 1e-3
"""Start, in shares of a state's size, of what is never negative but was left there by an earlier refinement."""


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of the measurements, of whole runs or of linked pieces, with the prices of candidates.

    Attributes:
        problem: the measurements as candidates are compared with them.
        starts: first guess of the starting states, ``(pieces, states)``.
        rtol: tolerance of the integrator.
        n_jobs: as in joblib, threads by default.
        positive: which variables never change sign; only their powers may be fitted. Default all.
        undershoot: how far below zero noise may carry what is known to be positive, ``(states,)``.
        prior: what naming a term costs.
        known: which structures and values may be.
        clock: asked often; what it raises stops the search.
        checkpoint: keeps refined candidates on disk.
    """

    problem: Problem
    starts: np.ndarray
    rtol: float
    n_jobs: int | None = 1
    positive: np.ndarray | None = None
    undershoot: np.ndarray | float = 0.0
    prior: Prior = field(default_factory=Prior)
    known: Constraints = field(default_factory=Constraints)
    clock: Clock = field(default_factory=Clock)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)

    # ---------------------------------------------------------------------------------------------------- prices
    @property
    def prices(self) -> Prices:
        """What naming costs, and one fitted number: log of the number of samples of a state (BIC)."""
        return Prices(self.prior, float(np.log(max(2.0, self.problem.counts.max()))))

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
        given = tied * self.prices.per_number + self.known.discount(self.prior.unit)
        return (self.prices.structure(structure) - given) * n / max(left, 1)

    def with_start_prices(self, ranked: Sequence[Judged], within: float, most: int) -> list[Judged]:
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

    # ------------------------------------------------------------------------------------------ what fits how well
    @property
    def lowest(self) -> float:
        """The misfit of a candidate that leaves nothing."""
        return float((self.problem.counts * 2 * np.log(self.problem.floor)).sum())

    def spread(self, judged: Judged) -> np.ndarray:
        """Root mean square of what a candidate leaves of each state, weighted, ``(states,)``."""
        return np.sqrt(judged.rss / np.maximum(self.problem.counts, 1))

    def meets_floor(self, judged: Judged) -> bool:
        """Whether a candidate meets the measurements to within what the likelihood distinguishes."""
        return bool(np.all(self.spread(judged) < 2 * self.problem.floor))

    def with_floor_of(self, judged: Judged) -> Likelihood:
        """Where the solver itself is less certain than the floor, as in chaos, differences below that do not count.

        Args:
            judged: the candidate along which the solver is asked.
        """
        if not np.all(judged.rss < 1e-8 * len(self.problem.t)):
            return self
        fine, coarse = (self.predict(judged, rtol=self.rtol * much).x for much in (1.0, 100.0))
        if not np.isfinite(fine).all() or not np.isfinite(coarse).all():
            return self
        apart = 0.1 * np.sqrt(((fine - coarse) ** 2).mean(0))
        if np.all(apart <= 1.5 * self.problem.floor):
            return self
        return replace(self, problem=replace(self.problem, floor=np.clip(apart, self.problem.floor, 1e-4)))

    # ------------------------------------------------------------------------------------------------- along a run
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
            rtol: tolerance of the integrator; default that of the likelihood.
        """
        if structure is None or theta is None:
            structure, theta = judged.structure, judged.theta
        return predict(
            structure, theta, judged.starts, self.problem, columns=columns, rtol=rtol or self.rtol, halt=self.clock.halt
        )

    def solution(self, judged: Judged) -> np.ndarray:
        """States of a candidate at the samples, ``(samples, states)``; they are there even when time is over."""
        return self._followed(judged, self.problem)

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

    def _followed(self, judged: Judged, problem: Problem) -> np.ndarray:
        """States of a candidate at the samples of a problem; once time is over without the sensitivities."""
        known = (judged.structure, judged.theta, judged.starts, problem)
        if self.clock.in_time():
            found = predict(*known, rtol=self.rtol, halt=self.clock.halt).x
            if self.clock.in_time():
                return found
        return predict(*known, rtol=self.rtol, slopes=False).x

    # -------------------------------------------------------------------------------------------------- refinement
    def refine(
        self,
        structures: Sequence[Structure],
        thetas: Sequence[np.ndarray],
        starts: np.ndarray,
        iterations: int,
        *,
        roughly: bool = False,
        problem: Problem | None = None,
    ) -> Refined:
        """Refit the values of candidates and their starting states.

        Args:
            structures: the candidates.
            thetas: for each one its values.
            starts: starting states, ``(pieces, states)`` for all or ``(candidates, pieces, states)``.
            iterations: most Levenberg-Marquardt iterations for one candidate.
            roughly: spend few integration steps, of low accuracy.
            problem: some of the runs only; default all.
        """
        problem = problem or self.problem
        if self.positive is not None:  # noise can carry a start where roots have no slope that leads back
            starts = np.where(self.positive[: starts.shape[-1]] & (starts <= 0), BARELY, starts)
        return refine(
            structures,
            thetas,
            starts,
            problem,
            iterations=iterations,
            rtol=self.tolerance(roughly),
            max_steps=problem.step_limit(10 if roughly else 40),
            n_jobs=self.n_jobs,
            checkpoint=self.checkpoint,
            in_time=self.clock.in_time,
            halt=self.clock.halt,
        )

    def tolerance(self, roughly: bool) -> float:
        """Relative tolerance of the integrator."""
        return min(max(100 * self.rtol, 1e-8), ROUGH) if roughly else self.rtol

    def tie(
        self, structures: Sequence[Structure], refined: Refined, hopeless: float, iterations: int, roughly: bool
    ) -> Refined:
        """Values that known sums tie refitted; candidates whose score is hopeless even with free values fail."""
        if not self.known.conserved:
            return refined
        thetas, starts = list(refined.thetas), refined.starts.copy()
        misfit, rss, complete = np.full(len(structures), np.inf), refined.rss.copy(), refined.complete
        for c, structure in enumerate(structures):
            basis, free = self.known.basis(structure), refined.misfit[c]
            if basis is None or not np.isfinite(free) or not np.isfinite(thetas[c]).all():
                continue
            if free + self.price(structure) > hopeless:
                continue
            if not self.clock.in_time():
                complete = False
                break
            thetas[c], starts[c], found = refine_tied(
                structure, thetas[c], starts[c], self.problem, basis, iterations=iterations,
                rtol=self.tolerance(roughly), halt=self.clock.halt,
            )  # fmt: skip
            misfit[c], rss[c] = found.misfit, found.rss
        return Refined(thetas, starts, misfit, rss, refined.iterations, complete)

    # --------------------------------------------------------------------------------------------------- knowledge
    def may_free(self, number: Number) -> bool:
        """Whether a number that is fixed now may become fitted."""
        return number.kind != "power" or self.positive is None or bool(self.positive[number.index])

    def sensible(self, structure: Structure, theta: np.ndarray) -> bool:
        """Whether all values are finite, no power has run away, and the constants can be written in original units."""
        powers = [k for k, number in enumerate(structure.numbers, structure.n_terms) if number.kind == "power"]
        tame = bool(np.isfinite(theta).all() and (np.abs(theta[powers]) <= STEEPEST).all())
        return tame and can_be_written(structure, theta, self.problem.scale)

    def fits_knowledge(self, judged: Judged) -> bool:
        """Whether signs are right, and what is positive stays so at the samples but for noise and rounding."""
        if not self.known.allows_values(judged.structure, judged.theta):
            return False
        positive = self.known.positive[: self.starts.shape[1]]
        if not positive.any():
            return True
        return bool((self.predict(judged).x > -np.where(positive, ROUNDING + self.undershoot, np.inf)).all())

    def as_it_is(self, structure: Structure, theta: np.ndarray) -> Judged | None:
        """A candidate that is not refined, integrated from the first guess of the starting states; None if it fails."""
        found = predict(structure, theta, self.starts, self.problem, rtol=self.rtol, slopes=False)
        judged = Judged(structure, theta, self.starts.copy(), found.misfit, self.price(structure), found.rss)
        good = self.sensible(structure, theta) and self.known.allows_values(structure, theta)
        return judged if good and np.isfinite(judged.score) else None
