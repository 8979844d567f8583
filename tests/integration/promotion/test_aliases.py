"""Aliases of MLflow: replaced by versions where a day begins, by what the ledger knows on pages, and by nobody else."""

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shadow_deployment.config.deployment import Challenger, ChampionSettings, Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection, environment
from shadow_deployment.errors import CredentialsError, DeploymentError, ModelError, TransientError
from shadow_deployment.ledger import predictions
from shadow_deployment.ledger.checks import newer_versions
from shadow_deployment.models import aliases
from shadow_deployment.models.aliases import last_versions, resolve_aliases
from shadow_deployment.models.loading import load, model_digest
from shadow_deployment.models.sandbox import mlflow
from shadow_deployment.pipeline.challengers.trials import open_trials
from tests.builders import a_deployment
from tests.conftest import declare
from tests.integration.promotion.test_mlflow_alias import PATH, SECRET, FakeMlflow, connected
from tests.integration.promotion.test_mlflow_alias import mlflow as fake  # noqa: F401 (a fixture)
from tests.production import World, day

ALIAS = {"name": "linear", "model": "mlflow:models:/flight@serving", "conn_id": "registry_mlflow"}
OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
NEWEST = {"name": "newest", "model": "mlflow:models:/flight/latest", "conn_id": "registry_mlflow"}
FIXED = {"name": "fixed", "model": "mlflow:models:/flight/3"}


@pytest.fixture
def server(fake: FakeMlflow) -> Iterator[FakeMlflow]:  # noqa: F811
    fake.versions = {"flight": {"1", "2"}}
    fake.aliases = {("flight", "serving"): "2", ("flight", "champion"): "1"}
    return fake  # type: ignore[return-value]


def deployed(*challengers: dict[str, Any]) -> Deployment:
    return a_deployment(challengers=[*challengers, OTHER])


def test_an_alias_becomes_the_version_it_points_at_and_follows_it(server: FakeMlflow) -> None:
    champion = ChampionSettings(model="mlflow:models:/flight@champion", conn_id="registry_mlflow")
    declared = deployed(ALIAS, FIXED).model_copy(update={"champion": champion})
    shadow = DeploymentContext(declared, connected(server))
    found = resolve_aliases(shadow).deployment
    assert [one.model for one in found.challengers] == ["mlflow:models:/flight/2", FIXED["model"], OTHER["model"]]
    assert (found.challengers[0].conn_id, found.challengers[0].name) == ("registry_mlflow", "linear")
    assert found.champion is not None
    assert found.champion.model == "mlflow:models:/flight/1"
    assert shadow.deployment.challengers[0].model == ALIAS["model"]
    assert [asked[:2] for asked in server.asked] == [("GET", PATH)] * 2
    first = model_digest(found.challengers[0])
    server.aliases["flight", "serving"] = "1"
    assert model_digest(resolve_aliases(shadow).deployment.challengers[0]) != first


