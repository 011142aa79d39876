"""What a discovery leaves: equations in the user's names and numbers, the candidates behind them, what is uncertain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neural_arith.data import Trajectories
from neural_arith.discovery.choice import Choice
from neural_arith.discovery.engine import Searched
from neural_arith.discovery.judge import Judged
from neural_arith.discovery.noise import Noise
from neural_arith.discovery.options import Options
from neural_arith.discovery.worth import Worth
from neural_arith.equations import EquationSystem
from neural_arith.equations.structures import from_structure
from neural_arith.errors import IntegrationError
from neural_arith.integrate.structure import Structure


@dataclass(frozen=True)
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
    """

    equations: EquationSystem
    constants: tuple[float, ...]
    standard_errors: tuple[float, ...]
    loglik2: float
    price: float
    selected: bool
    near_tie: bool

    @property
    def score(self) -> float:
        """``loglik2`` plus ``price``; lower is better."""
        return self.loglik2 + self.price

    @property
    def complexity(self) -> int:
        """Nodes of the equations."""
        return self.equations.complexity


@dataclass(frozen=True)
class Discovery:
    """The outcome of :func:`neural_arith.discovery.discover`.

    Attributes:
        data: the measurements, thinned where there were very many.
        equations: the chosen equations, their constants rounded where the likelihood allows it.
        candidates: as fitted: the choice, its near-ties, the Pareto front and the best of the rest, simple ones first.
        terms: what each term of the choice buys, in the order of the equations.
        noise: the noise model; levels in the measurements' own units (a share of the value unless additive).
        initial_states: fitted starting state of each run, ``(runs, states)``.
        fitted: for each run times and states of the fitted solution.
        residuals: for each run measurements minus solution, ``(time, states)``.
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
    residuals: list[np.ndarray]
    messages: tuple[str, ...]
    status: str
    options: Options

    @property
    def chosen(self) -> Candidate:
        """The candidate that was chosen, its constants not rounded."""
        return next(candidate for candidate in self.candidates if candidate.selected)


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
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    values, vectors = np.linalg.eigh(normal / scale[:, None] / scale)
    # A direction the data do not fix at all has no finite error; 1e-12 is where rounding takes over.
    weak = values < 1e-12
    covariance = (vectors[:, ~weak] / values[~weak]) @ vectors[:, ~weak].T / scale[:, None] / scale
    # The noise level was estimated from what the fitted numbers left.
    n_values = int(searched.judge.problem.counts.sum())
    covariance *= n_values / max(n_values - len(values), 1)
    lost = (vectors[:, weak] ** 2).sum(1) > 1e-6
    slopes = np.zeros((n, len(free)))
    slopes[:, :n] = searched.scaling.slopes(structure, judged.theta)
    slopes = slopes @ free
    errors = np.sqrt(np.maximum(np.einsum("ai,ij,aj->a", slopes, covariance, slopes), 0))
    errors[(slopes[:, lost] != 0).any(axis=1)] = np.nan
    return errors


def to_candidate(searched: Searched, data: Trajectories, judged: Judged, choice: Choice) -> Candidate:
    """The public form of a judged structure."""
    theta = searched.scaling.original(judged.structure, judged.theta)
    equations = to_equations(searched, data, judged, theta)
    by_value = uncertainty(searched, judged)
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


def fitted_curves(
    data: Trajectories, equations: EquationSystem, starts: np.ndarray, points: int = 300
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The equations' solution over each run from its fitted starting state, at ``points`` times and the samples."""
    curves = []
    for run, start in zip(data.runs, starts, strict=True):
        t = np.union1d(np.linspace(run.t[0], run.t[-1], points), run.t)
        u = None
        if run.u is not None:
            u = np.stack([np.interp(t, run.t, run.u[:, m]) for m in range(run.u.shape[1])], axis=1)
        try:
            x = equations.simulate(start, t, u=u, throw=False)
        except IntegrationError:
            x = np.full((len(t), data.n_states), np.nan)
        curves.append((t, x))
    return curves
