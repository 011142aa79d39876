"""Some 700 hostile names, flags and files: each is read as it stands, or refused with one line of our own."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from neural_arith.cli import main
from neural_arith.equations import EquationSystem, load
from neural_arith.errors import EquationError, NeuralArithError

ODD = [
    *(
        "",
        " ",
        "-",
        "--",
        "=",
        ",",
        ",,",
        "a,,b",
        ":",
        "''",
        '"',
        "\\",
        "/",
        "..",
        "~",
        "*",
        "%",
        "%s",
        "%(prog)s",
        "{}",
        "{0}",
        "\t",
    ),
    *(
        "nan",
        "inf",
        "-inf",
        "1e999",
        "-1",
        "0",
        "1e-400",
        "0x10",
        "1_000",
        "١٢",
        "½",
        "²",
        "1,5",
        "1.2.3",
        "9" * 400,
        "+-1",
        "None",
    ),
    *(
        "größe",
        "日本",
        "\u202e",
        "\x1b[31m",
        "\ud800",
        "a\nb",
        "a b",
        "`x`",
        "$x$",
        "<script>",
        "__class__",
        "lambda",
        "x" * 5000,
    ),
]
"""What people, shells and other programs put where something else was expected."""

FLAGS = {
    "discover": {
        "--time-budget": "seconds", "--seed": "whole", "--jobs": "whole", "--max-terms": "whole",
        "--max-numbers": "whole",
        "--noise": "choice", "--kinds": "kinds", "--require": "terms", "--signs": "terms", "--forbid": "terms",
    },
    "simulate": {"--until": "number", "--from": "number", "--points": "whole", "--x0": "start"},
    "systems": {"--suite": "choice"},
    "bench odebench": {"--seeds": "whole", "--noise": "number", "--drop": "number", "--method": "choice"},
    "bench static": {"--seeds": "whole", "--budget": "whole", "--model": "choice", "--range": "choice"},
    "bench fractional-sir": {"--protocol": "choice", "--jobs": "whole", "--budget": "whole"},
}  # fmt: skip


@pytest.fixture
def told(capsys):
    """Run the command line; give the code and what it said, having seen that a refusal is one line of ours."""

    def call(*argv: str) -> tuple[int, str]:
        code = main(list(argv))
        out, err = capsys.readouterr()
        assert code in (0, 2, 3), argv
        assert "Traceback" not in err, argv
        if code == 2:
            assert err.startswith("neural-arith: error: "), argv
            assert err.count("\n") == 1, argv
            assert err.rstrip("\n").isprintable(), argv
        return code, out

    return call


def _sane(kind: str, value: str) -> bool:
    """Whether a value may well be meant."""
    if kind in ("number", "seconds", "whole", "start"):
        try:
            number = float(value)
        except ValueError:
            return value in ("1,5", "١٢")
        return math.isfinite(number)
    return False


@pytest.mark.parametrize("command", FLAGS)
def test_flags_with_odd_values_are_refused(tmp_path, told, command):
    for flag, kind in FLAGS[command].items():
        for value in ODD:
            if _sane(kind, value):
                continue
            needed = {
                "discover": ["nothing.csv"],
                "simulate": ["nothing.json", "--x0=1", "--until=1"],
                "systems": [],
            }.get(command, [])
            code, out = told(*command.split(), *needed, f"{flag}={value}")
            assert (code, out) == (2, ""), (flag, value)


def test_names_of_files_that_are_none_are_refused(tmp_path, told, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in ODD:
        if value in ("..", "/") or value.startswith("-"):
            continue
        assert told("discover", "--", value) == (2, "")
        assert told("simulate", "--x0=1", "--until=1", "--", value) == (2, "")
        assert told("systems", "--", f"{value}?") == (2, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["{}", "x={}", "v=0,x={}"])
def test_starts_are_read_as_they_stand_or_refused(tmp_path, told, form):
    names = ["x", "v"] if "v" in form else ["x"]
    path = tmp_path / "e.json"
    EquationSystem(dict.fromkeys(names, "0.0")).save(path)
    for value in [*ODD, "-1", "-1e3", "-.5", "+2", "1e3", " 3 "]:
        text = form.format(value)
        code, out = told("simulate", str(path), "--x0", text, "--until", "1", "--points", "2") if value else (2, "")
        if code == 0:
            head, row, _ = csv.reader(io.StringIO(out))
            first = dict(zip(head, row, strict=True))
            assert float(first["x"]) == float(value), text
        else:
            assert out == ""


def test_any_name_comes_back_from_a_file_or_is_refused(tmp_path, told):
    path = tmp_path / "e.json"
    refused = []
    for name in [
        *ODD,
        "t",
        "time",
        "exp",
        "pi",
        "E",
        "I",
        "S",
        "None",
        "if",
        "_0",
        "x" * 200,
        "ﬁ",
        "e\u0301",
        "é",
        "K",
        "µ",
        "μ",
    ]:
        try:
            EquationSystem({name: f"-0.5*`{name}`", "other": f"`{name}`**2"}).save(path)
        except EquationError:
            refused.append(name)
            continue
        found = load(path)
        assert found.states == (name, "other")
        np.testing.assert_allclose(found.to_numpy()(0.0, np.array([2.0, 1.0])), [-1.0, 4.0])
        compile(found.to_code("numpy"), "rhs", "exec")
        code, out = told("simulate", str(path), f"--x0={name}=2,other=0", "--until", "1e-9", "--points", "2")
        if code == 0:
            assert out.splitlines()[1] == "0,2,0"
        else:  # a comma, an equals sign or a quote in a name; in order always works
            assert any(c in name for c in ',="'), name
            assert told("simulate", str(path), "--x0", "2,0", "--until", "1e-9", "--points", "2")[0] == 0
    assert set(refused) == {"", " ", "\t", "\u202e", "\x1b[31m", "\ud800", "a\nb", "`x`"}


# --- formulas: what Python reads otherwise is a misreading ----------------------------------------------

PIECES = [
    *(
        "x",
        "y",
        "2",
        "3.5",
        "1e-3",
        ".5",
        "7.",
        "(",
        ")",
        "+",
        "-",
        "*",
        "/",
        "**",
        "**",
        "exp(",
        "sin(",
        "sqrt(",
        "log(",
        "Abs(",
        " ",
    ),
    *("0", "1", "-1", "(x)", "(y)", "(x+y)", "pi", "1/3", "2/3", "--", "*-", "**-"),
]
ODD_PIECES = [
    "^",
    "=",
    ":",
    ",",
    ".",
    "_",
    "e5",
    "x2",
    "2x",
    "0x1",
    "1_0",
    "//",
    "%",
    "@",
    "if",
    "j",
    "1j",
    "'",
    "`",
    "\n",
    "#",
    "é",
    "·",
    "²",
    "!",
    ";",
]
SPACE = {name: getattr(math, name) for name in ("exp", "sin", "sqrt", "log", "pi")} | {"Abs": abs, "x": 1.25, "y": 0.75}


def formulas(seed: int, odd: float) -> Iterator[str]:
    chance = random.Random(seed)
    while True:
        yield "".join(
            chance.choice(ODD_PIECES if chance.random() < odd else PIECES) for _ in range(chance.randint(1, 9))
        )


def python_reads(text: str) -> float | None:
    """The value by Python's own rules; None where it has none, or one that we refuse on purpose."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            value = eval(text.strip(), {"__builtins__": {}}, SPACE)
        return float(value) if math.isfinite(value) else None
    except Exception:
        return None


