"""Trains all seeds and settings of one model and operation as one population, and makes their rows."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from neural_arith.layers import Layer
from neural_arith_bench.arithmetic.experiments import Experiment
from neural_arith_bench.arithmetic.models import Model
from neural_arith_bench.arithmetic.rows import Row
from neural_arith_bench.arithmetic.scores import at_best_validation, mean_absolute_error, solved_at
from neural_arith_bench.arithmetic.task import Batches, Part, Task
from neural_arith_bench.populations.population import History, Population
from neural_arith_bench.store import commit

_LOGS, _EVERY = 10, 1000
_POINTS = 10_000
_TOGETHER = 20_000_000
_FINE = 1e-10


@dataclass(frozen=True)
class Budget:
    """How long to train.

    Attributes:
        share: of the published steps; schedules shorten alike.
        steps: in place of it, a number of steps.
    """

    share: float = 1.0
    steps: int | None = None

    def of(self, published: int) -> tuple[int, float]:
        """Steps and their share of the published number."""
        steps = self.steps if self.steps is not None else max(1, round(self.share * published))
        return steps, steps / published


@dataclass(frozen=True)
class Job:
    """One population.

    Attributes:
        experiment: which.
        name: of the model.
        model: what is trained.
        ops: one operation, or all that one network answers.
        settings: whose tasks train together.
        seeds: of each setting.
        steps: to be trained.
        share: of the published number.
    """

    experiment: Experiment
    name: str
    model: Model
    ops: tuple[str, ...]
    settings: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: int
    share: float

    @property
    def watched(self) -> bool:
        """Whether errors count on the way: to pick the best network, or to say when it was solved."""
        plain = self.experiment.task(self.ops[0], self.settings[0]).threshold() is None
        return self.experiment.pick == "best" or not plain

    @property
    def checkpoint(self) -> str:
        """A file name of its own."""
        what = repr((self.experiment.name, self.name, self.ops, self.settings, self.seeds, self.steps))
        return f"{self.experiment.name}-{hashlib.sha256(what.encode()).hexdigest()[:16]}.pt"


def jobs(
    experiment: Experiment,
    models: dict[str, Model],
    ops: Sequence[str],
    settings: Sequence[str],
    seeds: Sequence[int],
    budget: Budget,
) -> list[Job]:
    """What there is to train: settings together where networks are alike and the test sets fit in memory."""
    found = []
    for name, model in models.items():
        for group in [tuple(ops)] if experiment.joint else [(op,) for op in ops]:
            for together in _alike(experiment, group[0], settings, len(seeds)):
                task = experiment.task(group[0], together[0])
                steps, share = budget.of(model.steps.get(group[0], experiment.steps(task)))
                found.append(Job(experiment, name, model, group, together, tuple(seeds), steps, share))
    return found


def _alike(experiment: Experiment, op: str, settings: Sequence[str], seeds: int) -> list[tuple[str, ...]]:
    groups: dict[tuple[int, ...], list[str]] = {}
    for setting in settings:
        task = experiment.task(op, setting)
        groups.setdefault((task.in_features, getattr(task, "hidden", 2), experiment.steps(task)), []).append(setting)
    found: list[tuple[str, ...]] = []
    for group in groups.values():
        task = experiment.task(op, group[0])
        size = torch.Size(task.shape("extrapolation")).numel() * min(_POINTS, task.points("extrapolation")) * seeds
        room = max(1, _TOGETHER // size)
        found += [tuple(group[i : i + room]) for i in range(0, len(group), room)]
    return found


def train(job: Job, folder: Path | None, progress: Callable[[int], object]) -> list[Row]:
    """Train a population, going on from its checkpoint if there is one, and make its rows.

    Args:
        job: what to train.
        folder: of checkpoints, or None to keep none.
        progress: called with the steps taken since the last call.
    """
    tasks = [job.experiment.task(job.ops[0], setting) for setting in job.settings]
    bars = [task.threshold() for task in tasks]
    # of one output near 1 float32 has errors of 1e-14, too near to the bar of the quotient
    dtype = torch.float64 if any(bar is not None and bar < _FINE for bar in bars) else torch.float32
    networks = [
        job.model.build(task, torch.Generator().manual_seed(seed), dtype) for task in tasks for seed in job.seeds
    ]
    population = Population(networks, job.model.recipe(tasks[0], job.share), seeds=job.seeds * len(tasks))
    batches = Batches(tasks, job.seeds, dtype)
    place = None if folder is None else folder / job.checkpoint
    if place is not None and place.exists():
        population.load(place, batches)
    seen = population.step
    progress(seen)

    def report(step: int) -> None:
        nonlocal seen
        progress(step - seen)
        seen = step

    history = population.train(
        batches,
        job.steps,
        tests=_tests(job, tasks, dtype) if job.watched else {},
        measures={"sparsity": Sparsity()},
        every=min(_EVERY, math.ceil(job.steps / _LOGS)),
        progress=report,
        save=place,
    )
    if job.experiment.joint:
        return _joint_rows(job, tasks, population, history, batches.seconds)
    return _rows(job, bars, _watched(job, tasks, population, history), batches.seconds)


class Sparsity:
    """The largest distance of a weight's size to 0 or 1, over all layers."""

    def __call__(self, network: nn.Module) -> Tensor:
        """A scalar."""
        return self.together(network, 1)[0]

    def together(self, network: nn.Module, members: int) -> Tensor:
        """One number per member of a network that holds them all, ``(members,)``."""
        sizes = [layer.effective_weight().abs() for layer in network.modules() if isinstance(layer, Layer)]
        worst = [torch.minimum(size, (1 - size).abs()).reshape(members, -1).amax(1) for size in sizes]
        return torch.stack(worst).amax(0)


