"""Matching with the readout eliminated."""

import numpy as np
import pytest
import torch

from neural_arith.data import Trajectories
from neural_arith.fit.curves import filled
from neural_arith.fit.levenberg_marquardt import levenberg_marquardt
from neural_arith.layers import NAU, NPU, RealNaiveNPU
from neural_arith.ode import ArithmeticField
from neural_arith.ode.descent import matching_loss
from neural_arith.ode.flat import FlatField
from neural_arith.ode.matching import MatchingResidual, derivative_targets, integral_targets


def square_root_decay():
    """dx/dt = -x^0.5 from 4 and 9: x = (sqrt(x0) - t/2)^2."""
    t = np.linspace(0, 3, 31)
    return Trajectories.from_arrays(t, [((2 - t / 2) ** 2)[:, None], ((3 - t / 2) ** 2)[:, None]], names=("x",))


@pytest.mark.parametrize("make", [integral_targets, derivative_targets])
def test_exponent_and_coefficient_are_found(make):
    data = square_root_decay()
    field = ArithmeticField(RealNaiveNPU.from_weights([[1.3]]), NAU.from_weights([[9.0]]), states=("x",))
    flat, targets = FlatField(field), make(data)
    residual = MatchingResidual(field, flat, targets, frozenset())
    result = levenberg_marquardt(residual, flat.read()[residual.inner], steps=50, tolerance=1e-9)
    p = residual.complete(result.p)
    torch.testing.assert_close(p, torch.tensor([0.5, -1.0], dtype=torch.float64), rtol=1e-6, atol=1e-6)
    flat.write(p)
    assert float(matching_loss(field, targets).detach()) == pytest.approx(result.loss, abs=1e-12)


def test_readout_is_the_least_squares_solution():
    data = square_root_decay()
    field = ArithmeticField(
        NPU(1, 3, dtype=torch.float64), NAU(3, 1, dtype=torch.float64), torch.nn.Identity(), states=("x",)
    )
    plain = ArithmeticField(*field.layers[:2], states=("x",))
    targets = integral_targets(data)
    flat = FlatField(plain)
    residual = MatchingResidual(plain, flat, targets, frozenset())
    flat.write(residual.complete(flat.read()[residual.inner]))
    with torch.no_grad():
        features = targets.gather(plain.layers[0](targets.x))
    expected = np.linalg.lstsq(features.numpy(), (targets.y * targets.scale).numpy(), rcond=None)[0]
    fitted = features.numpy() @ plain.get_parameter("layers.1.weight").detach().numpy().T
    np.testing.assert_allclose(fitted, features.numpy() @ expected, atol=1e-6)
    # Without a linear readout every number is inner.
    assert len(MatchingResidual(field, FlatField(field), targets, frozenset()).inner) == FlatField(field).n_params


def test_closed_form_jacobian_is_the_automatic_one():
    """A layer that does nothing in front of a power unit takes the closed form away, and changes nothing else."""
    data = square_root_decay()
    found = []
    for front in ([], [torch.nn.Identity()]):
        layer = NPU.from_weights([[0.4], [1.5]], [[0.2], [-0.1]])
        field = ArithmeticField(*front, layer, NAU.from_weights([[1.0, 2.0]]), states=("x",))
        held = frozenset({f"layers.{len(front)}.gate"})
        flat = FlatField(field, held=held)
        targets = integral_targets(data)
        targets.x.neg_()
        residual = MatchingResidual(field, flat, targets, held)
        found.append(residual.linearise(flat.read()[residual.inner]))
    assert found[0] is not None
    assert found[1] is not None
    for closed, automatic in zip(*found, strict=True):
        torch.testing.assert_close(closed, automatic)


def test_missing_values_are_interpolated_within_the_data():
    t = np.linspace(0, 1, 11)
    x = np.stack([t**2, 1 - t], 1)
    holes = x.copy()
    holes[3, 0] = holes[0, 1] = holes[10, 1] = np.nan
    full = filled(t, holes)
    assert full[3, 0] == pytest.approx(x[3, 0], abs=0.01)
    assert full[0, 1] == x[1, 1]
    assert full[10, 1] == x[9, 1]
