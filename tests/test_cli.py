"""The command line: what it prints where, what it writes, and one clear line for each kind of wrong input."""

from __future__ import annotations

import csv
import json
import math
import re
import signal
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from neural_arith import systems
from neural_arith.cli import main
from neural_arith.data import Trajectories
from neural_arith.equations import EquationSystem, load

GROWTH = "t,x\n" + "".join(f"{k / 4},{math.exp(-k / 4)}\n" for k in range(20))


@pytest.fixture
def run(capsys):
    """Call the command line in process; give back exit code, standard output, standard error."""

    def call(*argv: object) -> tuple[int, str, str]:
        code = main([str(a) for a in argv])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def refuses(run):
    """Check that a call ends with exit code 2 and exactly one line, which holds the given parts."""

    def call(*argv: object, says: str | tuple[str, ...]) -> None:
        code, out, err = run(*argv)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1, err
        assert err.startswith("neural-arith: error: ")
        for part in (says,) if isinstance(says, str) else says:
            assert part in err

    return call


@pytest.fixture
def oscillator(tmp_path) -> Path:
    path = tmp_path / "equations.json"
    EquationSystem({"x": "v", "v": "-4.0*x"}).save(path)
    return path


def _table(text: str) -> tuple[list[str], np.ndarray]:
    head, *rows = list(csv.reader(text.splitlines()))
    return head, np.array(rows, dtype=float)


# --- discover: what is wrong with the file or the options -------------------------------------------


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        (GROWTH.replace(",1.0\n", ",abc\n"), (), ("line 2", "'x'", "abc")),
        (GROWTH, ("--states", "y"), ("'y'", "'x'")),
        (GROWTH, ("--time", "tt"), ("'tt'", "did you mean 't'")),
        (GROWTH, ("--group", "dish"), "'dish'"),
        ("", (), "empty"),
        ("t,x\n", (), ""),
        ("t,x\n0,1\n1,2\n2,3\n", (), "at least 4"),
        ("t,x\n0,1\n1,2\n1,3\n2,4\n", (), ("t = 1 stands twice", "lines 3 and 4")),
        ("t,x\n0,1\n2,2\n1,3\n3,4\n", (), ("must increase", "line 4")),
        ("t,x\n0,1\n1,inf\n2,3\n3,4\n", (), ("infinite", "'x'")),
        ("t,x\n0,\n1,\n2,\n3,\n", (), ("'x'", "no value")),
        ("t,x\n0,5\n1,5\n2,5\n3,5\n", (), "constant"),
        ("t,x,x\n0,1,2\n1,2,3\n2,3,5\n3,4,6\n", (), "two columns"),
        ("t,x\n0,1\n1,2,9\n2,3\n3,4\n", (), "line 3"),
        (GROWTH, ("--inputs", "heat"), "'heat'"),
        (GROWTH, ("--inputs", "x", "--states", "x"), "two roles"),
        (
            "run,t,x\n" + "".join(f"{'AB'[k % 2]},{k},{2**k}\n" for k in range(8)),
            ("--time", "t"),
            ("'run'", "--group run"),
        ),
    ],
    ids=lambda value: None if not isinstance(value, str) else repr(value[:24]),
)
def test_discover_refuses_wrong_data(tmp_path, refuses, text, options, says):
    path = tmp_path / "data.csv"
    path.write_text(text)
    out = tmp_path / "out"
    refuses("discover", path, *options, "--out", out, says=says)
    assert not out.exists()


def test_discover_says_what_was_assumed_about_the_table(tmp_path, run, refuses):
    path = tmp_path / "growth.csv"
    rows = [f'{line},"{10 - 0.5 * k:.2f}"' for k, line in enumerate(GROWTH.splitlines()[1:])]
    path.write_text("\n".join(['t,x,"y, upper"', "s,mg,mg", *rows, "Total,1,"]))
    code, out, _ = run("discover", path, "--time", "t", "--states", '"y, upper",x', "--time-budget", 1, "--jobs", 1)
    assert code == 0
    assert "note: Line 23 ('Total') is no measurement and was left out." in out
    assert "note: Units as the table gives them: t in s, y, upper in mg, x in mg." in out
    refuses("discover", path, "--time", "t", "--states", "y, upper", says="double quotes")
    path.write_text(GROWTH + "5,9999\n")
    refuses("discover", path, says=("9999 once (line 22)", "--missing=9999", "--missing=none"))
    code, out, _ = run("discover", path, "--missing", "9999", "--time-budget", 1, "--jobs", 1, "--quiet")
    assert code == 0


