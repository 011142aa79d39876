"""PySINDy as a careful user would run it: strong and weak form, several smoothings, thresholds and degrees.

Needs ``pip install "neural-arith-bench[peers]"``. Brunton, Proctor, Kutz, PNAS 2016 (STLSQ); Messenger and Bortz,
Multiscale Model. Simul. 2021 (weak form).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import sympy as sp

from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem
from neural_arith_bench.suites.selection import Model, best, smooth

DEGREES = (1, 2, 3)
ABSOLUTE = (0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
RELATIVE = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Thresholds on coefficients, and on coefficients of columns of unit norm as shares of the derivative's norm."""

RIDGES = (1e-6, 0.05)
WINDOWS = (7, 15, 25)
WIDTHS = (0.05, 0.1, 0.2)
"""Windows of the smoothed differences, in samples; half widths of the test functions, as shares of the time span."""

_DOMAINS = 200


def fit(data: Trajectories) -> EquationSystem:
    """The best model of all settings, see `selection`.

    Args:
        data: one run.

    Raises:
        DataError: no model could be integrated along the data.
    """
    run = data.runs[0]
    models: dict[tuple[Any, ...], Model] = {}
    for degree in DEGREES:
        for features, slopes in _problems(run.t, run.x, degree):
            for coefficients in _sparse(features, slopes):
                rounded = tuple(float(f"{value:.2g}") for value in coefficients.flat)
                models.setdefault((degree, *rounded), _model(coefficients, degree, data.names))
    return best(list(models.values()), run.t, run.x)


def _package() -> Any:
    """The optional package; its type hints are narrower than what it takes."""
    return importlib.import_module("pysindy")


def _problems(t: np.ndarray, x: np.ndarray, degree: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Linear problems, features ``(equations, terms)`` and slopes ``(equations, states)``."""
    pysindy = _package()

    library = pysindy.PolynomialLibrary(degree=degree, include_bias=True)
    pairs = [(x, np.asarray(pysindy.FiniteDifference(order=order)(x, t))) for order in (2, 4)]
    pairs.append(smooth(t, x))
    if np.allclose(np.diff(t), t[1] - t[0]):  # Savitzky-Golay windows know no other times
        for window in WINDOWS:
            method = pysindy.SmoothedFiniteDifference(smoother_kws={"window_length": window})
            slopes = np.asarray(method(x, t))
            pairs.append((np.asarray(method.smoothed_x_), slopes))
    for states, slopes in pairs:
        yield np.asarray(library.fit_transform(states)), slopes
    for width in WIDTHS:
        yield _weak(t, x, library, width)


def _weak(t: np.ndarray, x: np.ndarray, library: Any, width: float) -> tuple[np.ndarray, np.ndarray]:
    pysindy = _package()

    before = np.random.get_state()  # noqa: NPY002 - the places of the test functions come from the global generator
    np.random.seed(0)  # noqa: NPY002
    weak = pysindy.WeakPDELibrary(
        function_library=library, spatiotemporal_grid=t, K=_DOMAINS, H_xt=[width * float(t[-1] - t[0])]
    )
    np.random.set_state(before)  # noqa: NPY002
    states = pysindy.utils.AxesArray(x, {"ax_time": 0, "ax_coord": 1})
    features = np.asarray(weak.fit_transform([states])[0])
    return features, np.asarray(weak.convert_u_dot_integral(x))


def _sparse(features: np.ndarray, slopes: np.ndarray) -> Iterator[np.ndarray]:
    """Coefficients, ``(states, terms)``, for all thresholds."""
    pysindy = _package()

    def solved(target: np.ndarray, threshold: float, **options: Any) -> np.ndarray:
        return np.asarray(pysindy.STLSQ(threshold=threshold, **options).fit(features, target).coef_)

    for ridge in RIDGES:
        for threshold in ABSOLUTE:
            yield solved(slopes, threshold, alpha=ridge)
    norms = np.maximum(np.linalg.norm(slopes, axis=0), 1e-300)
    for threshold in RELATIVE:
        yield solved(slopes / norms, threshold, alpha=RIDGES[0], normalize_columns=True) * norms[:, None]


def _model(coefficients: np.ndarray, degree: int, names: tuple[str, ...]) -> Model:
    pysindy = _package()

    library = pysindy.PolynomialLibrary(degree=degree, include_bias=True).fit(np.ones((1, len(names))))
    powers = np.asarray(library.powers_)
    used = np.any(coefficients != 0, axis=0)
    kept, numbers = powers[used], coefficients[:, used].T

    def f(t: float, x: np.ndarray) -> np.ndarray:
        return np.prod(x**kept, axis=1) @ numbers

    def equations() -> EquationSystem:
        symbols = [sp.Symbol(name) for name in names]
        terms = [sp.Mul(*(s ** int(p) for s, p in zip(symbols, row, strict=True))) for row in kept]
        sides = [sp.Add(*(float(c) * term for c, term in zip(column, terms, strict=True) if c)) for column in numbers.T]
        return EquationSystem(dict(zip(names, sides, strict=True)))

    return Model(f, int(np.count_nonzero(coefficients)), equations)
