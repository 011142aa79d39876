"""Rate constants by least squares: against closed solutions, and against the same constants fitted apart."""

from __future__ import annotations

import numpy as np
import pytest

from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem, read_reactions
from neural_arith.errors import DataError, OptionError
from neural_arith.fit import fit_constants, fit_rates

DIMER = read_reactions(EquationSystem({"A": "-0.2*A**2", "B": "0.1*A**2"}))


def dimers(k: float, noise: float, seed: int = 0) -> Trajectories:
    """2 A -> B from two starts: d A/dt = -2 k A^2 has the solution A = A0/(1 + 2 k A0 t)."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0.0, 8.0, 40)
    runs = []
    for start in (1.0, 0.4):
        a = start / (1 + 2 * k * start * t)
        x = np.column_stack([a, (start - a) / 2])
        runs.append(x * np.exp(noise * rng.standard_normal(x.shape)))
    return Trajectories.from_arrays([t, t], runs, names=("A", "B"))


def test_clean_data_give_the_constant_back():
    found = fit_rates(DIMER, dimers(0.37, 0.0), noise="additive")
    assert found.converged
    assert found.reactions.reactions[0].rate_constant == pytest.approx(0.37, rel=1e-6)
    assert str(found.reactions) == "2 A -> B  (k = 0.37)"
    assert found.equations == found.reactions.to_equations()
    assert found.loss < 1e-12
    np.testing.assert_allclose(found.initial_states, [[1, 0], [0.4, 0]], atol=1e-6)


def test_errors_are_honest_and_smaller_than_of_separate_constants():
    deviations = []
    for seed in range(12):
        data = dimers(0.1, 0.05, seed)
        tied = fit_rates(DIMER, data, noise="log")
        deviations.append((tied.reactions.reactions[0].rate_constant - 0.1) / tied.standard_errors[0])
        if seed == 0:
            apart = fit_constants(DIMER.to_equations(), data, noise="log")
            numbers = np.abs(apart.equations.constants) / [2, 1]
            assert tied.standard_errors[0] < min(np.array(apart.standard_errors) / [2, 1])
            assert min(numbers) < tied.reactions.reactions[0].rate_constant < max(numbers)
            assert tied.noise == "log"
            assert np.all(tied.initial_states[:, 1] == 0)  # an exact zero under such noise
    # chi-squared of 12: beyond 33 once in a thousand
    assert 2 < np.sum(np.square(deviations)) < 33


def test_the_rest_is_fitted_along():
    # A -> B beside a loss of A by an amount that is no reaction
    reactions = read_reactions(EquationSystem({"A": "-0.5*A - 0.02", "B": "0.5*A"}))
    assert reactions.rest.to_text() == {"A": "-0.02", "B": "0"}
    t = np.linspace(0.0, 3.0, 31)
    a = (1 + 0.05 / 0.3) * np.exp(-0.3 * t) - 0.05 / 0.3
    data = Trajectories.from_arrays(t, np.column_stack([a, 1 - a - 0.05 * t]), names=("A", "B"))
    found = fit_rates(reactions, data, noise="additive").reactions
    assert found.reactions[0].rate_constant == pytest.approx(0.3, rel=1e-5)
    assert found.rest.constants == pytest.approx([-0.05], rel=1e-5)


def test_what_cannot_be_integrated_comes_back():
    runaway = read_reactions(EquationSystem({"A": "50.0*A**3", "B": "50.0*A**3"}))
    found = fit_rates(runaway, dimers(0.1, 0.0), noise="log", max_iterations=1)
    assert found.reactions.stoichiometry.tolist() == [[1], [1]]
    assert len(found.standard_errors) == 1


def test_wrong_options_and_data():
    data = dimers(0.1, 0.0)
    with pytest.raises(OptionError, match="noise must be one of"):
        fit_rates(DIMER, data, noise="white")
    with pytest.raises(OptionError, match="max_iterations must be at least 1"):
        fit_rates(DIMER, data, max_iterations=0)
    other = Trajectories.from_arrays(data[0].t, data[0].x, names=("A", "C"))
    with pytest.raises(DataError, match="the equations have states A, B"):
        fit_rates(DIMER, other)
