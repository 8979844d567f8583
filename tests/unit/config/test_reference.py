"""The reference of deployment files is what the schema says, and says it of every key, model, rule and metric."""

from pathlib import Path
from typing import get_args

import pytest

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.model import KINDS
from shadow_deployment.config.policy import RULES, Rule
from shadow_deployment.config.reference import deployment_schema, main, render_reference
from shadow_deployment.metrics.catalog import metrics_of

FOLDER = PROJECT / "include" / "deployments"
TEXT = (FOLDER / "README.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """Return the text below a heading, up to the next one."""
    return TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]


def test_the_committed_reference_is_current() -> None:
    assert render_reference(sorted((FOLDER / "examples").glob("*.yaml"))) == TEXT, "run make reference"


def test_every_key_has_a_row_with_its_description() -> None:
    schema = deployment_schema()
    for part in (schema, *schema["$defs"].values()):
        for key, value in part["properties"].items():
            assert len(value["description"]) > 8, key
            assert any(
                line.startswith(f"| `{key}` |") and value["description"].replace("|", "\\|") in line
                for line in TEXT.splitlines()
            ), key


@pytest.mark.parametrize(
    ("heading", "row"),
    [
        ("Top level", "| `timezone` | text | `UTC` |"),
        ("Top level", "| `start` | date, YYYY-MM-DD | **required** |"),
        ("Top level", "| `challengers` | list of sections | **required** |"),
        ("Top level", "| `throttle` | number, ≥ 0.001, ≤ 1 | `0.03` |"),
        ("`requests`", "| `prediction` | text or list of text or text by name | **required** |"),
        ("`policy.rules[]`", "| `of` | `value`, `change`, `relative_change` | `value` |"),
        (
            "`metrics[].limits`, `champion.limits`, `challengers[].limits`",
            "| `memory_mb` | integer, ≥ 64, ≤ 16,777,216 | `2048` |",
        ),
        ("`alerts.channels[]` of kind `sns`", "| `topic` | text | **required** |"),
        ("`promotion.mlflow`", "| `alias` | text | `champion` |"),
    ],
)
def test_a_row_shows_type_bounds_and_default(heading: str, row: str) -> None:
    assert row in section(heading)


def test_every_kind_of_model_and_rule_and_every_metric_is_explained() -> None:
    models = section("Models")
    assert all(f"`{kind}:" in models or f"`{kind}`" in models for kind in KINDS)
    assert set(RULES) == set(get_args(Rule.model_fields["is_"].annotation))
    assert all(f"| `{rule}` | {meaning} |" in section("Rules") for rule, meaning in RULES.items())
    names = {name for task in ("binary", "regression", "multiclass") for name in metrics_of(task)}
    assert {line.split("`")[1] for line in section("Metrics").splitlines() if line.startswith("| `")} == names


def test_check_fails_on_a_stale_page_and_writing_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--check"]) == 1
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 0
    page = tmp_path / "README.md"
    page.write_text(page.read_text().replace("First day, inclusive", "Last day, inclusive"))
    assert main([str(tmp_path), "--check"]) == 1
    assert "is stale: run make reference" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--check"], ["nowhere"], ["a", "b"]])
def test_a_folder_must_be_named(arguments: list[str]) -> None:
    assert main(arguments) == 2
