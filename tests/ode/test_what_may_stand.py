"""What may stand in a field works, and all else is one clear line: when it is built, or before training begins."""

import copy
import os
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import neural_arith as na
from neural_arith.ode import L1Growth, MadsenRamp

T = np.linspace(0, 2, 25)
GRID = torch.linspace(0, 1, 5)


def decays(k=1.0, scale=1.0, names=("x", "y")):
    """Two exponentials, exact: dx/dt = 3 - 2 x, dy/dt = -y / 2."""
    x = np.stack([1.5 - np.exp(-2 * T), 2 * np.exp(-T / 2)], 1)
    return na.Trajectories.from_arrays(T * scale, x * k, names=names)


DATA = decays()


def layers():
    return na.NPU(2, 3), na.NAU(3, 2)


def field(*stack: Any, states: Any = ("x", "y"), **options: Any) -> Any:
    return na.ArithmeticField(*(stack or layers()), states=states, **options)


def quick(made, data=DATA, **options):
    return na.train(made, data, **{"steps": 2, "starts": 0, **options})


class Drag(nn.Module):
    """A force with one free number, over time and states."""

    def __init__(self):
        super().__init__()
        self.k = nn.Parameter(torch.tensor(0.1))

    def forward(self, t, x):
        return -self.k * x


