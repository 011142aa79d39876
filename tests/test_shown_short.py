"""What public objects show of themselves stays short, however large they are."""

import numpy as np
import pytest

import neural_arith as na
from neural_arith.discovery import Options
from neural_arith.equations import read_reactions
from neural_arith.fit import RefitResult
from neural_arith.ode import L1Growth, MadsenRamp, TrainResult
from neural_arith.solve import solve

NAMES = [f"state number {k}" for k in range(40)]
T = np.linspace(0, 1, 300)
WIDE = na.EquationSystem({n: " + ".join(f"0.123456789*`{m}`*`{n}`" for m in NAMES) for n in NAMES})
CHAIN = na.EquationSystem(
    {n: f"-0.{k + 11}*`{n}`" + (f" + 0.{k + 10}*`{NAMES[k - 1]}`" if k else "") for k, n in enumerate(NAMES)}
)
X = np.random.default_rng(0).uniform(1, 2, (300, 40))
FIELD = na.ArithmeticField(*(na.NAU(40, 40) for _ in range(30)), states=NAMES)
OBJECTS = {
    "equations": WIDE,
    "trajectories": na.Trajectories.from_arrays([T] * 50, [X] * 50, names=NAMES),
    "long names": na.Trajectories.from_arrays(T, X[:, :2], names=["a" * 10_000, "b" * 10_000]),
    "run": na.Run(T, X),
    "field": FIELD,
    "neural ode": na.NeuralODE(FIELD),
    "training": TrainResult(FIELD, [{"step": k} for k in range(10_000)], "step limit", 1.0),
    "formula module": na.EquationSystem({n: f"tanh(`{n}`)" for n in NAMES}).to_torch(),
    "refit": RefitResult(WIDE, (0.1,) * 1600, 1.0, X, "log", True, (0.1,) * 1600),
    "reactions": read_reactions(CHAIN),
    "solution": solve(lambda t, x: -x, np.ones(40), T),
    "knowledge": na.Knowledge(require=dict.fromkeys(NAMES, NAMES)),
    "options": Options(),
    "regressor": na.ODERegressor(),
    "system": na.systems.get("fractional_sir"),
    "layer": na.NPU(200, 300),
    "flat layers": na.FastChain(*(na.FastNAU(40, 40) for _ in range(20))),
    "growth": L1Growth(),
    "ramp": MadsenRamp(),
    "error": na.IntegrationError("too stiff", 1.0, X),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_a_representation_is_short(name):
    assert 0 < len(repr(OBJECTS[name])) < 2000


def test_representations_say_what_it_is():
    assert repr(OBJECTS["training"]).startswith("TrainResult('step limit', loss=1, 10000 steps")
    assert repr(OBJECTS["refit"]).startswith("RefitResult(1600 constants, loss=1, noise='log'")
    assert repr(OBJECTS["reactions"]).startswith("<40 reactions: ")
