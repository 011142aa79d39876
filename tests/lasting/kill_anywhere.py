"""Kill, cut off and starve the command line at random moments, and see that nothing is lost or half-written.

    python tests/lasting/kill_anywhere.py --times 50

Each moment takes one kind of harm in turn. ``kill``: SIGKILL while a search goes on that keeps a checkpoint; the folder
of results must hold the earlier result or the new one, whole, and the same command must then give the answer of a
search that nobody disturbed. ``interrupt``: the same with Ctrl-C, which must leave no traceback. ``pipe``: the
reader of standard output goes away; the files must be there. ``full``: no file can grow beyond a random size, as on a
disk that runs full; the earlier result must stand or the new one. ``two``: two processes add rows to one file
and one of them is killed; the file must be whole with all rows of the other.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

FILES = ["equations.json", "pareto.png", "report.html", "residuals.png", "trajectories.png"]
NOTHING, EARLIER, NEW = "nothing", "the earlier result", "the new result"

LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from neural_arith.__main__ import main
sys.exit(main())
"""
ROWS = """
import sys
from pathlib import Path
from neural_arith_bench.store import Store
store = Store(Path(sys.argv[1]), ("who", "k"), dict)
print("ready", flush=True)
for k in range(int(sys.argv[3])):
    store.add([{"who": sys.argv[2], "k": k}], "rows")
    print(k, flush=True)
"""


