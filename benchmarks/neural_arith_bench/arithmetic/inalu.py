"""The tasks of the iNALU paper: four operations on inputs of many distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from neural_arith.errors import OptionError
from neural_arith_bench.arithmetic.distributions import Distribution, Exponential, TruncatedNormal, Uniform
from neural_arith_bench.arithmetic.operations import one_layer, operation, two_layers
from neural_arith_bench.arithmetic.task import Part, Task, layout, selected

INALU = ("add", "sub", "mul", "div")

INALU_DISTRIBUTIONS: tuple[tuple[Distribution, Distribution], ...] = (
    (TruncatedNormal(-3, 3), TruncatedNormal(8, 10)),
    (TruncatedNormal(-2, 4), TruncatedNormal(8, 10)),
    (TruncatedNormal(-4, 2), TruncatedNormal(8, 10)),
    (Uniform(-1, 1), Uniform(-10, -5)),
    (Uniform(-5, 5), Uniform(-10, -5)),
    (Exponential(0.2), Exponential(0.5)),
    (Exponential(0.8), Exponential(0.5)),
)
"""Training and extrapolation of the two-input experiment, as far as its committed results go.

The last is no extrapolation: its training inputs are the larger ones.
"""

AROUND_ZERO, BELOW = Uniform(-3, 3), Uniform(-5, -3)
"""Training and extrapolation of the experiment with 100 inputs."""

SUCCESS = 1e-5
"""The bar of the paper, for the final mean squared error."""


@dataclass(frozen=True)
class INALUTask(Task):
    """One operation on two numbers among two or ten inputs, or on two sums of a hundred.

    After Schloer, Ring, Hotho (iNALU, Frontiers in Artificial Intelligence 3, 2020).
    Of ten inputs the first two matter. Of a hundred, each belongs to a with probability one half, to b with one
    quarter, otherwise to neither, drawn for each seed (the authors' script draws it before it sets its seed). The
    authors train for 100 epochs on 64,000 points; a stream here draws ever new ones, ``fixed("train")`` gives such a
    set.

    Attributes:
        operation: one of `INALU`.
        train: distribution of training, validation and interpolation.
        test: distribution of extrapolation.
        inputs: 2, 10 or 100.

    Raises:
        OptionError: an operation or a number of inputs that is none of these.
    """

    operation: str
    train: Distribution = AROUND_ZERO
    test: Distribution = BELOW
    inputs: int = 100

    batch_size: ClassVar[int] = 64

    def __post_init__(self) -> None:
        operation(self.operation, INALU)
        if self.inputs not in (2, 10, 100):
            raise OptionError(f"inputs must be 2, 10 or 100, not {self.inputs}")

    @property
    def name(self) -> str:
        """The operation, the training distribution and the number of inputs."""
        return f"{self.operation}-{self.train}-{self.inputs}"

    @property
    def in_features(self) -> int:
        """Number of inputs."""
        return self.inputs

    def points(self, part: Part) -> int:
        """64,000."""
        return 64_000

    def distribution(self, part: Part) -> Distribution:
        """The distribution of one part."""
        return self.test if part == "extrapolation" else self.train

    def selection(self, seed: int = 0) -> Tensor:
        """Zeros and ones that pick the inputs of a and b, ``(2, inputs)``."""
        if self.inputs < 100:
            return selected(self.inputs, (0, 1), (1, 2))
        quarter = torch.from_numpy(layout(seed).integers(4, size=self.inputs))
        return torch.stack([quarter < 2, quarter == 2]).double()

    def target(self, x: Tensor, seed: int = 0) -> Tensor:
        """``(*batch, inputs)`` to ``(*batch, 1)``."""
        a, b = (x @ self.selection(seed).to(x).T).unbind(-1)
        return operation(self.operation).function(a, b)[..., None]

    def gold(self, seed: int = 0) -> dict[str, nn.Module]:
        """One layer for two or ten inputs, two for a hundred."""
        solve = two_layers if self.inputs == 100 else one_layer
        return dict(solve(self.operation, self.selection(seed)))

    def threshold(self) -> float:
        """The paper's flat bar."""
        return SUCCESS