def test_discover_refuses_files_that_are_no_text(tmp_path, refuses):
    path = tmp_path / "data.csv"
    path.write_bytes(b"t,x\n0,\xff\xfe\n")
    refuses("discover", path, says=str(path))
    refuses("discover", tmp_path, says=str(tmp_path))
    refuses("discover", tmp_path / "none.csv", says="none.csv")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ((), "COMMAND"),
        (("discuver", "x"), "discover"),
        (("discover",), "data"),
        (("discover", "x.csv", "--noise", "pink"), ("additive", "proportional", "log")),
        (("discover", "x.csv", "--seed", "-1"), "from 0 to"),
        (("discover", "x.csv", "--seed", "9" * 26), "from 0 to"),
        (("discover", "x.csv", "--time-budget", "0"), "above zero"),
        (("discover", "x.csv", "--time-budget", "soon"), "'soon'"),
        (("discover", "x.csv", "--states", "a,,b"), "separated by commas"),
        (("discover", "x.csv", "--colour", "red"), "--colour"),
        (("simulate", "x.json", "--x0", "1", "--until", "nan"), "finite"),
        (("simulate", "x.json", "--x0", "1", "--until", "1", "--points", "1"), "from 2 to"),
        (("simulate", "x.json", "--x0", "1", "--until", "1", "--points", "4000000000"), "from 2 to"),
        (("simulate", "x.json", "--x0", "1"), "--until"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_wrong_options_are_one_line(refuses, argv, says):
    refuses(*argv, says=says)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--require", "y: x"], "'y' is not a state"),
        (["--require", "x"], "'hare: hare, hare*lynx'"),
        (["--forbid", "x: x,"], "list of texts"),
        (["--signs", "x: x"], "write +x or -x"),
        (["--kinds", "sines"], "'sines'"),
        (["--positive", "y"], "'y' is not among x"),
        (["--conserved", "x*x"], "not a sum of states"),
        (["--max-terms", "0"], "--max-terms"),
    ],
)
def test_discover_refuses_knowledge_that_cannot_be(tmp_path, refuses, options, says):
    path = tmp_path / "data.csv"
    path.write_text(GROWTH)
    refuses("discover", path, "--quiet", *options, says=says)


def test_discover_obeys_what_is_known(tmp_path, run):
    path = tmp_path / "data.csv"
    path.write_text(GROWTH)
    known = ["--require", "x: x**2, x", "--signs", "x: -x", "--positive", "x", "--kinds", "none", "--max-terms", "2"]
    code, out, _ = run("discover", path, "--quiet", *known)
    assert code == 0
    assert re.match(r"d x/dt = -x [+-] \S+\*x\*\*2\n", out), out


def test_discover_refuses_a_folder_that_cannot_be(tmp_path, refuses):
    data = tmp_path / "data.csv"
    data.write_text(GROWTH)
    refuses("discover", data, "--out", data, says=("--out", "choose another"))


# --- discover: what comes out -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def decay(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("decay") / "data.csv"
    path.write_text(GROWTH)
    return path


def test_discover_prints_and_writes_everything(tmp_path, run, decay):
    out = tmp_path / "deep" / "out"
    code, text, err = run("discover", decay, "--time", "t", "--out", out, "--quiet")
    assert (code, err) == (0, "")
    equations = load(out / "equations.json")
    assert equations.same_as(EquationSystem({"x": "-1.0*x"}))
    assert text.startswith(f"{equations}\n")
    assert "noise: " in text
    names = sorted(path.name for path in out.iterdir())
    assert names == ["equations.json", "pareto.png", "report.html", "residuals.png", "trajectories.png"]
    assert all(f"wrote {out / name}" in text for name in names)
    assert "<h1>Equations of x</h1>" in (out / "report.html").read_text(encoding="utf-8")


def test_discover_shows_reactions(tmp_path, run, decay):
    # A -> B -> nothing, solved by hand: b = a0 (exp(-t/2) - exp(-t))/(1 - 1/2) + b0 exp(-t/2)
    lines = ["run,t,A,B"]
    for name, a, b in (("first", 1.0, 0.0), ("second", 0.3, 1.0)):
        for t in (k / 4 for k in range(20)):
            slow, fast = math.exp(-t / 2), math.exp(-t)
            lines.append(f"{name},{t},{a * fast},{2 * a * (slow - fast) + b * slow}")
    (tmp_path / "chain.csv").write_text("\n".join(lines) + "\n")
    code, text, _ = run("discover", tmp_path / "chain.csv", "--time", "t", "--group", "run", "--quiet")
    assert code == 0
    assert (
        "\nas reactions, their rates fitted again and not rounded:\n  A -> B  (k = 1)\n  B -> nothing  (k = 0.5)\n"
        in text
    )
    assert "as reactions" not in run("discover", decay, "--time", "t", "--quiet")[1]


