"""Modes: fits of all penalties against a direct solution, leverages, and mixtures that find what is best where."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from neural_arith.discovery.measurements.smoothing import (
    CHUNK,
    FITS,
    ORDER,
    OVERLAP,
    chunks,
    denoise,
    divided_differences,
    mixture,
    modes,
)

T = np.sort(np.random.default_rng(0).uniform(0, 1, 40))


def test_fits_solve_the_penalised_problem():
    rng = np.random.default_rng(1)
    x, scale = rng.normal(size=40), rng.uniform(0.5, 2, 40)
    basis = modes(T, scale)
    # The penalty matrix is read back from the modes; the fits must then solve the normal equations.
    rough = (basis.vectors / scale).T @ np.diag(basis.roughness) @ (basis.vectors / scale)
    fits, leverages = basis.fits(x)
    chosen = np.unique(np.geomspace(1, 37, FITS).round().astype(int)) - 1
    for fit, leverage, k in zip(fits, leverages, basis.roughness[:-ORDER][::-1][chosen], strict=True):
        hat = np.linalg.solve(np.diag(scale**-2.0) + rough / k, np.diag(scale**-2.0))
        np.testing.assert_allclose(fit, hat @ x, atol=1e-5)
        np.testing.assert_allclose(leverage, np.diag(hat), atol=1e-5)


def test_parabolas_cost_nothing():
    for scale in (None, np.linspace(0.1, 3, 40)):
        gap = np.diff(T)  # times that nearly coincide are moved apart first
        moved = np.append(0, np.cumsum(np.maximum(gap / np.median(gap), 1e-2)))
        parabola = 1 - moved + 0.3 * moved**2
        fits, _ = modes(T, scale).fits(parabola)
        np.testing.assert_allclose(fits, np.tile(parabola, (len(fits), 1)), rtol=1e-5)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_divided_differences_are_the_leading_coefficients(order):
    weights = divided_differences(T, order)
    values = (3.0 * T**order)[np.arange(40 - order)[:, None] + np.arange(order + 1)]
    np.testing.assert_allclose((weights * values).sum(axis=1), 3.0, rtol=1e-4)


def test_mixtures_weigh_a_fit_where_it_is_good():
    n = 200
    residual = np.ones((3, n))
    residual[0, :100], residual[1, 100:] = 4.0, 4.0
    residual[2] = 0.0  # the measurements themselves
    weight = mixture(residual, np.stack([np.full(n, 0.1), np.full(n, 0.1), np.ones(n)]))
    np.testing.assert_allclose(weight.sum(axis=0), 1.0)
    assert (weight[1, :60] > 0.9).all()
    assert (weight[0, 140:] > 0.9).all()
    nothing = mixture(np.stack([np.full(n, np.inf), np.zeros(n)]), np.stack([np.zeros(n), np.ones(n)]))
    np.testing.assert_allclose(nothing[1], 1.0)


@pytest.mark.parametrize("n", [6, CHUNK, CHUNK + 1, 500, 1000])
def test_chunks_cover_everything_and_overlap(n):
    parts = chunks(n)
    assert parts[0].start == 0
    assert parts[-1].stop == n
    assert all(later.start <= earlier.stop - OVERLAP for earlier, later in itertools.pairwise(parts))
    assert all(p.stop - p.start <= CHUNK for p in parts)


@pytest.mark.parametrize("relative", [False, True])
def test_six_values_are_enough_and_what_is_found_does_not_depend_on_units(relative):
    t, x = np.linspace(0, 1, 6), np.array([1.0, 1.2, 0.9, 1.1, 1.3, 1.0])
    value, leverage = denoise(t, x, 0.1, relative)
    assert np.isfinite(value).all()
    assert ((leverage > 0) & (leverage <= 1)).all()
    np.testing.assert_allclose(denoise(60 * t, x, 0.1, relative)[0], value, rtol=1e-6)
