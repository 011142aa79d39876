"""Trains all seeds of one model on sequences of digits as one batch, and keeps what it was worth on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neural_arith_bench.arithmetic.scores import sparsity_error
from neural_arith_bench.digits.images import DigitImages
from neural_arith_bench.digits.models import DigitModel, cell_weight
from neural_arith_bench.digits.sequences import (
    Batches,
    SequenceTask,
    errors_by_length,
    fixed_sequences,
)
from neural_arith_bench.populations.population import Population
from neural_arith_bench.populations.stepping import Recipe

RECORDS = 100
"""How often, at most, a run is judged on the way; the authors judge every fifth of 1000 epochs."""


@dataclass(frozen=True)
class Course:
    """How the seeds of one model did at each record.

    Attributes:
        epochs: at which, ``(records,)``, the first one 0.
        validation: mean squared errors, ``(records, seeds)``.
        test: mean squared errors by length, ``(records, seeds, lengths)``.
        sparsity: distance of the cell's weights to whole numbers, ``(records, seeds)``; nan where it has none.
        seconds: wall clock of the whole batch divided by the seeds.
    """

    epochs: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    sparsity: np.ndarray
    seconds: float

    def best(self) -> np.ndarray:
        """The record of the least validation error of each seed, ``(seeds,)``; what is not finite never wins."""
        return np.where(np.isfinite(self.validation), self.validation, np.inf).argmin(0)


def train(
    task: SequenceTask,
    images: DigitImages,
    model: DigitModel,
    seeds: Sequence[int],
    epochs: int,
    *,
    lengths: Sequence[int],
    progress: Callable[[int], object] | None = None,
    save: Path | None = None,
) -> Course:
    """Train the seeds of one model.

    Args:
        task: what the sequences come to.
        images: only of the task's digits.
        model: the competitor.
        seeds: one member for each.
        epochs: in each of which every training image occurs once.
        lengths: of the test sequences.
        progress: called with the epoch after each record.
        save: file that keeps an unfinished run; if it is there, the run goes on from it.

    Raises:
        DataError: the file cannot be read.
        OptionError: it belongs to another run.
    """
    batches = Batches(task, images.train, seeds)
    steps, every = epochs * batches.per_epoch, max(1, epochs // RECORDS) * batches.per_epoch
    population = Population(
        [model.network(task, images.side, seed) for seed in seeds],
        Recipe(optimiser=model.optimiser(), penalties=model.penalties(task, steps)),
        seeds=seeds,
    )
    if save is not None and save.exists():
        population.load(save)
    valid = fixed_sequences(images.validation, task.train_length, test=False)
    test = fixed_sequences(images.test, max(lengths), test=True)
    measures = {
        "validation": errors_by_length(task, images.validation, valid, (task.train_length,)),
        "test": errors_by_length(task, images.test, test, lengths),
    }
    if model.has_weights:
        measures["weight"] = cell_weight
    begin, done = time.perf_counter(), population.step
    history = population.train(
        batches,
        steps,
        measures=measures,
        every=every,
        progress=None if progress is None else lambda step: progress(step // batches.per_epoch),
        save=save,
    )
    # A run that went on is charged at the speed of its later part.
    share = (steps - done) / steps if steps > done else 1.0
    found = {name: values.numpy() for name, values in history.values.items()}
    shape = found["validation"].shape[:2]
    weights = found.get("weight")
    return Course(
        history.steps.numpy() // batches.per_epoch,
        found["validation"][..., 0],
        found["test"],
        np.full(shape, np.nan)
        if weights is None
        else sparsity_error(weights.reshape(-1, *weights.shape[2:])).reshape(shape),
        (time.perf_counter() - begin) / share / len(seeds),
    )