def test_discover_prints_standard_errors_and_takes_a_number_of_threads(tmp_path, run):
    rng = np.random.default_rng(0)
    rows = [f"{t},{2 * math.exp(-0.5 * t) * (1 + 0.02 * rng.standard_normal())}" for t in np.linspace(0, 5, 40)]
    (tmp_path / "decay.csv").write_text("\n".join(["t,y", *rows]) + "\n", encoding="utf-8")
    code, text, _ = run("discover", tmp_path / "decay.csv", "--quiet", "--jobs", "1")
    assert code == 0
    found = re.search(r"with standard errors; what .*:\n  d y/dt  (\S+) \+- (\S+)  in \S+\*y  buys \S+\n", text)
    assert found is not None
    value, error = map(float, found.groups())
    assert abs(value + 0.5) < 4 * error
    assert 0 < error < 0.01


def test_noise_that_differs_between_runs_is_told(tmp_path, run):
    rng, t = np.random.default_rng(0), np.linspace(0, 5, 60)
    rows = [
        f"{name},{time},{2 * math.exp(-0.5 * time) + level * rng.standard_normal()}"
        for name, level in ((1, 0.01), (2, 0.1))
        for time in t
    ]
    path = tmp_path / "decay.csv"
    path.write_text("\n".join(["run,t,y", *rows]) + "\n", encoding="utf-8")
    code, text, _ = run("discover", path, "--time", "t", "--group", "run", "--noise", "additive", "--quiet")
    assert code == 0
    low, high = map(float, re.search(r"in the runs from y ([\d.e-]+) to ([\d.e-]+)", text).groups())  # pyright: ignore[reportOptionalMemberAccess]
    assert low == pytest.approx(0.01, rel=0.4)
    assert high == pytest.approx(0.1, rel=0.4)


def test_discover_writes_all_files_or_none(tmp_path, run, decay):
    (tmp_path / "report.html").mkdir()
    code, _, err = run("discover", decay, "--out", tmp_path, "--quiet")
    assert code == 2
    assert "choose another --out" in err
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_discover_shows_progress_on_standard_error_only(run, decay):
    _, quiet, _ = run("discover", decay, "--quiet")
    code, loud, _ = run("discover", decay)
    assert (code, loud) == (0, quiet)


def _interrupted(argv: list[str], cue: bytes) -> tuple[int, str]:
    """Run a command, press Ctrl-C as soon as its progress line says ``cue``, and give back exit code and output."""
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from neural_arith.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, *argv]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    seen = b""
    while cue not in seen and (byte := process.stderr.read(1)):
        seen += byte
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert b"Traceback" not in err, err.decode()
    return process.returncode, out.decode()


def test_interrupted_discover_writes_what_it_has(tmp_path):
    series = resources.files("neural_arith.systems").joinpath("tables", "lynx_hare.csv")
    code, out = _interrupted(["discover", str(series), "--out", str(tmp_path)], b"candidates,")
    assert code == 130
    assert str(load(tmp_path / "equations.json")) in out
    assert "interrupted" in out
    assert "interrupted" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_interrupted_before_anything_was_found(tmp_path):
    series = resources.files("neural_arith.systems").joinpath("tables", "lynx_hare.csv")
    code, out = _interrupted(["discover", str(series), "--out", str(tmp_path)], b"noise")
    assert code == 130
    assert out == ""
    assert not list(tmp_path.iterdir())


def test_discover_takes_inputs_and_simulate_gives_them(tmp_path, run):
    t = np.linspace(0, 8, 33)
    heat = np.where((t > 2) & (t < 5), 1.0, 0.2)
    x = EquationSystem({"x": "-0.5*x + 2.0*heat"}, inputs=("heat",)).simulate([1.0], t, u=heat)
    rows = "".join(f"{a!r},{b!r},{c!r}\n" for a, b, c in zip(t.tolist(), x[:, 0].tolist(), heat.tolist(), strict=True))
    data = tmp_path / "data.csv"
    data.write_text("t,x,heat\n" + rows)
    out = tmp_path / "out"
    code, _, err = run("discover", data, "--inputs", "heat", "--time-budget", 1, "--quiet", "--out", out)
    assert (code, err) == (0, "")
    found = load(out / "equations.json")
    assert (found.states, found.inputs) == (("x",), ("heat",))
    code, table, _ = run(
        "simulate", out / "equations.json", "--x0", "x=1", "--until", 8, "--points", 33, "--inputs", data
    )
    assert code == 0
    np.testing.assert_allclose(_table(table)[1][:, 1], found.simulate([1.0], t, u=heat)[:, 0], rtol=1e-5)


