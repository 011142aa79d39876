"""The dictionary a search begins with: plain products of powers, and what populations of power units find."""

from __future__ import annotations

import numpy as np

from neural_arith.clock import Clock, OutOfTimeError
from neural_arith.discovery.options import Options, Progress
from neural_arith.discovery.proposals.population import fit_population, units_of
from neural_arith.fit.integral_form import IntegralForm
from neural_arith.fit.noise import Noise
from neural_arith.parallel import Checkpoint
from neural_arith.terms.dictionary import Dictionary, monomials, roots_and_ratios
from neural_arith.terms.units import Unit

FURTHER, HIGHEST = 40, 4
"""Products of one degree more that are not too many for a last climb, and their largest degree: x - x^3/6 + x^5/120
imitates a sine better than noise can tell."""

MANY = 6
"""Variables of which ratios are still listed; there are five times their square."""


def clip_nodes(form: IntegralForm, positive: np.ndarray, noise: Noise) -> IntegralForm:
    """The integral form with positive variables kept off zero, where a smoothed curve may undershoot."""
    low = np.full(len(positive), 1e-12)
    if noise.kind == "additive":
        low[: len(noise.level)] = np.maximum(0.1 * noise.level, 1e-12)
    nodes = np.where(positive, np.maximum(form.nodes, low), form.nodes)
    return IntegralForm(nodes, form.step, form.window, form.first, form.weight, form.target)


def plain_degree(n_variables: int) -> int:
    """Largest degree of the products of whole powers that every search begins with."""
    return {1: 5, 2: 4, 3: 3}.get(n_variables, 2)


def further_products(n_variables: int) -> list[Unit]:
    """Products of one degree more, for where nothing simpler explains the measurements; none where that is too much."""
    degree = plain_degree(n_variables) + 1
    found = monomials(n_variables, degree) if degree <= HIGHEST else []
    return found if len(found) <= FURTHER else []


def build_dictionary(
    forms: list[IntegralForm],
    positive: np.ndarray,
    options: Options,
    report: Progress,
    clock: Clock,
    checkpoint: Checkpoint | None = None,
) -> Dictionary:
    """Units each equation may be made of: monomials, roots and ratios and, while in time, those of the population."""
    n_variables, n_states = len(positive), len(forms[0].target)
    plain = monomials(n_variables, plain_degree(n_variables))
    if n_variables <= MANY:
        plain = plain + roots_and_ratios(positive)
    dictionary = Dictionary([])
    checkpoint = checkpoint or Checkpoint()
    count = 1
    for i in range(n_states):
        units = list(plain)
        if positive.any():
            for size in range(1, options.max_units + 1):
                if not clock.in_time():
                    break
                report(f"units of equation {i + 1}: population of size {size}")
                try:
                    fitted = checkpoint.recall(
                        fit_population,
                        forms[0],
                        i,
                        size,
                        positive,
                        restarts=options.restarts,
                        seed=options.random_state,
                        ignored={"n_jobs": options.n_jobs, "clock": clock},
                    )
                except OutOfTimeError:  # nothing else needs them
                    break
                more, values = units_of(fitted, first_copy=count)
                units.extend(more)
                dictionary.values.update(values)
                count += len(more)
                if len(fitted.cost) and fitted.cost[0] < 1e-10:
                    break
        dictionary.units.append(list(dict.fromkeys(units)))
    return dictionary
