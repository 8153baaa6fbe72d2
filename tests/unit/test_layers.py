from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "arena_ray"

# Imports point down: a room may import those in the levels below its own, and itself.
LEVELS = [
    {"cli", "console", "notebooks", "recipes", "testing"},
    {"orchestrator"},
    {"scheduling", "serving"},
    {"registry", "telemetry", "datasets", "host"},
    {"runner", "plugin", "plots"},
    {"model"},
    {"statistics"},
]
ALONE = {"harness"}
# The harness is read, not run, where a script is inspected or started: by path, and for the search of its main loop.
EXCEPTIONS = {("runner", "harness"), ("scheduling", "harness")}


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "arena_ray" and len(parts) > 1 else None


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def level_of(room: str) -> int:
    return next(index for index, rooms in enumerate(LEVELS) if room in rooms)


def rooms() -> set[str]:
    return {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}


def test_every_room_has_its_level() -> None:
    assert rooms() <= set().union(*LEVELS) | ALONE


def test_imports_point_down() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).parts
        if len(parts) == 1:
            continue
        here = parts[0]
        for there in {room_of(module) for module in imports_of(path)} & rooms() - {here}:
            if (here, there) in EXCEPTIONS:
                continue
            if here in ALONE or there in ALONE or level_of(there) <= level_of(here):
                wrong.append(f"{path.relative_to(ROOT)} imports {there}")
    assert wrong == []


def test_the_harness_needs_nothing_but_the_standard_library() -> None:
    outside = {
        f"{path.name}: {module}"
        for path in (PACKAGE / "harness").glob("*.py")
        for node in ast.parse(path.read_text()).body
        for module in imports_of_statement(node)
        if module.split(".")[0] not in sys.stdlib_module_names | {"__future__"}
    }
    assert outside == set()


def test_the_harness_is_written_in_the_python_of_the_oldest_script() -> None:
    for path in (PACKAGE / "harness").glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 8))


def imports_of_statement(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return {node.module}
    return set()


def test_shipped_runners_enter_by_the_public_door() -> None:
    for path in (ROOT / "runners").rglob("*.py"):
        used = {room_of(module) for module in imports_of(path)} - {None}
        allowed = set() if "scripts" in path.parts else {"runner", "model"}
        assert used <= allowed, f"{path.relative_to(ROOT)} imports {used - allowed}"


def test_shipped_plugins_enter_by_the_public_door() -> None:
    for path in (ROOT / "plugins").rglob("*.py"):
        used = {room_of(module) for module in imports_of(path)} - {None}
        assert used <= {"plugin", "model"}, f"{path.relative_to(ROOT)} imports {used - {'plugin', 'model'}}"


@pytest.mark.parametrize(
    "room",
    [
        "cli",
        "host.api",
        "model",
        "orchestrator.client",
        "plots",
        "plugin",
        "registry",
        "runner",
        "telemetry",
        "testing.stage",
    ],
)
def test_it_can_be_imported_without_ray_torch_and_matplotlib(room: str) -> None:
    code = f"import sys, arena_ray.{room}; print([m for m in ('ray', 'torch', 'matplotlib') if m in sys.modules])"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"
