"""Options, and the preparations of the search."""

from __future__ import annotations

import numpy as np
import pytest
from simulated import lotka

from neural_arith.clock import Clock
from neural_arith.data import Run
from neural_arith.discovery.engine import other_kinds
from neural_arith.discovery.measurements.ranges import positive_variables
from neural_arith.discovery.measurements.smoothing import smooth
from neural_arith.discovery.options import Options
from neural_arith.discovery.proposals.dictionary import build_dictionary, clip_nodes
from neural_arith.errors import OptionError
from neural_arith.fit.integral_form import integral_form
from neural_arith.fit.noise import Noise
from neural_arith.terms.units import numbers_of, power

T = np.linspace(0, 10, 40)
CLEAN = Noise("additive", np.zeros(2))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_units": 0}, "max_units must be a whole number from 1, got 0"),
        ({"restarts": -3}, "restarts must be a whole number from 1, got -3"),
        ({"restarts": 2.5}, "restarts must be a whole number"),
        ({"max_points": 3}, "max_points must be a whole number from 20, got 3"),
        ({"time_budget": 0.0}, "time_budget must be positive"),
        ({"time_budget": float("nan")}, "time_budget must be positive"),
        ({"n_jobs": 0}, "n_jobs must be a positive number"),
        ({"n_jobs": -2}, "n_jobs must be a positive number"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(OptionError, match=words):
        Options(**options)


def test_signs_are_known_from_data_up_to_the_noise():
    x = np.column_stack([np.cos(T), 0.02 + np.exp(-T)])
    x[35, 1] = -0.03  # noise
    u = np.column_stack([T, np.sin(T)])
    runs = [Run(T, x, u)]
    noise = Noise("additive", np.array([0.02, 0.02]))
    assert positive_variables(runs, noise).tolist() == [False, True, True, False]
    exact = Noise("additive", np.array([0.001, 0.001]))
    assert positive_variables(runs, exact).tolist() == [False, False, True, False]


def test_other_noise_kinds_depend_on_signs():
    positive, mixed = [Run(T, 1 + T[:, None])], [Run(T, np.cos(T)[:, None])]
    assert other_kinds(positive, "additive") == ["log"]
    assert other_kinds(mixed, "additive") == ["proportional"]
    assert other_kinds(positive, "log") == ["additive"]


def test_nodes_of_positive_variables_are_kept_off_zero():
    x = np.column_stack([np.cos(T), np.exp(-3 * T) - 1e-3])
    runs = [Run(T, x)]
    form = integral_form(smooth(runs, CLEAN), CLEAN)
    clipped = clip_nodes(form, np.array([False, True]), Noise("additive", np.array([0.1, 0.1])))
    assert clipped.nodes[:, 1].min() == pytest.approx(0.01)
    assert np.array_equal(clipped.nodes[:, 0], form.nodes[:, 0])
    assert np.array_equal(clipped.target, form.target)


def test_the_dictionary_is_repeatable_and_holds_each_unit_once():
    runs = [Run(T, lotka(T) / 20)]
    forms = [integral_form(smooth(runs, CLEAN), CLEAN, length) for length in (None, 6)]
    options = Options(restarts=8, max_units=2)
    lines: list[str] = []
    one = build_dictionary(forms, np.array([True, True]), options, lines.append, Clock())
    two = build_dictionary(forms, np.array([True, True]), options, lines.append, Clock())
    assert one == two
    plain = {power(1, 0), power(1, 1), power(2, 0), power(0.5, 0.5), power(1, -1)}
    for units in one.units:
        assert len(units) == len(set(units))
        assert plain <= set(units)
    assert {n for units in one.units for unit in units for n in numbers_of(unit)} == set(one.values)
    assert any("equation 2" in line for line in lines)


def test_without_positive_variables_the_dictionary_is_plain():
    runs = [Run(T, np.column_stack([np.cos(T), np.sin(T)]))]
    forms = [integral_form(smooth(runs, CLEAN), CLEAN)]
    found = build_dictionary(forms, np.array([False, False]), Options(), lambda _: None, Clock())
    assert found.values == {}
    for units in found.units:
        assert all(e == int(e) >= 0 for u in units for e in u.powers)
