"""What a discovery leaves: equations in the user's names and numbers, the candidates behind them, what is uncertain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from neural_arith.clock import Clock
from neural_arith.data import Trajectories
from neural_arith.discovery.engine import Searched
from neural_arith.discovery.options import Options
from neural_arith.discovery.search.judge import Judge
from neural_arith.discovery.verdict.choice import Choice
from neural_arith.discovery.verdict.worth import Worth
from neural_arith.equations import EquationSystem
from neural_arith.equations.places import places
from neural_arith.equations.structures import from_structure
from neural_arith.errors import IntegrationError
from neural_arith.fit.noise import Noise
from neural_arith.terms.candidate import Judged
from neural_arith.terms.structure import Structure

LOST = 0.4
"""Distance, in standard deviations of the measurements, at which a solution has lost them (Pathak et al., 2018)."""

_SAME = 1e-3
"""Distance, in the same measure, up to which the solution of another solver is the same curve."""

_LARGE = 400
"""Numbers and starting states together from which on the latter are eliminated before anything is inverted."""

_EVALUATIONS, _PER_SECOND = 200_000, 1_000_000
"""Most evaluations of the right-hand side for one solution, and how many of a sum of one term a second affords."""


_CURVE = 300  # points of a curve, at least

_ROWS, _WIDTH = 10, 150  # what a table of candidates shows of itself


@dataclass(frozen=True, repr=False)
class Candidate:
    """One structure with refitted constants.

    Attributes:
        equations: the equations.
        constants: their constants, in the order of ``equations.constants``.
        standard_errors: of the constants, in the same order; nan where the data do not fix a constant, 0 where an
            exponent was taken as exact.
        loglik2: twice the negative log likelihood of the measurements, up to a constant all candidates share.
        price: description length in the same unit, that of the starting states included.
        selected: this is the choice.
        near_tie: explains the data about as well as the choice, by other terms.
        measured: whether standard errors could be measured: not where time was over, nor where the equations obey a
            statement that the measurements contradict.
    """

    equations: EquationSystem
    constants: tuple[float, ...]
    standard_errors: tuple[float, ...]
    loglik2: float
    price: float
    selected: bool
    near_tie: bool
    measured: bool = True

    @property
    def score(self) -> float:
        """``loglik2`` plus ``price``; lower is better."""
        return self.loglik2 + self.price

    @property
    def complexity(self) -> int:
        """Nodes of the equations."""
        return self.equations.complexity

    @property
    def without_error(self) -> str:
        """What a constant without a standard error is called."""
        return "not fixed by the data" if self.measured else "error not measured"

    def constant_lines(self) -> list[str]:
        """One line for each constant with its standard error and the term it stands in; exact exponents left out."""
        rows = [
            (side, f"{value:.4g} +- {error:.1g}" if error > 0 else f"{value:.4g}, {self.without_error}", term)
            for (side, term), value, error in zip(
                places(self.equations), self.constants, self.standard_errors, strict=True
            )
            if error != 0.0
        ]
        widths = [max((len(row[k]) for row in rows), default=0) for k in (0, 1)]
        return [f"{side:{widths[0]}}  {value:{widths[1]}}  in {term}" for side, value, term in rows]

    def __repr__(self) -> str:
        mark = "chosen, " if self.selected else "near-tie, " if self.near_tie else ""
        text = "; ".join(str(self.equations).splitlines())
        text = text if len(text) <= _WIDTH else f"{text[: _WIDTH - 4]} ..."
        return f"Candidate({mark}score {self.score:.1f}, complexity {self.complexity}: {text})"


class Candidates(tuple[Candidate, ...]):
    """Candidates, simple ones first. Shows the choice and the best others; it is a tuple and holds all."""

    __slots__ = ()

    def __repr__(self) -> str:
        best = sorted(self, key=lambda c: (not c.selected, c.score))[:_ROWS]
        lines = [repr(c) for c in self if any(c is b for b in best)]
        if len(self) > _ROWS:
            lines.append(f"... and {len(self) - _ROWS} more")
        return "\n".join(lines) or "no candidates"


@dataclass(frozen=True, repr=False)
class Discovery:
    """The outcome of :func:`neural_arith.discovery.discover`.

    Attributes:
        data: the measurements, thinned where there were very many.
        equations: the chosen equations, their constants rounded where the likelihood allows it.
        candidates: as fitted: the choice, its near-ties, the Pareto front and the best of the rest, simple ones first.
        terms: what each term of the choice buys, in the order of the equations.
        noise: the noise model; levels in the measurements' own units (a share of the value unless additive).
        initial_states: fitted starting state of each run, ``(runs, states)``.
        fitted: for each run times and states of the fit that the residuals belong to: the solution from the fitted
            starting state or, where the run was judged in linked pieces, that of each piece from a start of its own.
        pieces: for each run in how many linked pieces it was judged; 1 for a run followed as a whole.
        horizons: for each run how long the one solution from its fitted starting state follows that fit: the length of
            the run, or the time until they are 0.4 standard deviations of the measurements apart, as in chaos.
        residuals: for each run measurements minus fit, ``(time, states)``.
        messages: what the user should know before trusting the equations.
        status: "done", "out of time" or "interrupted".
        options: the settings.
    """

    data: Trajectories
    equations: EquationSystem
    candidates: tuple[Candidate, ...]
    terms: tuple[Worth, ...]
    noise: Noise
    initial_states: np.ndarray
    fitted: list[tuple[np.ndarray, np.ndarray]]
    pieces: tuple[int, ...]
    horizons: tuple[float, ...]
    residuals: list[np.ndarray]
    messages: tuple[str, ...]
    status: str
    options: Options

    def __post_init__(self) -> None:
        object.__setattr__(self, "candidates", Candidates(self.candidates))

    @property
    def chosen(self) -> Candidate:
        """The candidate that was chosen, its constants not rounded."""
        return next(candidate for candidate in self.candidates if candidate.selected)

    def __str__(self) -> str:
        lines = [str(self.equations)]
        if rows := self.chosen.constant_lines():
            lines += ["", "constants before rounding, with standard errors:", *(f"  {row}" for row in rows)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        text = "; ".join(str(self.equations).splitlines())
        text = text if len(text) <= 5 * _WIDTH else f"{text[: 5 * _WIDTH - 4]} ..."
        counts = f"{len(self.candidates)} candidates, {len(self.messages)} messages"
        return f"Discovery({self.status}: {text}; {counts})"


def to_equations(
    searched: Searched, data: Trajectories, judged: Judged, theta: np.ndarray | None = None
) -> EquationSystem:
    """A candidate in the user's names and numbers; ``theta`` replaces its values (for the original numbers)."""
    structure: Structure = judged.structure
    if theta is None:
        theta = searched.scaling.original(structure, judged.theta)
    return from_structure(structure, structure.values(theta), data.names, data.input_names)


