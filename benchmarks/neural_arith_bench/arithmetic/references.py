"""Rows beside those of training: closed-form fits, the weights that solve a task, answers that ignore the inputs."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from neural_arith.errors import DataError, OptionError
from neural_arith.layers import Layer, fit_closed_form
from neural_arith_bench.arithmetic.experiments import Experiment
from neural_arith_bench.arithmetic.large_tasks import RecurrentTask
from neural_arith_bench.arithmetic.models import sums_under
from neural_arith_bench.arithmetic.rows import Row
from neural_arith_bench.arithmetic.scores import mean_absolute_error, mean_squared_error, sparsity_error
from neural_arith_bench.arithmetic.task import Task
from neural_arith_bench.store import commit

CLOSED_FORM, GOLD = "closed form", "gold"
TRIVIAL = ("zero", "training mean", "training median", "best constant")
REFERENCES = (CLOSED_FORM, GOLD, *TRIVIAL)
"""Models that are not trained."""

BATCHES = 10
"""Training batches that the closed form reads."""


def reference_rows(experiment: Experiment, model: str, op: str, setting: str, seeds: Sequence[int]) -> list[Row]:
    """The rows of one of `REFERENCES` for one cell of the table.

    Args:
        experiment: which.
        model: one of `REFERENCES`.
        op: the operation.
        setting: name of the setting.
        seeds: one row each.
    """
    task = experiment.task(op, setting)
    output = experiment.ops.index(op) if experiment.joint else 0
    bar, rows = task.threshold(), []
    test = _test(task, seeds)
    for place, seed in enumerate(seeds):
        began, steps, sparsity = time.perf_counter(), 0, None
        x, y = test[0], test[1][place]
        if model in TRIVIAL:
            train = task.stream([seed]).batch(BATCHES * task.batch_size).y[0]
            error = float(trivial_errors(train, y, experiment.error)[model][output])
            steps = BATCHES
        else:
            if model == GOLD:
                network = next(iter(task.gold(seed).values()))
            else:
                network, steps = _fitted(task, seed), BATCHES
            sparsity = None if network is None else float(sparsity_error(*weights(network))[0])
            error = math.inf if network is None else float(_errors(experiment, task, network, x, y, model)[output])
        rows.append(
            Row(
                model,
                op,
                setting,
                seed,
                None if bar is None else error < bar,
                None,
                sparsity,
                error,
                round(time.perf_counter() - began, 4),
                steps,
                commit(),
            )
        )
    return rows


def weights(network: nn.Module) -> list[Tensor]:
    """The effective weights of all layers, with an axis of one member in front."""
    return [layer.effective_weight()[None] for layer in network.modules() if isinstance(layer, Layer)]


def _test(task: Task, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
    fixed = task.fixed("extrapolation", seeds)
    return fixed.x[0], fixed.y


def _fitted(task: Task, seed: int) -> nn.Module | None:
    """From the first training batches; sequences are summed over time, which is what their cell of sums hands on."""
    batch = task.stream([seed]).batch(BATCHES * task.batch_size)
    network = sums_under(task)
    x = batch.x[0].sum(-2) if isinstance(task, RecurrentTask) else batch.x[0]
    try:
        fit_closed_form(network, x, batch.y[0])
    except DataError:
        return None
    return network


@torch.no_grad()
def _errors(experiment: Experiment, task: Task, network: nn.Module, x: Tensor, y: Tensor, model: str) -> np.ndarray:
    if isinstance(task, RecurrentTask) and model == CLOSED_FORM:
        x = x.sum(-2)
    score = mean_absolute_error if experiment.error == "absolute" else mean_squared_error
    return score(network.double()(x), y)


def trivial_errors(train: Tensor, test: Tensor, error: Literal["squared", "absolute"] = "squared") -> dict[str, Tensor]:
    """The errors of predictors that always answer the same.

    Args:
        train: targets they may know, shape ``(*members, points, outputs)``.
        test: targets they are judged by, of the same members and outputs; nan where nothing is judged.
        error: mean squared or mean absolute error over points.

    Returns:
        Name -> error, shape ``(*members, outputs)``: of answering ``zero``, the ``training mean``, the ``training
        median``, and the ``best constant``, which knows the test set: its mean for squared errors, its median for
        absolute ones.

    Raises:
        OptionError: another error.
    """
    if error not in ("squared", "absolute"):
        raise OptionError(f"error must be squared or absolute, not {error!r}")
    best = _middle(test) if error == "absolute" else torch.nanmean(test, dim=-2)
    answers = {
        "zero": torch.zeros_like(best),
        "training mean": torch.nanmean(train, dim=-2),
        "training median": _middle(train),
        "best constant": best,
    }
    power = 2 if error == "squared" else 1
    return {
        name: torch.nanmean((test - answer[..., None, :]).abs() ** power, dim=-2) for name, answer in answers.items()
    }


def _middle(values: Tensor) -> Tensor:
    return torch.nanmedian(values, dim=-2).values
