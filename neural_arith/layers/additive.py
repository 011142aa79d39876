"""The unit that adds: the neural addition unit NAU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sympy as sp
import torch
from torch import Tensor

from neural_arith.layers import functional
from neural_arith.layers.algebra import closed_form
from neural_arith.layers.algebra.closed_form import ClosedForm
from neural_arith.layers.base import MatrixLayer, glorot_bound, redraw
from neural_arith.layers.symbolic import weighted_sum

if TYPE_CHECKING:
    pass

__all__ = ["NAU", "distance_to_signs", "nau_bound"]


def nau_bound(in_features: int, out_features: int) -> float:
    """Half-width of the NAU's initial weights, ``min(1/2, sqrt(6 / (I + O)))`` (Madsen & Johansen 2020)."""
    return min(0.5, glorot_bound(in_features, out_features))


def distance_to_signs(weight: Tensor) -> Tensor:
    """Mean of ``min(|w|, |1 - |w||)``: zero when every weight is -1, 0 or 1 (Madsen & Johansen 2020).

    Weights ``(*pop, O, I)`` give one number per member.
    """
    size = weight.abs()
    return torch.minimum(size, (1 - size).abs()).mean((-2, -1))


class NAU(MatrixLayer):
    """Neural addition unit, ``y = W x`` (Madsen & Johansen, ICLR 2020, https://arxiv.org/abs/2001.05016).

    Without ``clip`` any coefficient can be held, which an equation needs; with it weights count as clipped to
    [-1, 1] while their gradient passes unchanged, and ``project_()`` clamps the parameters themselves.

    Args:
        in_features: number of inputs I.
        out_features: number of outputs O.
        clip: whether weights are limited to [-1, 1].
        dtype: type of the weights, torch's default if None.
        device: where the weights live.
        generator: source of the initial weights.

    Example:
        >>> layer = NAU.from_weights([[1.0, -0.5]])
        >>> layer.to_sympy(sp.symbols("x y"))
        [x - 0.5*y]
    """

    def __init__(self, in_features: int, out_features: int, *, clip: bool = False, **options: Any) -> None:
        self.clip = clip
        if clip:
            self.ranges = {"weight": (-1.0, 1.0)}
        super().__init__(in_features, out_features, **options)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw weights from U(-r, r) with r = min(1/2, sqrt(6 / (I + O)))."""
        redraw(self.weight, nau_bound(self.in_features, self.out_features), generator)

    def forward(self, x: Tensor) -> Tensor:
        """``W x``: ``(*batch, I)`` to ``(*batch, O)``."""
        self._check(x)
        weight = self.effective_weight()
        return functional.linear(x, weight, aligned=weight.dim() > 2)

    def to_sympy(self, inputs: Sequence[sp.Expr]) -> list[sp.Expr]:
        """Weighted sums of ``inputs``."""
        inputs = self._check_symbols(inputs)
        return [weighted_sum(inputs, row) for row in self.effective_weight().tolist()]

    def penalty(self) -> Tensor:
        """Mean distance of the weights to -1, 0 or 1, the authors' regulariser."""
        return distance_to_signs(self.effective_weight())

    @torch.no_grad()
    def fit_closed_form(self, x: Tensor, y: Tensor) -> ClosedForm:
        """Set the weights by least squares, rounded to whole numbers where these explain the data as well.

        Args:
            x: inputs, ``(*batch, I)``. With fewer samples than inputs few weights are made to explain the data.
            y: wanted outputs, ``(*batch, O)``, or ``(*batch)`` for one output.

        Returns:
            The errors with the new weights, and whether they are only rounding.

        Raises:
            DataError: shapes do not fit, or samples are not finite.

        Example:
            >>> layer = NAU(2, 1, dtype=torch.float64)
            >>> layer.fit_closed_form(torch.tensor([[1.0, 2.0], [3.0, 5.0]]), torch.tensor([-1.0, -2.0])).exact
            True
            >>> layer.weight.tolist()
            [[1.0, -1.0]]
        """
        inputs, wanted, tolerance = closed_form.as_data(x, y, self.in_features, self.out_features)
        for row, live, column in zip(self.weight, self.masks["weight"], wanted.T, strict=True):
            row.copy_(torch.where(live, closed_form.sum_weights(inputs, column, live, tolerance), row))
        sensitivity = functional.linear(inputs.abs(), self.effective_weight().abs())
        return closed_form.judge(self(inputs), wanted, sensitivity, tolerance)

    def extra_repr(self) -> str:
        """Sizes and options."""
        return super().extra_repr() + (", clip=True" if self.clip else "")