def uncertainty(searched: Searched, judged: Judged) -> np.ndarray:
    """Standard errors of a candidate's values, for the original numbers; nan = not fixed by the data."""
    structure, n = judged.structure, len(judged.theta)
    normal = searched.judge.predict(judged).normal
    basis = searched.judge.known.basis(structure)
    if not np.isfinite(normal).all():
        return np.full(n, np.nan)
    free = np.eye(len(normal))
    if basis is not None:  # tied values err together
        free = np.delete(free, np.s_[:n], axis=1)
        free = np.column_stack([np.pad(basis, ((0, len(normal) - n), (0, 0))), free])
    normal = free.T @ normal @ free
    size, kept = len(normal), n if basis is None else basis.shape[1]
    if size > _LARGE:
        normal, free = _without(normal, kept), free[:, :kept]
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    values, vectors = np.linalg.eigh(normal / scale[:, None] / scale)
    # A direction the data do not fix at all has no finite error; 1e-12 is where rounding takes over.
    weak = values < 1e-12
    covariance = (vectors[:, ~weak] / values[~weak]) @ vectors[:, ~weak].T / scale[:, None] / scale
    # The noise level was estimated from what the fitted numbers left.
    n_values = int(searched.judge.problem.counts.sum())
    covariance *= n_values / max(n_values - size, 1)
    lost = (vectors[:, weak] ** 2).sum(1) > 1e-6
    slopes = searched.scaling.slopes(structure, judged.theta) @ free[:n]
    errors = np.sqrt(np.maximum(np.einsum("ai,ij,aj->a", slopes, covariance, slopes), 0))
    errors[(slopes[:, lost] != 0).any(axis=1)] = np.nan
    return errors


