"""The unit that multiplies selected inputs: NMU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import sympy as sp
import torch
from torch import Tensor, nn

from neural_arith.layers import closed_form, functional
from neural_arith.layers.base import Layer, as_matrix, fill, redraw
from neural_arith.layers.closed_form import ClosedForm
from neural_arith.layers.symbolic import number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["NMU"]


class NMU(Layer):
    """Neural multiplication unit, ``y_o = prod_i (w_oi x_i + 1 - w_oi)`` with w in [0, 1].

    Multiplies the inputs of weight 1 and ignores those of weight 0 (Madsen & Johansen, ICLR 2020,
    https://arxiv.org/abs/2001.05016). Weights count as clipped to [0, 1] while their gradient passes the
    clip, so a weight that has left the interval comes back; ``project_()`` clamps the parameters themselves.
    The forward pass forms ``(*batch, O, I)`` factors: for many inputs prefer a power unit.

    Args:
        in_features: number of inputs I.
        out_features: number of outputs O.
        dtype: type of the weights, torch's default if None.
        device: where the weights live.
        generator: source of the initial weights.

    Example:
        >>> layer = NMU.from_weights([[1.0, 0.0, 1.0]])
        >>> layer.to_sympy(sp.symbols("x y z"))
        [x*z]
    """

    takes_population = True

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
        self.ranges = {"weight": (0.0, 1.0)}
        self.weight = nn.Parameter(torch.empty(out_features, in_features, dtype=dtype, device=device))
        self._new_mask("weight", self.weight)
        self.reset_parameters(generator)

    @classmethod
    def from_weights(cls, weight: Tensor | ArrayLike, *, sparse: bool = True) -> Self:
        """A layer that holds ``weight``, ``(O, I)``, values within [0, 1].

        Args:
            weight: the weights; numbers that are not tensors become float64.
            sparse: whether zero entries are masked, so that training keeps the structure.
        """
        values = as_matrix("weight", weight)
        layer = cls(values.shape[1], values.shape[0], dtype=values.dtype, device=values.device)
        fill(layer, {"weight": values}, sparse)
        return layer

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw weights from U(1/4, 3/4): expectation 1/2, as the authors ask."""
        redraw(self.weight, 0.25, generator, centre=0.5)

    def effective_weight(self) -> Tensor:
        """The weights, masked and within [0, 1], ``(O, I)``."""
        return functional.clip_through(self._live("weight", self.weight), 0.0, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Products of selected inputs: ``(*batch, I)`` to ``(*batch, O)``."""
        self._check(x)
        weight = self.effective_weight()
        return functional.nmu(x, weight, aligned=weight.dim() > 2)

    def to_sympy(self, inputs: Sequence[sp.Expr]) -> list[sp.Expr]:
        """Products of ``w x + 1 - w``, plain ``x`` where the weight is 1."""
        inputs = self._check_symbols(inputs)
        return [
            sp.Mul(*(number(w) * x + number(1 - w) for w, x in zip(row, inputs, strict=True) if w))
            for row in self.effective_weight().tolist()
        ]

    def penalty(self) -> Tensor:
        """Mean of ``min(|w|, |1 - w|)``, the authors' regulariser: zero when every weight is 0 or 1."""
        weight = self.effective_weight()
        return torch.minimum(weight.abs(), (1 - weight).abs()).mean((-2, -1))

    def complexity(self) -> int:
        """Number of weights that are not zero."""
        return int(torch.count_nonzero(self.effective_weight()))

    @torch.no_grad()
    def fit_closed_form(self, x: Tensor, y: Tensor) -> ClosedForm:
        """Select the inputs whose product is y, by regression of ``log|y|`` on ``log|x|``.

        Args:
            x: inputs, ``(*batch, I)``. With fewer samples than inputs few inputs are made to explain the data.
            y: wanted outputs, ``(*batch, O)``, or ``(*batch)`` for one output.

        Returns:
            The errors with the new weights, each 0 or 1, and whether they are only rounding: if not, y is no product
            of inputs.

        Raises:
            DataError: shapes do not fit, samples are not finite, or all have zeros.

        Example:
            >>> layer, x = NMU(3, 1, dtype=torch.float64), torch.rand(9, 3, dtype=torch.float64)
            >>> layer.fit_closed_form(x, x[:, 0] * x[:, 2]).exact
            True
            >>> layer.weight.tolist()
            [[1.0, 0.0, 1.0]]
        """
        inputs, wanted, tolerance = closed_form.as_data(x, y, self.in_features, self.out_features)
        for row, live, column in zip(self.weight, self.masks["weight"], wanted.T, strict=True):

            def predict(weight: Tensor) -> Tensor:
                return functional.nmu(inputs, weight.round().clamp(0, 1)[None])[:, 0]

            found = closed_form.power_weights(inputs, column, live, tolerance, predict, closed_form.INTEGERS)
            row.copy_(torch.where(live, found.round().clamp(0, 1), row))
        predicted = self(inputs)
        sensitivity = closed_form.power_sensitivity(predicted, inputs, self.effective_weight())
        return closed_form.judge(predicted, wanted, sensitivity, tolerance)
