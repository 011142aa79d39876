"""The compiled units and their projected residual against the layers' formula, least squares and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_arith.data import Run
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.fit.integral_form import IntegralForm, integral_form
from neural_arith.fit.noise import Noise
from neural_arith.fit.projection import Grid, make_grid, project, unit_values
from neural_arith.layers import functional


def weights(n: int, size: float):
    return st.lists(st.floats(-size, size), min_size=n, max_size=n).map(np.array)


@given(
    st.lists(st.floats(1e-6, 1e3), min_size=5, max_size=5),
    weights(5, 40),
    weights(2, 6),
    weights(4, 3),
    st.floats(-4, 4),
)
@settings(deadline=None, max_examples=200)
def test_a_unit_is_the_power_unit_of_the_layers(x, y, exponents, factors, phase):
    """x is positive and takes real powers, y has any sign and takes rates and frequencies."""
    exponents = np.array([exponents[0], round(exponents[1])])
    values = np.column_stack([x, y])
    real = np.concatenate([exponents, [0.0, factors[1] / 10, 0.0]])
    imaginary = np.array([0.0, 0.0, factors[2] / 10, factors[3], phase])
    log_abs, below, zero = functional.lifted_polar(torch.from_numpy(values))
    expected = functional.power_unit(
        log_abs, below, torch.from_numpy(real)[None], torch.from_numpy(imaginary)[None], zero
    )[:, 0].numpy()
    columns = np.stack([np.log(values[:, 0]), np.zeros(5), *values.T, np.ones(5)])
    with np.errstate(all="ignore"):
        base = values[:, 1] ** exponents[1]
        size = np.abs(base) * np.exp(real @ columns)
        out, quadrature, work = np.empty((3, 5))
        turns = unit_values(real, imaginary, columns, base, out, quadrature, work)
        # A cosine of a large angle has the rounding of the angle itself.
        tolerance = 1e-12 * size * (1 + np.abs(imaginary @ columns))
        wrong = np.abs(out - expected) > tolerance + 1e-300
    assert turns == bool((imaginary != 0).any())
    assert not wrong[np.isfinite(base) & np.isfinite(size) & (np.abs(real @ columns) < 690)].any()


@given(st.floats(-690, 690), st.floats(-1000, 1000))
@settings(deadline=None, max_examples=300)
def test_exponential_and_sine_are_accurate(exponent, angle):
    columns = np.array([[exponent], [angle]])
    value, quadrature, work = np.empty((3, 1))
    unit_values(np.array([1.0, 0.0]), np.array([0.0, 1.0]), columns, np.ones(1), value, quadrature, work)
    assert abs(value[0] - np.exp(exponent) * np.cos(angle)) <= 1e-15 * np.exp(exponent) * 4
    if angle != 0:
        assert abs(quadrature[0] + np.exp(exponent) * np.sin(angle)) <= 1e-15 * np.exp(exponent) * 4


T = np.linspace(0, 4, 33)


def example(window: int | None, missing: bool) -> tuple[IntegralForm, Grid]:
    """Two runs of two states, the second of which changes sign."""
    x = np.column_stack([1.5 + np.sin(T) + 0.1 * T, np.cos(2 * T)])
    noise = Noise("proportional", np.zeros(2))
    second = x[5:20] * [0.7, 1.1]
    if missing:
        x[[3, 8, 9], 0] = np.nan
    runs = [Run(T, x), Run(T[:15], second)]
    form = integral_form(smooth(runs, noise), noise, window)
    return form, make_grid(form, 0, np.array([True, False]))


REAL = np.array([[0.4, 1.0, 0.0, 0.0, 0.0], [-0.7, 0.0, 0.0, 0.6, 0.0], [1.2, 2.0, 0.0, 0.0, 0.0]])
IMAGINARY = np.array([[0.0] * 5, [0.0] * 5, [0.0, 0.0, 1.3, -0.8, -1.1]])
SLOPES = np.array([(0, 0, 0), (1, 0, 0), (1, 3, 0), (2, 0, 0), (2, 2, 1), (2, 3, 1), (2, 4, 1)])


def projected(grid: Grid, real: np.ndarray, imaginary: np.ndarray):
    """Cost, coefficients, gradient and normal matrix of the compiled projection."""
    units, n, samples = len(real), len(SLOPES), len(grid.target)
    base = np.array([grid.step * grid.states[1] ** row[1] for row in real])
    coefficients, gradient, normal = np.zeros(units), np.zeros(n), np.zeros((n, n))
    cost = project(
        real, imaginary, SLOPES, n, grid.columns, base, grid.target, grid.weight, grid.square, grid.share, grid.opens,
        np.zeros((units + n + 1, samples)), np.zeros((3, len(grid.step))), np.zeros((units, units + 1)), coefficients,
        gradient, normal,
    )  # fmt: skip
    return cost, coefficients, gradient, normal + np.tril(normal, -1).T


def design(form: IntegralForm, real: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
    """Regression columns by the layers' formula and the integral form, ``(samples, units)``.

    The grid's variables are shifted to the middle of their range; the weights of the 1 shift the formula's.
    """
    middle = (form.nodes.min(0) + form.nodes.max(0)) / 2
    real, imaginary = real.copy(), imaginary.copy()
    real[:, 4] -= real[:, 2:4] @ middle
    imaginary[:, 4] -= imaginary[:, 2:4] @ middle
    log_abs, below, zero = functional.lifted_polar(torch.from_numpy(form.nodes))
    values = functional.power_unit(log_abs, below, torch.from_numpy(real), torch.from_numpy(imaginary), zero)
    return form.columns(values.numpy().T.copy(), 0).T


@pytest.mark.parametrize("window", [None, 6])
@pytest.mark.parametrize("missing", [False, True])
def test_cost_and_coefficients_are_those_of_least_squares(window, missing):
    form, grid = example(window, missing)
    cost, coefficients, _, _ = projected(grid, REAL, IMAGINARY)
    columns = design(form, REAL, IMAGINARY)
    expected = np.linalg.lstsq(columns, form.target[0], rcond=None)[0]
    np.testing.assert_allclose(coefficients, expected, rtol=1e-9)
    assert cost == pytest.approx(((form.target[0] - columns @ expected) ** 2).sum(), rel=1e-10)


@pytest.mark.parametrize("window", [None, 6])
def test_gradient_is_that_of_the_projected_residual(window):
    form, grid = example(window, missing=True)
    _, coefficients, gradient, normal = projected(grid, REAL, IMAGINARY)
    step = 1e-5
    jacobian = np.empty((len(grid.target), len(SLOPES)))
    for a, (h, c, kind) in enumerate(SLOPES):
        costs, columns = [], []
        for sign in (1, -1):
            both = np.stack([REAL, IMAGINARY])
            both[kind, h, c] += sign * step
            costs.append(projected(grid, *both)[0])
            columns.append(design(form, *both))
        assert -2 * gradient[a] == pytest.approx((costs[0] - costs[1]) / (2 * step), rel=1e-6, abs=1e-9)
        jacobian[:, a] = (columns[0] - columns[1]) @ coefficients / (2 * step)
    # Kaufman's matrix: the change of the columns, what the columns themselves can make up for taken out.
    q, _ = np.linalg.qr(design(form, REAL, IMAGINARY))
    jacobian -= q @ (q.T @ jacobian)
    np.testing.assert_allclose(normal, jacobian.T @ jacobian, rtol=1e-6, atol=1e-9)


def test_a_unit_twice_counts_once():
    _, grid = example(None, missing=False)
    twice = REAL[[0, 1, 1]], IMAGINARY[[0, 1, 1]]
    cost, coefficients, gradient, _ = projected(grid, *twice)
    assert coefficients[2] == 0
    assert np.isfinite(gradient).all()
    assert np.isfinite(cost)


def test_an_overflow_is_an_answer():
    _, grid = example(None, missing=False)
    real = REAL.copy()
    real[1, 3] = 1e5
    assert not np.isfinite(projected(grid, real, IMAGINARY)[0])
