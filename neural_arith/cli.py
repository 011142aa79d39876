"""The command ``neural-arith``: read arguments, call the library, say what came out.

Equations and findings go to standard output, progress to standard error. Files are written before anything is printed.
Exit codes: 0 done; 2 the input is wrong, or a file cannot be written, one clear line on standard error; 3 the work is
done and every file that was asked for is written, but not all of it could be printed as it is; 130 interrupted by
Ctrl-C, what was found so far written anyway. What cannot be printed on standard error is dropped.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import importlib.util
import io
import itertools
import math
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from neural_arith.arguments import filled, names, number, positive, whole
from neural_arith.errors import DataError, NeuralArithError, OptionError
from neural_arith.files import whole_folder, write_text
from neural_arith.process import NOTHING_YET, interrupts_raise, streams

if TYPE_CHECKING:
    import numpy as np

    from neural_arith.data import Trajectories
    from neural_arith.discovery import Discovery, Knowledge
    from neural_arith.equations import EquationSystem

DONE, WRONG_INPUT, NOT_PRINTED, INTERRUPTED = 0, 2, 3, 130
_FILES = ("equations.json", "report.html", "trajectories.png", "phase.png", "residuals.png", "pareto.png")
_BENCHMARKS = "neural_arith.benchmarks"  # entry points that name what `bench` knows
_BUDGET_HELP = "stop searching after so long; finishing what was found adds a little"


class _Parser(argparse.ArgumentParser):
    """argparse whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments, those of the process if None.

    Returns:
        The exit code.
    """
    with streams() as out, warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            code = _run(sys.argv[1:] if argv is None else argv)
        except SystemExit:  # after --help and --version
            out.flush()
            if not out.trouble:
                raise
            code = DONE
        out.flush()
        if out.trouble and not out.gone:  # a reader that has seen enough, as with `| head`, need not be told
            print(f"neural-arith: standard output: {out.trouble}", file=sys.stderr)
    return NOT_PRINTED if out.trouble and code == DONE else code


def _warn(message: Warning | str, *_: object) -> None:
    """A warning as one line, without the place in the code where it arose."""
    print(f"neural-arith: {' '.join(str(message).split())}", file=sys.stderr)


def _run(argv: Sequence[str]) -> int:
    try:
        arguments = build_parser().parse_args(_values_joined(argv))
        return arguments.run(arguments)
    except KeyboardInterrupt:
        print(NOTHING_YET, file=sys.stderr)
        return INTERRUPTED
    except (NeuralArithError, OSError) as error:
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(str(error).split()))
        print(f"neural-arith: error: {line}", file=sys.stderr)
        return WRONG_INPUT


def _values_joined(argv: Sequence[str]) -> list[str]:
    """Write ``--x0 -1,2`` as ``--x0=-1,2``: argparse would take the value for an option."""
    joined: list[str] = []
    for place, word in enumerate(argv):
        before = argv[place - 1] if place else ""
        if word.startswith("--") and word.endswith("=--"):  # argparse would make an empty list of it
            raise OptionError(f"{word}: expected a value after the equals sign")
        value = word.startswith("-") and not word.startswith("--") and word not in ("-", "-h")
        if value and before.startswith("--") and len(before) > 2 and "=" not in before and "--" not in argv[:place]:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def build_parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    parser = _Parser(prog="neural-arith", description="Find the differential equations behind measurements over time.")
    version = importlib.metadata.version("neural-arith")
    parser.add_argument("--version", action="version", version=f"neural-arith {version}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    discover = commands.add_parser("discover", help="find the equations behind a CSV file")
    discover.add_argument("data", help="CSV file: one row per moment, the first line names the columns")
    discover.add_argument("--time", metavar="COLUMN", help="the time column (default: the first)")
    discover.add_argument("--states", metavar="A,B", type=names, help="the state columns (default: all others)")
    discover.add_argument("--inputs", metavar="A,B", type=names, default=[], help="columns that drive the system")
    discover.add_argument("--group", metavar="COLUMN", help="the column that tells several runs apart")
    discover.add_argument(
        "--missing", metavar="A,B", type=names, help="texts and numbers that stand for a missing value, or none"
    )
    discover.add_argument(
        "--out", metavar="DIR", type=filled, help="write equations.json, report.html and pictures into DIR"
    )
    discover.add_argument("--seed", type=whole(0, 2**63 - 1), default=0, help="seed of the search (default: 0)")
    discover.add_argument(
        "--noise",
        choices=("auto", "additive", "proportional", "log"),
        default="auto",
        help="how the data scatter",
    )
    discover.add_argument("--time-budget", metavar="SECONDS", type=positive, help=_BUDGET_HELP)
    discover.add_argument("--jobs", metavar="N", type=whole(1, 1024), default=-1, help="threads (default: all cores)")
    discover.add_argument(
        "--checkpoint", metavar="DIR", type=filled, help="keep the work in DIR; the same command goes on from it"
    )
    discover.add_argument("--no-rounding", action="store_true", help="leave the constants as they were fitted")
    known = discover.add_argument_group("what is known")
    known.add_argument("--require", metavar="'STATE: TERM'", action="append", default=[], help="terms that are there")
    known.add_argument("--forbid", metavar="'STATE: TERM'", action="append", default=[], help="terms that are not")
    known.add_argument("--signs", metavar="'STATE: -TERM'", action="append", default=[], help="signs of coefficients")
    known.add_argument("--positive", metavar="A,B", type=names, default=[], help="columns that are never negative")
    known.add_argument("--conserved", metavar="A+B", action="append", default=[], help="a sum that does not change")
    known.add_argument("--kinds", metavar="KINDS", type=names, help="terms beside polynomials: fractions,waves or none")
    known.add_argument("--max-terms", metavar="N", type=whole(1, 1000), help="most terms in an equation")
    known.add_argument("--max-numbers", metavar="N", type=whole(1, 1000), help="most fitted numbers in all")
    discover.add_argument("--quiet", action="store_true", help="no progress on standard error")
    discover.set_defaults(run=_discover)

    simulate = commands.add_parser("simulate", help="solve equations saved by discover")
    simulate.add_argument("equations", help="equations.json")
    simulate.add_argument("--x0", required=True, metavar="A=1,B=2", help="starting state, by name or in order")
    simulate.add_argument("--until", required=True, type=number, help="the last time")
    simulate.add_argument("--from", dest="start", type=number, default=0.0, help="the first time (default: 0)")
    simulate.add_argument(
        "--inputs", metavar="FILE", help="CSV file of the inputs: first column time, then columns named as the inputs"
    )
    simulate.add_argument("--points", type=whole(2, 10_000_000), default=200, help="number of times (default: 200)")
    simulate.add_argument("--out", metavar="FILE", type=filled, help="CSV file to write (default: standard output)")
    simulate.set_defaults(run=_simulate)

    systems = commands.add_parser("systems", help="list the systems that ship, or show one")
    systems.add_argument("name", nargs="?", metavar="NAME", help="show this system")
    systems.add_argument("--suite", help="list only this suite")
    systems.add_argument("--sample", metavar="FILE", type=filled, help="write data of system NAME to a CSV file")
    systems.set_defaults(run=_systems)
    bench = commands.add_parser("bench", help="run a benchmark with known answers and print its table")
    installed = importlib.metadata.entry_points(group=_BENCHMARKS)
    if installed:
        benchmarks = bench.add_subparsers(metavar="NAME", required=True, parser_class=_Parser)
        for point in installed:
            for benchmark in point.load():
                command = benchmarks.add_parser(benchmark.name, help=benchmark.help, description=benchmark.description)
                benchmark.add_arguments(command)
                command.set_defaults(run=_bench, bench=benchmark.run)
    else:
        bench.add_argument("name", nargs=argparse.REMAINDER, metavar="NAME")
        bench.set_defaults(run=_no_bench)
    return parser


def _no_bench(_: argparse.Namespace) -> int:
    raise OptionError(
        "the benchmarks are a distribution of their own: pip install neural-arith-bench, "
        "in a checkout of neural_arith: pip install ./benchmarks"
    )


def _bench(arguments: argparse.Namespace) -> int:
    import neural_arith.discovery  # noqa: F401  # the slow part, before there is anything to keep

    interrupts_raise()
    return arguments.bench(arguments)


# --- values of options -----------------------------------------------------------------------------------


def _start(text: str, states: Sequence[str]) -> dict[str, float]:
    """Read ``hare=30,lynx=4`` or ``30,4``."""
    parts = _names_or_error(text, states)
    named = [part.rpartition("=") for part in parts]
    if all(sign for _, sign, _ in named):
        pairs = [(name.strip(), value) for name, _, value in named]
    elif any(sign for _, sign, _ in named):
        raise OptionError(f"--x0 {text}: name all values or none, as in {_example(states)}")
    elif len(parts) != len(states):
        raise OptionError(f"--x0 {text}: expected {len(states)} values, as in {_example(states)}")
    else:
        pairs = list(zip(states, parts, strict=True))
    start = {}
    for name, value in pairs:
        if name not in states or name in start:
            what = "given twice" if name in start else "not a state"
            raise OptionError(f"--x0 {text}: {name!r} is {what}; the states are {', '.join(states)}")
        try:
            start[name] = number(value)
        except argparse.ArgumentTypeError as error:
            raise OptionError(f"--x0 {text}: {name}: {error}") from None
    missing = [name for name in states if name not in start]
    if missing:
        raise OptionError(f"--x0 {text}: no value for {', '.join(missing)}")
    return start


def _names_or_error(text: str, states: Sequence[str]) -> list[str]:
    try:
        return names(text)
    except argparse.ArgumentTypeError:
        raise OptionError(f"--x0 {text!r}: expected values separated by commas, as in {_example(states)}") from None


def _example(states: Sequence[str]) -> str:
    return ",".join(f"{name}=1" for name in states)


# --- discover --------------------------------------------------------------------------------------------


def _discover(arguments: argparse.Namespace) -> int:
    from neural_arith.data import Trajectories

    knowledge = _knowledge(arguments)
    data = Trajectories.from_csv(
        arguments.data,
        time=arguments.time,
        states=arguments.states,
        inputs=arguments.inputs,
        group=arguments.group,
        missing=[] if arguments.missing == ["none"] else arguments.missing,
    )
    out = None if arguments.out is None else _folder(arguments.out)
    if out is not None and importlib.util.find_spec("matplotlib") is None:  # better now than after the search
        raise OptionError('--out needs matplotlib for the pictures: pip install "neural-arith[plot]"')
    from neural_arith.regressor import ODERegressor

    model = ODERegressor(
        random_state=arguments.seed,
        n_jobs=arguments.jobs,
        noise=arguments.noise,
        time_budget=arguments.time_budget,
        checkpoint=arguments.checkpoint,
        round_constants=not arguments.no_rounding,
        knowledge=knowledge,
        progress=not arguments.quiet,
    )
    interrupts_raise()
    discovery = model.fit(data).discovery_
    lines = [str(discovery.summary()), *_reactions(discovery), *_findings(discovery)]
    failure = None
    if out is not None:
        try:
            lines += [f"wrote {path}" for path in _write_all(out, discovery)]
        except NeuralArithError as error:  # what was found is told all the same
            failure = error
        except KeyboardInterrupt:
            print("neural-arith: interrupted while writing; only equations.json is written", file=sys.stderr)
            return INTERRUPTED
    for line in lines:
        print(line)
    if failure is not None:
        raise failure
    if discovery.status == "interrupted":
        print("neural-arith: interrupted; this is the best so far", file=sys.stderr)
        return INTERRUPTED
    return DONE


def _knowledge(arguments: argparse.Namespace) -> Knowledge:
    """What the options say is known."""
    from neural_arith.discovery import Knowledge

    tables: dict[str, dict[str, list[str]]] = {}
    for option in ("require", "forbid", "signs"):
        tables[option] = {}
        for text in getattr(arguments, option):
            state, colon, terms = text.rpartition(":")
            if not colon or not state.strip():
                raise OptionError(f"--{option} {text!r}: expected a state and its terms, as in 'hare: hare, hare*lynx'")
            tables[option].setdefault(state.strip(), []).extend(term.strip() for term in terms.split(","))
    return Knowledge(
        **tables,
        positive=arguments.positive,
        conserved=arguments.conserved,
        kinds=[] if arguments.kinds == ["none"] else arguments.kinds,
        max_terms=arguments.max_terms,
        max_numbers=arguments.max_numbers,
    )


def _folder(name: str) -> Path:
    """The folder for the files, made and tried: better now than after the search."""
    path = Path(name)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--out {name}: cannot make this folder: {error.strerror}; choose another") from None
    for file in _FILES:
        if (path / file).is_dir():
            raise DataError(f"cannot write {path / file}: it is a folder; choose another --out")
    with whole_folder(path) as drafts:
        (drafts / _FILES[0]).touch()
        (drafts / _FILES[0]).unlink()
    return path


def _reactions(discovery: Discovery) -> list[str]:
    """The equations once more as reactions, where some reaction changes several states at once."""
    from neural_arith.discovery import reactions_of

    found = reactions_of(discovery)
    if found is None or not found.complete:  # what is only partly reactions would mislead; the report shows it
        return []
    head = "as reactions, their rates fitted again and not rounded:"
    return ["", head, *(f"  {line}" for line in str(found).splitlines())]


def _findings(discovery: Discovery) -> list[str]:
    """What a reader must know beside the equations: the noise, and the messages; rivals are in the report."""
    noise = discovery.noise
    scale, unit = (1.0, "") if noise.kind == "additive" else (100.0, " %")
    levels = ", ".join(f"{n} {scale * v:.3g}{unit}" for n, v in zip(discovery.data.names, noise.level, strict=True))
    lines = ["", f"noise: {noise.kind}, {levels} (estimated from neighbouring samples)"]
    if spans := noise.spans(discovery.data.names):
        lines.append(f"  in the runs from {spans}")
    if discovery.messages:
        lines += ["", *(f"note: {message}" for message in discovery.messages)]
    return lines


def _write_all(out: Path, discovery: Discovery) -> list[Path]:
    """Write the equations, then what tells about them; where an earlier result stands, all files change at once."""
    from neural_arith.report import draw_pictures, save_picture, write_report

    equations = out / _FILES[0]
    if not equations.exists():  # nothing that the new equations could be mixed with
        discovery.equations.save(equations)
    try:
        with whole_folder(out) as drafts:
            discovery.equations.save(drafts / equations.name)
            write_report(drafts / _FILES[1], discovery)
            for picture, figure in draw_pictures(discovery).items():
                save_picture(figure, drafts / f"{picture}.png", dpi=150)
            written = sorted(out / draft.name for draft in drafts.iterdir())
    except BaseException as error:
        discovery.equations.save(equations)
        if isinstance(error, Exception):
            raise DataError(
                f"the report and the pictures are not written ({' '.join(str(error).split())}); "
                f"the equations are, in {equations}; older files beside them are of another search"
            ) from error
        raise
    return written


# --- simulate --------------------------------------------------------------------------------------------


def _simulate(arguments: argparse.Namespace) -> int:
    import numpy as np

    from neural_arith.equations import load

    if not arguments.until > arguments.start:
        raise OptionError(
            f"--until {arguments.until:g} must be later than --from {arguments.start:g}; time runs forward"
        )
    equations: EquationSystem = load(arguments.equations)
    if equations.inputs and arguments.inputs is None:
        raise OptionError(
            f"{arguments.equations} has inputs {', '.join(equations.inputs)}; give them over time with "
            "--inputs drive.csv (first column time, the others named as the inputs)"
        )
    if arguments.inputs is not None and not equations.inputs:
        raise OptionError(f"{arguments.equations} has no inputs; leave --inputs out")
    start = _start(arguments.x0, equations.states)
    interrupts_raise()
    t = np.linspace(arguments.start, arguments.until, arguments.points)
    if arguments.inputs is None:
        x = equations.simulate(start, t)
    else:
        x = _driven(equations, start, t, *_read_inputs(arguments.inputs, equations.inputs, t))
    return _write_csv(arguments.out, ("t" if "t" not in equations.states else "time", *equations.states), [t, *x.T])


def _read_inputs(path: str, names: Sequence[str], t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The times and values of the inputs, ``(time,)`` and ``(time, inputs)``, checked to cover ``t``."""
    import numpy as np

    from neural_arith.data.reading import read_csv
    from neural_arith.data.tables import Request

    table = read_csv(path, Request(None, list(names), (), None, None))
    for note in table.notes:
        print(f"{path}: {note}", file=sys.stderr)
    times, values = table.time, table.states
    for name, column in ((table.time_name, times), *zip(names, values.T, strict=True)):
        bad = np.flatnonzero(~np.isfinite(column))
        if bad.size:
            raise DataError(f"{path}: {name!r} has no finite value in {table.place(bad[0])}; inputs must be known")
    back = np.flatnonzero(np.diff(times) <= 0)
    if back.size:
        raise DataError(f"{path}: times must increase, but {times[back[0] + 1]:g} follows {times[back[0]]:g}")
    if times[0] > t[0] or times[-1] < t[-1]:
        raise DataError(
            f"{path}: the inputs are given from {times[0]:g} to {times[-1]:g}, "
            f"which does not cover {t[0]:g} to {t[-1]:g}"
        )
    return times, values


