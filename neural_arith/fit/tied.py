"""Levenberg-Marquardt with tied coefficients: the values move only along a basis, exactly."""

from __future__ import annotations

import numpy as np

from neural_arith.solve.compiled.batch import NEVER, Prediction, Problem, predict
from neural_arith.terms.structure import Structure


def refine_tied(
    structure: Structure,
    theta: np.ndarray,
    starts: np.ndarray,
    problem: Problem,
    basis: np.ndarray,
    *,
    iterations: int = 25,
    tolerance: float = 0.05,
    rtol: float = 1e-6,
    halt: np.ndarray = NEVER,
) -> tuple[np.ndarray, np.ndarray, Prediction]:
    """Refit the values of one candidate and its starting states, the values within the span of a basis.

    Begins where the quadratic model of the likelihood around the given values is least within the span.

    Args:
        structure: the candidate.
        theta: first guess of its values, within the span or not.
        starts: starting states of the pieces, ``(pieces, states)``.
        problem: the measurements.
        basis: ``(values, free values)``.
        iterations: most steps.
        tolerance: two gains in a row below this many units of 2 log likelihood end the refinement.
        rtol: relative tolerance of the integrator.
        halt: one number; once it is set, by another thread, nothing integrates any more.

    Returns:
        Values, starting states and what :func:`predict` says of them; its misfit is infinite if nothing integrates.
    """
    n = len(theta)
    free = np.block(
        [
            [basis, np.zeros((n, starts.size))],
            [np.zeros((starts.size, basis.shape[1])), np.eye(starts.size)],
        ]
    )

    def look(at: np.ndarray) -> Prediction:
        most, here = problem.step_limit(), at[n:].reshape(starts.shape)
        return predict(structure, at[:n], here, problem, rtol=rtol, max_steps=most, halt=halt)

    point = np.append(theta, starts)
    place, here = np.linalg.lstsq(free, point)[0], look(point)
    if _usable(here):
        place = _solve(free.T @ here.normal @ free, free.T @ here.normal @ point, 0.0)
        here = look(free @ place)
    if not _usable(here):
        place = np.linalg.lstsq(free, point)[0]
        here = look(free @ place)
    damping, small = 1e-3, 0
    for _ in range(iterations):
        if not _usable(here) or small == 2 or damping > 1e8:
            break
        step = _solve(free.T @ here.normal @ free, -free.T @ here.gradient, damping)
        there = look(free @ (place + step))
        gain = here.misfit - there.misfit if _usable(there) else -np.inf
        if gain > 0:
            place, here, damping = place + step, there, damping / 10
        else:
            damping *= 10
        small = small + 1 if abs(gain) < tolerance else 0
    point = free @ place
    return point[:n], point[n:].reshape(starts.shape), here


def _usable(prediction: Prediction) -> bool:
    return bool(np.isfinite(prediction.misfit) and np.isfinite(prediction.normal).all())


def _solve(normal: np.ndarray, right: np.ndarray, damping: float) -> np.ndarray:
    size = np.sqrt(np.maximum(np.diag(normal), 1e-30))
    scaled = normal / size[:, None] / size
    return np.linalg.lstsq(scaled + (damping + 1e-12) * np.eye(len(size)), right / size)[0] / size
