"""Training batches for a population, drawn many at a time: one by one, drawing would cost more than training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from neural_arith_bench.arithmetic.task import Task

__all__ = ["Batches"]

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
