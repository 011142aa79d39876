"""Fit a field to trajectories."""

from __future__ import annotations

import copy
import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from neural_arith.errors import OptionError
from neural_arith.fit.levenberg_marquardt import LMState
from neural_arith.ode.calls import differentiated
from neural_arith.ode.checkpoint import Tracker, field_state, pack, unpack
from neural_arith.ode.checks import checkpoint_path, number, prepared, whole
from neural_arith.ode.descent import LOSSES, descend
from neural_arith.ode.gauss_newton import Fit, Task, best_by_shooting, candidates
from neural_arith.ode.sparsity import L1Growth, Sparsity

if TYPE_CHECKING:
    from neural_arith.data import Trajectories
    from neural_arith.ode.field import ArithmeticField
    from neural_arith.ode.neural_ode import NeuralODE

DEFAULT_STEPS = {"lm": 60, "adam": 3000, "rmsprop": 3000, "lbfgs": 200}
OPTIMIZERS = tuple(DEFAULT_STEPS)


@dataclass(frozen=True, repr=False)
class TrainResult:
    """What training leaves behind.

    Attributes:
        field: the best field found, in float64, where the given one was; that one is not changed.
        history: one row per step: ``stage``, ``step``, ``loss`` (mean square residual in units of each state's
            variance) and ``penalty`` (what sparsity added).
        status: why it ended: "converged", "goal reached", "step limit", "early stop", "interrupted" (Ctrl-C),
            "diverged", or "not finite at the start".
        loss: the loss of the best field.

    Examples:
        >>> import numpy as np
        >>> import neural_arith as na
        >>> t = np.linspace(0, 1, 6)
        >>> data = na.Trajectories.from_arrays(t, np.exp(-t), names=["x"])
        >>> field = na.ArithmeticField(na.NAU.from_weights([[-0.6]]), states=["x"])
        >>> result = na.train(field, data, optimizer="adam", steps=2)
        >>> result.status, len(result.history), result.history[0]["stage"]
        ('step limit', 2, 'trajectory')
    """

    field: ArithmeticField
    history: list[dict[str, Any]] = dataclasses.field(repr=False)
    status: str
    loss: float

    def __repr__(self) -> str:
        return f"TrainResult({self.status!r}, loss={self.loss:.4g}, {len(self.history)} steps, field={self.field!r})"