class Bench:
    """A folder with data, an earlier result, the new one, and how long it takes to find."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.data, self.out, self.kept = folder / "data.csv", folder / "out", folder / "kept"
        self.data.write_text("t,x\n" + "".join(f"{k / 4},{3 * math.exp(-k / 4)}\n" for k in range(20)))
        earlier = folder / "earlier.csv"
        earlier.write_text("t,x\n" + "".join(f"{k / 4},{math.exp(-k / 8)}\n" for k in range(20)))
        self.results: dict[str, dict[str, bytes]] = {}
        for name, data in ((EARLIER, earlier), (NEW, self.data)):
            begun = time.monotonic()
            done = subprocess.run(self.command(data, folder / name), capture_output=True, check=True)
            self.seconds = time.monotonic() - begun
            self.results[name] = self.content(folder / name)
            self.told = done.stdout.replace(os.fsencode(folder / name), b"OUT")

    def command(self, data: Path, out: Path, *more: str, start: tuple[str, ...] = ("-m", "neural_arith")) -> list[str]:
        options = ["--kinds", "none", "--max-terms", "2", "--quiet", "--jobs", "1"]
        return [sys.executable, *start, "discover", str(data), *options, "--out", str(out), *more]

    def content(self, folder: Path) -> dict[str, bytes]:
        """Equations whole, and of the other files that they are there; their bytes hold options and times."""
        found = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}
        return {name: text if name == "equations.json" else text[-8:] for name, text in found.items()}

    def reset(self, earlier: bool) -> None:
        for place in (self.out, self.kept):
            shutil.rmtree(place, ignore_errors=True)
        if earlier:
            shutil.copytree(self.folder / EARLIER, self.out)

    def stands(self) -> str:
        """Which result stands in the folder.

        Raises:
            SystemExit: half a one, or a mixture.
        """
        found = self.content(self.out) if self.out.exists() else {}
        if not found:
            return NOTHING
        for name, content in self.results.items():
            # where no earlier result stood, the equations go into place before the report
            if found == content or found == {"equations.json": content["equations.json"]}:
                return name
        raise SystemExit(f"half a result: {sorted(found)}: {found.get('equations.json')!r}")

    def goes_on(self) -> None:
        """The same command as before finds what a search finds that nobody disturbed, and clears away what is left."""
        done = subprocess.run(
            self.command(self.data, self.out, "--checkpoint", str(self.kept)), capture_output=True, check=False
        )
        told = done.stdout.replace(os.fsencode(self.out), b"OUT")
        if (done.returncode, told, self.stands()) != (0, self.told, NEW):
            raise SystemExit(f"another answer after going on: {done.returncode} {told!r} {done.stderr!r}")
        if sorted(os.listdir(self.out)) != FILES:
            raise SystemExit(f"something is left: {os.listdir(self.out)}")


def stop(bench: Bench, number: signal.Signals, earlier: bool) -> str:
    """End a search at a random moment and go on."""
    bench.reset(earlier)
    moment = bench.random.uniform(0.02, 1.1) * bench.seconds
    command = bench.command(bench.data, bench.out, "--checkpoint", str(bench.kept))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            _, said = process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            _, said = process.communicate()
    if b"Traceback" in said or process.returncode not in (0, 130, -number):
        raise SystemExit(f"ended with {process.returncode} {moment:.2f} s after its start: {said.decode()}")
    stood = bench.stands()
    bench.goes_on()
    return f"after {moment:.1f} s, code {process.returncode}, {stood} stood"


def kill(bench: Bench, earlier: bool) -> str:
    return stop(bench, signal.SIGKILL, earlier)


def interrupt(bench: Bench, earlier: bool) -> str:
    return stop(bench, signal.SIGINT, earlier)


def pipe(bench: Bench, earlier: bool) -> str:
    bench.reset(earlier)
    command = bench.command(bench.data, bench.out)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        if process.stdout is None or process.stderr is None:
            raise SystemExit("no pipe")
        process.stdout.close()
        said = process.stderr.read()
        code = process.wait()
    if (code, said, bench.stands()) != (3, b"", NEW):
        raise SystemExit(f"without a reader: {code} {said!r} {bench.stands()}")
    return "code 3, the new result stood"


def full(bench: Bench, earlier: bool) -> str:
    bench.reset(earlier)
    limit = int(10 ** bench.random.uniform(1, 5.3))
    more = () if bench.random.random() < 0.5 else ("--checkpoint", str(bench.kept))
    start = ("-B", "-c", LIMITED, str(limit))
    done = subprocess.run(bench.command(bench.data, bench.out, *more, start=start), capture_output=True, check=False)
    stood = bench.stands() if done.returncode == 0 else NOTHING
    if done.returncode not in (0, 2) or b"Traceback" in done.stderr:
        raise SystemExit(f"with files of at most {limit} bytes: {done.returncode} {done.stderr.decode()}")
    if done.returncode == 2:  # the equations may be new beside an older report; the error says so
        found = bench.content(bench.out)
        known = [content["equations.json"] for content in bench.results.values()]
        if found and found["equations.json"] not in known:
            raise SystemExit(f"half a file with at most {limit} bytes: {found}")
    bench.goes_on()
    return f"files of at most {limit} bytes, code {done.returncode}, {stood} stood"


def two(bench: Bench, earlier: bool) -> str:
    place, rows = bench.folder / "rows.json", 12
    place.unlink(missing_ok=True)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", ROWS, place, who, str(rows)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for who in "ab"
    ]
    last = bench.random.randrange(rows)
    seen = b""
    for line in both[0].stdout or ():
        seen = line.strip()
        if seen == str(last).encode():
            break
    both[0].kill()
    for process in both:
        process.communicate()
    found = [(row["who"], row["k"]) for row in json.loads(place.read_text())["rows"]]
    wanted = [("a", k) for k in range(last + 1)] + [("b", k) for k in range(rows)]
    if not set(wanted) <= set(found):
        raise SystemExit(f"rows are lost: {set(wanted) - set(found)}")
    return f"killed after row {last}, {len(found)} rows stood"


HARMS: tuple[Callable[[Bench, bool], str], ...] = (kill, interrupt, two, full, pipe)


def run(times: int, seed: int) -> None:
    """Do harm so often.

    Raises:
        SystemExit: something was lost.
    """
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), seed)
        print(f"undisturbed, a search takes {bench.seconds:.1f} s", flush=True)
        for k in range(times):
            harm, earlier = HARMS[k % len(HARMS)], bench.random.random() < 0.5
            said = harm(bench, earlier)
            before = "" if harm is two else " over an earlier result" if earlier else " in an empty folder"
            print(f"{k + 1}. {harm.__name__}{before}: {said}", flush=True)
    print(f"{times} moments, nothing lost")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    run(arguments.times, arguments.seed)


if __name__ == "__main__":
    main()