# --- simulate ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("x0", ["x=1,v=0", " v=0 , x=1", "1,0"])
def test_simulate_meets_the_exact_solution(run, oscillator, x0):
    code, out, err = run("simulate", oscillator, "--x0", x0, "--from", 1, "--until", 3, "--points", 21)
    assert (code, err) == (0, "")
    head, rows = _table(out)
    assert head == ["t", "x", "v"]
    t = np.linspace(1, 3, 21)
    np.testing.assert_allclose(rows[:, 0], t, rtol=1e-15)
    np.testing.assert_allclose(rows[:, 1], np.cos(2 * (t - 1)), atol=1e-6)


def test_simulate_writes_a_file_that_can_be_discovered(tmp_path, run, oscillator):
    out = tmp_path / "future.csv"
    code, text, err = run("simulate", oscillator, "--x0", "1,0", "--until", 2, "--out", out)
    assert (code, text, err) == (0, "", f"wrote {out}\n")
    data = Trajectories.from_csv(out)
    assert (data.names, data.n_points, data.span) == (("x", "v"), 200, (0.0, 2.0))


@pytest.mark.parametrize(
    ("x0", "says"),
    [
        ("1", "expected 2 values, as in x=1,v=1"),
        ("x=1", "no value for v"),
        ("x=1,w=2", "'w' is not a state; the states are x, v"),
        ("x=1,x=2", "'x' is given twice"),
        ("x=1,2", "all values or none"),
        ("x=one,v=0", "'one'"),
        ("inf,0", "finite"),
        ("1,,2", "separated by commas"),
    ],
)
def test_simulate_refuses_wrong_starts(refuses, oscillator, x0, says):
    refuses("simulate", oscillator, "--x0", x0, "--until", 1, says=("--x0", says))


def test_simulate_refuses_what_it_cannot_do(tmp_path, refuses, oscillator):
    refuses("simulate", oscillator, "--x0", "1,0", "--until", -1, says="must be later than --from 0")
    refuses("simulate", tmp_path / "no.json", "--x0", "1", "--until", 1, says="no.json")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    refuses("simulate", broken, "--x0", "1", "--until", 1, says="broken.json")
    content = json.loads(oscillator.read_text())
    broken.write_text(json.dumps(content | {"equations": {"x": "__import__('os')", "v": "x"}}))
    refuses("simulate", broken, "--x0", "1,1", "--until", 1, says="broken.json")
    EquationSystem({"x": "u"}, inputs=("u",)).save(broken)
    refuses("simulate", broken, "--x0", "1", "--until", 1, says=("has inputs u", "--inputs"))
    EquationSystem({"x": "x**2"}).save(broken)
    refuses("simulate", broken, "--x0", "1", "--until", 2, says="integration stopped at t = ")
    nowhere = tmp_path / "none" / "out.csv"
    refuses("simulate", oscillator, "--x0", "1,0", "--until", 1, "--out", nowhere, says="cannot write")


@pytest.fixture
def driven(tmp_path) -> Path:
    path = tmp_path / "driven.json"
    EquationSystem({"x": "u - v"}, inputs=("u", "v")).save(path)
    return path


def test_simulate_takes_inputs_linearly_between_samples(tmp_path, run, driven):
    drive = tmp_path / "drive.csv"
    drive.write_text("hour,v,note,u\n-1,0,a,0\n0,0,b,0\n2,0,c,4\n3,0,d,4\n")
    code, out, err = run("simulate", driven, "--x0", 1, "--until", 3, "--points", 4, "--inputs", drive)
    assert (code, err) == (0, "")
    np.testing.assert_allclose(_table(out)[1], [[0, 1], [1, 2], [2, 5], [3, 9]], rtol=1e-7)


