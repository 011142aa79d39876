"""The house's order, read off the sources: who imports whom, what each room may lean on, and what it shows.

Nothing is imported to check the order: the sources are parsed, so a wrong import
inside a function counts as well.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "neural_arith"

# Lower floors first. A room may import rooms of lower floors and itself, nothing else.
FLOORS = (
    ("errors", "arguments", "clock"),
    ("layers", "data", "files", "process", "parallel"),
    ("terms", "testing"),
    ("solve",),
    ("equations",),
    ("fit",),
    ("discovery", "ode"),
    ("regressor", "plotting", "systems"),
    ("report",),
    ("cli",),
    ("__main__",),
)
# Within the discovery route, in the order in which data pass; the deepest file stands on few others.
INSIDE_DISCOVERY = (
    ("measurements", "effort"),
    ("options", "likelihood"),
    ("proposals",),
    ("search",),
    ("verdict",),
    ("loading",),
    ("engine",),
)
FLOORS_OF_DISCOVERY = 8

FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# Rooms that lean on few outside packages by design; the standard library is always allowed.
ONLY = {"errors": {"numpy"}, "layers": {"torch", "sympy"}, "data": {"numpy"}, "files": {"filelock"}, "process": set()}

# Optional or slow to load: imported where they are used, never when a module is loaded.
ON_USE = {"matplotlib", "pandas", "openpyxl", "pysindy", "pyoperon"}


@dataclass(frozen=True)
class Import:
    """One import statement: who imports what, where, and when: at load, on use, or never (for types only)."""

    module: str
    target: str
    line: int
    when: str


def _sources() -> dict[str, Path]:
    """Dotted module name -> file, for every source of the package."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _walk(node: ast.AST, when: str = "load"):
    """Yield every import with the time at which it is executed."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield node, when
    elif isinstance(node, ast.If) and _is_type_checking(node.test):
        for child in node.body:
            yield from _walk(child, "never")
        for child in node.orelse:
            yield from _walk(child, when)
    else:
        function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            yield from _walk(child, "use" if function and when == "load" else when)


def _targets(node: ast.Import | ast.ImportFrom, module: str, is_package: bool, known: set[str]) -> list[str]:
    """Dotted names of the modules one statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        parts = module.split(".")
        parts = parts[: len(parts) - node.level + (1 if is_package else 0)]
        base = ".".join([*parts, base] if base else parts)
    # `from package import module` imports the module; `from module import name` imports only the module.
    return [f"{base}.{a.name}" if f"{base}.{a.name}" in known else base for a in node.names]


def read_imports() -> list[Import]:
    """Every import statement of the package."""
    sources = _sources()
    known = set(sources)
    found = []
    for module, path in sources.items():
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        for node, when in _walk(tree):
            for target in _targets(node, module, path.name == "__init__.py", known):
                found.append(Import(module, target, node.lineno, when))
    return found


def room(module: str) -> str:
    """The room of a module: ``neural_arith.layers.power`` -> ``layers``; the package itself has none."""
    return module.split(".")[1] if "." in module else ""


IMPORTS = read_imports()
INSIDE = [i for i in IMPORTS if i.target.split(".")[0] == PACKAGE]
OUTSIDE = [i for i in IMPORTS if i.target.split(".")[0] not in {PACKAGE, "__future__"}]


def _where(item: Import) -> str:
    path = _sources()[item.module].relative_to(ROOT)
    return f"{path}:{item.line}"


def test_every_room_has_a_floor():
    rooms = {room(module) for module in _sources()} - {""}
    unplaced = rooms - set(FLOOR)
    assert not unplaced, f"no floor is given for {sorted(unplaced)}: say in FLOORS what they may import"


def test_imports_point_downward():
    wrong = []
    for item in INSIDE:
        here, there = room(item.module), room(item.target)
        if here in ("", there):  # the front door may show everything; a room may use itself
            continue
        if there == "":
            wrong.append(f"{_where(item)}: imports the package's front door; import the room that defines the name")
        elif FLOOR[there] >= FLOOR[here]:
            allowed = [r for r in FLOOR if FLOOR[r] < FLOOR[here]]
            wrong.append(f"{_where(item)}: '{here}' imports '{there}'; it may import only {', '.join(allowed)}")
    assert not wrong, "imports must point downward:\n" + "\n".join(wrong)


