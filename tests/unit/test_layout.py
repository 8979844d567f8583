"""The shape of the code: which part may import which, read from the source without running it."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
SHADOW = PROJECT / "include" / "shadow"
EDGE = SHADOW / "edge"
OPTIONAL = (
    "boto3",
    "great_expectations",
    "joblib",
    "mlflow",
    "onnx",
    "onnxruntime",
    "pandas",
    "scipy",
    "skl2onnx",
    "skops",
    "sklearn",
)
HEAVY = (*OPTIONAL, "adbc_driver_manager", "adbc_driver_postgresql", "duckdb", "fsspec", "numpy", "psycopg", "pyarrow")
ENGINE = sorted(path for path in SHADOW.rglob("*.py") if EDGE not in path.parents)
COMMAND_LINE = sorted(SHADOW.glob("cli*.py"))  # it puts engine and edge together, as DAGs do
PARSED = sorted([*(PROJECT / "dags").glob("*.py"), EDGE / "__init__.py", EDGE / "tasks.py"])


def named(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def imports(tree: ast.AST, *, inside_functions: bool) -> Iterator[str]:
    """Yield the full names that a module imports; what only a type checker sees is none of them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield from imports(other, inside_functions=inside_functions)
        elif inside_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports(node, inside_functions=inside_functions)


@cache
def imported(path: Path, *, inside_functions: bool) -> frozenset[str]:
    return frozenset(imports(ast.parse(path.read_text()), inside_functions=inside_functions))


def files_of(name: str) -> Iterator[Path]:
    """Yield the files of ours that importing a name runs: each package on the way, and the module."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        place = PROJECT.joinpath(*parts[:length])
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                yield path


def loaded_with(path: Path, *, inside_functions: bool = False) -> dict[str, list[str]]:
    """Return every name that importing a file imports, through our own modules too, with the way that leads there."""
    found: dict[str, list[str]] = {}
    waiting = [(path, [named(path)])]
    seen = {path}
    while waiting:
        current, way = waiting.pop()
        for name in imported(current, inside_functions=inside_functions):
            found.setdefault(name, way)
            for other in files_of(name):
                if other not in seen:
                    seen.add(other)
                    waiting.append((other, [*way, named(other)]))
    return found


def forbidden(found: dict[str, list[str]], *packages: str) -> list[str]:
    return [
        f"{' > '.join(way)} imports {name}"
        for name, way in sorted(found.items())
        if any(name == package or name.startswith(f"{package}.") for package in packages)
    ]


def test_the_files_that_are_looked_at_are_there() -> None:
    assert {"deployment.py", "policy.py", "confidence.py", "day.py"} <= {path.name for path in ENGINE}
    assert {"shadow.py", "tasks.py"} <= {path.name for path in PARSED}
    assert "shadow_deployment.decision.verdict.judge" in imported(SHADOW / "judging.py", inside_functions=False)
    assert "psycopg" in loaded_with(SHADOW / "day.py")


@pytest.mark.parametrize("path", ENGINE, ids=named)
def test_the_engine_knows_neither_airflow_nor_its_edge(path: Path) -> None:
    found = {name: [named(path)] for name in imported(path, inside_functions=True)}
    edge = [] if path in COMMAND_LINE else ["shadow_deployment.orchestration"]
    assert not forbidden(found, "airflow", *edge, "shadow_demo", "dags", "plugins", "tests")


def test_the_command_line_starts_without_airflow_and_nothing_of_the_engine_needs_it() -> None:
    assert not forbidden(loaded_with(SHADOW / "cli.py"), "airflow", "boto3", "botocore")
    others = {name for path in ENGINE if path not in COMMAND_LINE for name in imported(path, inside_functions=True)}
    assert {name for name in others if name.startswith("shadow_deployment.cli.main")} == {
        "shadow_deployment.cli.main.main"
    }


@pytest.mark.parametrize("module", ["confidence", "policy", "metrics", "evidence"])
def test_what_decides_knows_no_database_and_no_files_of_rows(module: str) -> None:
    found = loaded_with(SHADOW / f"{module}.py", inside_functions=True)
    assert not forbidden(
        found,
        "psycopg",
        "pyarrow",
        "adbc_driver_postgresql",
        "shadow_deployment.ledger",
        "shadow_deployment.data.ports",
    )


def test_confidence_sequences_need_numpy_and_nothing_of_ours() -> None:
    found = loaded_with(SHADOW / "confidence.py", inside_functions=True)
    assert not forbidden(found, "include")


@pytest.mark.parametrize("path", PARSED, ids=named)
def test_parsing_a_dag_loads_no_heavy_library(path: Path) -> None:
    assert not forbidden(loaded_with(path), *HEAVY)


@pytest.mark.parametrize("path", ENGINE, ids=named)
def test_predictors_and_expectations_load_their_library_where_they_use_it(path: Path) -> None:
    found = {name: [named(path)] for name in imported(path, inside_functions=False)}
    assert not forbidden(found, *OPTIONAL)


def test_plugins_hold_one_module_at_most() -> None:
    assert len(list((PROJECT / "plugins").rglob("*.py"))) <= 1