def test_simulate_does_not_step_over_a_short_pulse(tmp_path, run, driven):
    drive = tmp_path / "drive.csv"
    drive.write_text("t,u,v\n0,0,0\n60,0,0\n60.1,100,0\n60.2,0,0\n100,0,0\n")
    _, out, _ = run("simulate", driven, "--x0", 0, "--until", 100, "--points", 3, "--inputs", drive)
    np.testing.assert_allclose(_table(out)[1][:, 1], [0, 0, 10], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("t,u\n0,1\n5,1\n", "'v'"),
        ("t,u,v\n0,1,1\n0.5,1,1\n", ("from 0 to 0.5", "does not cover 0 to 1")),
        ("t,u,v\n0.5,1,1\n5,1,1\n", "does not cover"),
        ("t,u,v\n0,1,1\n1,,1\n2,1,1\n", ("'u'", "line 3")),
        ("t,u,v\n0,1,1\n2,1,1\n1,1,1\n", "must increase"),
        ("t,u,v\n0,1,1\n2,on,1\n", ("line 3", "'u'")),
        ("t,u,v\n", "no rows"),
        ("", "empty"),
    ],
)
def test_simulate_refuses_wrong_inputs(tmp_path, refuses, driven, text, says):
    drive = tmp_path / "drive.csv"
    drive.write_text(text)
    says = (says,) if isinstance(says, str) else says
    refuses("simulate", driven, "--x0", 1, "--until", 1, "--inputs", drive, says=("drive.csv", *says))


def test_simulate_refuses_inputs_that_are_no_file_or_not_wanted(tmp_path, refuses, driven, oscillator):
    refuses("simulate", driven, "--x0", 1, "--until", 1, "--inputs", tmp_path / "none.csv", says="none.csv")
    refuses("simulate", oscillator, "--x0", "1,0", "--until", 1, "--inputs", "drive.csv", says="has no inputs")


def test_time_column_gives_way_to_a_state_of_its_name(tmp_path, run):
    EquationSystem({"t": "1.5"}).save(tmp_path / "e.json")
    _, out, _ = run("simulate", tmp_path / "e.json", "--x0", "t=0", "--until", 2, "--points", 2)
    assert out.splitlines() == ["time,t", "0,0", "2,3"] or _table(out)[1][1, 1] == pytest.approx(3)


# --- systems ----------------------------------------------------------------------------------------


def test_systems_lists_everything_or_one_suite(run):
    code, out, _ = run("systems")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(systems.names())
    _, out, _ = run("systems", "--suite", "real")
    assert [line.split()[0] for line in out.splitlines()] == list(systems.names("real"))


def test_systems_shows_one(run):
    _, out, _ = run("systems", "fractional_sir")
    system = systems.get("fractional_sir")
    assert str(system.equations) in out
    assert system.source in out
    _, out, _ = run("systems", "lynx_hare")
    assert "measured: hare, lynx" in out


@pytest.mark.parametrize("name", ["fractional_sir", "lynx_hare"])
def test_systems_samples_to_a_file(tmp_path, run, name):
    out = tmp_path / "sample.csv"
    code, _, err = run("systems", name, "--sample", out)
    assert (code, err) == (0, f"wrote {out}\n")
    system = systems.get(name)
    truth = system.data() if system.file else system.sample()
    data = Trajectories.from_csv(out)
    assert (data.names, data.time_name) == (truth.names, truth.time_name)
    np.testing.assert_array_equal(data[0].x, truth[0].x)


def test_systems_refuses(refuses, tmp_path):
    refuses("systems", "fractional_sri", says="did you mean fractional_sir")
    refuses("systems", "--suite", "chaos", says="odebench, powerlaw, reactions, real")
    refuses("systems", "lynx_hare", "--suite", "odebench", says="belongs to suite real")
    refuses("systems", "--sample", tmp_path / "x.csv", says="NAME")


# --- the process ------------------------------------------------------------------------------------


def test_help_and_version(capsys):
    for argv, word in (
        (["--help"], "simulate"),
        (["discover", "--help"], "--time-budget"),
        (["--version"], "0."),
    ):
        with pytest.raises(SystemExit) as stop:
            main(argv)
        assert stop.value.code == 0
        assert word in capsys.readouterr().out


@pytest.mark.parametrize("module", ["neural_arith", "neural_arith.cli"])
def test_the_module_runs_as_the_command(module):
    done = subprocess.run([sys.executable, "-m", module, "discuver"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("neural-arith: error: ")


def test_a_reader_that_has_seen_enough_is_told_by_the_exit_code_only():
    command = [
        sys.executable,
        "-c",
        "import sys; from neural_arith.cli import main; sys.exit(main(['systems']))",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate()
    assert (process.returncode, err) == (3, b"")
