"""The large-scale task of the NPU paper: one operation on sums of 50 of 100 inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from neural_arith.errors import OptionError
from neural_arith_bench.arithmetic.distributions import Uniform
from neural_arith_bench.arithmetic.operations import operation, two_layers
from neural_arith_bench.arithmetic.task import KEYS, Part, Source, Task, selected

LARGE_SCALE = ("add", "mul", "reciprocal", "sqrt")

_TRAIN = {"add": Uniform(-1, 1), "mul": Uniform(-1, 1), "reciprocal": Uniform(0, 0.5), "sqrt": Uniform(0, 2)}
_TEST = {
    "code": {"add": Uniform(-2, 2), "mul": Uniform(-2, 2), "reciprocal": Uniform(-0.5, 0), "sqrt": Uniform(0, 4)},
    "paper": {"add": Uniform(-4, 4), "mul": Uniform(-4, 4), "reciprocal": Uniform(-0.5, 0.5), "sqrt": Uniform(0, 4)},
}


@dataclass(frozen=True)
class LargeScaleTask(Task):
    """``a + b``, ``a b``, ``1 / a`` or ``sqrt a`` of two sums of 50 inputs, 12 of them shared, among 100.

    After Heim, Pevny, Smidl (NeurIPS 2020, https://arxiv.org/abs/2006.01681). a sums the inputs 1 to 50, b 39 to 88.
    Inputs are a Sobol sequence, the same for all seeds: only the initial weights differ between runs. The metric is the
    mean squared error on 10,000 points, median of the ten best of the runs.

    Attributes:
        operation: one of `LARGE_SCALE`.
        source_of_ranges: ``"code"``, the ranges that the published numbers were computed on, twice those of training
            but (-0.5, 0) for the reciprocal; or ``"paper"``, those that the table of the paper prints.
        sampler: ``"sobol"`` as published, or ``"uniform"`` for points that differ between seeds.

    Raises:
        OptionError: one of them has no such value.
    """

    operation: str
    source_of_ranges: Literal["code", "paper"] = "code"
    sampler: Literal["sobol", "uniform"] = "sobol"

    hidden: ClassVar[int] = 100
    """Width of the published networks, of which two are enough."""

    def __post_init__(self) -> None:
        operation(self.operation, LARGE_SCALE)
        if self.source_of_ranges not in _TEST or self.sampler not in ("sobol", "uniform"):
            raise OptionError(f"expected source_of_ranges code or paper, sampler sobol or uniform, got {self}")

    @property
    def name(self) -> str:
        """The operation."""
        return self.operation

    @property
    def in_features(self) -> int:
        """One hundred."""
        return 100

    def distribution(self, part: Part) -> Uniform:
        """The range of one part."""
        return (_TEST[self.source_of_ranges] if part == "extrapolation" else _TRAIN)[self.operation]

    @property
    def one_stream(self) -> bool:
        """With the Sobol sequence."""
        return self.sampler == "sobol"

    def source(self, part: Part, seed: int, skip: int = 0) -> Source:
        """The Sobol sequence without its first point, zero; scrambled for validation and interpolation."""
        if self.sampler == "uniform":
            return super().source(part, seed, skip)
        scramble = part in ("validation", "interpolation")
        engine = torch.quasirandom.SobolEngine(self.in_features, scramble, KEYS[part]).fast_forward(1 + skip)
        return lambda points: engine.draw(points, dtype=torch.float64)

    def selection(self) -> Tensor:
        """Zeros and ones that pick the inputs of a and b, ``(2, 100)``."""
        return selected(100, (0, 50), (38, 88))

    def target(self, x: Tensor, seed: int = 0) -> Tensor:
        """``(*batch, 100)`` to ``(*batch, 1)``."""
        return operation(self.operation).function(*(x @ self.selection().T).unbind(-1))[..., None]

    def gold(self, seed: int = 0) -> dict[str, nn.Module]:
        """An addition unit of 100 rows, all but one or two of them zero, and one unit behind it."""
        return dict(two_layers(self.operation, self.selection(), self.hidden))
