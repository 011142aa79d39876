"""What the pictures show: the right numbers, in the axes that were given, and clear refusals."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from hand_made import CANDIDATES, PREY, discovery, measurements
from matplotlib.figure import Figure

from neural_arith import plotting
from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem
from neural_arith.errors import DataError, OptionError
from neural_arith.layers import NAU, LiftedNPU, RealNPU
from neural_arith.ode.field import ArithmeticField


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture
def data() -> Trajectories:
    return measurements((30.0, 4.0), (12.0, 9.0))


def _lines(ax, marker: str) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(line.get_xdata(), line.get_ydata()) for line in ax.lines if line.get_marker() == marker]


def test_trajectories_draw_points_and_solved_curves(ax, data):
    assert plotting.trajectories(data, PREY, ax=ax) is ax
    points, curves = _lines(ax, "o"), _lines(ax, "None")
    assert len(points) == len(curves) == 4
    np.testing.assert_array_equal(points[0][1], data[0].x[:, 0])
    t, hare = curves[1]
    np.testing.assert_allclose(hare, PREY.simulate(data[1].x[0], t)[:, 0], rtol=1e-10)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["hare", "lynx"]
    assert ax.get_xlabel() == "t"


def test_trajectories_start_at_the_first_complete_row(ax, data):
    x = np.array(data[0].x)
    x[0, 1] = x[1, 0] = np.nan
    gaps = Trajectories.from_arrays(data[0].t, x, names=data.names)
    plotting.trajectories(gaps, PREY, states="lynx", ax=ax)
    ((t, lynx),) = _lines(ax, "None")
    assert (t[0], lynx[0]) == (data[0].t[2], x[2, 1])
    assert ax.get_ylabel() == "lynx"


def test_trajectories_use_the_measured_inputs(ax):
    t = np.linspace(0.0, 4.0, 41)
    driven = EquationSystem({"x": "-x + u"}, inputs=("u",))
    x = 0.5 * (np.sin(t) - np.cos(t)) + 1.5 * np.exp(-t)  # exact solution of x' = -x + sin t, x(0) = 1
    data = Trajectories.from_arrays(t, x[:, None], u=np.sin(t), names=("x",), input_names=("u",))
    plotting.trajectories(data, driven, ax=ax)
    ((times, curve),) = _lines(ax, "None")
    exact = 0.5 * (np.sin(times) - np.cos(times)) + 1.5 * np.exp(-times)
    np.testing.assert_allclose(curve, exact, atol=2e-3)  # the input is taken linearly between its samples


def test_trajectories_show_what_is_reached_of_a_blow_up(ax):
    t = np.linspace(0.0, 2.0, 9)
    data = Trajectories.from_arrays(t, 1.0 + t, names=("x",))
    plotting.trajectories(data, EquationSystem({"x": "x**2"}), ax=ax)  # ends at t = 1
    ((times, curve),) = _lines(ax, "None")
    early = times < 0.9
    np.testing.assert_allclose(curve[early], 1.0 / (1.0 - times[early]), rtol=1e-5)
    assert np.isnan(curve[-1])


def test_trajectories_thin_what_the_eye_cannot_see(ax):
    t = np.linspace(0.0, 1.0, 100_000)
    plotting.trajectories(Trajectories.from_arrays(t, np.sin(t)), ax=ax)
    ((drawn, _),) = _lines(ax, "o")
    assert len(drawn) == plotting.MANY
    assert (drawn[0], drawn[-1]) == (t[0], t[-1])


def test_trajectories_refuse_what_does_not_fit(data):
    with pytest.raises(OptionError, match="equations or fitted"):
        plotting.trajectories(data, PREY, fitted=[])
    with pytest.raises(OptionError, match="one curve per run, 2; got 1"):
        plotting.trajectories(data, fitted=[(data[0].t, data[0].x)])
    with pytest.raises(OptionError, match="hare, lynx; got wolf"):
        plotting.trajectories(data, states="wolf")
    halves = np.array(data[0].x)
    halves[::2, 0] = halves[1::2, 1] = np.nan
    with pytest.raises(DataError, match="run 0 has no row"):
        plotting.trajectories(Trajectories.from_arrays(data[0].t, halves, names=data.names), PREY)


def test_residuals(ax, data):
    rest = discovery(data).residuals
    assert plotting.residuals(data, rest, states="lynx", ax=ax) is ax
    np.testing.assert_array_equal(_lines(ax, "o")[1][1], rest[1][:, 1])
    plotting.residuals(data, rest, states="hare", relative=True, ax=ax)
    solution = PREY.simulate(data[0].x[0], data[0].t)[:, 0]
    np.testing.assert_allclose(_lines(ax, "o")[2][1], data[0].x[:, 0] / solution - 1.0, atol=1e-12)
    with pytest.raises(OptionError, match="shaped like the runs"):
        plotting.residuals(data, rest[:1])


def test_pareto_counts_from_the_best_and_names_the_choice(ax, data):
    plotting.pareto(CANDIDATES, ax=ax)
    drawn = {c.get_label(): np.asarray(c.get_offsets()).tolist() for c in ax.collections}
    assert drawn == {"other": [[10.0, 120.0]], "near-tie": [[18.0, 3.0]], "chosen": [[16.0, 0.0]]}
    with pytest.raises(OptionError, match="finite score"):
        plotting.pareto([])


def test_phase(ax, data):
    plotting.phase(data, PREY, fitted=discovery(data).fitted, ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("hare", "lynx")
    np.testing.assert_array_equal(_lines(ax, "o")[0][0], data[0].x[:, 0])
    assert ax.collections, "the flow of two-state equations is drawn"
    with pytest.raises(OptionError, match="two states"):
        plotting.phase(data, states=["hare"])


def test_phase_draws_no_flow_that_depends_on_an_input(ax):
    t = np.linspace(0.0, 1.0, 20)
    data = Trajectories.from_arrays(t, np.stack([t, 1 - t], axis=1), u=t, names=("x", "y"), input_names=("u",))
    plotting.phase(data, EquationSystem({"x": "y + u", "y": "-x"}, inputs=("u",)), fitted=[(t, data[0].x)], ax=ax)
    assert not ax.collections


def test_phase_flow_ends_where_powers_do(ax):
    t = np.linspace(0.0, 1.0, 20)
    data = Trajectories.from_arrays(t, np.stack([t, 1 - t], axis=1), names=("x", "y"))
    plotting.phase(data, EquationSystem({"x": "x**0.3", "y": "-1.0"}), ax=ax)
    ax.figure.savefig("/dev/null", format="png")


def test_weights_show_every_live_value(ax):
    layer = NAU.from_weights([[1.0, -0.5], [0.0, 0.25]])
    assert plotting.weights(layer, inputs=["x", "y"], outputs=["a", "b"], ax=ax) is ax
    assert sorted(text.get_text() for text in ax.texts) == ["-0.5", "0.25", "1"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["x", "y"]
    assert ax.get_title() == "NAU"
    with pytest.raises(OptionError, match="3 outputs and 2 columns"):
        plotting.weights(layer, outputs=["a", "b", "c"])
    with pytest.raises(OptionError, match="shape"):
        plotting.weights(np.ones(3))


def test_weights_may_be_complex(ax):
    plotting.weights(np.array([[1.0 + 2.0j, 0.0]]), ax=ax)
    assert [text.get_text() for text in ax.texts] == ["1+2i"]


def test_new_pictures_go_through_pyplot(data):
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    try:
        ax = plotting.trajectories(data)
        assert ax.figure in [plt.figure(number) for number in plt.get_fignums()]  # a notebook will show it
    finally:
        plt.close("all")


def test_weights_of_power_units(ax):
    layer = LiftedNPU.from_weights([[2.0, 0.0, 0.0, 0.5, 0.0]], [[0.0, 0.0, 0.0, 3.0, 0.0]])
    plotting.weights(layer, inputs=["x", "y"], ax=ax)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["log|x|", "log|y|", "x", "y", "1"]
    assert [text.get_text() for text in ax.texts] == ["2", "0.5+3i"]


def test_field_weights_name_both_ends():
    field = ArithmeticField(RealNPU(2, 3), NAU(3, 2), states=("x", "y"))
    axes = list(Figure().subplots(1, 2))
    assert plotting.field_weights(field, axes=axes) == axes
    assert [label.get_text() for label in axes[0].get_xticklabels()] == ["x", "y"]
    assert [label.get_text() for label in axes[1].get_yticklabels()] == ["d x/dt", "d y/dt"]
    with pytest.raises(OptionError, match="2 readable layers, but 1 axes"):
        plotting.field_weights(field, axes=axes[:1])
