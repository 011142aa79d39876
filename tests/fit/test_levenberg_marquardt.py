"""Levenberg-Marquardt on textbook problems."""

import torch

from neural_arith.fit.levenberg_marquardt import levenberg_marquardt


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
