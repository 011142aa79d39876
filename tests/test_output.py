"""What is printed may be lost; what is written is not, and the exit code tells the two apart."""

from __future__ import annotations

import html
import io
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_made import discovery
from matplotlib.figure import Figure

from neural_arith import plotting
from neural_arith.cli import main
from neural_arith.data import Run, Trajectories
from neural_arith.equations import EquationSystem, load
from neural_arith.process import Stream
from neural_arith.report import draw_pictures, save_picture, write_report

QUICK = ("--kinds", "none", "--max-terms", "1", "--quiet")
ALL_FILES = ["equations.json", "pareto.png", "report.html", "residuals.png", "trajectories.png"]


@pytest.fixture(scope="module")
def decay(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("decay")
    text = "t,größe\n" + "".join(f"{k / 4},{math.exp(-k / 4)}\n" for k in range(20))
    (folder / "data.csv").write_text(text, encoding="utf-8")
    return folder


def discover(decay: Path, out: Path) -> int:
    kept = ["--checkpoint", str(decay / "kept"), "--out", str(out)]
    return main(["discover", str(decay / "data.csv"), *QUICK, *kept])


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture(params=["closed", "closed late", "full", "no reader", "ascii", "latin-1"])
def broken(request) -> Iterator[Any]:
    """A standard output that cannot print, or not everything."""
    if request.param == "closed":
        yield None
    elif request.param == "closed late":
        stream = io.StringIO()
        stream.close()
        yield stream
    elif request.param == "full":
        stream = io.StringIO() if not Path("/dev/full").exists() else open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115
        yield stream
        stream.close()
    elif request.param == "no reader":
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w", encoding="utf-8") as stream:
            yield stream
    else:
        yield io.TextIOWrapper(io.BytesIO(), encoding=request.param)


@pytest.mark.skipif(os.name != "posix", reason="needs /dev/full")
def test_a_terminal_that_cannot_print_costs_only_the_print(tmp_path, monkeypatch, decay, broken):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", broken)
        code = discover(decay, tmp_path)
    latin = getattr(broken, "encoding", None) == "latin-1"
    assert code == (0 if latin else 3)
    assert names(tmp_path) == ALL_FILES
    assert load(tmp_path / "equations.json").states == ("größe",)
    if isinstance(broken, io.TextIOWrapper) and isinstance(broken.buffer, io.BytesIO):
        said = broken.buffer.getvalue().decode(broken.encoding)
        assert ("d größe/dt" if latin else r"d gr\xf6\xdfe/dt") in said


@pytest.mark.skipif(os.name != "posix", reason="needs /dev/full")
def test_standard_error_that_cannot_be_written_costs_only_itself(tmp_path, monkeypatch, capsys, decay):
    with open("/dev/full", "w", encoding="utf-8") as full:
        for stream in (None, full):
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stderr", stream)
                assert main(["discover", "nothing.csv"]) == 2
                if stream is not None:  # with progress
                    assert main(["discover", str(decay / "data.csv"), *QUICK[:-1], "--out", str(tmp_path)]) == 0
    assert "d größe/dt = -größe" in capsys.readouterr().out


def test_a_name_that_is_no_mathematics_can_be_searched_and_drawn(tmp_path, capsys):
    rows = "".join(f"{k / 4},{math.exp(-k / 4)}\n" for k in range(20))
    (tmp_path / "data.csv").write_text("$t,$\\badcmd$\n" + rows, encoding="utf-8")
    assert main(["discover", str(tmp_path / "data.csv"), *QUICK, "--out", str(tmp_path / "out")]) == 0
    assert names(tmp_path / "out") == ALL_FILES
    assert load(tmp_path / "out" / "equations.json").states == (r"$\badcmd$",)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["$x$", "a$b$$", r"\$x$", "_y", "日本", r"\frac{<b>"])
def test_any_name_can_be_drawn(tmp_path, name):
    data = Trajectories(
        (Run(np.arange(5.0), np.arange(10.0).reshape(5, 2) + 1),), names=(name, "other"), time_name="$t"
    )
    found = discovery(data, EquationSystem({name: "1.0", "other": f"`{name}`"}))
    write_report(tmp_path / "report.html", found)
    assert name in html.unescape((tmp_path / "report.html").read_text(encoding="utf-8"))
    save_picture(draw_pictures(found)["phase"], tmp_path / "phase.png")
    figure = Figure()
    ax = plotting.trajectories(data, ax=figure.subplots())
    save_picture(figure, io.StringIO(), format="svg")
    legend = ax.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 2


def test_what_was_found_is_told_though_it_cannot_be_written(tmp_path, decay):
    program = (
        "import resource, signal, sys; from neural_arith.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-B", "-c", program, "discover", decay / "data.csv", *QUICK, "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 2
    assert done.stdout.startswith("d größe/dt = -größe\n")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "the report and the pictures are not written" in done.stderr
    assert names(tmp_path) == ["equations.json"]  # which is small


def test_a_table_is_not_printed_with_other_names(tmp_path, monkeypatch, capsys):
    EquationSystem({"größe": "1.0"}).save(tmp_path / "e.json")
    command = ["simulate", str(tmp_path / "e.json"), "--x0", "1", "--until", "2", "--points", "2"]
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        assert main(command) == 3
    assert out.buffer.getvalue() == b""  # pyright: ignore[reportAttributeAccessIssue]
    assert "name a file with --out" in capsys.readouterr().err
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("t,größe\n0,1\n")


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("systems >&-", 3, "neural-arith: standard output: it is closed\n"),
        ("--help >/dev/full", 3, "neural-arith: standard output: No space left on device\n"),
        ("--version >&-", 3, "neural-arith: standard output: it is closed\n"),
        ("--version 2>&- >/dev/full", 3, ""),
        ("--version 2>&- >/dev/null", 0, ""),
        ("nonsense 2>/dev/full", 2, ""),
    ],
)
def test_streams_of_a_real_process(command, code, says):
    done = subprocess.run(
        f"'{sys.executable}' -m neural_arith {command}", shell=True, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", says)


def test_files_never_take_the_place_of_closed_streams(tmp_path):
    done = subprocess.run(
        f"'{sys.executable}' -m neural_arith systems lynx_hare --sample '{tmp_path}/s.csv' >&- 2>&- <&-",
        shell=True,
        check=False,
    )
    assert done.returncode == 3
    assert (tmp_path / "s.csv").read_text().startswith("year,hare,lynx\n")


def test_a_stream_remembers_the_first_trouble_and_goes_on():
    stream = Stream(io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert stream.write("plain") == 5
    assert stream.trouble == ""
    stream.write("ü")
    assert "ascii lacks" in stream.trouble
    assert not stream.isatty()
