"""What a discovery leaves: equations in the user's names and numbers, the candidates behind them, what is uncertain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neural_arith.data import Trajectories
from neural_arith.discovery.choice import Choice
from neural_arith.discovery.engine import Options, Searched
from neural_arith.discovery.judge import Judged
from neural_arith.discovery.noise import Noise
from neural_arith.equations import EquationSystem
from neural_arith.equations.terms import from_terms
from neural_arith.errors import IntegrationError
from neural_arith.integrate.structure import Structure, free_exponents


@dataclass(frozen=True)
class Candidate:
    """One structure with refitted constants.

    Attributes:
        equations: the equations.
        constants: their constants, in the order of ``equations.constants``.
        standard_errors: of the constants, in the same order; nan where the data do not fix a constant, 0 where an
            exponent was taken as exact.
        loglik2: twice the negative log likelihood of the measurements, up to a constant all candidates share.
        price: description length in the same unit.
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
        equations: the chosen equations.
        candidates: the choice, its near-ties, the Pareto front and the best of the rest, from simple to complex.
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
    noise: Noise
    initial_states: np.ndarray
    fitted: list[tuple[np.ndarray, np.ndarray]]
    residuals: list[np.ndarray]
    messages: tuple[str, ...]
    status: str
    options: Options


def to_equations(
    searched: Searched, data: Trajectories, judged: Judged, values: np.ndarray | None = None
) -> EquationSystem:
    """A candidate in the user's names and numbers; ``values`` replaces its coefficients (original numbers)."""
    structure: Structure = judged.structure
    units = list(structure.units)
    if values is None:
        values = judged.coefficients * searched.scaling.factors(structure)
    return from_terms(
        data.names,
        values,
        np.array(units).reshape(len(units), len(data.names) + len(data.input_names)),
        [i for i, _ in structure.terms],
        [units.index(u) for _, u in structure.terms],
        inputs=data.input_names,
    )


def uncertainty(searched: Searched, judged: Judged) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors of a candidate's coefficients (original numbers) and of its free exponents; nan = not fixed."""
    structure, n = judged.structure, judged.structure.n_terms
    free = free_exponents(structure)
    normal = searched.judge.predict(judged).normal
    if not np.isfinite(normal).all():
        return np.full(n, np.nan), np.full(len(free), np.nan)
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
    values, vectors = np.linalg.eigh(normal / scale[:, None] / scale)
    # A direction the data do not fix at all has no finite error; 1e-12 is where rounding takes over.
    weak = values < 1e-12
    covariance = (vectors[:, ~weak] / values[~weak]) @ vectors[:, ~weak].T / scale[:, None] / scale
    lost = (vectors[:, weak] ** 2).sum(1) > 1e-6
    # A coefficient in original numbers is the scaled one times sizes to the power of its exponents, fitted ones too.
    factors = searched.scaling.factors(structure)
    slopes = np.zeros((n + len(free), len(normal)))
    slopes[np.arange(n), np.arange(n)] = factors
    for q, (h, v) in enumerate(free):
        slopes[n + q, n + q] = 1.0
        for k, (_, unit) in enumerate(structure.terms):
            if unit == structure.units[h]:
                slopes[k, n + q] = -judged.coefficients[k] * factors[k] * np.log(searched.scaling.variable[v])
    errors = np.sqrt(np.maximum(np.einsum("ai,ij,aj->a", slopes, covariance, slopes), 0))
    errors[(slopes[:, lost] != 0).any(axis=1)] = np.nan
    return errors[:n], errors[n:]


def to_candidate(searched: Searched, data: Trajectories, judged: Judged, choice: Choice) -> Candidate:
    """The public form of a judged structure."""
    equations = to_equations(searched, data, judged)
    terms, exponents = uncertainty(searched, judged)
    # Constants come out in canonical order: the same structure with numbered coefficients tells which is which.
    numbers = np.arange(len(terms)) + 0.5 + 1e6
    tagged = to_equations(searched, data, judged, numbers).constants
    units = judged.structure.units
    fitted = {float(units[h][v]): e for (h, v), e in zip(free_exponents(judged.structure), exponents, strict=True)}
    place = {float(tag): error for tag, error in zip(numbers, terms, strict=True)}
    errors = tuple(float(place.get(abs(tag), fitted.get(tag, 0.0))) for tag in tagged)
    return Candidate(
        equations,
        tuple(equations.constants),
        errors,
        judged.misfit,
        judged.price,
        judged is choice.selected,
        any(judged is tie for tie in choice.near_ties),
    )


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