@pytest.mark.parametrize(("seed", "odd"), [(0, 0.0), (1, 0.2)])
def test_formulas_mean_what_they_mean_elsewhere_or_are_refused(tmp_path, seed, odd):
    path = tmp_path / "e.json"
    content = {"format": "neural_arith equations", "version": 1, "states": ["x", "y"], "inputs": []}
    read = 0
    for _, text in zip(range(200), formulas(seed, odd), strict=False):
        path.write_text(json.dumps(content | {"equations": {"x": text, "y": "1.0"}}))
        try:
            with np.errstate(all="ignore"):
                value = load(path).to_numpy()(0.0, np.array([1.25, 0.75]))[0]
        except EquationError:
            continue
        wanted = python_reads(text)
        if wanted is not None:
            read += 1
            assert value == pytest.approx(wanted, rel=1e-9, abs=1e-12), text
        else:
            assert not np.isfinite(value) or not any(piece in text for piece in "^=:,_%@'#!;"), text
    assert read > 10


def test_damaged_files_are_refused_or_whole(tmp_path, told):
    chance = random.Random(2)
    whole = tmp_path / "whole.json"
    EquationSystem({"x": "-0.5*x + 1.25", "y": "x - 0.75*y"}).save(whole)
    content = whole.read_bytes()
    path = tmp_path / "e.json"
    for _ in range(60):
        damaged = bytearray(content)
        kind = chance.randrange(4)
        at = chance.randrange(len(content))
        if kind == 0:
            damaged = damaged[:at]
        elif kind == 1:
            damaged[at] = chance.randrange(256)
        elif kind == 2:
            del damaged[at : at + chance.randint(1, 5)]
        else:
            damaged[at:at] = chance.choice([b"\x00", b"[", b"}", b",", b'"', b"\xff", b"null", b"1e999"])
        path.write_bytes(bytes(damaged))
        told("simulate", str(path), "--x0", "1,1", "--until", "1", "--points", "2")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"null",
        b"[]",
        b"{}",
        b"NaN",
        b'"text"',
        b"{" * 5000,
        b"1" * 5000,
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
    ],
)
def test_what_is_no_file_of_equations_is_refused(tmp_path, content):
    path: Path = tmp_path / "e.json"
    path.write_bytes(content)
    with pytest.raises(NeuralArithError, match=r"e\.json"):
        load(path)
