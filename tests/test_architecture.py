"""Who may import whom: the floors of src/README.md, the purity of what decides, Pyro4 only in rmi/, and no circle."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Each folder of src/, or program, and all that it may import beside itself, the standard library left out.
ALLOWED = {
    "sparrow": set(),
    "simulation": {"sparrow"},
    "execution": set(),
    "rmi": {"sparrow"},
    "cluster": {"rmi", "execution", "sparrow"},
    "cli": {"Job", "cluster", "rmi", "sparrow"},
    "dashboard": {"cluster", "rmi", "sparrow"},
    "experiments": {"simulation", "sparrow", "cli", "Job", "SparrowClient"},
    "Job": {"sparrow"},
    "Scheduler": {"cli", "cluster", "rmi", "sparrow"},
    "Worker": {"cli", "cluster", "rmi", "sparrow"},
    "SparrowClient": {"Job", "cli", "cluster", "rmi", "sparrow"},
    "NameServer": {"cli", "cluster", "rmi"},
    "server": {"cli", "cluster", "dashboard", "rmi"},
}
PURE = ("sparrow", "simulation")
IMPURE = {"asyncio", "ctypes", "datetime", "logging", "multiprocessing", "os", "select", "selectors", "signal", "socket"}
IMPURE |= {"subprocess", "threading", "time"}
STANDARD = getattr(sys, "stdlib_module_names", None)  # Python 3.9 does not say: everything counts as standard there
PYRO4 = {"Pyro4", "serpent"}


def modules(root=ROOT):
    """dotted name -> path, of server.py and of everything in src/."""
    paths = [root / "server.py", *sorted((root / "src").rglob("*.py"))]
    return {".".join(path.relative_to(root).with_suffix("").parts): path for path in paths if path.exists()}


def imports_of(name, source, known):
    """The modules that a source imports anywhere in it, inside functions too: whole dotted names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import, where all are absolute"
            base = str(node.module)
            yield from (f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names)


def place_of(module):
    """The folder of src/, or the program, that a module belongs to; None for what is not ours."""
    parts = module.split(".")
    return parts[1] if parts[0] == "src" and len(parts) > 1 else "server" if module == "server" else None


def violations(sources):
    """Sentences, of a map from dotted names to sources."""
    found = []
    for name, source in sources.items():
        place = place_of(name)
        if place is None or place in ("_root", "__init__"):
            continue
        if place not in ALLOWED:
            found.append(f"{name}: {place} is not a folder of the house")
            continue
        for imported in imports_of(name, source, sources):
            top, target = imported.split(".")[0], place_of(imported)
            if target is not None and target not in {place, *ALLOWED[place]}:
                found.append(f"{name} imports {imported}: {place} may use {', '.join(sorted(ALLOWED[place])) or 'nothing'}")
            if place in PURE and top in IMPURE:
                found.append(f"{name} imports {imported}: what decides is pure")
            if top in PYRO4 and place != "rmi":
                found.append(f"{name} imports {imported}: only rmi/ speaks Pyro4")
            if target is None and top not in {*PYRO4, "uvloop", "_root", "typing_extensions"} and STANDARD and top not in STANDARD:
                found.append(f"{name} imports {imported}: it is neither ours nor of the standard library")
        if place in PURE:
            found += [f"{name}:{line}: chance comes from a random.Random that is handed in" for line in global_chance(source)]
    circle = a_circle(sources)
    return found + ([f"a circle: {' -> '.join(circle)}"] if circle else [])


def global_chance(source):
    """Lines that draw from the module random itself."""
    for node in ast.walk(ast.parse(source)):
        of_random = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "random"
        if of_random and node.attr != "Random":
            yield node.lineno


def a_circle(sources):
    """One circle of imports, if there is one, as the modules on it."""
    uses = {name: [i for i in imports_of(name, source, sources) if i in sources and i != name] for name, source in sources.items()}
    state = {}

    def walk(name, path):
        state[name] = "open"
        path = [*path, name]
        for imported in uses[name]:
            if state.get(imported) == "open":
                return [*path[path.index(imported) :], imported]
            if imported not in state and (found := walk(imported, path)):
                return found
        state[name] = "done"
        return None

    return next((circle for name in uses if name not in state and (circle := walk(name, []))), None)


def read():
    return {name: path.read_text() for name, path in modules().items()}


def test_the_house_is_in_order():
    assert violations(read()) == []


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        ("src.sparrow.placement", "from src.rmi import wire", "sparrow may use nothing"),
        ("src.sparrow.placement", "import time", "what decides is pure"),
        ("src.simulation.network", "import asyncio", "what decides is pure"),
        ("src.sparrow.jobtable", "def f():\n    import random\n    return random.choice([1])", "chance comes from"),
        ("src.dashboard.monitor", "import Pyro4", "only rmi/ speaks Pyro4"),
        ("src.rmi.wire", "def lazy():\n    from src.cluster import service", "rmi may use sparrow"),
        pytest.param(
            *("src.cli.terminal", "import requests", "neither ours nor of the standard library"),
            marks=pytest.mark.skipif(not STANDARD, reason="this Python does not say what its library has"),
        ),
        ("src.sparrow.messages", "from src.sparrow import jobtable", "a circle"),
        ("src.cluster.service", "from . import registry", "relative import"),
    ],
)
def test_a_wrong_import_is_found(module, line, complaint):
    sources = read()
    sources[module] += f"\n{line}\n"
    try:
        found = violations(sources)
    except AssertionError as error:
        found = [str(error)]
    assert any(complaint in violation for violation in found), found


def test_the_pure_parts_load_without_pyro4_and_the_package_imports_nothing():
    assert (ROOT / "src" / "__init__.py").read_text() == ""
