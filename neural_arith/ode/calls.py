"""What may stand on the right-hand side: how it is called, and that it is a function of its arguments."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from neural_arith.errors import DataError, NeuralArithError, OptionError
from neural_arith.layers import Layer

_RANDOM = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
    nn.RReLU,
)
_BATCHED = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def n_arguments(f: Any) -> int:
    """Whether ``f`` is called as ``f(t, x, u)`` (3), ``f(t, x)`` (2) or ``f(x)`` (1).

    Raises:
        OptionError: it is neither, or not callable at all.
    """
    if not callable(f) or isinstance(f, type):
        what = f"the class {f.__name__}; make an object of it" if isinstance(f, type) else f"a {type(f).__name__}"
        raise OptionError(f"a right-hand side must be a module or a function f(t, x, u), f(t, x) or f(x), not {what}")
    try:
        signature = inspect.signature(f.forward if isinstance(f, nn.Module) else f)
    except (TypeError, ValueError):
        return 1  # written in C, as torch.sin is
    places = [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in places)
    if any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values()) or (needed == 2 and len(places) > 2):
        return 3
    if needed in (1, 2, 3):
        return needed
    raise OptionError(f"a right-hand side is called as f(t, x, u), f(t, x) or f(x), but this one takes {signature}")


def call(f: Callable[..., Tensor], arguments: int, t: Tensor | float, x: Tensor, u: Tensor | None) -> Tensor:
    """Evaluate a right-hand side; one of ``f(x)`` gets the inputs as further columns."""
    if arguments == 3:
        return f(t, x, u)
    if arguments == 2:
        return f(t, x)
    return f(joined(x, u))


def joined(x: Tensor, u: Tensor | None) -> Tensor:
    """States and inputs side by side, ``(*batch, states + inputs)``.

    Raises:
        DataError: the batches differ.
    """
    if u is None or not u.shape[-1]:
        return x
    try:
        return torch.cat([x, u.expand(*x.shape[:-1], u.shape[-1])], -1)
    except RuntimeError:
        raise DataError(f"inputs of shape {tuple(u.shape)} do not go with states of shape {tuple(x.shape)}") from None


def home(module: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where a module's numbers are and of what type; the defaults for one that has none.

    Raises:
        OptionError: they are spread over several devices.
    """
    own = [value for value in (*module.parameters(), *module.buffers()) if value.is_floating_point()]
    places = list(dict.fromkeys(str(value.device) for value in own))
    if len(places) > 1:
        raise OptionError(f"the weights lie on {' and '.join(places)}; put them on one: module.to({places[0]!r})")
    return (own[0].device, own[0].dtype) if own else (torch.device("cpu"), torch.get_default_dtype())


def check_function(module: nn.Module) -> None:
    """Refuse what makes a right-hand side no function of its arguments.

    Raises:
        OptionError: a part is random, or ties the states of a batch to each other.
    """
    for path, part in module.named_modules():
        where = f"{type(part).__name__}{f' (at {path})' if path else ''}"
        if part.training and (isinstance(part, _RANDOM) or (isinstance(part, Layer) and part.noisy)):
            raise OptionError(
                f"{where} draws random numbers, so that dx/dt would differ from call to call and no solver can follow "
                "it; leave it out, or switch it off with .eval()"
            )
        if isinstance(part, _BATCHED) and (part.training or not part.track_running_stats):
            raise OptionError(
                f"{where} makes dx/dt of one state depend on the others in its batch; use LayerNorm, or switch it "
                "off with .eval()"
            )


def check_weights(module: nn.Module) -> None:
    """Refuse weights that two layers share: pruning, matching and reading treat every layer as its own.

    Raises:
        OptionError: two names stand for one parameter.
    """
    first: dict[int, str] = {}
    for name, value in module.named_parameters(remove_duplicate=False):
        other = first.setdefault(id(value), name)
        if other != name:
            raise OptionError(
                f"{other} and {name} are one parameter: a layer or weight stands twice in the field; give each place "
                "its own, with copy.deepcopy(layer)"
            )


def fault(one: Any, again: Any, given: Tensor, kept: Tensor | None) -> str | None:
    """What is wrong with two answers to one question, or None.

    Args:
        one: what a right-hand side or a part of it returned.
        again: what it returned when asked again.
        given: the states it was asked about.
        kept: the same states after it was asked; None where it may use them up.
    """
    if not isinstance(one, Tensor) or not one.is_floating_point():
        kind = f"a {one.dtype} tensor" if isinstance(one, Tensor) else f"a {type(one).__name__}"
        return f"must return a floating point tensor, not {kind}"
    if one.device != given.device:
        return f"returns a tensor on {one.device} for states on {given.device}; make it on the device of the states"
    if one.is_meta:
        return None
    if kept is not None and not _alike(kept, given):
        return "changes the states it is given in place; return new ones, as x * 2 instead of x.mul_(2)"
    if not isinstance(again, Tensor) or again.shape != one.shape or not _alike(one, again):
        return (
            "returns another value when called again on the same states, so that no solver can follow it; it must not "
            "draw random numbers nor remember earlier calls (.eval() switches off layers such as spectral_norm)"
        )
    return None


def _alike(one: Tensor, other: Tensor) -> bool:
    """Equal but for the order of sums, which may differ between calls on a GPU."""
    one, other = one.detach(), other.detach()
    if torch.equal(one, other):
        return True
    size = one.nan_to_num(posinf=0.0, neginf=0.0).abs().max()
    share = 100 * torch.finfo(one.dtype).eps
    return bool(torch.isclose(one, other, rtol=share, atol=share * float(size), equal_nan=True).all())


def first_line(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"


@contextlib.contextmanager
def differentiated(remedy: str = "") -> Iterator[None]:
    """Turn what torch says where it cannot differentiate a field into one line.

    Args:
        remedy: what else may help, as a clause.

    Raises:
        OptionError: torch raised an error of its own.
    """
    try:
        yield
    except (NeuralArithError, torch.OutOfMemoryError):
        raise
    except RuntimeError as error:
        raise OptionError(
            f"the field cannot be differentiated ({first_line(error)}); compute its output from its parameters by "
            f"torch functions alone, without .numpy(), .item(), .detach() or changes in place{remedy}"
        ) from error


@torch.no_grad()
def tried(
    f: Callable[..., Any], what: str, *arguments: Any, shape: tuple[int, ...] | None = None, keeps: int | None = 0
) -> Any:
    """Call ``f`` twice, before anything depends on it, and check what it returns.

    Args:
        f: what to call.
        what: its name in messages.
        *arguments: what to call it with, tensors or None.
        shape: of what it must return.
        keeps: which argument it may not change in place; None if it may.

    Raises:
        OptionError: it fails, returns no floating point tensor of the shape, or not the same one again.
    """
    first, second = ([None if a is None else a.clone() for a in arguments] for _ in range(2))
    try:
        found, again = f(*first), f(*second)
    except NeuralArithError as error:
        raise OptionError(f"{what} cannot be used here: {error}") from error
    except Exception as error:  # anything may go wrong in code that is not ours
        raise OptionError(f"{what} cannot be evaluated ({first_line(error)})") from error
    place = keeps or 0
    wrong = fault(found, again, arguments[place], None if keeps is None else first[place])
    if wrong:
        raise OptionError(f"{what} {wrong}")
    if shape is not None and tuple(found.shape) != shape:
        raise OptionError(
            f"{what} must return (*batch, {shape[-1]}), one value per state: {shape} here, not {tuple(found.shape)}"
        )
    return found
