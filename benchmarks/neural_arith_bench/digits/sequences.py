"""Sequences of digits and what they come to: the running sum or product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from neural_arith.errors import OptionError
from neural_arith_bench.digits.images import Labelled
from neural_arith_bench.digits.networks import SequenceNetwork

Operation = Literal["sum", "product"]

_TRAIN, _VALIDATION, _TEST = 0, 1, 2
_BATCH, _MANY = 64, 10_000
"""Sequences in a batch of training, for sets of at least so many images."""

_AT_ONCE = 500
"""Images that are read at once; the patches of all of MNIST would not fit into memory."""

_REPEATS = 10
"""How often each image of the validation part occurs in its sequences."""


@dataclass(frozen=True)
class SequenceTask:
    """One operation over sequences of digits (Madsen & Johansen, ICLR 2020, https://arxiv.org/abs/2001.05016).

    Attributes:
        operation: ``"sum"`` or ``"product"``.
        digits: that occur; no zero in products.
        train_length: digits in a sequence of training and validation.
        lengths: of the test.
        longest: sequences that can be asked for, as many digits as single precision can multiply.
        start: the first state, which changes nothing.
        few: sequences in a batch of training on the scans. The authors' 64, which MNIST has in both operations, would
            leave a single step in an epoch of sums.
        ramp: the shares of all steps over which the units' regulariser sets in, as published (steps 1e4 to 1e5 of about
            387,000 in products, 86,000 in sums).
    """

    operation: Operation
    digits: tuple[int, ...]
    train_length: int
    lengths: tuple[int, ...]
    longest: int
    start: float
    few: int
    ramp: tuple[float, float]

    def running(self, digits: Tensor) -> Tensor:
        """The right answers after each step, float64, of the shape of ``digits``, ``(..., steps)``."""
        values = digits.double()
        return values.cumsum(-1) if self.operation == "sum" else values.cumprod(-1)


TASKS: dict[str, SequenceTask] = {
    "product": SequenceTask("product", tuple(range(1, 10)), 2, tuple(range(1, 21)), 40, 1.0, 64, (0.026, 0.26)),
    "sum": SequenceTask("sum", tuple(range(10)), 10, (1, 10, *range(100, 1001, 100)), 10_000, 0.0, 8, (0.12, 1.16)),
}


def task(operation: str) -> SequenceTask:
    """The task of an operation.

    Raises:
        OptionError: there is none.
    """
    if operation not in TASKS:
        raise OptionError(f"there is no operation {operation!r}; choose among {', '.join(TASKS)}")
    return TASKS[operation]


class Batches:
    """Training batches by step: in each epoch every image once, in an order that only seed and epoch decide.

    Args:
        task: the task.
        part: images to train on.
        seeds: one member for each.

    Attributes:
        per_epoch: steps of an epoch; images that fill no whole batch sit out.

    Raises:
        OptionError: there are fewer images than in one sequence.
    """

    def __init__(self, task: SequenceTask, part: Labelled, seeds: Sequence[int]) -> None:
        self.task, self.part, self.seeds = task, part, tuple(seeds)
        sequences = len(part.digits) // task.train_length
        if not sequences:
            raise OptionError(f"{len(part.digits)} images do not make one sequence of {task.train_length}")
        self._size = min(_BATCH if len(part.digits) >= _MANY else task.few, sequences)
        self.per_epoch = sequences // self._size
        self._orders: tuple[int, Tensor] = (-1, torch.empty(0))

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Images, ``(members, sequences, steps * height * width)``, and running results in float32."""
        epoch, place = divmod(step, self.per_epoch)
        if self._orders[0] != epoch:
            count = len(self.part.digits)
            orders = [np.random.default_rng((seed, _TRAIN, epoch)).permutation(count) for seed in self.seeds]
            self._orders = epoch, torch.from_numpy(np.stack(orders))
        each = self._size * self.task.train_length
        chosen = self._orders[1][:, place * each : (place + 1) * each].unflatten(1, (self._size, -1))
        return self.part.images[chosen].flatten(2), self.task.running(self.part.digits[chosen]).float()


def errors_by_length(
    task: SequenceTask, part: Labelled, chosen: Tensor, lengths: Sequence[int]
) -> Callable[[nn.Module], Tensor]:
    """A measure of a network: its mean squared errors over all steps of sequences, by their length.

    Args:
        task: the task.
        part: the images; each is read once.
        chosen: which images make the sequences, ``(sequences, steps)``; shorter ones are their beginnings.
        lengths: at most ``steps``.

    Returns:
        A function of a `SequenceNetwork` to ``(lengths,)``, float64.
    """
    right = task.running(part.digits[chosen])
    ends = torch.tensor([length - 1 for length in lengths])

    def measure(network: nn.Module) -> Tensor:
        assert isinstance(network, SequenceNetwork)  # noqa: S101
        read = torch.cat([network.reader(some) for some in part.images.split(_AT_ONCE)])[chosen]
        found = (answer.double() for _, answer in network.answers(read))
        squares = [(one - true).square().mean() for one, true in zip(found, right.T, strict=True)]
        sums = torch.stack(squares).cumsum(0)
        return sums[ends] / (ends + 1)

    return measure


def fixed_sequences(part: Labelled, steps: int, *, test: bool) -> Tensor:
    """Which images make the sequences of validation or test, ``(sequences, steps)``, the same for all models.

    At each step of the test every image occurs once, so short sequences are judged on all images as well as long ones;
    in validation ten times.
    """
    draw = np.random.default_rng((_TEST if test else _VALIDATION, steps))
    count = len(part.digits)
    columns = [np.concatenate([draw.permutation(count) for _ in range(1 if test else _REPEATS)]) for _ in range(steps)]
    return torch.from_numpy(np.stack(columns, 1))


def constant_errors(task: SequenceTask, part: Labelled, chosen: Tensor, lengths: Sequence[int]) -> Tensor:
    """The least errors, as in `errors_by_length`, of answers that only depend on the step, ``(lengths,)``.

    A network that cannot read has no less.
    """
    spread = task.running(part.digits[chosen]).var(0, correction=0).cumsum(0)
    return torch.stack([spread[length - 1] / length for length in lengths])
