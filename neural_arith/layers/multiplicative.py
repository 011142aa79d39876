"""Units that multiply selected inputs: NMU and its stochastic form."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import sympy as sp
import torch
from torch import Tensor

from neural_arith.errors import OptionError
from neural_arith.layers import functional
from neural_arith.layers.algebra import closed_form
from neural_arith.layers.algebra.closed_form import ClosedForm
from neural_arith.layers.base import MatrixLayer, redraw
from neural_arith.layers.symbolic import selected_product

if TYPE_CHECKING:
    pass

__all__ = ["NMU", "StochasticNMU", "distance_to_selection"]


def distance_to_selection(weight: Tensor) -> Tensor:
    """Mean of ``min(|w|, |1 - w|)``: zero when every weight is 0 or 1 (Madsen & Johansen 2020).

    Weights ``(*pop, O, I)`` give one number per member.
    """
    return torch.minimum(weight.abs(), (1 - weight).abs()).mean((-2, -1))


class NMU(MatrixLayer):
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

    ranges = MappingProxyType({"weight": (0.0, 1.0)})

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw weights from U(1/4, 3/4): expectation 1/2, as the authors ask."""
        redraw(self.weight, 0.25, generator, centre=0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Products of selected inputs: ``(*batch, I)`` to ``(*batch, O)``."""
        self._check(x)
        weight = self.effective_weight()
        return functional.nmu(x, weight, aligned=weight.dim() > 2)

    def to_sympy(self, inputs: Sequence[sp.Expr]) -> list[sp.Expr]:
        """Products of ``w x + 1 - w``, plain ``x`` where the weight is 1."""
        inputs = self._check_symbols(inputs)
        return [selected_product(inputs, row) for row in self.effective_weight().tolist()]

    def penalty(self) -> Tensor:
        """Mean of ``min(|w|, |1 - w|)``, the authors' regulariser: zero when every weight is 0 or 1."""
        return distance_to_selection(self.effective_weight())

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


class StochasticNMU(NMU):
    """Stochastic NMU: in training ``nmu(n x) / nmu(n)`` with random factors n, else an NMU.

    From Mistry, Farrahi, Hare: Improving the robustness of neural multiplication units with reversible
    stochasticity (2022, https://arxiv.org/abs/2211.05624). For weights of 0 and 1 the noise cancels, so
    solutions stay where they are; in between it does not, and poor minima lose their hold. In ``eval()``
    mode, and in the formula, there is no noise. The authors' code also overwrites its inputs with the noisy
    ones; this unit does not.

    Args:
        in_features: number of inputs I.
        out_features: number of outputs O.
        noise: bounds of the uniform factors, positive, the authors' is (1, 5); or ``"batch"`` for their [1, 1
            + 1 / s], s the standard deviation of all inputs of the batch (no noise where s is zero or cannot
            be had).
        dtype: type of the weights, torch's default if None.
        device: where the weights live.
        generator: source of the initial weights and of the noise; torch's own, as in dropout, if None.

    Raises:
        OptionError: the bounds are not ``0 < low <= high``.

    Examples:
        >>> import torch
        >>> import neural_arith as na
        >>> layer = na.StochasticNMU.from_weights([[1.0, 0.0, 1.0]])
        >>> round(layer(torch.tensor([2.0, 5.0, 3.0])).item(), 4)  # noise cancels where weights are 0 or 1
        6.0
    """

    noisy = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        noise: tuple[float, float] | str = (1.0, 5.0),
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> None:
        super().__init__(in_features, out_features, generator=generator, **options)
        self.noise = _check_noise(noise)
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        """Products of selected inputs, noisy in training: ``(*batch, I)`` to ``(*batch, O)``."""
        if not self.training:
            return super().forward(x)
        self._check(x)
        weight = self.effective_weight()
        return functional.snmu(x, weight, self._draw(x, weight.shape[:-2]), aligned=weight.dim() > 2)

    def extra_repr(self) -> str:
        """Sizes and options."""
        return super().extra_repr() + f", noise={self.noise!r}"

    @torch.no_grad()
    def _draw(self, x: Tensor, members: torch.Size) -> Tensor:
        low, high = (1.0, _batch_bound(x, members)) if isinstance(self.noise, str) else self.noise
        device = x.device if self.generator is None else self.generator.device
        share = torch.rand(x.shape, generator=self.generator, dtype=x.dtype, device=device)
        return low + (high - low) * share.to(x.device)


def _batch_bound(x: Tensor, members: torch.Size) -> Tensor:
    """``1 + 1 / s`` with the standard deviation s of all of ``x`` (of each member); 1 if s is zero or there is none."""
    rows = x.reshape(*members, -1)
    if rows.shape[-1] < 2:
        return x.new_ones(())
    deviation = rows.std(-1).reshape(*members, *(1,) * (x.dim() - len(members)))
    return 1 + torch.where(deviation > 0, 1 / deviation, 0.0)


def _check_noise(noise: Any) -> tuple[float, float] | str:
    if noise == "batch":
        return noise
    if isinstance(noise, str) or len(noise) != 2 or not 0 < noise[0] <= noise[1]:
        raise OptionError(f"noise must be two bounds with 0 < low <= high, or 'batch', not {noise!r}")
    return float(noise[0]), float(noise[1])