def _without(normal: np.ndarray, kept: int) -> np.ndarray:
    """The matrix of the first values alone, the others always at their best: the many starting states of many runs."""
    last = normal[kept:, kept:] + np.diag(1e-12 * np.diag(normal)[kept:] + 1e-300)
    return normal[:kept, :kept] - normal[:kept, kept:] @ np.linalg.solve(last, normal[kept:, :kept])


def to_candidate(searched: Searched, data: Trajectories, judged: Judged, choice: Choice) -> Candidate:
    """The public form of a judged structure."""
    theta = searched.scaling.original(judged.structure, judged.theta)
    equations = to_equations(searched, data, judged, theta)
    in_time = searched.judge.clock.in_time()
    by_value = uncertainty(searched, judged) if in_time else np.full(len(theta), np.nan)
    # Constants come out in canonical order: the same structure with numbered values tells which is which.
    numbers = np.arange(len(theta)) + 0.5 + 1e6
    tagged = to_equations(searched, data, judged, numbers).constants
    place = {float(tag): float(error) for tag, error in zip(numbers, by_value, strict=True)}
    if len(tagged) == len(equations.constants) and all(abs(tag) in place for tag in tagged):
        errors = tuple(place[abs(tag)] for tag in tagged)
    else:
        errors = _errors_by_differences(searched, data, judged, theta, by_value, len(equations.constants))
    return Candidate(
        equations,
        tuple(equations.constants),
        errors,
        judged.misfit,
        judged.whole_price,
        judged is choice.selected,
        any(judged is tie for tie in choice.near_ties),
        measured=searched.judge.clock.in_time() or not np.isnan(by_value).all(),
    )


def _errors_by_differences(
    searched: Searched, data: Trajectories, judged: Judged, theta: np.ndarray, errors: np.ndarray, n: int
) -> tuple[float, ...]:
    """Errors of constants that are made of several values, as if those erred independently; nan where unknown."""
    square = np.zeros(n)
    for k, error in enumerate(errors):
        step = 1e-4 * max(abs(theta[k]), 1e-12)
        both = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[k] += sign * step
            both.append(np.array(to_equations(searched, data, judged, moved).constants))
        if any(len(b) != n for b in both):
            return (float("nan"),) * n
        slope = (both[0] - both[1]) / (2 * step)
        square += np.where(slope != 0, (slope * error) ** 2, 0.0)
    return tuple(float(e) for e in np.sqrt(square))


Curves = list[tuple[np.ndarray, np.ndarray]]
"""For each run times ``(n,)`` and states ``(n, states)``."""


def _parts(data: Trajectories) -> int:
    """In how many parts a curve takes each interval between samples."""
    return max(1, math.ceil(_CURVE / max(1.0, np.median([len(run) for run in data.runs]) - 1)))


