"""Time budgets: one clock, asked everywhere, and something to return whenever it is over."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher
from simulated import logistic, lotka, noisy, scipy_solution

from neural_arith.clock import Clock, OutOfTimeError
from neural_arith.data import Run, Trajectories
from neural_arith.discovery import Discovery, discover
from neural_arith.discovery.loading import load_compiled
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.discovery.proposals.screening import fitting_products
from neural_arith.fit import projection, refine, regression
from neural_arith.fit.integral_form import integral_form
from neural_arith.fit.noise import Noise
from neural_arith.solve.compiled import integrate, prediction, values
from neural_arith.terms.dictionary import monomials
from neural_arith.terms.structure import Structure
from neural_arith.terms.units import power

T = np.linspace(0, 10, 40)


class Asked:
    """A time that goes on by one each time somebody asks."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> float:
        self.times += 1
        return float(self.times)


def ring(n: int, runs: int) -> Trajectories:
    """Masses in a ring, each held by a spring and coupled to its neighbours: positions, then speeds."""

    def f(_: float, z: np.ndarray) -> np.ndarray:
        x, v = z[:n], z[n:]
        return np.concatenate([v, -3.2 * x + 0.9 * (np.roll(x, 1) + np.roll(x, -1)) - 0.12 * v])

    starts = np.random.default_rng(0).standard_normal((runs, 2 * n))
    return Trajectories.from_arrays([T] * runs, [scipy_solution(f, start, T) for start in starts])


def growth() -> Trajectories:
    return Trajectories.from_arrays(T, logistic(T), names=["yeast"])


def hunted() -> Trajectories:
    return Trajectories.from_arrays(T, noisy(lotka(T), 0.03, 0), u=np.cos(T)[:, None])


def batches() -> Trajectories:
    return Trajectories.from_arrays([T] * 12, [noisy(logistic(T, 0.3 + 0.1 * k), 0.02, k) for k in range(12)])


def is_whole(found: Discovery, data: Trajectories) -> bool:
    """Whether everything that a report needs is there."""
    finite = all(np.isfinite(x).all() for _, x in found.fitted) and all(np.isfinite(r).all() for r in found.residuals)
    chosen = [candidate for candidate in found.candidates if candidate.selected]
    return finite and len(chosen) == 1 and tuple(found.equations.states) == data.names


def test_a_clock_tells_what_is_left():
    assert Clock().in_time()
    assert not Clock().limited
    clock = Clock.start(10.0, lambda: 5.0)
    assert (clock.begun, clock.end) == (5.0, 15.0)
    assert clock.in_time()
    assert clock.until(0.3).end == pytest.approx(8.0)
    assert clock.until(0.3, 1.0).end == pytest.approx(6.0)
    assert 5.0 < clock.searching.end < 15.0
    late = Clock(end=15.0, now=lambda: 15.5)
    with pytest.raises(OutOfTimeError):
        late.check()
    assert Clock.start(None).searching.end == math.inf


def test_the_flag_of_compiled_loops_is_raised_when_time_is_over():
    with Clock(end=5.0, now=lambda: 7.0).watched() as clock:
        while not clock.halt[0]:
            pass
    with Clock(end=5.0, now=lambda: 1.0).watched() as clock:
        pass
    assert not clock.halt[0]
    with Clock().watched() as clock:
        assert not clock.halt[0]


def test_a_candidate_that_is_halted_stays_as_far_as_it_has_come():
    data = Run(T, lotka(T) / 20)
    problem = prediction.Problem(
        t=T, x=data.x, weight=np.ones_like(data.x), inputs=np.zeros((40, 0)), start=np.array([0, 40]),
        linked=np.array([False]), link_weight=np.ones(2), floor=np.full(2, 1e-8), log_residual=False,
        bound=np.full(2, 1e3), scale=np.ones(2),
    )  # fmt: skip
    structure = Structure(((power(1, 0), power(1, 1)), (power(0, 1), power(1, 1))))
    theta = np.array([0.5, -0.5, -0.8, 0.5])
    found = refine.refine([structure], [theta], data.x[:1], problem, halt=np.ones(1, dtype=np.uint8))
    assert not found.complete
    assert np.isinf(found.misfit).all()
    assert found.thetas[0].tolist() == theta.tolist()
    assert not np.isfinite(
        prediction.predict(structure, theta, data.x[:1], problem, halt=np.ones(1, dtype=np.uint8)).misfit
    )
    plain = prediction.predict(structure, theta, data.x[:1], problem, slopes=False)
    assert plain.misfit == pytest.approx(prediction.predict(structure, theta, data.x[:1], problem).misfit, rel=1e-5)


@pytest.mark.parametrize("make", [growth, hunted, batches, lambda: ring(7, 2)])
def test_there_is_an_answer_even_when_time_is_over_at_once(make: Callable[[], Trajectories]):
    data = make()
    found = discover(data, time_budget=1e-3, n_jobs=1)
    assert found.status == "out of time"
    assert any("time budget ended the search" in line for line in found.messages)
    assert any("left no time for" in line and "round constants" in line for line in found.messages)
    assert is_whole(found, data)
    assert any("too many to try everything" in line for line in found.messages) == (data.n_states > 12)


@pytest.mark.parametrize("budget", [3, 30, 100, 300, 1000])
def test_whenever_time_is_over_the_search_ends_soon_with_something_whole(budget: int):
    now, data = Asked(), hunted()
    found = discover(data, time_budget=float(budget), n_jobs=1, restarts=4, max_units=1, now=now)
    assert is_whole(found, data)
    assert found.status == "out of time"
    assert now.times < budget + 200
    if budget >= 1000:
        assert found.chosen.loglik2 < -100


def test_a_search_asks_often_and_finds_the_same_with_time_enough():
    now = Asked()
    options: dict[str, Any] = {"n_jobs": 1, "restarts": 8, "max_units": 1}
    found = discover(growth(), time_budget=1e9, now=now, **options)
    assert now.times > 300
    assert found.status == "done"
    assert found.equations.to_text() == discover(growth(), **options).equations.to_text()


def test_all_that_is_compiled_is_loaded_before_the_clock_runs():
    def signatures() -> set[tuple[str, str]]:
        modules = (projection, regression, refine, prediction, integrate, values)
        every = [value for module in modules for value in vars(module).values() if isinstance(value, CPUDispatcher)]
        return {(function.__name__, str(signature)) for function in every for signature in function.signatures}

    load_compiled()
    before = signatures()
    discover(hunted(), restarts=4, max_units=2, n_jobs=1, time_budget=1500.0, now=Asked())
    assert signatures() == before


def test_of_many_variables_the_products_that_fit_are_found():
    n = 7
    data = ring(n, 3)
    noise = Noise("additive", np.zeros(2 * n))
    curves = smooth(list(data.runs), noise)
    found = fitting_products([integral_form(curves, noise, length) for length in (None, 6)], Clock())
    axes = [power(*row) for row in np.eye(2 * n)]
    for i, units in enumerate(found):
        assert len(units) == len(set(units)) < 60
        needed = {axes[n + i]} if i < n else {axes[i], *(axes[(i - n + k) % n] for k in (-1, 0, 1))}
        assert needed <= set(units)


def test_products_are_as_many_as_they_should_be():
    for n, degree in itertools.product(range(1, 5), range(4)):
        powers = [p for p in itertools.product(range(degree + 1), repeat=n) if sum(p) <= degree]
        assert monomials(n, degree) == [power(*p) for p in sorted(powers, key=lambda p: (sum(p), p[::-1]))]
    assert len(monomials(40, 2)) == math.comb(42, 2)
