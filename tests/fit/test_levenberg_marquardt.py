"""Levenberg-Marquardt on textbook problems."""

from dataclasses import dataclass

import numpy as np
import torch

from neural_arith.fit.levenberg_marquardt import descend, levenberg_marquardt


class Rosenbrock:
    def value(self, p):
        return torch.stack([10 * (p[1] - p[0] ** 2), 1 - p[0]])

    def linearise(self, p):
        rows = [[-20 * float(p[0]), 10.0], [-1.0, 0.0]]
        return self.value(p), torch.tensor(rows, dtype=torch.float64)


START = torch.tensor([-1.2, 1.0], dtype=torch.float64)


def test_rosenbrock():
    result = levenberg_marquardt(Rosenbrock(), START, steps=200, goal=1e-24)
    torch.testing.assert_close(result.p, torch.ones(2, dtype=torch.float64))
    assert result.status == "goal reached"


def test_a_run_cut_anywhere_continues_to_the_same_bits():
    states = []
    whole = levenberg_marquardt(Rosenbrock(), START, steps=12, on_step=lambda s: bool(states.append(s)))
    again = levenberg_marquardt(Rosenbrock(), states[4], steps=12)
    assert torch.equal(whole.p, again.p)
    assert whole.loss == again.loss


def test_bounds_and_fixed_numbers():
    lower = torch.tensor([-10.0, 2.0], dtype=torch.float64)
    result = levenberg_marquardt(Rosenbrock(), START, steps=200, lower=lower, tolerance=1e-9)
    assert float(result.p[1]) == 2.0
    assert abs(abs(float(result.p[0])) - 2**0.5) < 0.01
    fixed = torch.tensor([True, False])
    result = levenberg_marquardt(Rosenbrock(), START, steps=200, fixed=fixed)
    torch.testing.assert_close(result.p, torch.tensor([-1.2, 1.44], dtype=torch.float64))


def test_not_finite_at_the_start():
    result = levenberg_marquardt(Rosenbrock(), START * float("nan"))
    assert result.status == "not finite at the start"
    assert result.loss == float("inf")


@dataclass(frozen=True)
class Valley:
    """The same function by its sum of squares, which has no value where x is above 1.5."""

    misfit: float
    gradient: np.ndarray
    normal: np.ndarray


def valley(p: np.ndarray) -> Valley:
    r = np.array([10 * (p[1] - p[0] ** 2), 1 - p[0]])
    jac = np.array([[-20 * p[0], 10.0], [-1.0, 0.0]])
    return Valley(float(r @ r) if p[0] <= 1.5 else np.inf, jac.T @ r, jac.T @ jac)


def negligible(gain: float, misfit: float, step: np.ndarray) -> bool:
    return gain < 1e-12 and bool(np.abs(step).max() < 1e-6)


def test_descent_by_slope_and_matrix():
    start = START.numpy()
    point, here, converged = descend(valley, start, valley(start), steps=200, settled=negligible)
    np.testing.assert_allclose(point, [1, 1], rtol=1e-6)
    assert converged
    assert here.misfit < 1e-12
    _, here, converged = descend(valley, start, valley(start), steps=2, settled=negligible)
    assert not converged
    assert here.misfit < valley(start).misfit


def test_descent_along_a_direction_and_within_bounds():
    # Along x = y: 100 (x - x^2)^2 + (1 - x)^2 is least at 1; below 0.5, for y >= x^2 there, at (0.5, 0.25).
    start = np.array([0.8, 0.8])
    along = np.ones((2, 1))
    point, _, converged = descend(valley, start, valley(start), steps=100, settled=negligible, basis=along)
    np.testing.assert_allclose(point, [1, 1], rtol=1e-6)
    assert converged
    bounded, _, _ = descend(
        valley,
        np.array([-1.2, 1.0]),
        valley(np.array([-1.2, 1.0])),
        steps=200,
        settled=negligible,
        inside=lambda p: np.minimum(p, [0.5, np.inf]),
    )
    np.testing.assert_allclose(bounded, [0.5, 0.25], atol=1e-2)


def test_a_descent_that_cannot_begin():
    start = np.array([2.0, 0.0])
    point, here, converged = descend(valley, start, valley(start), steps=5, settled=negligible)
    assert np.all(point == start)
    assert here.misfit == np.inf
    assert not converged