def solutions(data: Trajectories, equations: EquationSystem, starts: np.ndarray, clock: Clock | None = None) -> Curves:
    """The equations' own solution over each run from a starting state; NaN after it ended.

    Args:
        data: the runs, and their inputs.
        equations: what is solved.
        starts: ``(runs, states)``.
        clock: once it is over, what is left is not solved, and not finite; default no limit.
    """
    clock, curves, parts = clock or Clock(), [], _parts(data)
    for run, start in zip(data.runs, starts, strict=True):
        n = len(run)
        t = np.interp(np.arange((n - 1) * parts + 1) / parts, np.arange(n), run.t)
        if not clock.in_time():
            curves.append((t, np.full((len(t), data.n_states), np.nan)))
            continue
        u = None
        if run.u is not None:
            u = np.stack([np.interp(t, run.t, run.u[:, m]) for m in range(run.u.shape[1])], axis=1)
        try:
            x = equations.simulate(start, t, u=u, throw=False, max_evaluations=_affordable(equations, clock))
        except IntegrationError:
            x = np.full((len(t), data.n_states), np.nan)
        curves.append((t, x))
    return curves


def fitted_curves(
    data: Trajectories, judge: Judge, judged: Judged, size: np.ndarray, solved: Curves, at_samples: np.ndarray
) -> Curves:
    """What the likelihood compared with the measurements, at the times of ``solved``: pieces where it took pieces.

    Args:
        data: the runs.
        judge: knows in which form they were compared.
        judged: the candidate.
        size: sizes of the states, which the judge's numbers are multiplied by.
        solved: the solutions from the starting states; they are the fit where they pass through ``at_samples``, and
            stand in for it where the judge cannot follow the candidate between samples.
        at_samples: the candidate at all samples as it was judged, all runs in a row.
    """
    parts = _parts(data)
    own = np.concatenate([x[::parts] for _, x in solved])
    if (np.abs(own - at_samples) <= _SAME * _spread(data)).all():
        return solved
    _, x = judge.along(judged, parts)
    if not np.isfinite(x).all():
        return solved
    ends = np.cumsum([len(t) for t, _ in solved])[:-1]
    return [(t, part * size) for (t, _), part in zip(solved, np.split(x, ends), strict=True)]


def _spread(data: Trajectories) -> np.ndarray:
    """Standard deviation of each state over all runs; of one that does not change what rounding could be."""
    every = np.concatenate([run.x for run in data.runs])
    return np.maximum(np.nanstd(every, axis=0), 1e-6 * np.nanmax(np.abs(every), axis=0) + 1e-300)


def horizons(data: Trajectories, fitted: Curves, solved: Curves) -> tuple[float, ...]:
    """How long each run's own solution stays with the fit, which is free of noise."""
    found, spread = [], _spread(data)
    for (t, x), (_, own) in zip(fitted, solved, strict=True):
        apart = np.sqrt((((own - x) / spread) ** 2).mean(axis=1))
        lost = np.flatnonzero(~(apart <= LOST))
        found.append(float(t[lost[0] if len(lost) else -1] - t[0]))
    return tuple(found)


def horizon_words(data: Trajectories, found: tuple[float, ...], pieces: tuple[int, ...]) -> tuple[str, ...]:
    """What to say where a solution loses the measurements before they end."""
    lost = [k for k, (run, time) in enumerate(zip(data.runs, found, strict=True)) if time < run.t[-1] - run.t[0]]
    if not lost:
        return ()
    low, high = min(found[k] for k in lost), max(found[k] for k in lost)
    times = f"{low:.2g}" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g}"
    length = max(float(data.runs[k].t[-1] - data.runs[k].t[0]) for k in lost)
    runs = "the measurements" if len(data) == 1 else f"{len(lost)} of {len(data)} runs"
    cut = ""
    if (n := sum(pieces)) > len(pieces):
        cut = f" The fit was therefore made, and is drawn, in {n} linked pieces with starts of their own."
    return (
        f"Solved from the fitted start, the equations follow {runs} for {times} of {length:.3g} ({data.time_name}) and "
        f"then go another way: the smallest error grows, as in chaos.{cut} A forecast holds about so long.",
    )


def _affordable(equations: EquationSystem, clock: Clock) -> int:
    """Evaluations of the right-hand side that a solution may take."""
    if not clock.limited:
        return _EVALUATIONS
    rate = _PER_SECOND / (10 + len(equations.states) + len(equations.constants))
    return int(np.clip(rate * (clock.end - clock.now()), 1, _EVALUATIONS))
