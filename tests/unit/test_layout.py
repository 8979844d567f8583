"""The shape of the code where import-linter does not look: what parsing loads, plugins, sizes, one class per name."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.conftest import PROJECT

SOURCE = PROJECT / "include"
MODULES = sorted(SOURCE.rglob("*.py"))
MOST_LINES, MOST_FUNCTION_LINES, MOST_MODULES = 400, 50, 13
LARGER = {"include/shadow_deployment/report/charts": 14}


def named(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def test_the_command_line_starts_without_airflow_and_boto3() -> None:
    program = (
        "import sys, shadow_deployment.cli.main\n"
        "print(sorted({'airflow', 'boto3', 'botocore', 'great_expectations', 'altair', 'mcp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["statistics.confidence_sequence", "decision.verdict", "metrics.losses"])
def test_what_decides_loads_no_database(module: str) -> None:
    program = (
        f"import sys, shadow_deployment.{module}\nprint(sorted({{'psycopg', 'pyarrow', 'duckdb'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_file_is_one_concept_and_a_function_one_thought(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MOST_LINES
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {node.name: node.end_lineno - node.lineno + 1 for node in functions if node.end_lineno}
    assert not {name: lines for name, lines in long.items() if lines > MOST_FUNCTION_LINES}


def test_a_file_of_tests_has_one_subject() -> None:
    sizes = {named(path): path.read_text(encoding="utf-8").count("\n") for path in (PROJECT / "tests").rglob("*.py")}
    assert not {name: lines for name, lines in sizes.items() if lines > MOST_LINES}


def test_a_class_has_a_name_of_its_own() -> None:
    places = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(named(path))
    assert not {name: where for name, where in places.items() if len(where) > 1}


def test_a_folder_can_be_taken_in_at_once() -> None:
    folders = {path.parent for path in MODULES}
    crowded = {named(folder): len(list(folder.glob("*.py"))) for folder in folders}
    assert not {folder: count for folder, count in crowded.items() if count > LARGER.get(folder, MOST_MODULES)}


def test_the_plugins_folder_holds_one_module() -> None:
    assert len(list((PROJECT / "plugins").rglob("*.py"))) == 1
