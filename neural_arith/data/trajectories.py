"""Trajectories: what was measured, of which states, at which times, in how many runs."""

from __future__ import annotations

import heapq
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neural_arith.data import checks
from neural_arith.data.arrays import as_columns, by_name, is_many, is_rows, of_run, refuse_other_names, run_times
from neural_arith.data.cells import count
from neural_arith.data.doubts import arrange, refuse_codes
from neural_arith.data.reading import read_csv, read_frame
from neural_arith.data.tables import Request, Table
from neural_arith.errors import DataError, OptionError


@dataclass(frozen=True, eq=False)
class Run:
    """One experiment: states, and perhaps inputs, over increasing times. The arrays are read-only copies.

    Attributes:
        t: times, shape ``(time,)``, strictly increasing.
        x: states, shape ``(time, states)``; NaN marks a missing value.
        u: inputs, shape ``(time, inputs)``, or None.
        label: the name of the run, "" where it has none.

    Examples:
        >>> import neural_arith as na
        >>> run = na.Run([0, 1, 2], [[5], [float("nan")], [7]], label="second flask")
        >>> run.x.shape, len(run)
        ((3, 1), 3)
    """

    t: np.ndarray
    x: np.ndarray
    u: np.ndarray | None = None
    label: str = ""

    def __post_init__(self) -> None:
        for name in ("t", "x", "u"):
            value = getattr(self, name)
            if value is not None or name != "u":
                frozen = checks.to_floats(value, name)
                if not frozen.ndim:
                    raise DataError(f"{name} of a run must be an array over time, got one number: {frozen}")
                frozen.setflags(write=False)
                object.__setattr__(self, name, frozen)

    def __len__(self) -> int:
        return len(self.t)

    def __repr__(self) -> str:
        span = f"t = {self.t[0]:.6g} ... {self.t[-1]:.6g}" if self.t.size else "no times"
        name = f"{self.label!r}, " if self.label else ""
        return f"Run({name}{self.x.shape[0]} points, {self.x.shape[-1]} states, {span})"

    def _take(self, rows: Any) -> Run:
        return Run(self.t[rows], self.x[rows], None if self.u is None else self.u[rows], self.label)


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Several runs of the same states. Use :meth:`from_arrays`, :meth:`from_csv` or :meth:`from_frame`.

    The constructor checks shapes, names, times and values; the three readers also ask for enough to learn
    from: four points per run, a value in every state, and at least one state that moves.

    Attributes:
        runs: the experiments.
        names: one name per state; any printable text without backticks, such as a column label.
        input_names: one name per input.
        time_name: what the time is called.
        notes: sentences on what a reader assumed or left out.

    Raises:
        DataError: something is wrong with the data; the message says what, where, and what to do.

    Examples:
        >>> import neural_arith as na
        >>> data = na.Trajectories.from_arrays([0, 1, 2, 3], [[9.0], [5.0], [3.0], [2.0]], names=["yeast"])
        >>> data.names, len(data), data[0].x[:2].tolist()
        (('yeast',), 1, [[9.0], [5.0]])
    """

    runs: tuple[Run, ...]
    names: tuple[str, ...]
    input_names: tuple[str, ...] = ()
    time_name: str = "t"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        runs = tuple(self.runs) if isinstance(self.runs, Iterable) else (None,)
        if not all(isinstance(run, Run) for run in runs):
            raise DataError("runs must be a list of Run(t, x); from_arrays takes arrays")
        object.__setattr__(self, "runs", runs)
        object.__setattr__(self, "notes", tuple(self.notes))
        names = checks.check_names(self.names, (self.time_name,), "state")
        inputs = checks.check_names(self.input_names, (self.time_name, *names), "input")
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "input_names", inputs)
        if not self.runs:
            raise DataError("there is no run; give at least one")
        if not names:
            raise DataError("there is no state; give at least one")
        for i, run in enumerate(self.runs):
            _check_run(run, checks.run_name(run, i), names, inputs)

    @classmethod
    def from_arrays(
        cls,
        t: Any,
        x: Any,
        *,
        u: Any = None,
        names: Sequence[str] | None = None,
        input_names: Sequence[str] | None = None,
    ) -> Trajectories:
        """Take one run, or several, from arrays.

        Args:
            t: times, shape ``(time,)``; for several runs a list of them, or one that all runs share. A single number is
                the step between evenly spaced times that begin at 0.
            x: states, shape ``(time, states)`` or ``(time,)`` for one state; for several runs a list of
                arrays (lengths may differ) or one array ``(run, time, states)``. NaN and masked entries are
                missing values. Columns of data frames are taken by name.
            u: inputs, shaped like ``x``, or None. They must be known at every time.
            names: state names; those of the frames, or ``x0, x1, ...``, if None.
            input_names: input names; those of the frames, or ``u0, u1, ...``, if None.

        Returns:
            The trajectories. A run of fewer than four points is left out where others are long enough, with a note.

        Raises:
            DataError: shapes do not fit, or the data break a rule of the class.
        """
        several = is_many(x) and not is_rows(x, t)
        xs = list(x) if several else [x]
        us = [None] * len(xs) if u is None else list(u) if is_many(u) and not is_rows(u, t) else [u]
        if len(us) != len(xs):
            raise DataError(f"x has {len(xs)} runs but u has {len(us)}; give one u per run")
        if not xs:
            raise DataError("x is an empty list; give at least one run")
        columns = None if names is None else checks.check_names(names, (), "state")
        drives = None if input_names is None else checks.check_names(input_names, (), "input")
        if columns is None:
            refuse_other_names(xs, "x")
        if drives is None:
            refuse_other_names(us, "u")
        xs, columns = by_name(xs, columns, "states")
        us, drives = by_name(us, drives, "inputs")
        values = [
            as_columns(checks.to_floats(item, f"x{of_run(i, several)}", columns), f"x{of_run(i, several)}")
            for i, item in enumerate(xs)
        ]
        ts = run_times(t, [len(value) for value in values], several)
        runs = []
        for i, (times, table, item) in enumerate(zip(ts, values, us, strict=True)):
            what = f"u{of_run(i, several)}"
            drive = None if item is None else as_columns(checks.to_floats(item, what, drives), what)
            runs.append(Run(times, table, drive))
        n_inputs = 0 if (drive := runs[0].u) is None else drive.shape[1]
        data = cls(
            tuple(runs),
            tuple(f"x{i}" for i in range(runs[0].x.shape[1])) if columns is None else columns,
            tuple(f"u{i}" for i in range(n_inputs)) if drives is None else drives,
        )
        return data._informative()

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        time: Any,
        states: Iterable[Any] | None = None,
        inputs: Iterable[Any] = (),
        group: Any | None = None,
        missing: Iterable[str | float] | None = None,
    ) -> Trajectories:
        """Take trajectories from a data frame: pandas, polars, anything with ``.columns``.

        Columns of text are read as those of a file, see :meth:`from_csv`.

        Args:
            frame: the data frame, one row per time (and run).
            time: the time column, or the name of the index; dates are read as days since the first.
            states: the state columns; None for all that have no other role.
            inputs: the input columns.
            group: the column that tells runs apart, or None for one run.
            missing: as in :meth:`from_csv`.

        Returns:
            The trajectories; states and inputs are named as the columns are, ``notes`` say what was assumed.

        Raises:
            DataError: a column is unknown, a cell is no number, or the data break a rule of the class.
        """
        request = _request(time, states, inputs, group, missing)
        return cls._from_table(read_frame(frame, request), request)

    @classmethod
    def from_csv(
        cls,
        path: str | os.PathLike[str],
        *,
        time: str | None = None,
        states: Iterable[str] | None = None,
        inputs: Iterable[str] = (),
        group: str | None = None,
        missing: Iterable[str | float] | None = None,
    ) -> Trajectories:
        """Read trajectories from a CSV file, or the first sheet of an Excel workbook, that names its columns.

        Comma, semicolon, tab, bar or blanks separate cells; UTF-8, UTF-16 and Latin-1 are told apart. Comments and
        titles above, a row of units, totals below and remarks are passed over. Decimal commas, separators of thousands,
        percent and units in cells, limits such as ``<0.05`` (missing) and the usual words for missing values are
        understood; dates are read as days, times of day as hours, since the first. Rows in no order are sorted and
        equal rows taken once; where every time stands equally often the rows are read as that many runs. ``notes`` say
        all that was assumed; what may mean two things is refused.

        Args:
            path: the file.
            time: the time column; None for the first one.
            states: the state columns; None for all with numbers that have no other role.
            inputs: the input columns.
            group: the column that tells runs apart, or None for one run.
            missing: further texts and numbers that stand for a missing value, such as ``[9999]``. If None, a number
                like 9999 far outside the others of its column, or -99 among positive ones, is refused; an empty list
                says that all were measured.

        Returns:
            The trajectories; states and inputs are named as the columns are, ``notes`` say what was assumed.

        Raises:
            DataError: the file cannot be read, a column is unknown, a cell is no number (with its line and
                column), or the data break a rule of the class.
        """
        request = _request(time, states, inputs, group, missing)
        table = read_csv(path, request)
        try:
            return cls._from_table(table, request)
        except DataError as error:
            raise DataError(f"{path}{', ' if str(error).startswith('line ') else ': '}{error}") from None

    @classmethod
    def _from_table(cls, table: Table, request: Request) -> Trajectories:
        if request.missing is None:
            refuse_codes(table)
        order, labels, notes = arrange(table)
        runs = []
        for label, rows in zip(labels, order, strict=True):
            inputs = table.inputs[rows] if table.input_names else None
            run = Run(table.time[rows], table.states[rows], inputs, label)
            tables = ((run.x, table.names, True), (run.u, table.input_names, False))
            for values, names, may_miss in tables:
                if values is not None:
                    name, lines = checks.run_name(run, len(runs)), table.lines[rows]
                    checks.check_values(values, names, name, missing=may_miss, word=table.word, places=lines)
            runs.append(run)
        data = cls(tuple(runs), table.names, table.input_names, table.time_name, (*table.notes, *notes))
        return data._informative()

    def _informative(self) -> Trajectories:
        """Without runs that are too short to learn from, which the notes name; an error where nothing is left."""
        short = [i for i, run in enumerate(self.runs) if len(run) < checks.MIN_POINTS]
        data = self
        if 0 < len(short) < len(self.runs):
            listed = ", ".join(
                f"{checks.run_name(self.runs[i], i)} ({count(len(self.runs[i]), 'point')})" for i in short[:5]
            ) + (", ..." if len(short) > 5 else "")
            note = f"Left out, for a run needs at least {checks.MIN_POINTS} points: {listed}."
            runs = tuple(run for run in self.runs if len(run) >= checks.MIN_POINTS)
            data = replace(self, runs=runs, notes=(*self.notes, note))
        checks.check_informative(data.runs, data.names)
        return data

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.names)

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return len(self.input_names)

    @property
    def n_points(self) -> int:
        """Number of rows in all runs together, rows with missing values included."""
        return sum(len(run) for run in self.runs)

    @property
    def span(self) -> tuple[float, float]:
        """First and last time over all runs."""
        return min(float(run.t[0]) for run in self.runs), max(float(run.t[-1]) for run in self.runs)

    @property
    def has_missing(self) -> bool:
        """Whether any value is missing."""
        return any(bool(np.isnan(run.x).any()) for run in self.runs)

    @property
    def constant_states(self) -> tuple[str, ...]:
        """Names of the states that do not move within any run."""
        return checks.constant_states(self.runs, self.names)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, index: int) -> Run:
        return self.runs[index]

    def __repr__(self) -> str:
        runs = "1 run" if len(self) == 1 else f"{len(self)} runs"
        inputs = f", inputs {_listed(self.input_names)}" if self.input_names else ""
        missing = sum(int(np.isnan(run.x).sum()) for run in self.runs)
        gaps = f", {missing} missing values" if missing else ""
        first, last = self.span
        return (
            f"Trajectories({runs} of {_listed(self.names)}{inputs}; {self.n_points} points, "
            f"{_listed([self.time_name])} = {first:.6g} ... {last:.6g}{gaps})"
        )

    def select(self, names: str | Iterable[str]) -> Trajectories:
        """Keep some states, in the order given.

        Args:
            names: state names.

        Returns:
            New trajectories with those states; inputs stay.

        Raises:
            DataError: a name is unknown, or what is left cannot be learned from.
        """
        wanted = checks.find_columns(names, self.names, "state")
        columns = [self.names.index(name) for name in wanted]
        runs = tuple(Run(run.t, run.x[:, columns], run.u, run.label) for run in self.runs)
        return replace(self, runs=runs, names=tuple(wanted))._informative()

    def split(self, fraction: float) -> tuple[Trajectories, Trajectories]:
        """Cut every run in time: the early part to train on, the rest to test on.

        Args:
            fraction: share of each run's time span, in (0, 1), that goes to the first part.

        Returns:
            Train and test part. Runs that end up without test points are left out of the test part.

        Raises:
            OptionError: ``fraction`` is not between 0 and 1.
            DataError: every train run would keep fewer than four points, or no test point is left.
        """
        if not isinstance(fraction, int | float | np.number) or not 0.0 < fraction < 1.0:
            raise OptionError(f"fraction must lie between 0 and 1, got {fraction!r}; 0.7 trains on 70 % of the span")
        early, late = [], []
        for run in self.runs:
            cut = run.t[0] + fraction * (run.t[-1] - run.t[0])
            early.append(run._take(run.t <= cut))
            late.append(run._take(run.t > cut))
        train = replace(self, runs=tuple(early))._informative()
        return train, replace(self, runs=tuple(run for run in late if len(run)))

    def thin(self, n: int) -> Trajectories:
        """Keep at most ``n`` points per run, evenly by index, the first and the last among them.

        Where values are missing each state has its share of the points, evenly among those at which it was measured.
        Inputs keep their steps and bends: at these rows, at most four times as many, the states are set missing.

        Args:
            n: how many measured points, at least 4.

        Returns:
            New trajectories; runs that are short enough stay as they are.

        Raises:
            OptionError: ``n`` is below 4.
        """
        if not isinstance(n, int | np.integer) or n < checks.MIN_POINTS:
            raise OptionError(f"n must be a whole number, at least {checks.MIN_POINTS}, got {n!r}")
        return replace(self, runs=tuple(run if len(run) <= n else _thin(run, n) for run in self.runs))


def _listed(names: Sequence[str], most: int = 12, long: int = 40) -> str:
    """Names as a representation shows them, the first of many and the beginning of long ones."""
    shown = [name if len(name) <= long else f"{name[: long - 3]}..." for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


BEND = 1e-3
"""Share of its range by which straight lines between the rows kept may miss an input."""

BENDS = 4
"""Rows that inputs may keep for each measured one."""


def _thin(run: Run, n: int) -> Run:
    """A run with at most ``n`` measured rows, and rows with inputs only where these bend."""
    measured = np.isfinite(run.x)
    if run.u is None:
        return run._take(_thinned(measured, n))
    seen = np.flatnonzero(measured.any(axis=1))
    kept = seen if len(seen) <= n else seen[_thinned(measured[seen], n)]
    rows = np.union1d(kept, [0, len(run) - 1])
    rows = np.union1d(rows, _bends(run.t, run.u, rows, BENDS * n)).astype(np.intp)
    states = np.where(np.isin(rows, kept)[:, None], run.x[rows], np.nan)
    return Run(run.t[rows], states, run.u[rows], run.label)


def _bends(t: np.ndarray, u: np.ndarray, kept: np.ndarray, most: int) -> list[int]:
    """Rows at which inputs are far from straight lines between the rows kept, the farthest first.

    A line is divided where it misses most, and so on (Douglas & Peucker, 1973).
    """
    size = np.ptp(u, axis=0)
    shares = u / np.where(size > 0, size, 1.0)
    lines: list[tuple[float, int, int, int]] = []

    def add(a: int, b: int) -> None:
        if b - a > 1:
            part = ((t[a + 1 : b] - t[a]) / (t[b] - t[a]))[:, None]
            miss = np.abs(shares[a + 1 : b] - shares[a] - part * (shares[b] - shares[a])).max(axis=1)
            k = int(miss.argmax())
            if miss[k] > BEND:
                heapq.heappush(lines, (-float(miss[k]), a, a + 1 + k, b))

    for a, b in itertools.pairwise(kept.tolist()):
        add(a, b)
    found: list[int] = []
    while lines and len(found) < most:
        _, a, k, b = heapq.heappop(lines)
        found.append(k)
        add(a, k)
        add(k, b)
    return found


def _thinned(measured: np.ndarray, n: int) -> np.ndarray:
    """Which rows to keep of a table that tells which values are there, ``(time, states)``."""
    last = len(measured) - 1
    if measured.all():
        return _even(np.arange(last + 1), n)
    share = (n - 2) // measured.shape[1]
    own = [_even(np.flatnonzero(column), share) for column in measured.T]
    kept = np.unique(np.concatenate([[0, last], *own]))
    others = np.setdiff1d(np.arange(last + 1), kept)
    return np.sort(np.concatenate([kept, _even(others, n - len(kept))]))


def _even(rows: np.ndarray, n: int) -> np.ndarray:
    """At most ``n`` of the rows, evenly spread, the first and the last among them."""
    return rows if len(rows) <= n else rows[np.linspace(0, len(rows) - 1, n).round().astype(np.intp)]


def _request(
    time: Any, states: Iterable[Any] | None, inputs: Iterable[Any], group: Any, missing: Iterable[str | float] | None
) -> Request:
    def listed(value: Any) -> Any:
        return value if value is None else [value] if isinstance(value, str) or not np.iterable(value) else list(value)

    return Request(time, listed(states), listed(inputs), group, listed(missing))


def _check_run(run: Run, name: str, names: Sequence[str], inputs: Sequence[str]) -> None:
    if run.t.ndim != 1 or not run.t.size:
        raise DataError(f"{name}: times must have shape (time,) with at least one entry, got {run.t.shape}")
    tables = (("states", run.x, names), ("inputs", run.u, inputs))
    for what, table, columns in tables:
        if table is None:
            if columns:
                raise DataError(f"{name}: no inputs, but there are input names {', '.join(columns)}")
            continue
        if table.ndim != 2:
            raise DataError(f"{name}: {what} must have shape (time, {what}), got {table.shape}")
        if table.shape[0] != len(run.t):
            turned = table.shape[1] == len(run.t)
            hint = "; it looks transposed, pass the transpose" if turned else ""
            raise DataError(f"{name}: {len(run.t)} times but {table.shape[0]} rows of {what}{hint}")
        if table.shape[1] != len(columns):
            raise DataError(f"{name}: {table.shape[1]} columns of {what} but {len(columns)} names; give one each")
    checks.check_times(run.t, name)
    checks.check_values(run.x, names, name, missing=True)
    if run.u is not None:
        checks.check_values(run.u, inputs, name, missing=False)
