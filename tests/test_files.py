"""Files appear whole or not at all, leftovers of killed processes go, and two processes lose nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from neural_arith.errors import DataError
from neural_arith.files import locked, whole_file, whole_folder, write_bytes, write_text

ON_POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_what_fails_on_the_way_leaves_the_older_file(tmp_path, error):
    write_text(tmp_path / "page.html", "old")
    with pytest.raises(error), whole_file(tmp_path / "page.html") as draft:  # noqa: PT012
        draft.write_text("half")
        raise error
    assert names(tmp_path) == ["page.html"]
    assert (tmp_path / "page.html").read_text() == "old"


def test_files_of_a_folder_change_together(tmp_path):
    write_text(tmp_path / "a", "old")
    write_text(tmp_path / "kept", "kept")
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path) as drafts:  # noqa: PT012
        (drafts / "a").write_text("new")
        raise ZeroDivisionError
    assert (tmp_path / "a").read_text() == "old"
    with whole_folder(tmp_path) as drafts:
        (drafts / "a").write_text("new")
        (drafts / "b").write_text("new")
    assert {name: (tmp_path / name).read_text() for name in names(tmp_path)} == {"a": "new", "b": "new", "kept": "kept"}


@ON_POSIX
def test_links_rights_and_devices_stay_what_they_are(tmp_path):
    write_text(tmp_path / "file", "old")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        write_text(tmp_path / "pipe", "through")
        assert reader.communicate()[0] == "through"
    write_bytes("/dev/null", b"nothing")
    assert Path("/dev/null").is_char_device()
    assert names(tmp_path) == ["file", "link", "pipe"]


@pytest.mark.parametrize("name", ["none/file", "folder", "", "n" * 300])
def test_what_cannot_be_written_is_one_line(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"^cannot (write|open) .*(choose another place|name it)$"):
        write_text(tmp_path / name if name else "", "text")


@ON_POSIX
def test_a_full_disk_is_one_line_and_keeps_the_older_file(tmp_path):
    program = (
        "import resource, signal, sys; from neural_arith.files import write_text; "
        "from neural_arith.errors import DataError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "write_text(sys.argv[1], 'old')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_text(sys.argv[1], 'x' * 5000)\n"
        "except DataError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "f"], capture_output=True, text=True, check=True)
    assert done.stdout == f"cannot write {tmp_path / 'f'}: File too large; choose another place\n"
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_text() == "old"


@ON_POSIX
def test_leftovers_of_killed_processes_go_and_those_of_living_ones_stay(tmp_path):
    program = (
        "import sys, time; from neural_arith.files import whole_file, whole_folder\n"
        "with whole_file(sys.argv[1] + '/a') as draft, whole_folder(sys.argv[1]) as drafts:\n"
        "    (drafts / 'b').touch(); print('here', flush=True); time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        write_text(tmp_path / "mine", "text")
        assert len(names(tmp_path)) == 3
        process.send_signal(signal.SIGKILL)
    old = tmp_path / ".unfinished-long-ago"
    old.mkdir()
    os.utime(old, (0, 0))
    (tmp_path / ".unfinished-yesterday").touch()
    write_text(tmp_path / "mine", "text")
    assert names(tmp_path) == [".unfinished-yesterday", "mine"]


COUNT = """
import sys
from pathlib import Path
from neural_arith_bench.store import Store
store = Store(Path(sys.argv[1]), ("who", "k"), dict, summarise=lambda rows: {"n": len(rows)})
for k in range(15):
    store.add([{"who": sys.argv[2], "k": k}], "count")
"""


def test_processes_that_add_rows_to_one_file_lose_none(tmp_path):
    place = tmp_path / "rows.json"
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, place, who], stderr=subprocess.PIPE) for who in "abc"]
    assert [process.communicate() and process.returncode for process in processes] == [0, 0, 0]
    content = json.loads(place.read_text())
    assert [(row["who"], row["k"]) for row in content["rows"]] == [(who, k) for who in "abc" for k in range(15)]
    assert content["summary"] == {"n": 45}
    assert names(tmp_path) == ["rows.json"]


def test_a_lock_leaves_nothing(tmp_path):
    with locked(tmp_path / "rows"):
        assert names(tmp_path) == [".rows.lock"]
    assert names(tmp_path) == []
