"""The order of the modules, what they import and when, and the package's public names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import tinynet

ROOT = Path(tinynet.__file__).parent
PICTURE = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[1]
LINES = re.findall(r"^(?:[a-z]+ +)+", PICTURE, flags=re.MULTILINE)
SHOWN = [name for line in reversed(LINES) for name in line[:62].split()]
ORDER = [*SHOWN[:-1], "__init__", SHOWN[-1], "__main__"]  # a room imports from those before it
PRINTING = {"estimator", "cli", "__main__"}  # the estimator with verbose=True, as scikit-learn's do
LIBRARIES = {  # where a library other than numpy is used
    "sklearn": {"data", "estimator", "reports"},
    "joblib": {"gradients", "experiments"},
    "tqdm": {"training"},
    "matplotlib": {"reports"},
    "pydantic": {"config", "artifacts"},
    "pydantic_core": {"config"},
    "threadpoolctl": {"artifacts"},
    "distributed": {"experiments"},
    "onnx": {"artifacts"},
    "onnxruntime": {"artifacts"},
    "google": {"artifacts"},  # protobuf, which comes with onnx
    "tensorboardX": {"artifacts"},
}
AT_MODULE_LEVEL = {
    ("estimator.classifier", "sklearn"),
    ("estimator.labels", "sklearn"),
    ("estimator.parameters", "sklearn"),
    ("config.loading", "pydantic"),
    ("config.loading", "pydantic_core"),
    ("config.sections", "pydantic"),
    ("config.values", "pydantic"),
    ("artifacts.stored_runs", "pydantic"),
}
SHORTCUTS = {  # methods that import from a room above when they are called
    ("network", "artifacts.model"),
    ("training.history", "reports.plots"),
}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.rglob("*.py"))
}


def test_the_picture_of_the_rooms_shows_every_module() -> None:
    assert sorted(ORDER) == sorted(set(map(layer, MODULES)))


def layer(module: str) -> str:
    return module.partition(".")[0]


def nodes(tree: ast.AST, *, inside_functions: bool) -> Iterator[ast.AST]:
    """Walk the code that runs: skip blocks for type checkers, and function bodies unless asked for."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not inside_functions:
            continue
        yield node
        yield from nodes(node, inside_functions=inside_functions)


def imports(tree: ast.AST, *, inside_functions: bool) -> set[str]:
    """Return the dotted names that are imported: ``from tinynet import errors`` gives tinynet.errors."""
    names = set()
    for node in nodes(tree, inside_functions=inside_functions):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "relative imports hide the order"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own(names: set[str]) -> set[str]:
    """Return the modules of tinynet among imported names, without the package's name."""
    found = set()
    for name in names:
        package, _, rest = name.partition(".")
        if package != "tinynet" or rest == "__version__":  # a string, which any module may state
            continue
        while rest and rest not in MODULES and f"{rest}.__init__" not in MODULES:
            rest = rest.rpartition(".")[0]
        found.add(rest if rest in MODULES else f"{rest}.__init__".removeprefix("."))
    return found


def needs(module: str, tree: ast.AST) -> set[str]:
    """Return the modules of tinynet that `module` imports at any time, except shortcuts."""
    return {name for name in own(imports(tree, inside_functions=True)) if (module, name) not in SHORTCUTS}


def foreign(names: set[str]) -> set[str]:
    """Return the libraries among imported names."""
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"tinynet"}


def python(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_imports_point_downwards_only() -> None:
    for module, tree in MODULES.items():
        for imported in needs(module, tree):
            below = ORDER.index(layer(imported)) < ORDER.index(layer(module))
            assert below or layer(imported) == layer(module), f"{module} imports {imported}"


def test_modules_import_one_another_without_a_cycle() -> None:
    waiting = {module: needs(module, tree) for module, tree in MODULES.items()}
    assert waiting["experiments.run"] >= {"config.building", "reports.plots"}
    while waiting:
        free = [module for module, needs in waiting.items() if not needs & waiting.keys()]
        assert free, f"a circle among {sorted(waiting)}"
        for module in free:
            del waiting[module]


def test_a_library_is_imported_only_where_and_when_it_is_used() -> None:
    found: dict[str, set[str]] = {}
    at_once: set[tuple[str, str]] = set()
    for module, tree in MODULES.items():
        for library in foreign(imports(tree, inside_functions=True)):
            found.setdefault(library, set()).add(layer(module))
        at_once |= {(module, library) for library in foreign(imports(tree, inside_functions=False))}
    assert {library: rooms for library, rooms in found.items() if library != "numpy"} == LIBRARIES
    assert {(module, library) for module, library in at_once if library != "numpy"} == AT_MODULE_LEVEL


def test_only_the_command_and_the_estimator_print() -> None:
    for module, tree in MODULES.items():
        for node in nodes(tree, inside_functions=True) if layer(module) not in PRINTING else ():
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "sys.stdout.write", "sys.stderr.write"), f"{module}:{node.lineno}"


def test_every_module_opens_with_a_docstring_of_three_lines_or_fewer() -> None:
    for module, tree in MODULES.items():
        lines = [line for line in (ast.get_docstring(tree) or "").splitlines() if line]
        assert 1 <= len(lines) <= 3, module


def test_importing_tinynet_loads_no_library_but_numpy() -> None:
    heavy = ("sklearn", "scipy", "matplotlib", "pydantic", "joblib", "tqdm", "threadpoolctl", "PIL")
    assert python(f"import sys, tinynet; print(sys.modules.keys() & set({heavy}))") == "set()"


def test_a_module_not_yet_imported_is_an_attribute() -> None:
    assert python("import tinynet as t; print(t.schedules.__name__, hasattr(t, 'other'))") == "tinynet.schedules False"


def test_importing_tinynet_changes_no_global_state() -> None:
    code = """
import random, warnings
import numpy as np
state = lambda: [np.random.get_state()[1].tobytes(), random.getstate(), np.geterr(), warnings.filters[:]]
before = state()
import tinynet
print(before == state())
"""
    assert python(code) == "True"


def test_all_lists_every_public_name_in_order() -> None:
    public = {
        name
        for name, value in vars(tinynet).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    }
    assert public <= set(tinynet.__all__)
    assert list(tinynet.__all__) == sorted(
        set(tinynet.__all__), key=lambda name: (not name.isupper(), name[0] > "Z", name)
    )
    namespace: dict[str, object] = {}
    exec("from tinynet import *", namespace)
    assert set(tinynet.__all__) == namespace.keys() - {"__builtins__"}
