"""Pruning down to the law."""

import copy

import numpy as np
import pytest
import torch

from neural_arith import systems
from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem
from neural_arith.errors import IntegrationError, OptionError
from neural_arith.layers import NAU, NPU, RealNPU
from neural_arith.ode import ArithmeticField, prune, train
from neural_arith.ode.prune import units, without_unit

LOGISTIC = EquationSystem({"x": "0.9*x - 0.3*x**2"})


def logistic(noise):
    t = np.linspace(0, 6, 40)
    x = LOGISTIC.simulate([0.2], t, rtol=1e-10, atol=1e-12)
    x = x + noise * x.std() * np.random.default_rng(0).standard_normal(x.shape)
    return Trajectories.from_arrays(t, x, names=("x",))


def trained_on(data):
    g = torch.Generator().manual_seed(0)
    field = ArithmeticField(RealNPU(1, 4, generator=g), NAU(4, 1, generator=g), states=("x",))
    return train(field, data, seed=0).field


def test_clean_data_leave_the_law():
    data = logistic(0.0)
    trained = trained_on(data)
    before = copy.deepcopy(trained)
    pruned = prune(trained, data, seed=0)
    for a, b in zip(trained.state_dict().values(), before.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert pruned.to_equations().same_as(LOGISTIC, rtol=1e-3)


def test_noisy_data_leave_few_units_that_simulate_well():
    data = logistic(0.01)
    pruned = prune(trained_on(data), data, seed=0)
    assert len(units(pruned)) <= 2
    x = pruned.to_equations().simulate([0.2], data.runs[0].t)
    truth = LOGISTIC.simulate([0.2], data.runs[0].t)
    assert ((x - truth) ** 2).mean() < 1e-3 * truth.var()


def test_fractional_sir_as_published():
    system = systems.get("fractional_sir")
    data = system.sample()
    g = torch.Generator().manual_seed(0)
    field = ArithmeticField(NPU(3, 6, generator=g), NAU(6, 3, generator=g), states=data.names)
    trained = train(field, data, seed=0)
    assert trained.loss < 1e-5
    found = prune(trained.field, data, seed=0).to_equations()
    assert found.same_as(system.equations, rtol=0.01)


def test_states_that_change_sign_get_whole_exponents():
    truth = EquationSystem({"x": "1.0*y", "y": "1.5*y - 1.5*x**2*y - 1.0*x"})
    t = np.linspace(0, 10, 80)
    data = Trajectories.from_arrays(t, truth.simulate([1.3, 0.2], t, rtol=1e-10, atol=1e-12), names=("x", "y"))
    g = torch.Generator().manual_seed(0)
    field = ArithmeticField(NPU(2, 5, generator=g), NAU(5, 2, generator=g), states=("x", "y"))
    found = prune(train(field, data, seed=0).field, data, seed=0).to_equations()
    assert found.same_as(truth, rtol=1e-4)


def test_a_field_that_cannot_be_simulated_is_refused():
    field = ArithmeticField(NPU.from_weights([[-1.0]]), NAU.from_weights([[1.0]]), states=("x",))
    t = np.linspace(0, 1, 10)
    data = Trajectories.from_arrays(t, t, names=("x",))
    with pytest.raises(IntegrationError, match="train it first"):
        prune(field, data, restarts=0)


def test_a_unit_is_masked_on_both_sides():
    field = ArithmeticField(NPU(2, 3), NAU(3, 2), states=("a", "b"))
    trial = without_unit(field, (0, 1))
    assert units(field) == [(0, 0), (0, 1), (0, 2)]
    assert units(trial) == [(0, 0), (0, 2)]
    assert not bool(dict(trial.named_buffers())["layers.0.wr_mask"][1].any())
    assert not bool(dict(trial.named_buffers())["layers.1.weight_mask"][:, 1].any())


def test_wrong_options():
    field = ArithmeticField(NPU(1, 1), NAU(1, 1), states=("x",))
    with pytest.raises(OptionError, match="accuracy must be a finite number above 0"):
        prune(field, logistic(0.0), accuracy=0)
