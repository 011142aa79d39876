"""Candidates judged by the likelihood of the raw measurements along their own trajectories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from neural_arith.data import Run
from neural_arith.discovery.dictionary import structure_price
from neural_arith.discovery.noise import Noise
from neural_arith.discovery.smoothing import Curve
from neural_arith.integrate.batch import Prediction, Problem, Refined, predict, refine
from neural_arith.integrate.structure import Structure, free_exponents, with_exponents

FLOOR = 1e-5
"""Misfits below this share of a state's size are not told apart: solvers and files are no better."""


@dataclass(frozen=True)
class Judged:
    """A candidate with its constants and starting states refitted through the solver, in scaled numbers.

    Attributes:
        structure: with refined exponents.
        coefficients: ``(terms,)``.
        starts: ``(pieces, states)``.
        misfit: twice the negative log likelihood up to a constant.
        price: description length, in units of 2 log likelihood.
        rss: weighted residual sum of squares of each state.
    """

    structure: Structure
    coefficients: np.ndarray
    starts: np.ndarray
    misfit: float
    price: float
    rss: np.ndarray

    @property
    def score(self) -> float:
        """Misfit plus price; lower is better."""
        return self.misfit + self.price


def make_problem(runs: list[Run], curves: list[Curve], noise: Noise, piece_length: int | None = None) -> Problem:
    """The measurements in the form the compiled solver reads.

    Args:
        runs: measurements in scaled numbers.
        curves: smooth curves through them.
        noise: the noise model.
        piece_length: samples of a piece in multiple shooting; default single shooting.
    """
    t = np.concatenate([r.t for r in runs])
    x = np.concatenate([r.x for r in runs])
    n_states = x.shape[1]
    smooth = np.concatenate([c(r.t) for c, r in zip(curves, runs, strict=True)])
    weight = np.isfinite(x).astype(float)
    if noise.kind == "proportional":
        scale = np.maximum(np.abs(smooth[:, :n_states]), 0.05)
        # Weights of geometric mean one keep the likelihoods of different noise models comparable.
        weight = weight * np.exp(np.mean(np.log(scale), axis=0)) / scale
    start, linked, offset = [], [], 0
    for r in runs:
        n = 1 if piece_length is None else max(1, len(r.t) // piece_length)
        cuts = offset + (np.arange(n) * len(r.t)) // n
        start.extend(cuts)
        linked.extend([False] + [True] * (n - 1))
        offset += len(r.t)
    # Gaps weighted by the noise of clean data would hold every piece where it starts.
    level = np.maximum(noise.level, 1e-2)
    if noise.kind != "additive":
        level = level * np.array([np.nanmedian(np.abs(x[:, i])) for i in range(n_states)]).clip(1e-6)
    low = np.where(np.isfinite(x), x, 1.0)
    return Problem(
        t=t,
        x=np.where(np.isfinite(x), x, 1.0 if noise.kind == "log" else 0.0),
        weight=weight,
        inputs=smooth[:, n_states:],
        start=np.array([*start, offset]),
        linked=np.array(linked),
        link_weight=1.0 / level**2,
        floor=np.full(n_states, FLOOR),
        log_residual=noise.kind == "log",
        bound=np.full(n_states, 1e3) * np.maximum(np.abs(low).max(axis=0), 1.0),
    )


def spelling(structure: Structure) -> tuple:
    """A structure with its exponents to two decimals: refined from different guesses, one law comes out many times."""
    return tuple(tuple(sorted(tuple(round(e, 2) for e in u) for u in eq)) for eq in structure.equations)


@dataclass
class Judge:
    """Refines candidates and remembers what it has seen.

    Attributes:
        problem: the measurements.
        starts: first guess of the starting states, ``(runs, states)``.
        pieces: the same measurements cut into short pieces.
        piece_starts: first guess of the starting states of the pieces.
        rtol: tolerance of the integrator.
        n_jobs: threads.
        deadline: called before each batch; raises to stop the search.
        seen: every structure asked for, with its best result or None when it always failed.
        attempts: how often each structure was refined.
        best: the best candidate so far.
    """

    problem: Problem
    starts: np.ndarray
    pieces: Problem
    piece_starts: np.ndarray
    rtol: float
    n_jobs: int = 1
    deadline: Callable[[], None] = lambda: None
    seen: dict[Structure, Judged | None] = field(default_factory=dict)
    attempts: Counter[Structure] = field(default_factory=Counter)
    best: Judged | None = None

    @property
    def per_coefficient(self) -> float:
        """What one coefficient costs: log of the number of samples of a state (BIC)."""
        return float(np.log(max(2.0, (self.problem.weight > 0).sum(0).max())))

    def price(self, structure: Structure) -> float:
        """Description length, larger when few values are left for many numbers.

        With an unknown noise level a useless number lowers n log(rss) by n / (n - k - 1) on average, not by one, and so
        does a useless choice; the price grows along.
        """
        n = int((self.problem.weight > 0).sum())
        left = n - structure.n_fitted - self.starts.size - 1
        if left < 1 and structure.n_terms:
            return np.inf  # as many numbers as values: anything fits
        return structure_price(structure, self.per_coefficient) * n / max(left, 1)

    def worth_trying(self, structure: Structure, expected: float) -> bool:
        """Whether a structure is new, or was left in a poor local optimum and is expected to score clearly better."""
        if structure not in self.seen:
            return True
        known = self.seen[structure]
        return self.attempts[structure] < 4 and (known is None or expected < known.score - 3)

    @property
    def ranked(self) -> list[Judged]:
        """All successful candidates, best score first, each structure once."""
        unique: dict[tuple, Judged] = {}
        for judged in sorted((j for j in self.seen.values() if j is not None), key=lambda j: j.score):
            unique.setdefault(spelling(judged.structure), judged)
        return list(unique.values())

    @property
    def at_floor(self) -> bool:
        """Whether some candidate already meets the measurements to within what the likelihood distinguishes."""
        counts = np.maximum((self.problem.weight > 0).sum(0), 1)
        return self.best is not None and bool(np.all(self.best.rss / counts < (2 * self.problem.floor) ** 2))

    def judge(
        self,
        proposals: Iterable[tuple[Structure, np.ndarray]],
        starts: np.ndarray | None = None,
        *,
        iterations: int = 25,
        again: bool = False,
        gently: bool = False,
        until_floor: bool = False,
    ) -> list[Judged]:
        """Refine what has not been seen yet.

        Args:
            proposals: structures with first guesses of their coefficients.
            starts: first guess of the starting states.
            iterations: Levenberg-Marquardt iterations.
            again: refine structures that were seen before as well, keeping the better result.
            gently: go through short pieces first, which forgives guesses too poor for a long trajectory.
            until_floor: leave the rest out once a candidate meets the measurements as closely as can be told.

        Returns:
            The successful ones.
        """
        new: dict[Structure, np.ndarray] = {}
        for structure, guess in proposals:
            if (again or structure not in self.seen) and structure not in new:
                new[structure] = np.asarray(guess, dtype=float)
        results: list[Judged] = []
        items = list(new.items())
        for k in range(0, len(items), 64):
            if self.best is not None and self.best.structure.n_terms:  # something must be there to return
                self.deadline()
            if until_floor and self.at_floor:
                break
            names = [structure for structure, _ in items[k : k + 64]]
            structures, guesses = names, [guess for _, guess in items[k : k + 64]]
            begin = self.starts if starts is None else starts
            if gently and self.pieces.n_pieces > len(begin):
                structures, guesses, rough = self._refine(structures, guesses, self.piece_starts, self.pieces, 15)
                first = self.pieces.start[:-1][~self.pieces.linked]
                begin = rough.starts[:, np.searchsorted(self.pieces.start[:-1], first)]
                begin = np.where(np.isfinite(rough.misfit)[:, None, None], begin, self.starts)
            structures, guesses, refined = self._refine(structures, guesses, begin, self.problem, iterations)
            for c, asked in enumerate(names):
                self.attempts[asked] += 1
                self.seen.setdefault(asked, None)
                price = self.price(structures[c])
                if not np.isfinite(refined.misfit[c] + price) or not np.isfinite(guesses[c]).all():
                    continue
                judged = Judged(
                    structures[c],
                    guesses[c],
                    refined.starts[c],
                    float(refined.misfit[c]),
                    price,
                    refined.rss[c],
                )
                results.append(judged)
                if self.best is None or judged.score < self.best.score:
                    self.best = judged
                for name in {asked, structures[c]}:
                    old = self.seen.get(name)
                    if old is None or judged.misfit < old.misfit:
                        self.seen[name] = judged
        return results

    def _refine(
        self,
        structures: list[Structure],
        guesses: list[np.ndarray],
        starts: np.ndarray,
        problem: Problem,
        iterations: int,
    ) -> tuple[list[Structure], list[np.ndarray], Refined]:
        """Structures with refined exponents, their coefficients, and what the solver reports."""
        refined = refine(
            structures,
            guesses,
            starts,
            problem,
            free=[free_exponents(s) for s in structures],
            iterations=iterations,
            rtol=self.rtol,
            n_jobs=self.n_jobs,
        )
        moved, coefficients = [], []
        for structure, values in zip(structures, refined.coefficients, strict=True):
            n = structure.n_terms
            new, added = with_exponents(structure, values[n:], values[:n])
            moved.append(new)
            coefficients.append(added)
        return moved, coefficients, refined

    def predict(
        self, judged: Judged, structure: Structure | None = None, coefficients: np.ndarray | None = None
    ) -> Prediction:
        """Trajectory and certainty of a candidate, or of a wider structure around it.

        Args:
            judged: the candidate.
            structure: a wider structure to measure sensitivities in, with ``coefficients`` (zeros for new terms).
            coefficients: see ``structure``.
        """
        if structure is None or coefficients is None:
            free = free_exponents(judged.structure)
            units = judged.structure.units
            values = np.append(judged.coefficients, [units[h][v] for h, v in free])
            return predict(judged.structure, values, judged.starts, self.problem, free=free, rtol=self.rtol)
        return predict(structure, coefficients, judged.starts, self.problem, rtol=self.rtol)
