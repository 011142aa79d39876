"""Stateless units: all weights in one flat vector ``p``, forward is ``f(x, p)``.

The counterparts of the Julia package NeuralArithmetic.jl's ``FastNAU``, ``FastNPU``, ``FastRealNPU`` and
``FastChain``, on the formulas of the modules (``functional``), so values agree bit for bit. Any leading axes
of ``p`` are a population: ``(*pop, num_params)`` gives ``(*pop, *batch, out_features)``, which is how many
restarts train as one tensor.

Layout of ``p``: each matrix ``(O, I)`` row by row, in the order real exponents, imaginary exponents, gates; a
chain concatenates its layers. Julia stores matrices column by column: ``from_julia`` reorders.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from neural_arith.errors import DataError, OptionError
from neural_arith.layers import functional
from neural_arith.layers.additive import NAU, nau_bound
from neural_arith.layers.base import Layer, as_numbers, draw_uniform, glorot_bound
from neural_arith.layers.power import NPU, RealNPU

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["FastChain", "FastLayer", "FastNAU", "FastNPU", "FastRealNPU"]


class FastLayer(ABC):
    """A unit without state.

    Attributes:
        in_features: number of inputs I.
        out_features: number of outputs O.
        num_params: length of a parameter vector.
    """

    in_features: int
    out_features: int
    num_params: int

    @abstractmethod
    def __call__(self, x: Tensor, p: Tensor, *, aligned: bool = False) -> Tensor:
        """Evaluate at ``x`` with the weights ``p``.

        Args:
            x: ``(*batch, I)``, or ``(*pop, *batch, I)`` with ``aligned``.
            p: ``(*pop, num_params)``.
            aligned: whether ``x`` already carries the population axes, one slice of inputs per member.

        Returns:
            ``(*pop, *batch, O)``.

        Raises:
            DataError: a shape does not fit.
        """

    @abstractmethod
    def initial_params(
        self,
        generator: torch.Generator | None = None,
        *,
        population: Sequence[int] = (),
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """New parameters ``(*population, num_params)``, drawn as the module draws its own."""

    @abstractmethod
    def from_julia(self, p: Tensor | ArrayLike) -> Tensor:
        """Our layout from the Julia ancestor's, ``(*pop, num_params)``; what is no tensor becomes float64."""

    @abstractmethod
    def to_layer(self, p: Tensor) -> torch.nn.Module:
        """The module with the weights of one vector ``(num_params,)``."""

    def _vectors(self, p: Tensor | ArrayLike) -> Tensor:
        vectors = p if isinstance(p, Tensor) else as_numbers(p)
        if not vectors.dim() or vectors.shape[-1] != self.num_params:
            raise DataError(f"{self!r} expects parameters (*pop, {self.num_params}), got {tuple(vectors.shape)}")
        return vectors

    def _check(self, x: Tensor) -> None:
        if not x.dim() or x.shape[-1] != self.in_features:
            raise DataError(f"{self!r} expects inputs (*batch, {self.in_features}), got {tuple(x.shape)}")


class _Unit(FastLayer):
    """One layer: ``matrices`` arrays ``(O, I)``, then a gate per input if ``gated``."""

    matrices: int
    gated: bool

    def __init__(self, in_features: int, out_features: int) -> None:
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(value, int) or value < 1:
                raise OptionError(f"{name} must be a positive integer, not {value!r}")
        self.in_features = in_features
        self.out_features = out_features
        self.num_params = self.matrices * in_features * out_features + (in_features if self.gated else 0)

    def split(self, p: Tensor) -> tuple[Tensor, ...]:
        """The matrices ``(*pop, O, I)`` in ``p`` and, for a gated unit, the gates ``(*pop, I)``."""
        vectors = self._vectors(p)
        size = self.in_features * self.out_features
        shape = (*vectors.shape[:-1], self.out_features, self.in_features)
        # A copy starts at an aligned address; matrix kernels may round otherwise at others.
        parts = [vectors[..., k * size : (k + 1) * size].clone().reshape(shape) for k in range(self.matrices)]
        return (*parts, vectors[..., self.matrices * size :]) if self.gated else tuple(parts)

    def flatten(self, layer: Layer) -> Tensor:
        """The parameter vector of a module of the same kind, masks applied; gradients flow back."""
        parts = self._weights_of(layer)
        if parts[0].shape != (self.out_features, self.in_features):
            raise DataError(f"{self!r} cannot hold the weights of {layer!r}")
        return torch.cat([part.flatten() for part in parts])

    def from_julia(self, p: Tensor | ArrayLike) -> Tensor:
        """Reorder ``[vec(Re); vec(Im); g]``, matrices stored column by column, to row by row."""
        vectors = self._vectors(p)
        size = self.in_features * self.out_features
        shape = (*vectors.shape[:-1], self.matrices, self.in_features, self.out_features)
        matrices = vectors[..., : self.matrices * size].reshape(shape).mT
        return torch.cat([matrices.flatten(-3), vectors[..., self.matrices * size :]], -1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_features}, {self.out_features})"

    @abstractmethod
    def _weights_of(self, layer: Layer) -> list[Tensor]:
        """The effective weights of a module in the order of the layout."""


