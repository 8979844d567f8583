"""Wrong deployment files: each mistake is one message that names the file, the line, the key and what is allowed."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Deployment, load_deployment
from shadow_deployment.config.discovery import VARIABLE, deployment_files
from tests.conftest import Invoke
from tests.integration.corpus.cases import HERE, Case, cases, good, line_of

LONGEST = 4_096  # characters of a message
CASES = list(cases())
EXAMPLES = sorted((PROJECT / "include" / "deployments" / "examples").glob("*.yaml"))

Refused = Callable[[bytes], str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "late.yaml"


@pytest.fixture
def refused(file: Path, invoke: Invoke) -> Refused:
    """Validate a file that must be refused, in one message and leaving everything as it is; return the message."""

    def call(content: bytes) -> str:
        file.write_bytes(content)
        code, out, err = invoke("validate", file)
        assert (code, out) == (1, ""), err
        assert err.startswith("error ")
        assert "Traceback" not in err
        assert str(file) in err
        assert len(err) < LONGEST
        assert err.removesuffix("\n").replace("\n", "").isprintable()
        assert [path.name for path in file.parent.iterdir()] == [file.name]
        assert file.read_bytes() == content
        return err.removeprefix("error ")

    return call


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.family}: {case.title}")
def test_a_wrong_value_is_named_with_its_key_its_line_and_what_is_allowed(
    case: Case, refused: Refused, file: Path
) -> None:
    message = refused(case.text.encode())
    for words in case.says:
        assert words in message
    assert case.at in message or case.at.rpartition(".")[0] in message
    assert f"({file}:{line_of(case.text, case.at)})" in message
    assert len(message.splitlines()) == case.lines, message
    assert case.never is None or case.never not in message


@pytest.mark.parametrize("path", sorted((HERE / "good").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_the_corpus_changes_is_good(path: Path, invoke: Invoke) -> None:
    code, _, err = invoke("validate", path)
    assert (code, err) == (0, "")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_of_the_reference_is_valid(path: Path, invoke: Invoke) -> None:
    code, _, err = invoke("validate", path)
    assert (code, err) == (0, "")


def test_there_is_an_example_of_each_task_and_of_logged_predictions() -> None:
    deployments = {path.stem: load_deployment(path) for path in EXAMPLES}
    tasks = {name: deployment.task for name, deployment in deployments.items()}
    assert tasks == {
        "binary": "binary",
        "regression": "regression",
        "multiclass": "multiclass",
        "logged_predictions": "binary",
        "nba": "binary",
        "sagemaker": "binary",
    }
    assert {challenger.kind for challenger in deployments["logged_predictions"].promotable} == {"logged"}


def test_examples_are_not_deployments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert set(EXAMPLES).isdisjoint(deployment_files())


@pytest.mark.parametrize("folder", [HERE / "deployments", EXAMPLES[0].parent], ids=["corpus", "examples"])
def test_every_key_of_a_deployment_is_wrong_somewhere_and_shown_in_an_example(folder: Path) -> None:
    """So that a new key comes with its own wrong values, and with an example."""
    schema = Deployment.model_json_schema()
    keys = {key for section in (schema, *schema["$defs"].values()) for key in section["properties"]}
    text = "\n".join(path.read_text() for path in folder.glob("*.yaml"))
    assert len(keys) > 80
    assert {key for key in keys if not re.search(rf"\b{key}\b", text)} == set()


@pytest.mark.parametrize(
    "rules",
    [
        [{"is": "at_least", "value": 0.5, "last": {"hold": 1, "of": 5}}, {"is": "at_most", "value": 0.1}],
        [{"is": "at_least", "value": 0.5, "role": "advisory"}, {"is": "at_most", "value": 0.1}],
        [{"is": "at_least", "value": 0.1}, {"is": "at_most", "value": 0.1}],
        [{"is": "at_most", "value": 0.2}, {"is": "at_most", "value": 0.1}],
        [{"is": "at_least", "value": 0.5}, {"is": "at_most", "value": 0.1, "of": "change"}],
    ],
    ids=["on other days", "one is shown only", "the same value", "one is stricter", "one is of the change"],
)
def test_rules_that_can_hold_together_are_no_contradiction(rules: Any, file: Path, invoke: Invoke) -> None:
    content = good()
    content["policy"]["rules"] += [{"metric": "f1", **rule} for rule in rules]
    file.write_text(yaml.safe_dump(content))
    assert invoke("validate", file)[0] == 0
