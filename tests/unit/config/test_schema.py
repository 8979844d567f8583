"""The JSON Schema takes every example, refuses what the loader refuses for its form, and is shipped as it is."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.reference import SCHEMA_FILE, deployment_schema, schema_text

FOLDER = PROJECT / "include" / "deployments"
CORPUS = PROJECT / "tests" / "integration" / "corpus" / "good"
FILES = sorted([*FOLDER.glob("*.yaml"), *(FOLDER / "examples").glob("*.yaml"), *CORPUS.glob("*.yaml")])
VALIDATOR = Draft202012Validator(deployment_schema())


def content(path: Path) -> Any:
    """Return a file as editors see it: dates are text there."""
    return json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")), default=str))


def test_the_shipped_schema_is_current_and_a_schema() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run make reference"
    Draft202012Validator.check_schema(deployment_schema())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_example_is_valid(path: Path) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(content(path))] == []


@pytest.mark.parametrize(
    ("location", "value"),
    [
        (("polcy",), {}),
        (("requests", "tabel"), "churn.log"),
        (("policy", "rules", 0, "is"), "better"),
        (("policy", "rules", 0, "role"), "block"),
        (("challengers", 0, "model"), "keras:model.h5"),
        (("name",), "Churn"),
        (("sample", "rate"), 2),
        (("labels", "maturity_days"), "30"),
        (("alerts", "channels", 0, "kind"), "pager"),
    ],
    ids=lambda part: ".".join(map(str, part)) if isinstance(part, tuple) else "",
)
def test_a_wrong_key_or_value_is_refused(location: tuple[str | int, ...], value: object) -> None:
    wrong = copy.deepcopy(content(FOLDER / "examples" / "binary.yaml"))
    place = wrong
    for part in location[:-1]:
        place = place[part]
    place[location[-1]] = value
    assert not VALIDATOR.is_valid(wrong)


def test_gate_and_monitor_are_roles() -> None:
    example = content(FOLDER / "examples" / "binary.yaml")
    example["policy"]["rules"][0]["role"], example["policy"]["rules"][1]["role"] = "gate", "monitor"
    assert VALIDATOR.is_valid(example)
