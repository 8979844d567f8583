"""Where deployments are looked for: what is named first goes before the rest, and an error names each place."""

from pathlib import Path

import pytest

from shadow_deployment.config.discovery import VARIABLE, deployment_files, deployments_folder, looking_in
from shadow_deployment.errors import DeploymentError

PROJECT = Path(__file__).parents[3]
AIRFLOW = "AIRFLOW__SHADOW__DEPLOYMENTS"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An AIRFLOW_HOME whose configuration names a folder, and nothing else that names one."""
    for name in (VARIABLE, AIRFLOW, "AIRFLOW_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    (tmp_path / "airflow.cfg").write_text("[core]\nfernet_key = 100%%\n[shadow]\ndeployments = of_the_file\n")
    return tmp_path


def test_the_first_that_is_named_goes_before_the_rest(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert deployments_folder() == home / "of_the_file"
    monkeypatch.setenv(AIRFLOW, str(home / "of_airflows_variable"))
    assert deployments_folder() == home / "of_airflows_variable"
    monkeypatch.setenv(VARIABLE, str(home / "of_the_variable"))
    assert deployments_folder() == home / "of_the_variable"
    with looking_in(home / "of_the_option"):
        assert deployments_folder() == home / "of_the_option"
    assert deployments_folder() == home / "of_the_variable"


@pytest.mark.parametrize("text", ["[core]\n", "[shadow]\ndeployments =\n", "deployments = no section\n", None])
@pytest.mark.parametrize("variable", ["", "  "])
def test_where_nothing_is_named_they_lie_in_the_project(
    home: Path, text: str | None, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, variable)
    (home / "airflow.cfg").unlink()
    if text is not None:
        (home / "airflow.cfg").write_text(text)
    assert deployments_folder() == PROJECT / "include" / "deployments"


def test_airflows_configuration_may_be_another_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "other.cfg").write_text("[shadow]\ndeployments = /elsewhere\n")
    monkeypatch.setenv("AIRFLOW_CONFIG", str(home / "other.cfg"))
    assert deployments_folder() == Path("/elsewhere")


def test_an_error_names_each_place_up_to_the_one_that_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeploymentError) as caught:
        deployment_files()
    assert str(caught.value) == (
        "there is no folder of deployments, name one: --deployments (in a DAG file the argument of shadow_dags) is not "
        "set; "
        f"{VARIABLE} is not set; [shadow] deployments in {home / 'airflow.cfg'} is {home / 'of_the_file'}, "
        "which is not a folder"
    )
    monkeypatch.setenv(VARIABLE, str(home / "airflow.cfg"))
    with pytest.raises(DeploymentError, match=f"{VARIABLE} is .*airflow.cfg, which is not a folder$"):
        deployment_files()
