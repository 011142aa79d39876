"""What every task offers: batches to train on, fixed sets to judge by, the weights that solve it.

Data for several seeds are those of each seed alone, stacked, so that a population may train on them: every seed has its
own generator, which numbers nothing but its seed. Fixed sets have the same inputs for all seeds.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from neural_arith_bench.arithmetic.inputs import Distribution
from neural_arith_bench.arithmetic.operations import operation

Part = Literal["train", "validation", "interpolation", "extrapolation"]
"""Which data: ``validation`` and ``interpolation`` are distributed as ``train``; ``extrapolation`` lies outside."""

KEYS: dict[Part, int] = {"train": 0, "validation": 1, "interpolation": 2, "extrapolation": 3}
_LAYOUT = 4

Source = Callable[[int], Tensor]
"""A number of points to that many further points in the unit cube, ``(points, *shape)``, float64."""


@dataclass(frozen=True)
class Batch:
    """Inputs and targets for one or several seeds.

    Attributes:
        x: shape ``(seeds, points, *shape)``, where ``shape`` is ``(inputs,)`` or, for sequences, ``(time, inputs)``.
        y: shape ``(seeds, points, outputs)``; nan where the protocol does not judge.
    """

    x: Tensor
    y: Tensor


class Task(ABC):
    """One published task. Use one of its subclasses, which are frozen dataclasses.

    Attributes:
        batch_size: points of one published training batch.
    """

    batch_size: ClassVar[int] = 128

    @property
    @abstractmethod
    def name(self) -> str:
        """Short, unique among the tasks of its family, and without spaces."""

    @property
    @abstractmethod
    def in_features(self) -> int:
        """Number of inputs."""

    @property
    def out_features(self) -> int:
        """Number of outputs."""
        return 1

    @abstractmethod
    def distribution(self, part: Part) -> Distribution:
        """Where the inputs of one part come from."""

    @abstractmethod
    def target(self, x: Tensor, seed: int = 0) -> Tensor:
        """The right answers: ``(*batch, *shape)`` to ``(*batch, outputs)``."""

    @abstractmethod
    def gold(self, seed: int = 0) -> Mapping[str, nn.Module]:
        """Networks of our units that hold the discrete solution, by the names of their units, in float64."""

    def threshold(self) -> float | None:
        """The bar below which the extrapolation error counts as solved; None where nobody published one."""
        return None

    def shape(self, part: Part) -> tuple[int, ...]:
        """The shape of one point."""
        return (self.in_features,)

    def points(self, part: Part) -> int:
        """The number of points of a fixed set."""
        return 10_000

    @property
    def one_stream(self) -> bool:
        """Whether all seeds see the same training batches, and differ by their initial weights alone."""
        return False

    def source(self, part: Part, seed: int, skip: int = 0) -> Source:
        """Random numbers for one part and seed, always the same, however they are read.

        Args:
            part: which data.
            seed: whose.
            skip: points to leave out at the beginning.
        """
        bits = np.random.PCG64((seed, KEYS[part]))
        generator = np.random.Generator(bits.advance(skip * math.prod(self.shape(part))))
        return lambda points: torch.from_numpy(generator.random((points, *self.shape(part))))

    def stream(self, seeds: Sequence[int], dtype: torch.dtype = torch.float64, skip: int = 0) -> Stream:
        """Training batches for these seeds, from the beginning or after ``skip`` points."""
        return Stream(self, seeds, dtype, skip)

    def fixed(self, part: Part, seeds: Sequence[int] = (0,), dtype: torch.dtype = torch.float64) -> Batch:
        """The fixed set of one part: the same inputs for all seeds (one copy in memory), targets for each."""
        x = self.fixed_inputs(part).to(dtype)
        y = torch.stack([self.answers(part, x, seed) for seed in seeds])
        return Batch(x.expand(len(seeds), *x.shape), y)

    def fixed_inputs(self, part: Part) -> Tensor:
        """The inputs of a fixed set, ``(points, *shape)``, float64."""
        return self.distribution(part).quantile(self.source(part, 0)(self.points(part)))

    def answers(self, part: Part, x: Tensor, seed: int) -> Tensor:
        """The targets of a set, in the type of its inputs, computed in float64 from the rounded inputs."""
        return self.target(x.double(), seed).to(x.dtype)


class SumTask(Task):
    """A task of one operation on a and b, each a sum of some of the inputs; a subclass says which.

    Attributes:
        operation: its name.
    """

    operation: str

    @abstractmethod
    def selection(self, seed: int = 0) -> Tensor:
        """Zeros and ones that pick the inputs of a and b, ``(2, inputs)``, where this seed puts them."""

    def target(self, x: Tensor, seed: int = 0) -> Tensor:
        """``(*batch, inputs)`` to ``(*batch, 1)``."""
        a, b = (x @ self.selection(seed).to(x).T).unbind(-1)
        return operation(self.operation).function(a, b)[..., None]


class Stream:
    """Training batches of one task, each seed from its own generator.

    Args:
        task: the task.
        seeds: one member for each.
        dtype: of inputs and targets.
        skip: points to leave out at the beginning.
    """

    def __init__(self, task: Task, seeds: Sequence[int], dtype: torch.dtype = torch.float64, skip: int = 0) -> None:
        self.task = task
        self.seeds = tuple(seeds)
        self.dtype = dtype
        self._sources = [task.source("train", seed, skip) for seed in self.seeds]

    def batch(self, points: int | None = None) -> Batch:
        """The next points, as many as the protocol has in a batch if None.

        A batch of twice the size equals two batches one after the other.
        """
        count = self.task.batch_size if points is None else points
        quantile = self.task.distribution("train").quantile
        x = [quantile(source(count)).to(self.dtype) for source in self._sources]
        y = [self.task.answers("train", one, seed) for one, seed in zip(x, self.seeds, strict=True)]
        return Batch(torch.stack(x), torch.stack(y))


def layout(seed: int) -> np.random.Generator:
    """The generator for what a seed fixes once, such as which inputs matter."""
    return np.random.default_rng((seed, _LAYOUT))


def selected(inputs: int, *subsets: tuple[int, int]) -> Tensor:
    """Zeros and ones that pick runs of inputs, ``(subsets, inputs)``, float64.

    Args:
        inputs: number of inputs.
        subsets: first input, and one past the last.

    >>> selected(4, (0, 2), (1, 4))
    tensor([[1., 1., 0., 0.],
            [0., 1., 1., 1.]], dtype=torch.float64)
    """
    rows = torch.zeros(len(subsets), inputs, dtype=torch.float64)
    for row, (first, end) in zip(rows, subsets, strict=True):
        row[first:end] = 1
    return rows


_NUMBERS = 6_000_000


class Batches:
    """A step to the batch of all members: tasks one after the other, each with all seeds. A function of the step alone.

    Points of one kind of sequence are flattened, ``(time, inputs)`` to ``time * inputs``.

    Args:
        tasks: with as many numbers in a point each.
        seeds: of each task.
        dtype: of inputs and targets.
    """

    def __init__(self, tasks: Sequence[Task], seeds: Sequence[int], dtype: torch.dtype) -> None:
        self.tasks, self.seeds, self.dtype = tuple(tasks), tuple(seeds), dtype
        self._shared = len(tasks) == 1 and tasks[0].one_stream
        drawn = self.seeds[:1] if self._shared else self.seeds
        self._points = tasks[0].batch_size
        numbers = len(tasks) * len(drawn) * self._points * torch.Size(tasks[0].shape("train")).numel()
        self._block = max(1, _NUMBERS // numbers)
        self._drawn = drawn
        self._at = -1
        self._streams: list[Any] = []
        self._held: tuple[Tensor, Tensor] | None = None
        self._began, self._earlier = time.perf_counter(), 0.0

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs ``(members, points, numbers)`` and targets ``(members, points, outputs)``."""
        block, place = divmod(step, self._block)
        if block != self._at or self._held is None:
            self._held = self._load(block)
        x, y = (v[:, place * self._points : (place + 1) * self._points] for v in self._held)
        return (x[0], y[0]) if self._shared else (x, y)

    def _load(self, block: int) -> tuple[Tensor, Tensor]:
        size = self._block * self._points
        if block != self._at + 1 or not self._streams:
            self._streams = [task.stream(self._drawn, self.dtype, skip=block * size) for task in self.tasks]
        self._at = block
        drawn = [stream.batch(size) for stream in self._streams]
        x, y = [one.x.flatten(2) for one in drawn], [one.y for one in drawn]
        return (x[0], y[0]) if len(drawn) == 1 else (torch.cat(x), torch.cat(y))

    @property
    def seconds(self) -> float:
        """Since the beginning, with the time before an interruption."""
        return self._earlier + time.perf_counter() - self._began

    def state_dict(self) -> dict[str, float]:
        """The time taken; what is drawn follows from the step."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Count on from an earlier time."""
        self._earlier, self._began = state["seconds"], time.perf_counter()
