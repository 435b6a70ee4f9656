"""Who may import whom, and how long a file may be.

Data flows one way, from a model's config to a rotated tensor, and imports follow it. A room is a
module or subpackage directly inside ``ropelab``. `ARROWS` names the rooms that each room builds on;
it may import those, whatever they build on, and the ground floor.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FILE = 400

GROUND = {"arrays", "checks", "dlpack", "float8", "precision"}

ARROWS: dict[str, set[str]] = {
    "spectrum": set(),
    "layouts": set(),
    "positions": set(),
    "scaling": {"spectrum"},
    "rope": {"scaling", "spectrum"},
    "phases": {"spectrum", "positions"},
    "pairs": {"phases", "layouts", "positions"},
    "tables": {"layouts", "positions"},
    "rotary": {"pairs"},
    "rotary_cached": {"pairs", "tables"},
    "slots": set(),
    "kv_cache": {"pairs", "slots"},
    "xpos": {"pairs"},
    "norm_rotary": {"pairs"},
    "query_scale": set(),
    "weights": {"layouts"},
    "formats": {"rope", "scaling", "positions", "query_scale"},
    "models": {"formats"},
    "bands": {"rope", "phases", "layouts"},
    "plots": {"bands"},
    "": {
        *("rotary", "rotary_cached", "kv_cache", "xpos", "norm_rotary", "query_scale"),
        *("weights", "positions", "formats", "models"),
    },  # the package's door
    "golden": {"", "bands", "plots"},
    "lint": {"formats", "bands"},
    "cli": {"golden", "lint"},
    "__main__": {"cli"},
}

# Third-party packages beside NumPy, and the rooms that may import them (always inside a function,
# but for the goldens, which nobody imports without wanting the oracle).
GUESTS = {
    "bands": {"scipy"},
    "plots": {"matplotlib"},
    "golden": {"ml_dtypes", "mpmath", "rich"},
    "cli": {"click", "rich"},
}


# The rooms of ``ropelab_cuda`` that import a framework at once: the door to CuPy, which copes with
# its absence, and those that only a user of torch enters.
EAGER = {"_cupy": {"cupy"}, "torch": {"torch"}, "compat": {"torch"}}


def python_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """Name the room of a module; a package itself, and what it re-exports, is its door, ``""``."""
    package, name, *_ = [*module.split("."), ""]
    place = ROOT / package / name
    return name if place.is_dir() or place.with_suffix(".py").is_file() else ""


def is_type_checking(node: ast.stmt) -> TypeGuard[ast.If]:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def statements(body: list[ast.stmt], *, functions: bool) -> Iterator[ast.stmt]:
    """Walk all statements except those for type checkers, and those of functions if asked to."""
    for node in body:
        if is_type_checking(node):
            yield from statements(node.orelse, functions=functions)
            continue
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not functions:
            continue
        for field in ("body", "orelse", "finalbody"):
            yield from statements(getattr(node, field, []), functions=functions)
        for handler in getattr(node, "handlers", []):
            yield from statements(handler.body, functions=functions)


@cache
def imports(path: Path, *, functions: bool = True) -> frozenset[str]:
    """Name every module that a file imports, absolutely; ``from a import b`` gives ``a.b``."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    found = set()
    for node in statements(ast.parse(path.read_text("utf-8")).body, functions=functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*parents, *([node.module] if node.module else [])])
            found |= {f"{source}.{alias.name}" for alias in node.names}
    return frozenset(found)


def internal(path: Path, package: str) -> set[str]:
    return {name for name in imports(path) if name.split(".")[0] == package}


@cache
def reachable(name: str) -> frozenset[str]:
    return frozenset(GROUND | {name}).union(*(reachable(target) for target in ARROWS[name]))


def third_party(names: frozenset[str]) -> set[str]:
    tops = {name.split(".")[0] for name in names}
    return tops - set(sys.stdlib_module_names) - {"ropelab", "ropelab_cuda", "numpy"}


@pytest.mark.parametrize("path", python_files("ropelab"), ids=module_name)
def test_imports_point_one_way(path: Path) -> None:
    here = room(module_name(path))
    targets = {room(name) for name in internal(path, "ropelab")}
    if here in GROUND:
        assert targets <= GROUND
    else:
        assert here in ARROWS, f"{here}: a new room; say in ARROWS what it builds on"
        assert targets <= reachable(here)


@pytest.mark.parametrize("package", ["ropelab", "ropelab_cuda"])
def test_no_module_imports_itself_by_a_circle(package: str) -> None:
    modules = {module_name(path): path for path in python_files(package)}

    def target(name: str) -> str:
        while name not in modules:  # a.b.function is in module a.b
            name = name.rpartition(".")[0]
        return name

    graph = {
        module: {target(name) for name in internal(path, package)} - {module}
        for module, path in modules.items()
    }
    assert graph
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("path", python_files("ropelab"), ids=module_name)
def test_the_specification_needs_numpy_alone(path: Path) -> None:
    here = room(module_name(path))
    assert third_party(imports(path)) <= GUESTS.get(here, set())
    if here not in ("golden", "cli"):
        assert third_party(imports(path, functions=False)) == set()


@pytest.mark.parametrize("path", python_files("ropelab"), ids=module_name)
def test_the_specification_does_not_know_the_kernels(path: Path) -> None:
    assert internal(path, "ropelab_cuda") == set()


@pytest.mark.parametrize("path", python_files("ropelab_cuda"), ids=module_name)
def test_the_kernels_import_their_frameworks_late(path: Path) -> None:
    eager = third_party(imports(path, functions=False))
    here = room(module_name(path))
    assert eager <= EAGER.get(here, set())


SOURCES = [
    path
    for folder in ("ropelab", "ropelab_cuda", "tests", "docs")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".cu", ".cuh", ".cpp"}
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("package", ["ropelab", "ropelab_cuda"])
def test_every_test_file_mirrors_a_module(package: str) -> None:
    """``tests/p/q/test_m.py`` tests ``p/q/m.py``, or the subpackage ``p/q/m``."""
    folder = ROOT / "tests" / package
    strays = []
    for test in folder.rglob("test_*.py"):
        subject = ROOT / package / test.relative_to(folder).with_name(test.stem[len("test_") :])
        if not (subject.with_suffix(".py").is_file() or subject.is_dir()):
            strays.append(test.relative_to(ROOT).as_posix())
    assert strays == [], "move tests of no single module to tests/"