def _discovery() -> dict[str, set[str]]:
    """Each file of the discovery route, with those of it that it imports at any time."""
    home = f"{PACKAGE}.discovery."
    graph: dict[str, set[str]] = {m.removeprefix(home): set() for m in _sources() if m.startswith(home)}
    for item in INSIDE:
        if item.when != "never" and item.module.startswith(home) and item.target.startswith(home):
            graph[item.module.removeprefix(home)].add(item.target.removeprefix(home))
    return graph


def test_discovery_goes_one_way():
    floor = {name: k for k, names in enumerate(INSIDE_DISCOVERY) for name in names}
    wrong = [
        f"{here} imports {there}"
        for here, targets in _discovery().items()
        for there in targets
        if (a := here.split(".")[0]) != (b := there.split(".")[0]) and floor[b] >= floor[a]
    ]
    assert not wrong, "data pass from measurements to verdict, imports the other way:\n" + "\n".join(wrong)


def test_discovery_has_few_floors():
    graph = _discovery()

    def depth(module: str) -> int:
        return 1 + max((depth(target) for target in graph[module] if target != module), default=0)

    assert max(map(depth, graph)) <= FLOORS_OF_DISCOVERY


def test_ground_floor_leans_on_little():
    wrong = []
    for item in OUTSIDE:
        here, there = room(item.module), item.target.split(".")[0]
        allowed = ONLY.get(here, set()) | sys.stdlib_module_names | (set() if item.when == "load" else ON_USE)
        if here in ONLY and item.when != "never" and there not in allowed:
            wrong.append(f"{_where(item)}: '{here}' imports {there}; it may use only {sorted(ONLY[here])}")
    assert not wrong, "\n".join(wrong)


def test_optional_packages_are_imported_on_use():
    wrong = [
        f"{_where(item)}: {item.target} is imported when the module is loaded; move it into the function"
        for item in OUTSIDE
        if item.when == "load" and item.target.split(".")[0] in ON_USE
    ]
    assert not wrong, "\n".join(wrong)


def test_no_import_cycles():
    """Nor inside functions: what is imported on use is leaned on all the same. Imports for types alone do not count."""
    graph: dict[str, set[str]] = {module: set() for module in _sources()}
    for item in INSIDE:
        if item.when != "never" and item.target in graph and item.target != item.module:
            graph[item.module].add(item.target)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            loop = " -> ".join([*path[path.index(module) :], module])
            pytest.fail(f"modules import each other in a circle: {loop}")
        if module not in done:
            for target in sorted(graph[module]):
                visit(target, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def _declares_all(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(
        isinstance(target, ast.Name) and target.id == "__all__"
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
    )


@pytest.mark.parametrize("name", [name for name, path in _sources().items() if _declares_all(path)])
def test_public_names_exist_and_explain_themselves(name):
    module = importlib.import_module(name)
    names = list(module.__all__)
    assert len(names) == len(set(names)), f"{name}.__all__ lists a name twice"
    missing = [n for n in names if not hasattr(module, n)]
    assert not missing, f"{name}.__all__ promises {missing}, which {name} does not have"
    silent = [
        n
        for n in names
        if (inspect.isclass(obj := getattr(module, n)) or inspect.isroutine(obj) or inspect.ismodule(obj))
        and not (obj.__doc__ or "").strip()
    ]
    assert not silent, f"{name}: no docstring on {silent}"


_OF_OTHERS = {"_repr_html_", "_repr_latex_", "_exit"}  # Jupyter's names for what it shows, and that of `os`


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_tests_touch_nothing_private(path):
    wrong = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.attr] if isinstance(node, ast.Attribute) else []
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            names = []
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        private = {name for name in names if name.startswith("_") and not name.startswith("__")} - _OF_OTHERS
        wrong += [f"line {getattr(node, 'lineno', 0)}: {name}" for name in sorted(private)]
    assert not wrong, f"test what users see; these are inner names: {', '.join(wrong)}"


def test_files_of_the_map_exist():
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Where is ...?")[1].split("\n## ")[0]
    files = re.findall(r"\| `([\w/]+\.py)`", section)
    assert len(files) >= 15
    assert not [file for file in files if not (ROOT / PACKAGE / file).exists()]
