"""A deployment is found by its name, whatever its file is called."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shadow_deployment.config.deployment import Deployment, parse_deployment
from shadow_deployment.config.discovery import VARIABLE, deployment_files, find_deployment
from shadow_deployment.config.yaml_source import YamlSource
from shadow_deployment.errors import DeploymentError
from tests.builders import EXAMPLE, FILE
from tests.unit.config.mistakes import MINIMAL


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Write a file into a folder of deployments of this test's own."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return lambda name, text: (tmp_path / name).write_text(text) and None


def found_in(text: str) -> Deployment:
    return parse_deployment(YamlSource.from_text(text, FILE))


def test_a_deployment_is_found_by_its_name_not_by_its_file(write: Callable[[str, str], None]) -> None:
    write("b.yaml", EXAMPLE)
    write("a.yml", MINIMAL)
    write("notes.txt", "not a deployment")
    assert [path.name for path in deployment_files()] == ["a.yml", "b.yaml"]
    assert find_deployment("flight_delay") == found_in(EXAMPLE)
    assert find_deployment("small") == found_in(MINIMAL)


def test_a_broken_file_only_matters_if_it_is_asked_for(write: Callable[[str, str], None]) -> None:
    write("flight_delay.yaml", EXAMPLE)
    write("broken.yaml", "name: [")
    write("wrong.yaml", "name: wrong\n")
    assert find_deployment("flight_delay").name == "flight_delay"
    with pytest.raises(DeploymentError, match="not valid YAML"):
        find_deployment("broken")
    with pytest.raises(DeploymentError, match="deployment wrong: start is missing"):
        find_deployment("wrong")


def test_a_deployment_that_is_not_there_is_answered_with_those_that_are(write: Callable[[str, str], None]) -> None:
    write("a.yaml", EXAMPLE)
    write("b.yaml", MINIMAL)
    with pytest.raises(DeploymentError) as caught:
        find_deployment("flight_dela")
    assert "must be one of flight_delay, small, did you mean flight_delay?" in str(caught.value)


def test_of_two_files_of_one_name_neither_is_taken(write: Callable[[str, str], None]) -> None:
    write("a.yaml", MINIMAL)
    write("b.yaml", MINIMAL)
    problem = r"small: 2 files declare it; rename all but one \(.*a\.yaml, .*b\.yaml\)"
    with pytest.raises(DeploymentError, match=problem):
        find_deployment("small")
