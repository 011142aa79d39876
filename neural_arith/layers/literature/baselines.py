"""Ordinary dense layers, the baselines that every paper on arithmetic units compares with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import sympy as sp
import torch
from torch import Tensor, nn
from torch.nn.functional import relu6

from neural_arith.layers import functional
from neural_arith.layers.additive import distance_to_signs
from neural_arith.layers.base import Layer, glorot_bound, redraw
from neural_arith.layers.symbolic import number, weighted_sum

__all__ = ["Dense"]

# Each activation as torch and as sympy knows it.
_ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[sp.Expr], sp.Expr]]] = {
    "linear": (lambda z: z, lambda z: z),
    "relu": (torch.relu, lambda z: sp.Max(0, z)),
    "relu6": (relu6, lambda z: sp.Min(sp.Max(0, z), 6)),
    "sigmoid": (torch.sigmoid, lambda z: 1 / (1 + sp.exp(-z))),
}


class Dense(Layer):
    """An ordinary dense layer, ``f(W x + b)``: the linear, ReLU, ReLU6 and sigmoid baselines of the literature.

    Initial values are those of the baselines of Madsen & Johansen (ICLR 2020, https://arxiv.org/abs/2001.05016,
    code): Kaiming's for ReLU and ReLU6, Glorot's for the others, offsets 0.

    Args:
        in_features: number of inputs I.
        out_features: number of outputs O.
        activation: f, ``"linear"``, ``"relu"``, ``"relu6"`` (ReLU cut at 6) or ``"sigmoid"``.
        bias: whether there is an offset b.
        dtype: type of the weights, torch's default if None.
        device: where the weights live.
        generator: source of the initial weights.

    Raises:
        OptionError: there is no such activation.

    Examples:
        >>> import sympy as sp
        >>> from torch import nn
        >>> import neural_arith as na
        >>> layer = na.Dense(2, 1, activation="relu", bias=False)
        >>> _ = nn.init.constant_(layer.weight, 0.5)
        >>> layer.to_sympy(sp.symbols("x y"))
        [Max(0, 0.5*x + 0.5*y)]
    """

    bias: Tensor | None

    takes_population = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activation: str = "linear",
        bias: bool = True,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        self.activation = functional.check_option("activation", activation, tuple(_ACTIVATIONS))
        self.weight = nn.Parameter(torch.empty(out_features, in_features, dtype=dtype, device=device))
        self._new_mask("weight", self.weight)
        self.register_parameter("bias", nn.Parameter(torch.empty_like(self.weight[:, 0])) if bias else None)
        if self.bias is not None:
            self._new_mask("bias", self.bias)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw weights from U(-r, r), r = sqrt(6 / I) for ReLU and ReLU6, else sqrt(6 / (I + O)); b becomes 0."""
        kaiming = self.activation in ("relu", "relu6")
        bound = math.sqrt(6 / self.in_features) if kaiming else glorot_bound(self.in_features, self.out_features)
        redraw(self.weight, bound, generator)
        if self.bias is not None:
            with torch.no_grad():
                self.bias.zero_()

    def effective_weight(self) -> Tensor:
        """The coefficients, masked, ``(O, I)``."""
        return self._live("weight", self.weight)

    def effective_bias(self) -> Tensor:
        """The offsets, masked, ``(O,)``; zeros if there are none."""
        return torch.zeros_like(self.weight[..., 0]) if self.bias is None else self._live("bias", self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``f(W x + b)``: ``(*batch, I)`` to ``(*batch, O)``."""
        self._check(x)
        activate, _ = _ACTIVATIONS[self.activation]
        weight = self.effective_weight()
        out = functional.linear(x, weight, aligned=weight.dim() > 2)
        return activate(out + functional.offset(self.effective_bias(), x))

    def to_sympy(self, inputs: Sequence[sp.Expr]) -> list[sp.Expr]:
        """``f`` of weighted sums of ``inputs``; ReLU is ``Max(0, z)``."""
        inputs = self._check_symbols(inputs)
        _, activate = _ACTIVATIONS[self.activation]
        return [
            activate(weighted_sum(inputs, row) + number(offset))
            for row, offset in zip(self.effective_weight().tolist(), self.effective_bias().tolist(), strict=True)
        ]

    def penalty(self) -> Tensor:
        """Mean distance of W to -1, 0 or 1. The baselines had none; this is the NAU's."""
        return distance_to_signs(self.effective_weight())

    def complexity(self) -> int:
        """Number of coefficients and offsets that are not zero."""
        return int(torch.count_nonzero(self.effective_weight()) + torch.count_nonzero(self.effective_bias()))

    def extra_repr(self) -> str:
        """Sizes and options."""
        return (
            super().extra_repr()
            + f", activation={self.activation!r}"
            + ("" if self.bias is not None else ", bias=False")
        )
