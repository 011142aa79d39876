"""How good a run of the fractional SIR grid is, whatever trained it."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from neural_arith import systems
from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem
from neural_arith.layers import NAU, NPU, RealNPU
from neural_arith.ode import ArithmeticField
from neural_arith.solve import solve
from neural_arith_bench.fractional_sir.fields import EPSILON, Fields
from neural_arith_bench.fractional_sir.flow import Solver
from neural_arith_bench.fractional_sir.results import SirRow
from neural_arith_bench.laws.recovery import TOLERANCE
from neural_arith_bench.store import commit

SMALL = 1e-3
"""The size above which the paper counts a parameter."""

_WITHIN = 0.05
"""Exponents within 1e-3 and coefficients within 1 % of the truth change no rate on these data by more."""


@cache
def problem() -> tuple[Trajectories, EquationSystem]:
    """The published data (40 points, no noise) and the true equations."""
    system = systems.get("fractional_sir")
    return system.sample(), system.equations


def measurements() -> tuple[np.ndarray, Tensor]:
    """Times ``(40,)`` and states ``(40, 3)`` of the published data."""
    run = problem()[0].runs[0]
    return run.t, torch.tensor(run.x)


def accurate_mse(fields: Fields, p: Tensor) -> float:
    """Mean square of one member by LSODA to 1e-9; infinity where that does not reach the end.

    Args:
        fields: what it belongs to.
        p: its parameters, ``(1, numbers)``.
    """
    times, data = measurements()
    with torch.no_grad():
        field = fields(p)
        found = solve(
            lambda t, x: field(torch.from_numpy(x)[None, None])[0, 0].numpy(),
            data[0].numpy(),
            times,
            rtol=1e-9,
            atol=1e-11,
            max_evaluations=20_000,
            throw=False,
        )
    return float(((found.x - data.numpy()) ** 2).mean()) if found.ok else np.inf


def formula_mse(equations: EquationSystem) -> float:
    """Mean square of a formula by LSODA to 1e-9; infinity where that does not reach the end."""
    times, data = measurements()
    x = equations.simulate(data[0].numpy(), times, rtol=1e-9, atol=1e-11, throw=False)
    mse = float(((x - data.numpy()) ** 2).mean())
    return mse if np.isfinite(mse) else np.inf


def numbers(p: Tensor) -> list[int]:
    """Parameters above 1e-3 in magnitude of each member, of ``(members, numbers)``."""
    return (p.abs() > SMALL).sum(1).tolist()


def exact(fields: Fields, p: Tensor) -> bool:
    """Whether one member is the true formula once parameters up to 1e-3 are gone.

    Args:
        fields: what it belongs to.
        p: its parameters, ``(1, numbers)``.
    """
    if fields.kind == "dense":
        return False
    p = torch.where(p.abs() > SMALL, p, 0.0)
    data, truth = problem()
    _, x = measurements()
    inflow, recovery, loss = 0.06 * (x[:, 0] * x[:, 1]).sqrt(), 0.05 * x[:, 1], 0.01 * x[:, 2]
    rates = torch.stack([loss - inflow, inflow - recovery, recovery - loss], 1)
    size = torch.stack([loss + inflow, inflow + recovery, recovery + loss], 1)
    # reading hundreds of formulas takes minutes, and none can be right whose rates are not
    if not bool(((fields(p)(x[None])[0] - rates).abs() <= _WITHIN * size + EPSILON).all()):
        return False
    w = {name: value[0] for name, value in fields.unpack(p).items()}
    layer = (
        NPU.from_weights(w["wr"], w["wi"], w["gate"]) if "wi" in w else RealNPU.from_weights(w["wr"], gate=w["gate"])
    )
    field = ArithmeticField(layer, NAU.from_weights(w["nau"]), states=data.names)
    field.note_signs_(data)
    return field.to_equations().same_as(truth, rtol=TOLERANCE)


def references(protocol: str) -> list[SirRow]:
    """Rows of the true equations and of the best constant of each state, as the protocol scores them.

    Args:
        protocol: "published", "accurate" or "ours".
    """
    times, x = measurements()
    truth = problem()[1]
    accurate = formula_mse(truth)
    own = accurate
    if protocol != "ours":
        solver = Solver.published(times) if protocol == "published" else Solver.accurate(times)
        f = truth.to_torch()
        with torch.no_grad():
            own = float((solver.trajectory(f, x[:1])[0] - x).square().mean())
    flat = float((x - x.mean(0)).square().mean())
    nothing = (None, None, None)
    return [
        SirRow(protocol, "truth", *nothing, own, accurate, 5, True, "", 0.0, commit()),
        SirRow(protocol, "constant", *nothing, flat, flat, 3, False, "", 0.0, commit()),
    ]