def _driven(
    equations: EquationSystem, start: dict[str, float], t: np.ndarray, times: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """Solve from one sample of the inputs to the next, so that no step leaps over a short pulse."""
    import numpy as np

    x = np.empty((t.size, len(equations.states)))
    x[0] = [start[name] for name in equations.states]
    nearest = t[np.searchsorted((t[1:] + t[:-1]) / 2, times)]
    knots = np.where(np.abs(nearest - times) <= 1e-12 * (t[-1] - t[0]), nearest, times)  # 0.1 + 0.2 is 0.3
    edges = np.unique(np.concatenate([t[[0, -1]], knots[(knots > t[0]) & (knots < t[-1])]]))
    here = x[0]
    for first, last in itertools.pairwise(edges):
        inside = (t > first) & (t <= last)
        grid = np.union1d([first, last], t[inside])
        drive = np.stack([np.interp(grid, times, column) for column in values.T], axis=1)
        part = equations.simulate(here, grid, u=drive)
        x[inside] = part[np.searchsorted(grid, t[inside])]
        here = part[-1]
    return x


def _write_csv(out: str | None, head: Sequence[str], columns: Sequence[np.ndarray | Sequence[str]]) -> int:
    """Write a table whole, to a file or to standard output; numbers so that they read back exactly."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    for row in zip(*columns, strict=True):
        writer.writerow([cell if isinstance(cell, str) else _cell(float(cell)) for cell in row])
    text = buffer.getvalue()
    if out is not None:
        write_text(out, text)
        print(f"wrote {out}", file=sys.stderr)
        return DONE
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:  # a table with escapes for names would be read as another one
        lost = error.object[error.start : error.end]
        print(f"neural-arith: standard output ({encoding}) has no {lost!a}; name a file with --out", file=sys.stderr)
        return NOT_PRINTED
    sys.stdout.write(text)
    return DONE


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(value).removesuffix(".0")


# --- systems ---------------------------------------------------------------------------------------------


def _systems(arguments: argparse.Namespace) -> int:
    from neural_arith import systems

    interrupts_raise()
    if arguments.name is None:
        if arguments.sample is not None:
            raise OptionError("--sample needs the NAME of a system; neural-arith systems lists them")
        chosen = [systems.get(name) for name in systems.names(arguments.suite)]
        width = max(len(system.slug) for system in chosen)
        for system in chosen:
            print(f"{system.slug:{width}}  {system.suite:9}  {system.n_states}  {system.name}")
        return DONE
    system = systems.get(arguments.name)
    if arguments.suite not in (None, system.suite):
        raise OptionError(f"system {system.slug} belongs to suite {system.suite}, not to {arguments.suite}")
    if arguments.sample is not None:
        data = system.data() if system.file else system.sample()
        return _write_trajectories(arguments.sample, data)
    print(f"{system.name}\n{system.description}\nsource: {system.source}\n")
    print(f"measured: {', '.join(system.states)}" if system.file else system.equations)
    return DONE


def _write_trajectories(out: str, data: Trajectories) -> int:
    import numpy as np

    columns = [np.concatenate([run.t for run in data]), *np.concatenate([run.x for run in data]).T]
    head = [data.time_name, *data.names]
    if len(data) > 1:
        head.insert(0, "run")
        columns.insert(0, [label for k, run in enumerate(data) for label in [run.label or str(k)] * len(run)])
    return _write_csv(out, head, columns)


if __name__ == "__main__":
    sys.exit(main())
