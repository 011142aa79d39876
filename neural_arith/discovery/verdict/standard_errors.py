"""Candidates in the user's names and numbers, with the standard errors of their constants."""

from __future__ import annotations

import numpy as np

from neural_arith.data.trajectories import Trajectories
from neural_arith.discovery.search.archive import Searched
from neural_arith.discovery.verdict.choice import Choice
from neural_arith.discovery.verdict.result import Candidate
from neural_arith.equations.system import EquationSystem
from neural_arith.equations.terms import from_structure
from neural_arith.terms.candidate import Judged
from neural_arith.terms.structure import Structure

_LARGE = 400
"""Numbers and starting states together from which on the latter are eliminated before anything is inverted."""


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
    normal = searched.likelihood.predict(judged).normal
    basis = searched.likelihood.known.basis(structure)
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
    n_values = int(searched.likelihood.problem.counts.sum())
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
    in_time = searched.likelihood.clock.in_time()
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
        measured=searched.likelihood.clock.in_time() or not np.isnan(by_value).all(),
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
