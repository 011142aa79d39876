"""What all units share: masks for pruning, effective weights, the checks of inputs, initial draws.

A new unit goes into the file of its family, ``additive``, ``multiplicative`` or ``power``, and derives from these.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import sympy as sp
import torch
from torch import Tensor, nn

from neural_arith.errors import DataError, OptionError
from neural_arith.layers.functional import clip_through

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "Layer",
    "MatrixLayer",
    "as_matrix",
    "as_numbers",
    "draw_uniform",
    "fill",
    "glorot_bound",
    "redraw",
    "redraw_normal",
]


class Layer(nn.Module, ABC):
    """A unit whose weights can be read as a formula: ``(*batch, in_features)`` to ``(*batch, out_features)``.

    A subclass registers its parameters, calls ``_new_mask`` once per weight array, and reads the weights
    through ``_live``, which makes masked entries exactly zero. Masks are buffers: they are saved, moved and
    copied with the module, and masked entries receive no gradient.

    Args:
        in_features: number of inputs I.
        out_features: number of outputs O.

    Examples:
        >>> import neural_arith as na
        >>> layer = na.NAU.from_weights([[1.0, -1.0, 0.5]])
        >>> layer.drop_input_(2)
        >>> layer.effective_weight().tolist(), layer.complexity()
        ([[1.0, -1.0, 0.0]], 2)
    """

    ranges: Mapping[str, tuple[float, float]] = MappingProxyType({})
    """Parameters that ``project_`` clamps, with their bounds."""

    takes_population: ClassVar[bool] = False
    """Whether ``forward`` also takes parameters and masks with one leading axis of members.

    Inputs then carry that axis too, ``(members, *batch, in_features)``, and member meets member: many networks
    of one shape are one batch. ``penalty`` then is one number per member.
    """

    noisy: ClassVar[bool] = False
    """Whether ``forward`` draws random numbers in training."""

    in_features: int
    out_features: int

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(value, int) or value < 1:
                raise OptionError(f"{name} must be a positive integer, not {value!r}")
        self.in_features = in_features
        self.out_features = out_features
        self._mask_names: list[str] = []

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """``(*batch, in_features)`` to ``(*batch, out_features)``."""

    @abstractmethod
    def effective_weight(self) -> Tensor:
        """The weights as the formula uses them (clipped, squashed, masked), ``(out_features, columns)``."""

    @abstractmethod
    def to_sympy(self, inputs: Sequence[sp.Expr]) -> list[sp.Expr]:
        """The outputs as expressions of ``inputs``, one per output, with plain numbers inside."""

    @abstractmethod
    def penalty(self) -> Tensor:
        """The regulariser of the unit's authors (or nearest to it), a scalar; 0 is a fully discrete unit."""

    def complexity(self) -> int:
        """How many live numbers the formula holds that are not trivial: by default the weights that are not zero."""
        return int(torch.count_nonzero(self.effective_weight()))

    @abstractmethod
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new initial weights in place; masks stay."""

    @property
    def masks(self) -> dict[str, Tensor]:
        """The masks by the name of their weights: boolean buffers, True = live. Edit them in place."""
        return {name: getattr(self, f"{name}_mask") for name in self._mask_names}

    def columns_of(self, index: int) -> list[int]:
        """The columns of the weight arrays that belong to input ``index``."""
        return [index]

    @torch.no_grad()
    def drop_input_(self, index: int) -> None:
        """Mask everything that connects input ``index``; afterwards it has exactly no influence.

        Raises:
            OptionError: there is no such input.
        """
        if not 0 <= index < self.in_features:
            raise OptionError(f"input must be one of 0..{self.in_features - 1}, not {index}")
        columns = self.columns_of(index)
        for mask in self.masks.values():
            if mask.dim() == 2:
                mask[..., columns] = False

    @torch.no_grad()
    def project_(self) -> None:
        """Clamp the parameters to their ranges in place, as the authors of NAU and NMU do after each step."""
        for name, (low, high) in self.ranges.items():
            self.get_parameter(name).clamp_(low, high)

    def extra_repr(self) -> str:
        """The sizes, and how many weights are masked if any are."""
        masked = sum(int((~mask).sum()) for mask in self.masks.values())
        return f"in_features={self.in_features}, out_features={self.out_features}" + (
            f", masked={masked}" if masked else ""
        )

    def _new_mask(self, name: str, like: Tensor) -> None:
        self.register_buffer(f"{name}_mask", torch.ones_like(like, dtype=torch.bool))
        self._mask_names.append(name)

    def _live(self, name: str, values: Tensor) -> Tensor:
        return torch.where(getattr(self, f"{name}_mask"), values, 0.0)

    def _check(self, x: Tensor) -> None:
        if not x.dim() or x.shape[-1] != self.in_features:
            raise DataError(
                f"{type(self).__name__} expects inputs of shape (*batch, {self.in_features}), got {tuple(x.shape)}"
            )

    def _check_symbols(self, inputs: Sequence[sp.Expr]) -> list[sp.Expr]:
        if len(inputs) != self.in_features:
            raise OptionError(f"{type(self).__name__} needs {self.in_features} expressions, got {len(inputs)}")
        return [sp.sympify(value) for value in inputs]


class MatrixLayer(Layer):
    """What units share whose only parameter is one matrix ``weight``, perhaps limited to a range.

    Where ``ranges`` limits the weights, they count as clipped while their gradient passes unchanged.

    Args:
        in_features: number of inputs I.
        out_features: number of outputs O.
        dtype: type of the weights, torch's default if None.
        device: where the weights live.
        generator: source of the initial weights.
    """

    takes_population = True

    per_input: ClassVar[int] = 1
    """Columns of the matrix for each input."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        shape = (out_features, self.per_input * in_features)
        self.weight = nn.Parameter(torch.empty(shape, dtype=dtype, device=device))
        self._new_mask("weight", self.weight)
        self.reset_parameters(generator)

    @classmethod
    def from_weights(cls, weight: Tensor | ArrayLike, *, sparse: bool = True, **options: Any) -> Self:
        """A layer that holds exactly ``weight``, within the unit's range.

        Args:
            weight: the matrix, ``(O, columns)``; numbers that are not tensors become float64.
            sparse: whether zero entries are masked, so that training keeps the structure.
            **options: those of the class.

        Raises:
            DataError: it is no matrix, or one input has more columns than another.
        """
        values = as_matrix("weight", weight)
        if values.shape[1] % cls.per_input:
            raise DataError(f"weight must have {cls.per_input} * in_features columns, got {values.shape[1]}")
        columns = values.shape[1] // cls.per_input
        layer = cls(columns, values.shape[0], dtype=values.dtype, device=values.device, **options)
        fill(layer, {"weight": values}, sparse)
        return layer

    def effective_weight(self) -> Tensor:
        """The weights, masked and within their range, ``(O, columns)``."""
        weight = self._live("weight", self.weight)
        return clip_through(weight, *self.ranges["weight"]) if "weight" in self.ranges else weight


