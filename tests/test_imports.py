"""Imports point one way: this table is DESIGN's, and every import statement of the package is held to it."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "python_shipper"
OPEN = {"contract", "settings", "errors", "units"}
ANY = {"dashboard", "stack", "cli", "__init__", "__main__", "testing"}
MAY_IMPORT = {
    "contract": set(),
    "settings": set(),
    "errors": set(),
    "units": set(),
    "core": set(),
    "collectors": {"core"},
    "integrations": {"core", "collectors"},
    "audit": {"core", "collectors"},
    "profiling": {"core", "collectors"},
    "store": {"core"},
    "agent": {"core", "store"},
    "exporters": {"core", "agent"},
    "analyzers": {"core", "store"},
    "alerts": {"core", "analyzers"},
    "ads": {"core", "collectors", "store", "exporters", "alerts"},
}


def room(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module == "python_shipper":
            modules = [f"python_shipper.{alias.name}" for alias in node.names]
        names |= {m.split(".")[1] for m in modules if m.startswith("python_shipper.")}
    return names


def test_imports_follow_the_table() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in PACKAGE.rglob("*.py")
        if room(path) not in ANY
        for name in imported(path) - MAY_IMPORT[room(path)] - OPEN - {room(path)}
    ]
    assert wrong == []
