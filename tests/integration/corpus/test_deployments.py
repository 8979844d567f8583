"""Wrong deployment files: each mistake is one message that names the file, the line, the key and what is allowed."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Invoke
from tests.integration.corpus.cases import HERE, Case, cases, good, line_of

LONGEST = 4_096  # characters of a message
CASES = list(cases())

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
    said = refused(case.text.encode())
    for words in case.says:
        assert words in said
    assert case.at in said or case.at.rpartition(".")[0] in said
    assert f"({file}:{line_of(case.text, case.at)})" in said
    assert len(said.splitlines()) == case.lines, said
    assert case.never is None or case.never not in said


@pytest.mark.parametrize("path", sorted((HERE / "good").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_the_corpus_changes_is_good(path: Path, invoke: Invoke) -> None:
    code, _, err = invoke("validate", path)
    assert (code, err) == (0, "")


def test_every_key_of_a_deployment_is_wrong_somewhere() -> None:
    """So that a new key comes with its own wrong values."""
    from pydantic import BaseModel

    from shadow_deployment.config.deployment import Deployment

    def keys(model: type[BaseModel]) -> set[str]:
        found = set[str]()
        for name, field in model.model_fields.items():
            found.add(field.alias or name)
            for part in re.findall(r"[A-Z]\w+", str(field.annotation)):
                inner = next((one for one in models if one.__name__ == part), None)
                found |= keys(inner) if inner else set()
        return found

    def known(base: type[BaseModel]) -> list[type[BaseModel]]:
        return [one for sub in base.__subclasses__() for one in (sub, *known(sub))]

    models = known(Deployment.__base__)  # type: ignore[arg-type]
    written = "\n".join(path.read_text() for path in (HERE / "deployments").glob("*.yaml"))
    missing = {key for key in keys(Deployment) if not re.search(rf"\b{key}\b", written)}
    assert missing == set()


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