def glorot_bound(in_features: int, out_features: int) -> float:
    """``sqrt(6 / (I + O))``: weights uniform within keep the variance of signals and gradients."""
    return math.sqrt(6 / (in_features + out_features))


def draw_uniform(
    shape: Sequence[int],
    low: float,
    high: float,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Uniform draws in ``[low, high)``, made on the generator's device: a seed means the same everywhere."""
    source = device if generator is None else generator.device
    draws = torch.rand(tuple(shape), generator=generator, dtype=dtype, device=source)
    return (low + (high - low) * draws).to(device)


def as_numbers(values: Tensor | ArrayLike) -> Tensor:
    """A tensor (its type kept), or an array or nested numbers (float64), without gradient."""
    return values.detach() if isinstance(values, Tensor) else torch.tensor(values, dtype=torch.float64)


def as_matrix(name: str, values: Tensor | ArrayLike) -> Tensor:
    """A matrix from a tensor (its type kept), or an array or nested numbers (float64).

    Raises:
        DataError: it is not a matrix.
    """
    matrix = as_numbers(values)
    if matrix.dim() != 2:
        raise DataError(f"{name} must be a matrix (out_features, in_features), got shape {tuple(matrix.shape)}")
    return matrix


@torch.no_grad()
def fill(layer: Layer, values: dict[str, Tensor], sparse: bool) -> None:
    """Copy values into parameters of the same names; masks are open, or closed at zeros if ``sparse``."""
    for name, value in values.items():
        layer.get_parameter(name).copy_(value)
        layer.masks[name].copy_(value != 0 if sparse else torch.ones_like(value))


@torch.no_grad()
def redraw(parameter: Tensor, bound: float, generator: torch.Generator | None, centre: float = 0.0) -> None:
    """Fill a parameter with draws from U(centre - bound, centre + bound)."""
    parameter.copy_(
        draw_uniform(
            parameter.shape,
            centre - bound,
            centre + bound,
            generator=generator,
            dtype=parameter.dtype,
            device=parameter.device,
        )
    )


@torch.no_grad()
def redraw_normal(parameter: Tensor, mean: float, deviation: float, generator: torch.Generator | None) -> None:
    """Fill a parameter with draws from a normal distribution, made on the generator's device."""
    device = parameter.device if generator is None else generator.device
    draws = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype, device=device)
    parameter.copy_(mean + deviation * draws)