def train(
    field: ArithmeticField | NeuralODE | nn.Module,
    data: Trajectories,
    *,
    loss: str = "trajectory",
    optimizer: str = "lm",
    steps: int | None = None,
    learning_rate: float | None = None,
    segment_length: int = 1,
    starts: int | None = None,
    sparsity: Sparsity | None = None,
    goal: float = 1e-20,
    tolerance: float = 1e-3,
    patience: int | None = None,
    rtol: float = 1e-7,
    substeps: int = 4,
    seed: int = 0,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 10,
    resume: bool = False,
) -> TrainResult:
    """Fit the field's weights to the data.

    Residuals are divided by each state's standard deviation; missing values do not count. ``loss``:

    * "trajectory": whole runs, simulated from their first point. With "lm" a warm-up over segments comes first.
    * "segments": pieces of ``segment_length`` sample intervals, each from its measured start (multiple shooting);
      for chaotic systems and poor starts.
    * "derivative", "integral": the right-hand side against slopes or increments of a spline through the data,
      without a solver; for clean, dense data.

    ``optimizer`` "lm" is Levenberg-Marquardt through an adaptive solver with exact sensitivities. It starts from the
    best of the field as it is and of ``starts`` wide, sparse draws of exponents, each fitted by integral matching with
    the last linear layer eliminated by least squares: from small random weights no optimiser reliably reaches the
    data. Gates are opened and held. "adam", "rmsprop" and "lbfgs" take gradients through a fixed-step Runge-Kutta
    solver and start from the field as it is, unless ``starts`` is given; for ordinary networks in the field.

    Args:
        field: what to fit; not changed. Also a :class:`NeuralODE` around a field, or a module ``f(x)`` such as
            ``nn.Sequential(NPU(2, 4), NAU(4, 2))``, whose states and inputs are then those of the data, in order. The
            work is done on the CPU, where sequences of small steps are quickest.
        data: the measurements; names of states and inputs must be the field's.
        loss: see above.
        optimizer: see above.
        steps: steps at most; None is 60 for "lm", 3000 for "adam" and "rmsprop", 200 for "lbfgs".
        learning_rate: of the gradient optimizers; None is 0.01 (1 for "lbfgs").
        segment_length: sample intervals per segment.
        starts: redrawn starts; None is 8 for "lm" and 0 otherwise.
        sparsity: a penalty with its schedule; "lm" takes :class:`L1Growth` only, and not with the matching losses.
        goal: stop at this loss.
        tolerance: relative decrease that counts as progress.
        patience: steps without progress before an early stop; None is 5 for "lm", never otherwise.
        rtol: tolerance of the adaptive solver.
        substeps: Runge-Kutta steps per sample interval of the gradient optimizers.
        seed: of the drawn starts.
        progress: show a progress bar.
        checkpoint: file to which the run is saved.
        checkpoint_every: steps between saves.
        resume: continue from the checkpoint if the file exists; the result is the same to the last bit as that of an
            uninterrupted run.

    Returns:
        The result; Ctrl-C ends the run early with the best field so far and status "interrupted".

    Raises:
        OptionError: an option out of range, no field, nothing to train, or settings that do not fit each other or the
            checkpoint.
        DataError: the data have other states or inputs than the field, or times or values beyond 1e60.

    Examples:
        >>> import numpy as np
        >>> import neural_arith as na
        >>> t = np.linspace(0, 1, 6)
        >>> data = na.Trajectories.from_arrays(t, np.exp(-t), names=["x"])
        >>> field = na.ArithmeticField(na.NAU.from_weights([[-0.6]]), states=["x"])
        >>> na.train(field, data, starts=0, steps=5).field.to_equations().print(3)
        d x/dt = -x
    """
    if loss not in LOSSES:
        raise OptionError(f"loss must be one of {', '.join(LOSSES)}, got {loss!r}")
    if optimizer not in OPTIMIZERS:
        raise OptionError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    _check_sparsity(sparsity, optimizer, loss)
    steps = DEFAULT_STEPS[optimizer] if steps is None else whole("steps", steps, least=0)
    n_starts = whole("starts", starts, least=0) if starts is not None else 8 if optimizer == "lm" else 0
    whole("segment_length", segment_length, least=1)
    whole("substeps", substeps, least=1)
    whole("checkpoint_every", checkpoint_every, least=1)
    whole("seed", seed)
    for name, value in (("progress", progress), ("resume", resume)):
        if not isinstance(value, bool):
            raise OptionError(f"{name} must be True or False, got {value!r}")
    number("rtol", rtol, least=1e-13, most=0.1)
    number("goal", goal, least=0)
    number("tolerance", tolerance, least=0)
    if patience is not None:
        whole("patience", patience, least=0)
    if learning_rate is not None:
        number("learning_rate", learning_rate, above=0, most=1e300)
    if checkpoint is not None:
        checkpoint_path(checkpoint)
    elif resume:
        raise OptionError("resume=True needs the checkpoint file to resume from; pass checkpoint=")
    start, back = prepared(field, data)
    if not any(p.requires_grad for p in start.parameters()):
        raise OptionError(
            "nothing to train: every parameter of the field is frozen; field.requires_grad_(True) frees them"
        )
    _check_depends(start, task := Task(data, segment_length, rtol), optimizer)
    settings = {
        "loss": loss,
        "optimizer": optimizer,
        "segment_length": segment_length,
        "starts": starts,
        "sparsity": repr(sparsity),
        "rtol": rtol,
        "substeps": substeps,
        "learning_rate": learning_rate,
        "seed": seed,
        "field": [(n, list(p.shape)) for n, p in start.named_parameters()],
    }
    tracker = Tracker(start, settings, checkpoint, checkpoint_every, progress)
    saved = tracker.load() if resume else None
    generator = torch.Generator().manual_seed(seed)
    try:
        if saved is None and n_starts:
            start = _best_start(start, task, tracker, n_starts, generator, solver=loss in ("trajectory", "segments"))
        if optimizer != "lm":
            status = descend(
                start,
                task,
                tracker,
                saved,
                loss=loss,
                optimizer=optimizer,
                steps=steps,
                rate=learning_rate,
                sparsity=sparsity,
                goal=goal,
                tolerance=tolerance,
                patience=patience,
                substeps=substeps,
            )
        else:
            status = _gauss_newton(
                start,
                task,
                tracker,
                saved,
                loss=loss,
                steps=steps,
                sparsity=sparsity,
                goal=goal,
                tolerance=tolerance,
                patience=5 if patience is None else patience,
            )
    except KeyboardInterrupt:
        status = "interrupted"
    finally:
        tracker.close()
    return TrainResult(back(tracker.best_field()), tracker.history, status, tracker.best_loss)