def _tests(job: Job, tasks: Sequence[Task], dtype: torch.dtype) -> dict[str, tuple[Tensor, Tensor]]:
    parts: tuple[Part, ...] = ("validation", "extrapolation")
    return {part: _set(tasks, job.seeds, part, dtype) for part in parts}


def _set(tasks: Sequence[Task], seeds: Sequence[int], part: Part, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A fixed set of all members; a copy of the inputs for each task only where there are several."""
    sets = [task.fixed(part, seeds, dtype) for task in tasks]
    x = [one.x[:, :_POINTS].flatten(2) for one in sets]
    y = torch.cat([one.y[:, :_POINTS] for one in sets])
    return (x[0][0] if len(tasks) == 1 else torch.cat(x)), y


@dataclass(frozen=True)
class _Watched:
    """What rows are made of: records, ``(members, logs)``, and their steps ``(logs,)``."""

    validation: np.ndarray
    extrapolation: np.ndarray
    sparsity: np.ndarray
    steps: np.ndarray


def _watched(job: Job, tasks: Sequence[Task], population: Population, history: History) -> _Watched:
    """The errors on the way, or those at the end if no others count."""
    sparsity, steps = history.values["sparsity"].numpy().T, history.steps.numpy()
    if job.watched:
        seen, judged = (history.values[part].numpy().T for part in ("validation", "extrapolation"))
        return _Watched(seen, judged, sparsity, steps)
    end = population.errors(*_set(tasks, job.seeds, "extrapolation", population.stack.parameters.dtype))
    last = end.numpy()[:, None]
    return _Watched(last, last, sparsity[:, -1:], steps[-1:])


def _rows(job: Job, bars: Sequence[float | None], found: _Watched, time: float) -> list[Row]:
    members = [(setting, bar, seed) for setting, bar in zip(job.settings, bars, strict=True) for seed in job.seeds]
    last = 1 if job.experiment.pick == "last" else None
    errors = at_best_validation(found.validation, found.extrapolation, last)
    thinness = at_best_validation(found.validation, found.sparsity, last)
    rows = []
    for place, (setting, bar, seed) in enumerate(members):
        error = float(errors[place])
        solved = np.nan if bar is None else float(solved_at(found.extrapolation[place], found.steps, bar))
        rows.append(
            Row(
                job.name,
                job.ops[0],
                setting,
                seed,
                None if bar is None else error < bar,
                None if math.isnan(solved) else int(solved),
                None if math.isnan(thinness[place]) else float(thinness[place]),
                math.inf if math.isnan(error) else error,
                round(time / len(members), 4),
                job.steps,
                commit(),
            )
        )
    return rows


@torch.no_grad()
def _joint_rows(job: Job, tasks: Sequence[Task], population: Population, history: History, time: float) -> list[Row]:
    """Of networks that answer all operations at once, by the mean absolute error of each output at the end."""
    sets = [task.fixed("extrapolation", job.seeds, population.stack.parameters.dtype) for task in tasks]
    x, y = torch.cat([one.x for one in sets]), torch.cat([one.y for one in sets])
    errors = mean_absolute_error(population.stack(x, training=False), y)
    sparsity = history.values["sparsity"][-1].tolist()
    members = [(setting, seed) for setting in job.settings for seed in job.seeds]
    seconds = round(time / len(members), 4)
    return [
        Row(
            job.name,
            op,
            setting,
            seed,
            None,
            None,
            sparsity[place],
            float(errors[place, job.experiment.ops.index(op)]),
            seconds,
            job.steps,
            commit(),
        )
        for op in job.ops
        for place, (setting, seed) in enumerate(members)
    ]
