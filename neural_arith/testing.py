"""The contract every layer keeps, as a test class for your own layers too.

Subclass ``LayerContract`` in a test file, supply ``make`` (and ``oracle``), and pytest runs the whole list::

    class TestMyLayer(LayerContract):
        def make(self, in_features, out_features, **options):
            return MyLayer(in_features, out_features, **options)

        def oracle(self, layer, x):
            return [...]  # the outputs at one point, computed with plain Python or mpmath

Nothing here needs pytest; it only uses plain ``assert``.
"""

from __future__ import annotations

import copy
import io
import math
import pickle
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy as sp
import torch
from torch import Tensor

from neural_arith.errors import DataError
from neural_arith.layers import Layer

__all__ = ["LayerContract", "evaluate_formula"]


def evaluate_formula(layer: Layer, x: Tensor) -> Tensor:
    """The outputs of ``layer.to_sympy`` at ``x``, ``(samples, in_features)``, through sympy's numpy code."""
    symbols = sp.symbols(f"x0:{layer.in_features}")
    formula = sp.lambdify(symbols, layer.to_sympy(symbols), "numpy")
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = formula(*x.detach().cpu().double().numpy().T)
    return torch.tensor(np.stack([np.broadcast_to(column, len(x)) for column in columns], -1))


class LayerContract(ABC):
    """What a layer promises. Sizes, tolerances and kinds of inputs are class attributes to override.

    Attributes:
        in_features: number of inputs of the layers under test.
        out_features: number of outputs.
        signed: whether inputs may be negative.
        zeros: whether inputs may be zero.
        tolerance: relative and absolute tolerance in float64.
        device: where the layers are tested.
    """

    in_features: int = 3
    out_features: int = 4
    signed: bool = True
    zeros: bool = True
    tolerance: float = 1e-12
    device: str = "cpu"

    @abstractmethod
    def make(self, in_features: int, out_features: int, **options: Any) -> Layer:
        """A new layer; ``options`` are ``dtype``, ``device`` and ``generator``."""

    def oracle(self, layer: Layer, x: Sequence[float]) -> list[float] | None:
        """The outputs at one point by independent means; None (the default) skips the comparison."""
        return None

    def parameters_under(self, layer: Layer, mask: str) -> Sequence[Tensor]:
        """The parameters that a mask covers: the one of its name. Override where a mask covers others."""
        parameters = dict(layer.named_parameters())
        return [parameters[mask]] if mask in parameters else []

    def layer(self, seed: int = 0, dtype: torch.dtype = torch.float64) -> Layer:
        """A layer of the sizes under test with weights from ``seed``."""
        generator = torch.Generator().manual_seed(seed)
        return self.make(self.in_features, self.out_features, dtype=dtype, device=self.device, generator=generator)

    def inputs(self, *batch: int, seed: int = 1, zeros: bool = False) -> Tensor:
        """Inputs of magnitudes 0.2 to 3, of both signs if ``signed``; every third one zero if asked for."""
        generator = torch.Generator().manual_seed(seed)
        shape = (*batch, self.in_features)
        x = 0.2 + 2.8 * torch.rand(shape, generator=generator, dtype=torch.float64)
        if self.signed:
            x = x * (2.0 * torch.randint(0, 2, shape, generator=generator) - 1)
        if zeros:
            x = x * (torch.randint(0, 3, shape, generator=generator) > 0)
        return x.to(self.device)

    def test_values_match_the_oracle(self) -> None:
        """Values agree with an independent calculation, point by point."""
        for seed in range(3):
            layer, x = self.layer(seed), self.inputs(12, seed=seed + 10)
            self._compare_with_oracle(layer, x)

    def test_values_at_zero_match_the_oracle(self) -> None:
        """The same where inputs are zero: no epsilon, no nan."""
        if self.zeros:
            self._compare_with_oracle(self.layer(), self.inputs(12, zeros=True))

    def test_any_batch_shape(self) -> None:
        """No batch, an empty one and several axes give the same numbers in the right shape."""
        layer = self.layer()
        x = self.inputs(2, 5)
        flat = layer(x.reshape(10, -1))
        assert flat.shape == (10, self.out_features)
        self._close(layer(x), flat.reshape(2, 5, -1))
        self._close(layer(x[1, 2]), flat[7])
        for batch in ((0,), (0, 3), (2, 0)):
            assert layer(self.inputs(*batch)).shape == (*batch, self.out_features)

    def test_wrong_number_of_inputs_is_refused(self) -> None:
        """A DataError names the shape."""
        try:
            self.layer()(torch.ones(2, self.in_features + 1, device=self.device))
        except DataError as error:
            assert str(self.in_features) in str(error)  # noqa: PT017
        else:
            raise AssertionError("a wrong number of inputs was accepted")

    def test_gradients(self) -> None:
        """Derivatives by inputs and by every parameter agree with finite differences."""
        layer, x = self.layer(), self.inputs(3).requires_grad_()
        names = [name for name, _ in layer.named_parameters()]
        values = [p.detach().clone().requires_grad_() for p in layer.parameters()]

        def run(x: Tensor, *parameters: Tensor) -> Tensor:
            return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

        assert torch.autograd.gradcheck(run, (x, *values))

    def test_gradients_at_zero_are_finite(self) -> None:
        """An input of zero gives no nan and no inf to the gradients where the value is finite."""
        if not self.zeros:
            return
        layer, x = self.layer(), self.inputs(12, zeros=True).requires_grad_()
        y = layer(x)
        y[y.isfinite()].sum().backward()
        for gradient in (x.grad, *(p.grad for p in layer.parameters())):
            assert gradient is not None
            assert gradient.isfinite().all()

    def test_formula_equals_forward(self) -> None:
        """The expression, turned into numpy code, gives what the layer gives."""
        for seed in range(3):
            layer, x = self.layer(seed), self.inputs(50, seed=seed + 20)
            self._close(evaluate_formula(layer, x).to(self.device), layer(x))

    def test_a_dropped_input_has_no_influence(self) -> None:
        """Exactly none, whatever the input does, and the formula no longer mentions it."""
        layer, x = self.layer(), self.inputs(20)
        layer.drop_input_(1)
        before = layer(x)
        for value in (0.37, 5.0, -2.0 if self.signed else 2.0, 0.0 if self.zeros else 1.0):
            changed = x.clone()
            changed[:, 1] = value
            assert torch.equal(before, layer(changed))
        symbols = sp.symbols(f"x0:{layer.in_features}")
        assert not any(output.has(symbols[1]) for output in layer.to_sympy(symbols))

    def test_a_masked_weight_has_no_influence(self) -> None:
        """With everything masked no weight matters, none gets a gradient, and nothing complex is left."""
        layer, x = self.layer(), self.inputs(5)
        complexity = layer.complexity()
        for mask in layer.masks.values():
            mask[0] = False
        assert layer.complexity() < complexity
        before = layer(x).detach()
        with torch.no_grad():
            for name, mask in layer.masks.items():
                for parameter in self.parameters_under(layer, name):
                    parameter[~mask] = 1.25
        assert torch.equal(before, layer(x))
        layer(x).sum().backward()
        for name, mask in layer.masks.items():
            for parameter in self.parameters_under(layer, name):
                assert parameter.grad is not None
                assert not parameter.grad[~mask].any()

    def test_penalty_and_complexity(self) -> None:
        """The penalty is one differentiable number, the complexity a count."""
        layer = self.layer()
        penalty = layer.penalty()
        assert penalty.shape == ()
        assert math.isfinite(penalty.item())
        assert penalty.item() >= 0
        penalty.backward()
        assert type(layer.complexity()) is int
        assert layer.complexity() > 0

    def test_copies_and_files(self) -> None:
        """deepcopy, pickle, torch.save of the state: the same numbers, masks and description."""
        layer, x = self.layer(), self.inputs(6)
        next(iter(layer.masks.values()))[0] = False
        expected = layer(x)
        stream = io.BytesIO()
        torch.save(layer.state_dict(), stream)
        stream.seek(0)
        fresh = self.layer(seed=5)
        fresh.load_state_dict(torch.load(stream, weights_only=True))
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), fresh):
            assert torch.equal(twin(x), expected)
            assert repr(twin) == repr(layer)

    def test_float32(self) -> None:
        """A float32 layer gives float32, close to what the same weights give in float64."""
        layer, x = self.layer(dtype=torch.float32), self.inputs(20).float()
        y = layer(x)
        assert y.dtype == torch.float32
        expected = copy.deepcopy(layer).double()(x.double())
        torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)

    def test_a_seed_fixes_the_weights(self) -> None:
        """The generator alone decides the initial weights; ``reset_parameters`` draws others."""
        first, second = self.layer(seed=3), self.layer(seed=3)
        x = self.inputs(4)
        assert torch.equal(first(x), second(x))
        assert not torch.equal(first(x), self.layer(seed=4)(x))
        second.reset_parameters(torch.Generator().manual_seed(7))
        assert not torch.equal(first(x), second(x))

    def test_description_names_the_sizes(self) -> None:
        """The repr shows class and sizes."""
        text = repr(self.layer())
        assert f"in_features={self.in_features}, out_features={self.out_features}" in text

    def _compare_with_oracle(self, layer: Layer, x: Tensor) -> None:
        for point, y in zip(x, layer(x), strict=True):
            expected = self.oracle(layer, point.tolist())
            if expected is not None:
                self._close(y, torch.tensor(expected, dtype=torch.float64, device=self.device))

    def _close(self, actual: Tensor, expected: Tensor) -> None:
        torch.testing.assert_close(
            actual.double(), expected.double(), rtol=self.tolerance, atol=self.tolerance, equal_nan=True
        )