def _check_depends(field: ArithmeticField, task: Task, optimizer: str) -> None:
    """Refuse a field that no optimizer can learn, before any work is done."""
    compiled = [name for name, value in field.named_parameters() if not value.is_leaf]
    if compiled and optimizer != "lm":
        raise OptionError(
            f"{compiled[0]} belongs to a module compiled by torch.jit, which {optimizer} cannot train; give the module "
            'itself, or use optimizer="lm"'
        )
    segments = task.segments
    with differentiated(), torch.enable_grad():
        out = field(segments.t[:2, 0], segments.start[:2], segments.u[:2, 0])
        if out.requires_grad:
            free = [p for p in field.parameters() if p.requires_grad]
            if any(g is not None for g in torch.autograd.grad(out.sum(), free, allow_unused=True)):
                return
    raise OptionError(
        "nothing to train: the output of the field does not depend on any trainable number; compute it from the "
        "parameters by torch functions alone, without .detach(), .item() or .numpy()"
    )


def _check_sparsity(sparsity: Sparsity | None, optimizer: str, loss: str) -> None:
    if sparsity is None:
        return
    if optimizer == "lm":
        if not isinstance(sparsity, L1Growth) or loss not in ("trajectory", "segments"):
            raise OptionError(
                'optimizer="lm" takes an L1Growth sparsity with loss "trajectory" or "segments"; use "adam" for others'
            )
    elif not (callable(getattr(sparsity, "strength", None)) and callable(getattr(sparsity, "penalty", None))):
        raise OptionError(f"sparsity must be L1Growth(...), MadsenRamp(...) or None, not {sparsity!r}")


def _best_start(
    field: ArithmeticField,
    task: Task,
    tracker: Tracker,
    starts: int,
    generator: torch.Generator,
    *,
    solver: bool,
) -> ArithmeticField:
    """The best of the field and its redraws, by matching and then (if a solver is wanted) by a few segment steps."""
    found = candidates(field, task, draws=starts, generator=generator)
    if not solver:
        return found[0][1].field
    tried = []
    for _, fit in best_by_shooting([fit for _, fit in found[:9]], keep=2):
        loss = fit.shoot(steps=10).loss
        tracker.offer(fit.field, loss)
        tried.append((loss, fit))
    return min(tried, key=lambda item: item[0])[1].field


def _gauss_newton(
    field: ArithmeticField,
    task: Task,
    tracker: Tracker,
    saved: dict[str, Any] | None,
    *,
    loss: str,
    steps: int,
    sparsity: Sparsity | None,
    goal: float,
    tolerance: float,
    patience: int,
) -> str:
    if loss in ("derivative", "integral"):
        fit = Fit(field, task)
        tracker.begin(loss, steps)
        result = fit.match(steps=steps, derivative=loss == "derivative")
        tracker.record(loss, result.steps, result.loss)
        tracker.offer(field, result.loss)
        return result.status
    # The whole run starts where the segments ended, so few steps are left to do there.
    stages = {"segments": steps} if loss == "segments" else {"segments": steps // 2, "trajectory": steps // 6}
    if saved is not None:
        field.load_state_dict(saved["field"])
        names = list(stages)
        stages = {name: stages[name] for name in names[names.index(saved["stage"]) :]}
    status = "step limit"
    for stage, limit in stages.items():
        state = None if saved is None else unpack(saved["lm"])
        fit = Fit(field, task)
        if saved is None:
            tracker.begin(stage, limit)
            tracker.offer(field, fit.loss(whole=stage == "trajectory"))
        saved = None
        status = _stage(fit, tracker, stage, state, limit, sparsity, goal, tolerance, patience)
    return status


def _stage(
    fit: Fit,
    tracker: Tracker,
    stage: str,
    state: LMState | None,
    limit: int,
    sparsity: Sparsity | None,
    goal: float,
    tolerance: float,
    patience: int,
) -> str:
    """Levenberg-Marquardt over one kind of shooting, restarted whenever the penalty's strength changes."""
    current = copy.deepcopy(fit)
    status = "step limit"
    while True:
        done = 0 if state is None else state.step
        strength = 0.0 if sparsity is None else sparsity.strength(done)
        until = limit
        numbers = field_state(fit.field)
        if sparsity is not None:
            until = next((s for s in range(done + 1, limit) if sparsity.strength(s) != strength), limit)

        def report(now: LMState, strength: float = strength, numbers: dict[str, Any] = numbers) -> bool:
            current.flat.write(now.p)
            penalty = strength * float(now.p.abs().sum())
            tracker.record(stage, now.step, now.loss - penalty, penalty)
            tracker.offer(current.field, now.loss - penalty, penalty)
            if tracker.due(now.step):
                tracker.save({"stage": stage, "field": numbers, "lm": pack(now)})
            return False

        result = fit.shoot(
            whole=stage == "trajectory",
            steps=until,
            goal=goal,
            penalty=strength,
            tolerance=tolerance,
            patience=patience,
            state=state,
            on_step=report,
        )
        status = result.status
        if until >= limit or status in ("goal reached", "not finite at the start"):
            return status
        tracker.forget_rank()
        state = LMState(result.p, result.loss, until, 1e-3, 0, torch.zeros_like(result.p))
