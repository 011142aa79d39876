"""The simple task of the NPU paper: sum, product, quotient and root of two numbers, all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from neural_arith.layers import NAU, NPU, RealNPU
from neural_arith_bench.arithmetic.distributions import Uniform
from neural_arith_bench.arithmetic.task import Part, Task

POSITIVE = Uniform(0.1, 2.1)
"""What the published numbers were trained on."""


@dataclass(frozen=True)
class SimpleTask(Task):
    """``(x, y) -> (x + y, x y, x / y, sqrt x)``.

    After Heim, Pevny, Smidl (NeurIPS 2020, https://arxiv.org/abs/2006.01681). The paper trains on U(0.1, 2), its final
    code on U(0.1, 2.1), which its table comes from and which is the default here; ``SimpleTask(Uniform(0.1, 2.0))`` is
    the paper's. The extrapolation set is that of both: for the first three outputs the grid -4.1, -3.9, ..., 3.9 in
    both directions, which has no zero, and for the root the grid 0.1, 0.2, ..., 4.0; what a grid is not for is nan in
    the targets. The metric is the mean absolute error of each output, averaged over 20 runs.

    Attributes:
        inputs_from: distribution of the training inputs.
    """

    inputs_from: Uniform = POSITIVE

    batch_size: ClassVar[int] = 100
    outputs: ClassVar[tuple[str, ...]] = ("add", "mul", "div", "sqrt")
    _SIGNED: ClassVar[int] = 41 * 41

    @property
    def name(self) -> str:
        """Always ``simple``."""
        return "simple"

    @property
    def in_features(self) -> int:
        """Two."""
        return 2

    @property
    def out_features(self) -> int:
        """Four, in the order of ``outputs``."""
        return len(self.outputs)

    def distribution(self, part: Part) -> Uniform:
        """Of training, validation and interpolation; for extrapolation the range of the first grid."""
        return Uniform(-4.1, 3.9) if part == "extrapolation" else self.inputs_from

    def fixed_inputs(self, part: Part) -> Tensor:
        """The inputs of a fixed set; for extrapolation both grids, 1681 and 1600 points."""
        if part != "extrapolation":
            return super().fixed_inputs(part)
        tenths = torch.arange(-41, 40, 2, dtype=torch.float64), torch.arange(1, 41, dtype=torch.float64)
        return torch.cat([torch.cartesian_prod(axis, axis) for axis in tenths]) / 10

    def answers(self, part: Part, x: Tensor, seed: int) -> Tensor:
        """The targets of a set; for extrapolation nan where its grid is for other outputs."""
        y = super().answers(part, x, seed)
        if part == "extrapolation":
            y[: self._SIGNED, 3] = torch.nan
            y[self._SIGNED :, :3] = torch.nan
        return y

    def target(self, x: Tensor, seed: int = 0) -> Tensor:
        """``(*batch, 2)`` to ``(*batch, 4)``; the root of a negative number is nan."""
        a, b = x.unbind(-1)
        return torch.stack([a + b, a * b, a / b, a.sqrt()], -1)

    def gold(self, seed: int = 0) -> dict[str, nn.Module]:
        """Six power units, of which one stays unused as in the paper's network, and a sum of them."""
        exponents = [[1, 0], [0, 1], [1, 1], [1, -1], [0.5, 0], [0, 0]]
        sums = [[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0]]

        return {
            f"{unit.__name__}-NAU": nn.Sequential(unit.from_weights(exponents), NAU.from_weights(sums))
            for unit in (RealNPU, NPU)
        }