class FastNAU(_Unit):
    """``W x``; the stateless ``NAU``.

    Args:
        in_features: number of inputs I.
        out_features: number of outputs O.

    Examples:
        >>> import torch
        >>> import neural_arith as na
        >>> na.FastNAU(2, 1)(torch.tensor([3.0, 4.0]), torch.tensor([1.0, -1.0])).tolist()
        [-1.0]
    """

    matrices = 1
    gated = False

    def __call__(self, x: Tensor, p: Tensor, *, aligned: bool = False) -> Tensor:
        """See ``FastLayer``."""
        self._check(x)
        (weight,) = self.split(p)
        return functional.linear(x, weight, aligned)

    def initial_params(
        self,
        generator: torch.Generator | None = None,
        *,
        population: Sequence[int] = (),
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Weights from U(-r, r), r = min(1/2, sqrt(6 / (I + O)))."""
        bound = nau_bound(self.in_features, self.out_features)
        shape = (*population, self.num_params)
        return draw_uniform(shape, -bound, bound, generator=generator, dtype=dtype, device=device)

    def to_layer(self, p: Tensor) -> NAU:
        """The ``NAU`` with the weights of one vector ``(num_params,)``."""
        return NAU.from_weights(*self.split(_one(p)), sparse=False)

    def _weights_of(self, layer: Layer) -> list[Tensor]:
        if not isinstance(layer, NAU):
            raise OptionError(f"FastNAU reads a NAU, not {type(layer).__name__}")
        return [layer.effective_weight()]


class _FastPower(_Unit):
    """Gated power units; options as in ``PowerLayer``."""

    gated = True
    module: type[NPU] | type[RealNPU]

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        negative: str = "real",
        at_zero: str = "inf",
        precision: str = "double",
    ) -> None:
        super().__init__(in_features, out_features)
        self.negative = functional.check_option("negative", negative, functional.NEGATIVE)
        self.at_zero = functional.check_option("at_zero", at_zero, functional.AT_ZERO)
        self.precision = functional.check_option("precision", precision, functional.PRECISION)

    def __call__(self, x: Tensor, p: Tensor, *, aligned: bool = False) -> Tensor:
        """See ``FastLayer``."""
        self._check(x)
        *exponents, gate = self.split(p)
        return functional.npu(
            x,
            *exponents,
            gate=gate,
            negative=self.negative,
            at_zero=self.at_zero,
            precision=self.precision,
            aligned=aligned,
        )

    def initial_params(
        self,
        generator: torch.Generator | None = None,
        *,
        population: Sequence[int] = (),
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Real exponents from the Glorot distribution, imaginary ones 0, gates 1/2."""
        bound = glorot_bound(self.in_features, self.out_features)
        size = self.in_features * self.out_features
        real = draw_uniform((*population, size), -bound, bound, generator=generator, dtype=dtype, device=device)
        imaginary = real.new_zeros((*population, (self.matrices - 1) * size))
        gate = real.new_full((*population, self.in_features), 0.5)
        return torch.cat([real, imaginary, gate], -1)

    def to_layer(self, p: Tensor) -> NPU | RealNPU:
        """The module with the weights of one vector ``(num_params,)``."""
        *exponents, gate = self.split(_one(p))
        return self.module.from_weights(
            *exponents,
            gate=gate,
            sparse=False,
            negative=self.negative,
            at_zero=self.at_zero,
            precision=self.precision,
        )

    def _weights_of(self, layer: Layer) -> list[Tensor]:
        if not isinstance(layer, self.module):
            raise OptionError(f"{self!r} reads a {self.module.__name__}, not {type(layer).__name__}")
        found = (layer.effective_weight(), layer.effective_imaginary(), layer.effective_gate())
        return [part for part in found if part is not None]


class FastNPU(_FastPower):
    """The stateless ``NPU``: ``p = [real exponents; imaginary exponents; gates]``.

    Args:
        in_features: number of inputs I.
        out_features: number of products O.
        negative: see ``PowerLayer``.
        at_zero: see ``PowerLayer``.
        precision: see ``PowerLayer``.

    Examples:
        >>> import torch
        >>> import neural_arith as na
        >>> unit = na.FastNPU(2, 1)
        >>> p = torch.tensor([1.0, -1.0, 0.0, 0.0, 1.0, 1.0])  # x / y with open gates
        >>> unit(torch.tensor([3.0, 4.0]), p).tolist()
        [0.75]
    """

    matrices = 2
    module = NPU


class FastRealNPU(_FastPower):
    """The stateless ``RealNPU``: ``p = [real exponents; gates]``; arguments as ``FastNPU``.

    Examples:
        >>> import torch
        >>> import neural_arith as na
        >>> unit = na.FastRealNPU(2, 1)
        >>> unit(torch.tensor([3.0, 4.0]), torch.tensor([1.0, -1.0, 1.0, 1.0])).tolist()  # x / y with open gates
        [0.75]
    """

    matrices = 1
    module = RealNPU


class FastChain(FastLayer):
    """Layers one after the other; ``p`` is the concatenation of theirs.

    Args:
        layers: stateless layers, each taking what the one before gives.

    Raises:
        OptionError: no layers, or sizes that do not fit.

    Example:
        >>> field = FastChain(FastNPU(3, 6), FastNAU(6, 3))
        >>> field.num_params
        57
    """

    def __init__(self, *layers: FastLayer) -> None:
        if not layers:
            raise OptionError("a chain needs at least one layer")
        for first, second in pairwise(layers):
            if first.out_features != second.in_features:
                raise OptionError(f"{second!r} cannot follow {first!r}: sizes differ")
        self.layers = layers
        self.in_features = layers[0].in_features
        self.out_features = layers[-1].out_features
        self.num_params = sum(layer.num_params for layer in layers)

    def split(self, p: Tensor) -> tuple[Tensor, ...]:
        """One view ``(*pop, layer.num_params)`` per layer."""
        return self._vectors(p).split([layer.num_params for layer in self.layers], -1)

    def __call__(self, x: Tensor, p: Tensor, *, aligned: bool = False) -> Tensor:
        """See ``FastLayer``."""
        self._check(x)
        for layer, part in zip(self.layers, self.split(p), strict=True):
            x = layer(x, part, aligned=aligned)
            aligned = True  # whatever came in, what comes out carries the population
        return x

    def initial_params(
        self,
        generator: torch.Generator | None = None,
        *,
        population: Sequence[int] = (),
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """The initial parameters of all layers."""
        parts = [
            layer.initial_params(generator, population=population, dtype=dtype, device=device) for layer in self.layers
        ]
        return torch.cat(parts, -1)

    def from_julia(self, p: Tensor | ArrayLike) -> Tensor:
        """Reorder each layer's part."""
        parts = self.split(self._vectors(p))
        return torch.cat([layer.from_julia(part) for layer, part in zip(self.layers, parts, strict=True)], -1)

    def to_layer(self, p: Tensor) -> torch.nn.Sequential:
        """The modules with the weights of one vector, in sequence."""
        parts = self.split(_one(p))
        return torch.nn.Sequential(*(layer.to_layer(part) for layer, part in zip(self.layers, parts, strict=True)))

    def __repr__(self) -> str:
        return f"FastChain({', '.join(map(repr, self.layers))})"


def _one(p: Tensor) -> Tensor:
    if p.dim() != 1:
        raise DataError(f"expected one parameter vector, got a population of {math.prod(p.shape[:-1])}; pick one")
    return p
