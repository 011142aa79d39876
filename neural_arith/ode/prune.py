"""From a dense fit to few numbers: whole units go first, then single weights, refitted after every step."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from neural_arith.errors import IntegrationError
from neural_arith.fit.levenberg_marquardt import LMState
from neural_arith.ode.checks import number, prepared, whole
from neural_arith.ode.gauss_newton import Fit, Task, arithmetic_layers, best_by_shooting, candidates, power_layers

if TYPE_CHECKING:
    from neural_arith.data import Trajectories
    from neural_arith.ode.field import ArithmeticField
    from neural_arith.ode.neural_ode import NeuralODE


_FEW = 8
"""Units from which on they go one by one."""


def prune(
    field: ArithmeticField | NeuralODE | nn.Module,
    data: Trajectories,
    *,
    accuracy: float = 1e-4,
    price: float = 1.0,
    restarts: int = 8,
    segment_length: int = 1,
    steps: int = 15,
    rtol: float = 1e-7,
    seed: int = 0,
    progress: bool = False,
) -> ArithmeticField:
    """Remove what the data do not need.

    Units: from the present number down to one, a quarter at a time above eight, each unit is removed on trial and
    the rest refitted by integral matching; a few redrawn starts of the smaller size join them (dense fits with
    spare units are not unique, and the way down from one of them need not lead to the simplest); the best are
    refitted through the solver. The smallest size that no larger one beats is kept. Weights: in the order of the
    loss increase that the curvature predicts (optimal brain surgeon, Hassibi and Stork 1993), first many at once,
    then one by one.

    Sizes are compared by ``n log(loss + floor) + price * numbers * log n`` with ``n`` measured values, the
    Bayesian information criterion; the floor keeps differences from counting that lie below ``accuracy`` (for
    single weights of exact fits, below ten times the best residual). So one rule serves exact and noisy data.

    Args:
        field: a trained field, or what `train` takes for one. It is not changed; the work is done on the CPU.
        data: the measurements.
        accuracy: relative accuracy, in units of each state's standard deviation, below which fits count as equal.
        price: how many times ``log n`` each live number costs.
        restarts: redrawn starts per size.
        segment_length: sample intervals per segment of the refits.
        steps: Gauss-Newton steps of each refit.
        rtol: tolerance of the integration.
        seed: of the redrawn starts.
        progress: whether to show what is being tried.

    Returns:
        A new field in float64, where the given one was, whose masks are the structure found; its unneeded units are
        masked, not cut out.

    Raises:
        OptionError: an option out of range, or no field.
        DataError: the data have other states or inputs than the field.
        IntegrationError: neither the field nor any smaller one can be simulated over the data.

    Examples:
        >>> import numpy as np
        >>> import neural_arith as na
        >>> t = np.linspace(0, 1, 8)
        >>> x = np.stack([np.exp(-t), np.exp(-2 * t)], axis=1)
        >>> data = na.Trajectories.from_arrays(t, x, names=["x", "y"])
        >>> field = na.ArithmeticField(na.NAU.from_weights([[-1.0, 0.01], [0.01, -2.0]]), states=["x", "y"])
        >>> na.prune(field, data, restarts=0, steps=2).to_equations().print(3)
        d x/dt = -x
        d y/dt = -2*y
    """
    number("accuracy", accuracy, above=0)
    number("price", price, least=0)
    whole("restarts", restarts, least=0)
    whole("steps", steps, least=1)
    start, back = prepared(field, data)
    task = Task(data, whole("segment_length", segment_length, least=1), number("rtol", rtol, least=1e-13, most=0.1))
    bar = tqdm(desc="prune", unit="step") if progress else None
    judge = _Judge(task, accuracy, price, bar)
    generator = torch.Generator().manual_seed(whole("seed", seed))
    _mask_exact_zeros(start)
    try:
        fit = _fewest_units(start, task, judge, restarts, steps, generator)
        fit = _fewest_weights(fit, judge, steps)
    finally:
        if bar is not None:
            bar.close()
    fit.shoot(steps=4 * steps, tolerance=1e-3)
    single = copy.deepcopy(fit.field)
    finished = Fit(single, task)
    before = finished.loss(whole=True)
    after = finished.shoot(whole=True, steps=steps // 2)
    return back(finished.field if after.loss < before else fit.field)


class _Judge:
    """Compares fits of different size."""

    def __init__(self, task: Task, accuracy: float, price: float, bar: Any) -> None:
        self._bar = bar
        self._n = task.segments.n_residuals
        self._accuracy = accuracy
        self._price = price * math.log(max(self._n, 2))
        self._best = math.inf

    def tell(self, line: str) -> None:
        """Show what was found beside the progress bar."""
        if self._bar is not None:
            self._bar.set_description_str(line)
            self._bar.update()

    def see(self, loss: float) -> None:
        """Take note of a loss that was reached."""
        self._best = min(self._best, loss)

    def score(self, loss: float, numbers: int) -> float:
        """For fits of different size, the smaller the better; they are not converged to the last digit."""
        if not math.isfinite(loss):
            return math.inf
        return self._n * math.log(loss + self._accuracy**2) + self._price * numbers

    @property
    def floor(self) -> float:
        """Losses below this count as equal when single weights are weighed, where every fit is converged."""
        return min(self._accuracy**2, max(100 * self._best, 1e-13))

    def enough(self, loss: float, numbers: int, removed: int) -> float:
        """The loss up to which removing so many numbers is worth it."""
        level = (loss + self.floor) * math.exp(min(self._price * removed / self._n, 50.0)) - self.floor
        return max(level, loss)


def count(fit: Fit) -> int:
    """Live numbers of a fit."""
    return fit.flat.n_params


@torch.no_grad()
def _mask_exact_zeros(field: ArithmeticField) -> None:
    for _, layer in arithmetic_layers(field):
        if layer in power_layers(field).values():
            wi = getattr(layer, "wi", None)
            if wi is not None and "wi" in layer.masks:
                layer.masks["wi"][wi == 0] = False


def units(field: ArithmeticField) -> list[tuple[int, int]]:
    """Live hidden units as (layer, output): units of an arithmetic layer that an arithmetic layer reads."""
    layers = dict(arithmetic_layers(field))
    found = []
    for i in range(len(field.layers) - 1):
        here, after = layers.get(f"layers.{i}"), layers.get(f"layers.{i + 1}")
        if here is None or after is None:
            continue
        for o in range(here.out_features):
            columns = after.columns_of(o)
            if any(bool(mask[..., columns].any()) for mask in after.masks.values() if mask.dim() == 2):
                found.append((i, o))
    return found


@torch.no_grad()
def without_unit(field: ArithmeticField, unit: tuple[int, int]) -> ArithmeticField:
    """A copy in which one hidden unit is masked, on both sides."""
    trial = copy.deepcopy(field)
    layers = dict(arithmetic_layers(trial))
    i, o = unit
    for mask in layers[f"layers.{i}"].masks.values():
        if mask.dim() == 2:
            mask[o] = False
    layers[f"layers.{i + 1}"].drop_input_(o)
    return trial


def _fewest_units(
    start: ArithmeticField,
    task: Task,
    judge: _Judge,
    restarts: int,
    steps: int,
    generator: torch.Generator,
) -> Fit:
    fit = Fit(start, task)
    loss = fit.loss()
    judge.see(loss)
    path = [(loss, fit)]
    # A size at which no refit succeeds says little about the smaller ones: a wide fit of exact data often falls by many
    # orders of magnitude when its first unit goes, and the true size is found from redrawn starts further down.
    while len(live := units(fit.field)) > 1:
        trials = [Fit(without_unit(fit.field, unit), task) for unit in live]
        tried = [(trial.match().loss, trial) for trial in trials]
        order = sorted(range(len(live)), key=lambda k: tried[k][0])
        smaller = trials[order[0]].field
        if len(live) > _FEW:
            smaller, tried = fit.field, []
            for k in order[: len(live) // 4]:
                smaller = without_unit(smaller, live[k])
        tried += candidates(smaller, task, draws=restarts, generator=generator)[:-1]
        tried.sort(key=lambda item: item[0])
        refitted = []
        for _, trial in best_by_shooting([f for _, f in tried[:8]], keep=2):
            refitted.append((trial.shoot(steps=steps).loss, trial))
        loss, fit = min(refitted, key=lambda item: item[0])
        judge.see(loss)
        path.append((loss, fit))
        judge.tell(f"{len(units(fit.field))} units, {count(fit)} numbers: loss {loss:.3g}")
    loss, fit = min(path, key=lambda item: judge.score(item[0], count(item[1])))
    if not math.isfinite(loss):
        raise IntegrationError(
            "at no number of units could the field be simulated from the measured states; train it first, with "
            'loss="segments" if whole runs fail'
        )
    return fit


def _fewest_weights(fit: Fit, judge: _Judge, steps: int) -> Fit:
    loss = fit.shoot(steps=steps).loss
    judge.see(loss)
    kept: set[tuple[str, int]] = set()
    share = 0.5
    while True:
        masked = _masks(fit.field)
        order = [
            i
            for i in _saliency_order(fit)
            if fit.flat.names[i] in masked and (fit.flat.names[i], fit.flat.index[i]) not in kept
        ]
        if not order:
            return fit
        n = max(1, int(len(order) * share)) if share else 1
        trial = _without_weights(fit, order[:n])
        limit = judge.enough(loss, count(fit), n)
        result = trial.shoot(steps=steps, goal=limit, on_step=_Hopeless(limit))
        if result.loss <= limit:
            more = trial.shoot(steps=3, tolerance=0.1, patience=1)
            fit, loss = trial, more.loss
            judge.see(loss)
            judge.tell(f"{count(fit)} numbers: loss {loss:.3g}")
        elif n > 1:
            share = share / 2
        else:
            kept.add((fit.flat.names[order[0]], fit.flat.index[order[0]]))


class _Hopeless:
    """Ends a trial that is orders of magnitude above its limit and hardly falls any more."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._before = math.inf

    def __call__(self, state: LMState) -> bool:
        stuck = state.step >= 4 and state.loss > 1e3 * self._limit and state.loss > 0.5 * self._before
        self._before = state.loss
        return stuck


def _saliency_order(fit: Fit) -> list[int]:
    """Positions by the loss increase that removal and linear readjustment of the others would cost."""
    p = fit.flat.read()
    linear = fit.residual(False).linearise(p)
    if linear is None:
        return torch.argsort(p.abs()).tolist()
    scale = linear[1].norm(dim=0).clamp_min(1e-12)
    columns = linear[1] / scale
    gram = columns.mT @ columns + 1e-10 * torch.eye(len(p), dtype=p.dtype)
    cost = (p * scale) ** 2 / torch.linalg.inv(gram).diagonal().clamp_min(1e-300)
    return torch.argsort(cost).tolist()


def _masks(field: ArithmeticField) -> dict[str, Tensor]:
    """The masks of the arithmetic layers by the name of their weight; nothing else can be pruned."""
    return {f"{path}.{name}": mask for path, layer in arithmetic_layers(field) for name, mask in layer.masks.items()}


@torch.no_grad()
def _without_weights(fit: Fit, positions: list[int]) -> Fit:
    trial = copy.deepcopy(fit.field)
    masks = _masks(trial)
    for i in positions:
        masks[fit.flat.names[i]].reshape(-1)[fit.flat.index[i]] = False
    return Fit(trial, fit.task)
