"""Round numbers come back where the data allow, and only there."""

import numpy as np
import pytest

from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem
from neural_arith.errors import OptionError
from neural_arith.fit import fit_constants, round_coefficients

SIR = {"S": "-0.04*S**{a}*I**{a} + 0.01*R", "I": "0.04*S**{a}*I**{a} - 0.05*I", "R": "0.05*I - 0.01*R"}


def sample(eqs, start, t, noise=0.0, seed=0):
    x = eqs.simulate(start, t, rtol=1e-11, atol=1e-13)
    x = x * (1 + noise * np.random.default_rng(seed).standard_normal(x.shape))
    return Trajectories.from_arrays(t, x, names=eqs.states)


def disturbed(eqs, share=0.02, seed=0):
    constants = np.array(eqs.constants)
    return eqs.with_constants(constants * (1 + share * np.random.default_rng(seed).standard_normal(constants.size)))


@pytest.mark.parametrize(
    ("rhs", "start", "span", "expected"),
    [
        (
            {"h": "0.5417*h - 0.02721*h*l", "l": "0.0237*h*l - 0.8*l"},
            [30, 4],
            20,
            {"h": "0.5417*h - 0.02721*h*l", "l": "-0.8*l + 0.0237*h*l"},
        ),
        (
            {"x": "1.0*y", "y": "-2.1*x - 0.00123*x**2.2*y"},
            [2, 0.5],
            0.7,
            {"x": "y", "y": "-2.1*x - 0.00123*x**2.2*y"},
        ),
        ({"x": "0.33333333333*x - 0.005*x**2"}, [1], 20, {"x": "x/3 - 0.005*x**2"}),
        ({"x": "1.567*x**0.66666666666 - 0.6*x"}, [0.05], 12, {"x": "1.567*x**(2/3) - 0.6*x"}),
    ],
)
def test_clean_data_give_the_numbers_back_and_twice_is_once(rhs, start, span, expected):
    truth = EquationSystem(rhs)
    data = sample(truth, start, np.linspace(0, span, 41))
    found = round_coefficients(disturbed(truth), data)
    assert found.to_text(None) == expected
    assert round_coefficients(found, data) == found


def test_noisy_fractional_sir():
    start = EquationSystem({state: text.format(a=0.49) for state, text in SIR.items()})
    truth = EquationSystem({state: text.format(a=0.5) for state, text in SIR.items()})
    data = sample(truth, [100.0, 0.01, 0.0], np.linspace(0, 200, 41), 0.01)
    found = round_coefficients(start, data)
    assert found.same_as(truth)
    assert all(len(f"{abs(c):.12g}".lstrip("0.")) <= 3 for c in found.constants)
    assert "sqrt(S)*sqrt(I)" in found.to_text()["S"]
    assert round_coefficients(found, data) == found


def test_noise_decides_how_many_figures_stay():
    truth = EquationSystem({"x": "0.7234567*x*(1 - 0.0134*x)"})
    figures = []
    for noise in (0.0, 0.001, 0.05):
        data = sample(truth, [3.0], np.linspace(0, 10, 60), noise)
        found = round_coefficients(truth, data)
        figures.append(sum(len(f"{abs(c):.12g}".replace(".", "").lstrip("0")) for c in found.constants))
        assert found.same_as(truth, rtol=0.15)
    assert figures[0] > figures[1] > figures[2]


def test_small_constants_survive():
    truth = EquationSystem({"x": "-0.00123*x + 1.7e-7*x**2"})
    found = round_coefficients(disturbed(truth), sample(truth, [900.0], np.linspace(0, 800, 50)))
    assert found.to_text(None) == {"x": "-0.00123*x + 1.7e-07*x**2"}


def test_loss_grows_by_no_more_than_allowed_a_step():
    truth = EquationSystem({"x": "0.7234567*x*(1 - 0.0134*x)"})
    data = sample(truth, [3.0], np.linspace(0, 10, 60), 0.03)
    best = fit_constants(truth, data)
    found = round_coefficients(truth, data, max_loss_increase=0.02)
    after = fit_constants(found, data, hold=found.constants, noise=best.noise)
    assert after.loss < best.loss * 1.02**4


def test_only_what_is_allowed():
    truth = EquationSystem({"x": "0.5*x**1.5 - 1.0*x"})
    data = sample(truth, [2.0], np.linspace(0, 3, 40))
    start = EquationSystem({"x": "0.503*x**1.49 - 0.99*x"})
    assert round_coefficients(start, data, allowed=("integer",)).to_text()["x"] == "0.5*x**1.5 - x"
    assert len(round_coefficients(start, data, allowed=("integer",)).constants) == 2
    assert len(round_coefficients(start, data, allowed=("fraction",)).constants) == 2
    assert round_coefficients(start, data, allowed=("figures",)).constants == [-1.0, 0.5]
    assert round_coefficients(start, data).to_text(None) == {"x": "-x + 0.5*x**(3/2)"}


def test_what_cannot_be_integrated_comes_back():
    t = np.linspace(0, 3, 10)
    data = Trajectories.from_arrays(t, np.exp(-t)[:, None], names=["x"])
    hopeless = EquationSystem({"x": "0.5123*log(-x - 1)"})
    assert round_coefficients(hopeless, data) == hopeless


def test_wrong_options():
    t = np.linspace(0, 3, 10)
    data = Trajectories.from_arrays(t, np.exp(-t)[:, None], names=["x"])
    eqs = EquationSystem({"x": "-0.99*x"})
    with pytest.raises(OptionError, match="integer, fraction, figures"):
        round_coefficients(eqs, data, allowed=("decimals",))
    with pytest.raises(OptionError, match="integer, fraction, figures"):
        round_coefficients(eqs, data, allowed="integer")
    with pytest.raises(OptionError, match="above 0"):
        round_coefficients(eqs, data, max_loss_increase=0)
    with pytest.raises(OptionError, match="auto, additive, proportional, log"):
        round_coefficients(eqs, data, noise="pink")