class Spoilt(nn.Module):
    """Any function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def counter():
    """A function that remembers how often it was called."""
    calls = []

    def count(x):
        calls.append(1)
        return -x * len(calls)

    return count


def known_part(made: na.ArithmeticField) -> Any:
    return made.known


ANY: Any = na.NeuralODE
GROWTH: Any = L1Growth
RAMP: Any = MadsenRamp


# ---------------------------------------------------------------------- what works
@pytest.mark.parametrize("adjoint", [False, True])
def test_a_plain_stack_is_a_field(adjoint):
    stack = nn.Sequential(
        na.NPU.from_weights([[1.0, 0.0], [0.0, 1.0]]), na.NAU.from_weights([[-0.5, 0.0], [0.0, -2.0]])
    )
    x0 = torch.tensor([[1.0, 3.0], [2.0, 0.5]], dtype=torch.float64)
    t = GRID.double()
    found = na.NeuralODE(stack, adjoint=adjoint)(x0, t)
    exact = x0[:, None] * torch.exp(t[:, None] * torch.tensor([-0.5, -2.0]).double())
    torch.testing.assert_close(found, exact, rtol=1e-6, atol=1e-8)
    found.sum().backward()
    assert stack[1].weight.grad is not None
    named = na.ArithmeticField(stack, states=("x", "y"))
    assert named.to_equations().same_as(na.EquationSystem({"x": "-0.5*x", "y": "-2.0*y"}))


@pytest.mark.parametrize("form", ["(t, x, u)", "(t, x)", "(x)", "equations"])
def test_every_way_of_calling(form):
    made = {
        "(t, x, u)": lambda t, x, u: -x,
        "(t, x)": lambda t, x: -x,
        "(x)": lambda x: -x,
        "equations": na.EquationSystem({"x": "-x"}),
    }[form]
    x = na.NeuralODE(made)(torch.ones(1, dtype=torch.float64), GRID.double())
    torch.testing.assert_close(x[:, 0], torch.exp(-GRID.double()), rtol=1e-6, atol=1e-8)


def test_inputs_of_a_plain_stack_are_further_columns():
    stack = nn.Linear(2, 1, bias=False, dtype=torch.float64)
    stack.weight.data[:] = torch.tensor([[0.0, 1.0]])
    t = GRID.double()
    x = na.NeuralODE(stack)(torch.zeros(1, dtype=torch.float64), t, t[:, None])
    torch.testing.assert_close(x[:, 0], t**2 / 2, rtol=1e-6, atol=1e-9)
    back = na.NeuralODE(stack)(torch.full((1,), 0.5, dtype=torch.float64), t.flip(0), t.flip(0)[:, None])
    torch.testing.assert_close(back[:, 0], t.flip(0) ** 2 / 2, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", ["trajectory", "segments", "derivative", "integral"])
def test_a_linear_layer_with_bias_is_read_as_a_constant_term(loss):
    found = na.train(nn.Linear(2, 2), DATA, loss=loss, steps=20)
    points = np.array([[0.7, 1.1], [1.4, 0.8]])
    expected = np.stack([3 - 2 * points[:, 0], -points[:, 1] / 2], 1)
    for made in (found.field, na.prune(found.field, DATA, steps=3, restarts=0)):
        np.testing.assert_allclose(made.to_equations().to_numpy()(0.0, points), expected, atol=1e-3)
    assert dict(found.field.to_equations().rhs)["x"].as_coeff_Add()[0] == pytest.approx(3, abs=1e-2)


@pytest.mark.parametrize("loss", ["trajectory", "segments", "derivative", "integral"])
def test_a_known_module_is_trained_with_the_rest(loss):
    """dz/dt = 4 sqrt(z) - k z: the root stands in the layers, the drag in the known part."""
    t = np.linspace(0, 4, 40)
    z = na.EquationSystem({"z": "4*sqrt(z) - 1.3*z"}).simulate([1.0], t, rtol=1e-11, atol=1e-13)
    data = na.Trajectories.from_arrays(t, z, names=["z"])
    power = na.RealNPU.from_weights([[0.5]])
    power.requires_grad_(False)
    made = na.ArithmeticField(power, na.NAU.from_weights([[1.0]]), states="z", known=Drag())
    found = na.train(made, data, loss=loss, steps=40, starts=0, goal=1e-14)
    names = dict(found.field.named_parameters())
    assert float(next(v for n, v in names.items() if n.endswith("k")).detach()) == pytest.approx(1.3, rel=1e-3)
    assert float(names["layers.1.weight"].detach()) == pytest.approx(4.0, rel=1e-3)
    assert float(known_part(made).k.detach()) == pytest.approx(0.1)
    with pytest.raises(na.EquationError, match="module"):
        found.field.to_equations()


def test_a_frozen_known_module_stays():
    found = quick(field(known=Drag().requires_grad_(False)), loss="integral")
    assert float(known_part(found.field).k) == pytest.approx(0.1)


def test_derivatives_with_a_trained_known_part():
    """The Jacobian of the eliminated problem is that of finite differences along the projected residual."""
    from neural_arith.ode.flat import FlatField
    from neural_arith.ode.matching import MatchingResidual, integral_targets

    made = field(na.RealNPU.from_weights([[0.5, 0.2], [1.0, -0.3]]), nn.Linear(2, 2).double(), known=Drag()).double()
    made.layers[0].gate.requires_grad_(False)
    residual = MatchingResidual(made, flat := FlatField(made), integral_targets(DATA), frozenset())
    inner = flat.read()[residual.inner]
    linear = residual.linearise(inner)
    assert linear is not None
    r, jac = linear
    # Kaufman's Jacobian gives the exact gradient of the projected squares
    for i in range(len(inner)):
        step = torch.zeros_like(inner)
        step[i] = 1e-6
        up, down = residual.value(inner + step), residual.value(inner - step)
        assert up is not None
        assert down is not None
        slope = (up.square().sum() - down.square().sum()) / 2e-6
        assert float(2 * jac[:, i] @ r) == pytest.approx(float(slope), rel=1e-3, abs=1e-6)


def test_parts_switched_off_may_stand():
    made = field(na.NPU(2, 3), nn.Dropout(0.5).eval(), nn.BatchNorm1d(3).eval(), nn.Tanh(), na.NAU(3, 2))
    assert np.isfinite(quick(made, loss="integral").loss)
    tanh = nn.Tanh()
    field(na.NAU(2, 2), tanh, na.NAU(2, 2), tanh)  # without weights, twice is once more


@pytest.mark.parametrize("optimizer", ["lm", "adam"])
def test_a_neural_ode_and_half_precision_are_trained_in_double(optimizer):
    found = quick(na.NeuralODE(field().half()), optimizer=optimizer).field
    assert next(found.parameters()).dtype == torch.float64


def test_pruning_ends_where_nothing_can_be_masked():
    made = field(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    assert isinstance(na.prune(made, DATA, steps=1, restarts=0), na.ArithmeticField)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_field_on_a_gpu_comes_back_to_it():
    made = field().cuda()
    trained = quick(made, loss="integral").field
    assert next(trained.parameters()).is_cuda
    assert next(na.prune(trained, DATA, steps=1, restarts=0).parameters()).is_cuda
    with pytest.raises(na.DataError, match="cuda"):
        na.NeuralODE(made)(torch.ones(2), GRID)


# ---------------------------------------------------------------------- what is refused when built
def twice():
    layer = na.NAU(2, 2)
    return field(layer, layer)


def tied():
    one, other = na.NAU(2, 2), na.NAU(2, 2)
    other.weight = one.weight
    return field(one, other)


BUILT = {
    "dropout": (lambda: field(na.NPU(2, 3), nn.Dropout(0.1), na.NAU(3, 2)), "random"),
    "dropout inside": (lambda: field(nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.1)), na.NAU(3, 2)), "random"),
    "dropout in a neural ode": (lambda: na.NeuralODE(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))), "random"),
    "dropout in the known part": (lambda: field(known=nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))), "random"),
    "stochastic unit": (lambda: field(na.StochasticNMU(2, 3), na.NAU(3, 2)), "random"),
    "batch norm": (lambda: field(na.NPU(2, 3), nn.BatchNorm1d(3), na.NAU(3, 2)), "LayerNorm"),
    "layer twice": (twice, "copy.deepcopy"),
    "weight twice": (tied, "copy.deepcopy"),
    "recurrent": (lambda: field(nn.GRU(2, 3), na.NAU(3, 2)), "layer 0 \\(GRU\\) must return"),
    "sizes inside": (lambda: field(na.NPU(2, 3), na.NAU(4, 2)), "layer 1 \\(NAU\\)"),
    "sizes of others": (lambda: field(nn.Linear(3, 3), nn.Tanh(), na.NAU(3, 2)), "in_features=3"),
    "output": (lambda: field(na.NPU(2, 3), nn.Tanh()), "one value per state"),
    "no module": (lambda: field(lambda x: x), "torch.nn.Module"),
    "a class": (lambda: field(na.NPU), "class NPU"),
    "a list": (lambda: field([na.NPU(2, 2)]), "torch.nn.Module"),
    "states a number": (lambda: field(states=5), "texts"),
    "states numbers": (lambda: field(states=(1, 2)), "texts"),
    "states none": (lambda: field(states=None), "texts"),
    "no states": (lambda: field(states=()), "at least one state"),
    "known text": (lambda: field(known="-x"), "function"),
    "known dict": (lambda: field(known={"x": "y"}), "function"),
    "known of wrong shape": (lambda: field(known=lambda t, x, u: torch.zeros(3)), "one value per state"),
    "known of numpy": (lambda: field(known=lambda t, x, u: np.zeros(2)), "ndarray"),
    "known that fails": (lambda: field(known=lambda t, x, u: 1 / 0), "ZeroDivisionError"),
    "random": (lambda: field(Spoilt(lambda x: x + torch.randn_like(x))), "random numbers"),
    "random in the known part": (lambda: field(known=lambda t, x, u: torch.rand_like(x)), "random numbers"),
    "in place": (lambda: field(Spoilt(lambda x: x.mul_(-1))), "in place"),
    "remembers": (lambda: field(Spoilt(counter())), "remember earlier calls"),
    "ode type": (lambda: na.NeuralODE(field(), options={"dtype": "a"}), "dtype must be"),
    "ode first step": (lambda: na.NeuralODE(field(), options={"first_step": "a"}), "first_step must be"),
    "known of four": (lambda: field(known=lambda a, b, c, d: a), "is called as"),
    "ode of a number": (lambda: ANY(5), "module or a function"),
    "ode adjoint": (lambda: na.NeuralODE(field(), adjoint="a"), "adjoint must be True or False"),  # pyright: ignore
    "ode method": (lambda: na.NeuralODE(field(), method="magic"), "method must be"),
    "ode tolerance": (lambda: na.NeuralODE(field(), rtol=-1), "above 0"),
    "ode tolerance text": (lambda: ANY(field(), rtol="a"), "above 0"),
    "ode options": (lambda: na.NeuralODE(field(), options={"magic": 1}), "options of dopri5"),
    "ode options list": (lambda: ANY(field(), options=[1]), "mapping"),
    "ode step": (lambda: na.NeuralODE(field(), method="rk4", options={"step_size": "a"}), "step_size"),
    "ode adjoint of a function": (lambda: na.NeuralODE(lambda x: x, adjoint=True), "torch.nn.Module"),
    "growth of text": (lambda: GROWTH("a"), "L1Growth needs"),
    "ramp of text": (lambda: RAMP(begin="a"), "MadsenRamp needs"),
}


@pytest.mark.parametrize("name", BUILT)
def test_refused_when_built(name):
    make, says = BUILT[name]
    with pytest.raises(na.OptionError, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------------- what is refused before training begins
def filled(value):
    made = field()
    made.layers[1].weight.data.fill_(value)
    return made


OPTIONS = [
    {"loss": "magic"},
    {"optimizer": "magic"},
    {"steps": -1},
    {"steps": 2.5},
    {"starts": -1},
    {"starts": 1.5},
    {"segment_length": 0},
    {"segment_length": 1.5},
    {"substeps": 0},
    {"substeps": 1.5},
    {"rtol": 0},
    {"rtol": float("nan")},
    {"rtol": 1e-30},
    {"goal": float("nan")},
    {"goal": -1},
    {"tolerance": "a"},
    {"tolerance": -1},
    {"patience": -1},
    {"seed": "a"},
    {"seed": None},
    {"seed": 2**70},
    {"learning_rate": -1},
    {"learning_rate": 0},
    {"learning_rate": "fast"},
    {"learning_rate": float("nan")},
    {"learning_rate": float("inf")},
    {"sparsity": 0.1},
    {"checkpoint": ""},
    {"checkpoint": 5},
    {"checkpoint": "."},
    {"checkpoint_every": 0},
    {"resume": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("optimizer", ["lm", "adam"])
def test_options_out_of_range(options, optimizer):
    name = next(iter(options))
    with pytest.raises(na.OptionError, match=name.split("_")[0]):
        quick(field(), **{"optimizer": optimizer, **options})


@pytest.mark.parametrize(
    "options",
    [{"accuracy": 0}, {"price": float("nan")}, {"restarts": 1.5}, {"steps": "a"}, {"rtol": 0}, {"seed": "a"}],
    ids=str,
)
def test_options_of_prune_out_of_range(options):
    with pytest.raises(na.OptionError, match=next(iter(options))):
        na.prune(field(), DATA, **options)


FIELDS = {
    "nothing": (None, "ArithmeticField"),
    "equations": (na.EquationSystem({"x": "y", "y": "x"}), "ArithmeticField"),
    "a module of time": (Drag(), "ArithmeticField"),
    "not a number": (filled(float("nan")), "layers.1.weight"),
    "infinite": (filled(float("inf")), "layers.1.weight"),
    "meta": (field().to("meta"), "meta"),
}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("work", [quick, na.prune])
def test_fields_that_cannot_be_fitted(name, work):
    with pytest.raises(na.OptionError, match=FIELDS[name][1]):
        work(FIELDS[name][0], DATA)


class Stopped(nn.Linear):
    """A layer whose output is spoilt for derivatives."""

    def __init__(self, spoil):
        super().__init__(2, 2)
        self.spoil = spoil

    def forward(self, input):
        return self.spoil(super().forward(input))


def changed_in_place(y):
    z = y.exp()
    z.mul_(2)
    return z


UNLEARNT = {
    "detach": (lambda: Stopped(lambda y: y.detach()), "does not depend on any trainable number"),
    "numpy": (lambda: Stopped(lambda y: torch.from_numpy(y.detach().numpy())), "does not depend on any"),
    "numpy of a gradient": (lambda: Stopped(lambda y: torch.from_numpy(y.numpy())), "cannot be differentiated"),
    "in place": (lambda: Stopped(changed_in_place), "cannot be differentiated"),
}


@pytest.mark.parametrize("name", UNLEARNT)
@pytest.mark.parametrize("optimizer", ["lm", "adam"])
def test_fields_that_cannot_learn(name, optimizer):
    make, says = UNLEARNT[name]
    with pytest.raises(na.OptionError, match=says) as caught:
        quick(make(), optimizer=optimizer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("optimizer", ["lm", "adam"])
def test_layers_without_a_forward_derivative_are_trained(optimizer):
    torch.manual_seed(0)
    made = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    found = quick(made, optimizer=optimizer, loss="derivative", steps=30, learning_rate=0.1)
    assert found.history[-1]["loss"] < found.history[0]["loss"] or found.loss < 1e-3


def test_nothing_to_train():
    with pytest.raises(na.OptionError, match="frozen"):
        quick(field().requires_grad_(False))


@pytest.mark.parametrize("data", [None, [DATA], {"x": 1}, np.zeros((3, 2)), decays(names=("a", "b"))])
@pytest.mark.parametrize("work", [quick, na.prune])
def test_data_that_are_none(data, work):
    with pytest.raises(na.DataError, match="data"):
        work(field(), data)


@pytest.mark.parametrize("work", [quick, na.prune])
@pytest.mark.parametrize("sizes", [{"scale": 1e-300}, {"scale": 1e150}, {"k": 1e-200}, {"k": 1e200}], ids=str)
def test_sizes_beyond_floating_point(sizes, work):
    with pytest.raises(na.DataError, match="another unit"):
        work(field(), decays(**sizes))


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1e9, 1e30])
def test_other_units_of_time_and_states_train_alike(scale):
    made = na.ArithmeticField(nn.Linear(2, 2), states=("x", "y"))
    one = na.train(made, DATA, steps=10).field.to_equations()
    other = na.train(made, decays(scale=scale), steps=10).field.to_equations()
    x = np.array([1.2, 0.7])
    np.testing.assert_allclose(other.to_numpy()(0, x) * scale, one.to_numpy()(0, x), rtol=1e-4)


def test_a_learning_rate_that_throws_everything_out_ends_with_the_best():
    for optimizer in ("adam", "lbfgs"):
        found = quick(field(), optimizer=optimizer, learning_rate=1e200, loss="segments", steps=12)
        assert np.isfinite(found.loss)
        assert all(bool(torch.isfinite(p).all()) for p in found.field.parameters())


# ---------------------------------------------------------------------- what is refused when called
STATES = {
    "a list": [1.0, 2.0],
    "an array": np.ones(2),
    "whole numbers": torch.tensor([1, 2]),
    "none": None,
    "another number": torch.ones(3),
    "a scalar": torch.tensor(1.0),
    "complex": torch.ones(2) + 0j,
    "meta": torch.ones(2, device="meta"),
}


@pytest.mark.parametrize("name", STATES)
def test_states_that_do_not_fit(name):
    made = field()
    with pytest.raises(na.DataError):
        made(0.0, STATES[name])
    for run in (made, nn.Linear(2, 2)):
        with pytest.raises(na.DataError):
            na.NeuralODE(run)(STATES[name], GRID)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_precisions_work_or_are_refused(dtype):
    x = torch.ones(2, dtype=dtype)
    with pytest.raises(na.DataError, match="float32"):
        na.NeuralODE(nn.Linear(2, 2))(x, GRID)
    with pytest.raises(na.DataError, match="float32"):
        field(nn.Linear(2, 2))(0.0, x)
    assert field()(0.0, x).isfinite().all()  # units of this package work in the wider type


@pytest.mark.parametrize("x0", [torch.zeros(0, 2), torch.zeros(3, 0), torch.tensor([1.0, float("nan")])])
def test_starts_that_are_none(x0):
    with pytest.raises(na.DataError):
        na.NeuralODE(field())(x0, GRID)


TIMES = {
    "empty": torch.zeros(0),
    "scalar": torch.tensor(1.0),
    "a number": 1.0,
    "text": "abc",
    "none": None,
    "equal": torch.tensor([0.0, 0.0]),
    "unsorted": [0.0, 2.0, 1.0],
    "a table": torch.rand(3, 1),
    "not a number": [0.0, float("nan")],
    "complex": GRID + 0j,
    "bool": torch.tensor([False, True]),
    "meta": GRID.to("meta"),
}


@pytest.mark.parametrize("name", TIMES)
def test_times_that_are_none(name):
    with pytest.raises(na.DataError):
        na.NeuralODE(field())(torch.ones(2), TIMES[name])


@pytest.mark.parametrize("t", [[0, 1, 2], np.linspace(0, 1, 3), range(3), torch.arange(3), [0.0]], ids=str)
def test_times_of_any_kind(t):
    x = na.NeuralODE(field(na.NAU.from_weights([[-1.0, 0.0], [0.0, -2.0]])))(torch.ones(2, dtype=torch.float64), t)
    exact = torch.exp(-torch.as_tensor(t).double()[:, None] * torch.tensor([1.0, 2.0]).double())
    torch.testing.assert_close(x, exact, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "u", [torch.rand(4, 1), [[1.0]] * 5, torch.rand(5, 2), torch.rand(3, 5, 1), None, 5, lambda t: 1]
)
def test_inputs_that_do_not_fit(u):
    driven = na.NeuralODE(na.ArithmeticField(na.NAU(3, 2), states=("x", "y"), inputs="u"))
    with pytest.raises(na.DataError):
        driven(torch.ones(2), GRID, u)


ANSWERS = {
    "none": (lambda x: None, "NoneType"),
    "tuple": (lambda x: (x, x), "tuple"),
    "numpy": (lambda x: x.numpy(), "ndarray"),
    "bool": (lambda x: x > 0, "torch.bool"),
    "complex": (lambda x: x * 1j, "torch.complex64"),
    "random": (lambda x: torch.randn_like(x), "random numbers"),
    "in place": (lambda x: x.mul_(-1), "in place"),
    "remembers": (counter(), "remember earlier calls"),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("method", ["dopri5", "rk4"])
def test_answers_that_are_no_slopes(name, method):
    function, says = ANSWERS[name]
    with pytest.raises(na.OptionError, match=says) as caught:
        na.NeuralODE(function, method=method)(torch.ones(2), GRID)
    assert "\n" not in str(caught.value)


def test_functions_without_a_signature_and_equations_without_their_inputs():
    x = na.NeuralODE(torch.sin)(torch.ones(1, dtype=torch.float64), GRID.double())
    torch.testing.assert_close(
        torch.tan(x[:, 0] / 2), torch.tan(x[0, 0] / 2) * torch.exp(GRID.double()), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(na.DataError, match="inputs u; pass them"):
        na.NeuralODE(na.EquationSystem({"x": "-x + u"}, inputs=["u"]))(torch.ones(1), GRID)


@pytest.mark.parametrize("path", ["/proc/1/x", "a\0b", "/dev/null/x", "a" * 300])
def test_a_checkpoint_that_cannot_be_written_is_refused_before_training(path):
    if path.startswith("/proc") and not os.path.isdir("/proc/1"):
        pytest.skip("no /proc here")
    with pytest.raises(na.OptionError, match=r"checkpoint .* cannot be written"):
        quick(field(), steps=10**6, checkpoint=path)


def test_a_checkpoint_that_can_no_longer_be_written_costs_no_training(tmp_path):
    place = tmp_path / "runs"

    def removed(x):
        if place.is_dir():  # what a user may do meanwhile
            place.rmdir()
            place.write_text("a file now")
        return x

    with pytest.warns(RuntimeWarning, match="without a checkpoint"):
        found = quick(
            field(*layers(), Spoilt(removed)),
            optimizer="adam",
            steps=3,
            checkpoint=place / "run.pt",
            checkpoint_every=1,
        )
    assert np.isfinite(found.loss)
    assert len(found.history) == 3


def test_names_of_any_kind_are_read_back():
    names = ("hare count", "\u03b1\u00b2")
    found = quick(nn.Linear(2, 2), decays(names=names)).field
    assert found.to_equations().states == names
    assert found.to_equations().to_numpy()(0, np.ones(2)) == pytest.approx(
        found(0.0, torch.ones(2).double()).detach().numpy()
    )


def test_copies_do_not_share():
    made = field(known=Drag())
    copied = copy.deepcopy(made)
    known_part(copied).k.data.fill_(9.0)
    assert float(known_part(made).k.detach()) == pytest.approx(0.1)


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
@pytest.mark.parametrize("method", ["dopri5", "rk4"])
def test_times_of_any_size_are_solved_in_their_own_units(scale, method):
    made = na.NeuralODE(na.EquationSystem({"x": f"-{0.5 / scale!r}*x"}), method=method)
    t = GRID.double() * scale
    exact = torch.exp(-0.5 * GRID.double())
    try:
        x = made(torch.ones(1, dtype=torch.float64), t)
    except na.IntegrationError:
        assert scale < 1  # squares of the slopes leave the range there
        assert method == "dopri5"
        return
    torch.testing.assert_close(x[:, 0], exact, rtol=1e-4, atol=0)


@pytest.mark.parametrize("scale", [1e150, 1e300])
def test_times_in_another_unit_than_the_field(scale):
    decay = na.NeuralODE(na.EquationSystem({"x": "-0.5*x"}))
    with pytest.raises(na.IntegrationError):
        decay(torch.ones(1, dtype=torch.float64), GRID.double() * scale)


@pytest.mark.parametrize("x0", ["ab", [1j], {"x": "a"}, None], ids=str)
def test_simulate_takes_numbers(x0):
    with pytest.raises(na.DataError):
        na.EquationSystem({"x": "-x"}).simulate(x0, [0, 1])
    with pytest.raises(na.DataError):
        na.EquationSystem({"x": "-x"}).simulate([1.0], "abc")
