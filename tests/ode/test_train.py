"""Training end to end on small systems."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem
from neural_arith.errors import DataError, OptionError
from neural_arith.layers import NAU, NPU, RealNPU
from neural_arith.ode import ArithmeticField, L1Growth, MadsenRamp, train

TRUTH = EquationSystem({"x": "0.8*x - 0.5*x*y", "y": "0.4*x*y - 0.6*y"})


def lotka(holes=False):
    runs = []
    for n, start in ((30, (2.0, 1.0)), (22, (1.0, 3.0))):
        t = np.linspace(0, 8, n)
        runs.append((t, TRUTH.simulate(start, t, rtol=1e-10, atol=1e-12)))
    if holes:
        runs[0][1][4, 0] = runs[0][1][9, 1] = runs[1][1][0, 1] = np.nan
    return Trajectories.from_arrays([t for t, _ in runs], [x for _, x in runs], names=("x", "y"))


def small(seed=0, hidden=3):
    g = torch.Generator().manual_seed(seed)
    return ArithmeticField(RealNPU(2, hidden, generator=g), NAU(hidden, 2, generator=g), states=("x", "y"))


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_lm_through_the_solver_finds_the_law():
    field = small()
    before = copy.deepcopy(field)
    result = train(field, lotka(), seed=1, steps=60)
    assert result.loss < 1e-12
    assert same(field, before)
    assert {row["stage"] for row in result.history} <= {"segments", "trajectory"}
    equations = result.field.to_equations()
    x = np.array([1.5, 0.7])
    np.testing.assert_allclose(equations.to_numpy()(0.0, x), TRUTH.to_numpy()(0.0, x), rtol=1e-4, atol=1e-5)


def test_missing_values_do_not_count():
    result = train(small(), lotka(holes=True), seed=1, steps=40, loss="segments", segment_length=3)
    assert result.loss < 1e-8


@pytest.mark.parametrize("loss", ["integral", "derivative"])
def test_matching_needs_no_solver(loss):
    result = train(small(), lotka(), loss=loss, seed=1)
    assert result.loss < 1e-2


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "lbfgs"])
@pytest.mark.parametrize("loss", ["segments", "integral"])
def test_gradient_optimizers_descend(optimizer, loss):
    torch.manual_seed(0)
    result = train(small(), lotka(), optimizer=optimizer, loss=loss, steps=12)
    losses = [row["loss"] for row in result.history]
    assert result.loss < 0.9 * losses[0]
    assert len(losses) == 12


def test_universal_differential_equation():
    g = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    known = EquationSystem({"x": "0.8*x", "y": "-0.6*y"})
    field = ArithmeticField(net, NAU(2, 2, generator=g), states=("x", "y"), known=known)
    result = train(field, lotka(), optimizer="adam", loss="integral", steps=60, learning_rate=0.02)
    assert result.loss < 0.3 * result.history[0]["loss"]
    again = train(result.field, lotka(), optimizer="lm", loss="segments", steps=8)
    assert again.loss < 0.1


class Interrupting(nn.Module):
    """An identity layer that presses Ctrl-C at its n-th use."""

    def __init__(self, at=10**9):
        super().__init__()
        self.left = [at]

    def __deepcopy__(self, memo):
        other = Interrupting()
        other.left = self.left
        return other

    def forward(self, x):
        self.left[0] -= 1
        if self.left[0] == 0:
            raise KeyboardInterrupt
        return x


def interruptible(at):
    g = torch.Generator().manual_seed(0)
    layers = (Interrupting(at), RealNPU(2, 3, generator=g), NAU(3, 2, generator=g))
    return ArithmeticField(*layers, states=("x", "y"))


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adam", "loss": "integral", "steps": 20},
        {"optimizer": "adam", "loss": "segments", "steps": 8},
        {"optimizer": "lbfgs", "loss": "integral", "steps": 6},
        {"optimizer": "lm", "loss": "segments", "steps": 8, "starts": 0, "patience": 99},
        {"optimizer": "lm", "loss": "trajectory", "steps": 24, "starts": 2, "patience": 99, "goal": 0.0},
    ],
)
def test_interrupted_and_resumed_is_the_same_to_the_last_bit(options, tmp_path):
    data = lotka()
    never = interruptible(10**9)
    whole = train(never, data, **options)
    counter = never.layers[0]
    assert isinstance(counter, Interrupting)
    uses = 10**9 - counter.left[0]
    path = tmp_path / "run.pt"
    share = 0.97 if options["optimizer"] == "lm" else 0.8
    first = train(interruptible(int(share * uses)), data, checkpoint=path, checkpoint_every=1, **options)
    assert first.status == "interrupted"
    assert 0 < len(first.history) < len(whole.history)
    assert path.exists()
    second = train(interruptible(10**9), data, checkpoint=path, checkpoint_every=1, resume=True, **options)
    assert same(whole.field, second.field)
    assert whole.history == second.history
    assert whole.loss == second.loss
    assert whole.status == second.status


def test_resume_with_other_settings_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    train(small(), lotka(), optimizer="adam", loss="integral", steps=4, checkpoint=path, checkpoint_every=2)
    with pytest.raises(OptionError, match="learning_rate"):
        train(small(), lotka(), optimizer="adam", loss="integral", learning_rate=0.5, checkpoint=path, resume=True)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match="cannot be read"):
        train(small(), lotka(), optimizer="adam", loss="integral", checkpoint=path, resume=True)


def test_early_stop_and_goal():
    stopped = train(small(), lotka(), optimizer="adam", loss="integral", steps=50, patience=3, tolerance=0.9)
    assert stopped.status == "early stop"
    done = train(small(), lotka(), optimizer="adam", loss="integral", steps=50, goal=1e6)
    assert done.status == "goal reached"


def test_a_loss_that_is_not_finite_is_taken_back():
    result = train(small(), lotka(), optimizer="adam", loss="trajectory", steps=15, learning_rate=1e4, substeps=1)
    assert np.isfinite(result.loss)
    assert all(torch.isfinite(p).all() for p in result.field.parameters())


def test_sparsity_schedules_shrink_weights():
    plain = train(small(hidden=5), lotka(), loss="segments", seed=1, steps=20)
    sparse = train(
        small(hidden=5),
        lotka(),
        loss="segments",
        seed=1,
        steps=20,
        sparsity=L1Growth(1e-4, 1e-3, every=10),
        patience=99,
    )
    size = [
        sum(p.abs().sum().item() for n, p in r.field.named_parameters() if "gate" not in n) for r in (plain, sparse)
    ]
    assert size[1] < size[0]
    assert sparse.history[-1]["penalty"] > 0
    ramp = train(small(), lotka(), optimizer="adam", loss="integral", steps=6, sparsity=MadsenRamp(0.1, 1, 4))
    assert ramp.history[0]["penalty"] == 0 < ramp.history[-1]["penalty"]


def test_schedules():
    growth = L1Growth(1e-5, 1e-4, 10.0, 100)
    assert [growth.strength(s) for s in (0, 99, 100, 10**6)] == pytest.approx([1e-5, 1e-5, 1e-4, 1e-4])
    ramp = MadsenRamp(2.0, 10, 20)
    assert [ramp.strength(s) for s in (0, 10, 15, 20, 99)] == pytest.approx([0, 0, 1, 2, 2])
    assert ramp.penalty(NAU.from_weights([[0.25, 1.0]])).item() == pytest.approx(0.125)
    assert growth.penalty(NAU.from_weights([[0.25, -1.0]])).item() == pytest.approx(1.25)
    with pytest.raises(OptionError, match="L1Growth needs"):
        L1Growth(1.0, 0.1)
    with pytest.raises(OptionError, match="MadsenRamp needs"):
        MadsenRamp(1.0, 5, 5)


def test_progress_bar_goes_to_standard_error(capsys):
    train(small(), lotka(), optimizer="adam", loss="integral", steps=3, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "integral" in captured.err


def test_wrong_options():
    data = lotka()
    with pytest.raises(OptionError, match="trajectory, segments, derivative, integral"):
        train(small(), data, loss="shooting")
    with pytest.raises(OptionError, match="lm, adam, rmsprop, lbfgs"):
        train(small(), data, optimizer="sgd")
    with pytest.raises(OptionError, match="L1Growth"):
        train(small(), data, sparsity=MadsenRamp())
    with pytest.raises(OptionError, match="needs the checkpoint"):
        train(small(), data, resume=True)
    with pytest.raises(OptionError, match="progress must be True or False, got 'x'"):
        train(small(), data, progress="x")  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="segment_length must be a whole number from 1"):
        train(small(), data, segment_length=0)
    with pytest.raises(DataError, match="must agree"):
        train(ArithmeticField(NPU(1, 1), NAU(1, 1), states=("z",)), data)