def test_without_an_alias_no_call_is_made(server: FakeMlflow) -> None:
    def refuse(conn_id: str) -> Connection:
        raise AssertionError(conn_id)

    shadow = DeploymentContext(deployed(FIXED), refuse)
    assert resolve_aliases(shadow) is shadow
    assert last_versions(shadow) is shadow


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda server: server.aliases.clear(), "model flight has no alias serving; set it in MLflow, or correct"),
        (lambda server: server.versions.clear(), "or correct challengers[].model"),
        (lambda server: setattr(server, "answer", (503, "")), "503 Service Unavailable"),
        (lambda server: setattr(server, "answer", (403, "")), "or its right to read the model"),
    ],
)
def test_an_alias_that_cannot_be_looked_up_stops_its_own_challenger_alone(
    server: FakeMlflow, broken: Callable[[FakeMlflow], object], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken(server)
    shadow = DeploymentContext(deployed(ALIAS), connected(server))
    found = resolve_aliases(shadow)
    [warning] = [one.getMessage() for one in caplog.records if one.name == aliases.__name__]
    assert warning.startswith("challenger linear: model == 'mlflow:models:/flight@serving' cannot be looked up: ")
    assert message in warning
    assert SECRET not in caplog.text
    linear, other = found.deployment.challengers
    with pytest.raises(TransientError, match=r"challenger linear: .* could not be resolved to a version"):
        model_digest(linear)
    with pytest.raises(TransientError, match="could not be resolved"):
        load(found, linear, window_of(found.deployment, day(0)))
    assert model_digest(other) == model_digest(Challenger.model_validate(OTHER))


def test_the_registry_is_that_of_the_connection_or_of_the_environment(
    server: FakeMlflow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bare = {"name": "linear", "model": ALIAS["model"]}
    shadow = DeploymentContext(deployed(bare), environment)
    with caplog.at_level(logging.WARNING):
        resolve_aliases(shadow)
    assert "needs conn_id, the connection of the MLflow server, or MLFLOW_TRACKING_URI" in caplog.text
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
    assert resolve_aliases(shadow).deployment.challengers[0].model == "mlflow:models:/flight/2"
    assert server.asked == [("GET", PATH, f"Bearer {SECRET}")]
    with pytest.raises(
        CredentialsError, match="challenger linear: conn_id == 'registry_mlflow': connection registry_mlfl"
    ):
        mlflow.current_versions(DeploymentContext(deployed(ALIAS), environment), Challenger.model_validate(ALIAS))


def dates(shadow: DeploymentContext) -> list[tuple[str, dt.date | None]]:
    return [(one.model, one.trained_until) for one in resolve_aliases(shadow).deployment.challengers[:1]]


def test_the_training_date_is_that_of_the_versions_tag(server: FakeMlflow) -> None:
    server.tags = {("flight", "2"): {"owner": "ada", "trained_until": "2024-02-10"}}
    shadow = DeploymentContext(deployed(ALIAS), connected(server))
    assert dates(shadow) == [("mlflow:models:/flight/2", dt.date(2024, 2, 10))]
    server.aliases["flight", "serving"] = "1"
    assert dates(shadow) == [("mlflow:models:/flight/1", None)]


@pytest.mark.parametrize("text", ["", "yesterday", "2024-02-30", "20240210", "2024-02-10T00:00", "2024-W06-6"])
def test_a_tag_that_is_no_date_stops_its_challenger_and_is_named(
    text: str, server: FakeMlflow, caplog: pytest.LogCaptureFixture
) -> None:
    server.tags = {("flight", "2"): {"trained_until": text}}
    assert dates(DeploymentContext(deployed(ALIAS), connected(server))) == [(ALIAS["model"], None)]
    assert (
        "challenger linear: model == 'mlflow:models:/flight@serving': version 2: its tag trained_until == "
        f"{text!r}, must be a date as YYYY-MM-DD"
    ) in caplog.text


def test_a_date_in_the_file_holds_for_the_version_first_seen_with_it(
    worlds: Callable[..., World], server: FakeMlflow
) -> None:
    declared, tagged = dt.date(2024, 2, 1), dt.date(2024, 2, 10)
    server.tags = {("flight", "1"): {"trained_until": "no date"}, ("flight", "2"): {"trained_until": str(tagged)}}
    server.aliases["flight", "serving"] = "1"
    world = worlds()
    deployment = world.deploy(challengers=[{**ALIAS, "trained_until": str(declared)}, OTHER])
    at = {"registry_mlflow": connected(server)}
    shadow = DeploymentContext(deployment, lambda conn_id: at.get(conn_id, world.connection)(conn_id))
    assert dates(shadow) == [("mlflow:models:/flight/1", declared)], "the tag is not looked at"
    model = resolve_aliases(shadow).deployment.challengers[0]
    with shadow.ledger() as session:
        key = predictions.challenger_id(session, deployment, model, model_digest(model))
        assert open_trials(session, deployment, {model.name: key}, "7")[model.name].trained_until == declared
    assert dates(shadow) == [("mlflow:models:/flight/1", declared)]
    server.aliases["flight", "serving"] = "2"
    assert dates(shadow) == [("mlflow:models:/flight/2", tagged)], "the date was declared of another version"
    server.tags = {}
    assert dates(shadow) == [("mlflow:models:/flight/2", None)]


def test_the_newest_version_with_a_training_date_is_followed_and_newer_ones_wait(
    server: FakeMlflow, caplog: pytest.LogCaptureFixture
) -> None:
    server.versions["flight"] = {"8", "9", "10", "11"}
    server.pending = {("flight", "11")}
    dated = {"trained_until": "2024-02-10"}
    server.tags = {("flight", "8"): dated, ("flight", "10"): {"trained_until": "2024-02-30"}}
    shadow = DeploymentContext(deployed(NEWEST), connected(server))

    def found() -> Challenger:
        return resolve_aliases(shadow).deployment.challengers[0]

    assert (found().model, found().version) == ("mlflow:models:/flight/8", "8")
    assert found().trained_until == dt.date(2024, 2, 10)
    waits = "version 10 in MLflow waits: its tag trained_until == '2024-02-30', must be a date as YYYY-MM-DD"
    assert found().newer_versions == f"{waits}; 1 older one waits too"
    assert f"challenger newest: {waits}" in caplog.text
    server.tags["flight", "10"] = dated
    assert (found().version, found().newer_versions) == ("10", "")
    server.tags = {}
    model = found()
    assert model.model == NEWEST["model"]
    waits = "version 10 in MLflow waits: it has no tag trained_until; 2 older ones wait too"
    with pytest.raises(ModelError, match=f"challenger newest: model == '{NEWEST['model']}': {waits}"):
        model_digest(model)
    caplog.clear()
    server.versions = {"other": {"1"}}
    with pytest.raises(TransientError, match="could not be resolved to a version"):
        model_digest(found())
    assert "model flight has no version that is READY; register one in MLflow, or correct" in caplog.text


def test_an_alias_without_a_training_date_may_be_declared_where_replayed_days_count(server: FakeMlflow) -> None:
    policy = {"replay": "count", "rules": [{"metric": "brier_score", "is": "superior"}]}
    found = a_deployment(challengers=[ALIAS], policy=policy)
    assert found.challengers[0].trained_until is None
    with pytest.raises(DeploymentError, match=r"challengers\[0\].trained_until is missing"):
        a_deployment(challengers=[FIXED], policy=policy)


def test_the_child_gets_the_credentials_of_its_registry_and_none_where_it_needs_none(
    server: FakeMlflow, tmp_path: Any
) -> None:
    shadow = DeploymentContext(deployed(ALIAS), connected(server, login="ada"))

    def variables(**fields: Any) -> dict[str, str]:
        return dict(mlflow.program(shadow, Challenger.model_validate({"name": "a", **fields})).environment)

    registered = variables(model=FIXED["model"], conn_id="registry_mlflow")
    assert registered["MLFLOW_TRACKING_URI"] == f"http://127.0.0.1:{server.port}"
    assert (registered["MLFLOW_TRACKING_USERNAME"], registered["MLFLOW_TRACKING_PASSWORD"]) == ("ada", SECRET)
    (tmp_path / "MLmodel").touch()
    folder = variables(model=f"mlflow:{tmp_path}")
    assert SECRET not in folder.values()
    assert "MLFLOW_TRACKING_URI" not in folder
    assert SECRET not in repr(mlflow.program(shadow, Challenger.model_validate({"name": "a", **FIXED, "conn_id": "m"})))


def test_the_digest_of_a_folder_is_that_of_its_files_and_their_names(tmp_path: Any) -> None:
    model = Challenger(name="a", model=f"mlflow:{tmp_path}")
    with pytest.raises(ModelError, match=r"but .*MLmodel does not exist"):
        model_digest(model)
    (tmp_path / "MLmodel").write_text("flavors")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("one")
    first = model_digest(model)
    (tmp_path / "code" / "__pycache__").mkdir()
    (tmp_path / "code" / "__pycache__" / "a.pyc").write_text("made by whoever imports it")
    assert model_digest(model) == first
    (tmp_path / "code" / "a.py").rename(tmp_path / "code" / "b.py")
    second = model_digest(model)
    (tmp_path / "code" / "b.py").write_text("two")
    assert len({first, second, model_digest(model)}) == 3


def test_a_page_shows_the_newest_version_of_the_ledger_without_a_call(worlds: Callable[..., World]) -> None:
    world = worlds()
    shadow = world.shadow(challengers=[ALIAS, {**ALIAS, "name": "new"}, OTHER, NEWEST])
    with shadow.ledger() as session:
        for uri in ("mlflow:models:/flight/1", "mlflow:models:/flight/2", "mlflow:models:/flights/9"):
            one = Challenger.model_validate({**ALIAS, "model": uri})
            predictions.challenger_id(session, shadow.deployment, one, model_digest(one))
        for number in ("7", "8"):
            model = {**NEWEST, "model": f"mlflow:models:/flight/{number}", "version": number}
            one = Challenger.model_validate(model)
            predictions.challenger_id(session, shadow.deployment, one, model_digest(one))
        for waiting in ("", "version 9 in MLflow waits", "version 9 in MLflow waits"):
            seen = [one.model_copy(update={"newer_versions": waiting})]
            newer_versions.keep(session, shadow.deployment.model_copy(update={"challengers": seen}))
    assert world.query("SELECT waiting FROM shadow.newer_versions") == [("version 9 in MLflow waits",)]
    found = last_versions(shadow).deployment
    assert found.challengers[-1].newer_versions == "version 9 in MLflow waits"
    *others, newest = [(one.model, one.version) for one in found.challengers]
    assert [model for model, _ in others] == ["mlflow:models:/flight/2", ALIAS["model"], OTHER["model"]]
    assert newest == ("mlflow:models:/flight/8", "8")
    away = DeploymentContext(shadow.deployment, environment)
    assert last_versions(away).deployment.challengers[0].model == ALIAS["model"]


def test_commands_and_tasks_resolve_and_pages_do_not(
    worlds: Callable[..., World], server: FakeMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shadow_deployment.cli.context import context_of
    from shadow_deployment.integrations.airflow_context import deployment_context
    from shadow_deployment.orchestration import run_context
    from shadow_deployment.report.queries import overview as listing

    world = declare(worlds(), monkeypatch)
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY_MLFLOW", f"http://:{SECRET}@127.0.0.1:{server.port}/http")
    deployment = world.deploy(challengers=[ALIAS, OTHER])
    expected = ["mlflow:models:/flight/2", OTHER["model"]]
    for made in (
        context_of("late"),
        context_of(deployment),
        run_context.context_of("late"),
        run_context.context_of("late", day(1)),
    ):
        assert [one.model for one in made.deployment.challengers] == expected
    asked = len(server.asked)
    known = last_versions(deployment_context(deployment))
    assert [one.model for one in known.deployment.challengers] == [ALIAS["model"], OTHER["model"]]
    assert [row.name for row in listing.overview([deployment_context(deployment)]).deployments] == ["late"]
    assert len(server.asked) == asked == 4
