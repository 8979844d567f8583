"""The alias in MLflow follows the champion, through MLflow's REST API and nothing else."""

import base64
import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shadow_deployment.config.actions import PromotionPolicy
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection, environment
from shadow_deployment.errors import CredentialsError, RegistryError, ShadowError, TransientError
from shadow_deployment.ledger.registry.promotions import CurrentChampion
from shadow_deployment.promotion import mlflow_alias, registry
from tests.builders import a_deployment
from tests.conftest import Invoke, declare
from tests.integration.promotion.promoting import ALWAYS, by, judge, settings
from tests.production import World, moment

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")

SECRET = "neverToBeSeenInAnyText"
ALIAS = {"conn_id": "registry_mlflow", "model": "flight delay", "alias": "serving"}
PATH = "/api/2.0/mlflow/registered-models/alias"
SEARCH = "/api/2.0/mlflow/model-versions/search"


@dataclass
class FakeMlflow:
    """A model registry that answers as MLflow's REST API is documented, and as its server does where that is silent."""

    versions: dict[str, set[str]] = field(default_factory=lambda: {"flight delay": {"1", "2", "7"}})
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    tags: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    pending: set[tuple[str, str]] = field(default_factory=set)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    answer: tuple[int, str] | None = None
    port: int = 0

    def handle(self, method: str, target: str, body: bytes, authorization: str | None) -> tuple[int, str]:
        parts = urlsplit(target)
        self.asked.append((method, parts.path, authorization))
        if self.answer:
            return self.answer
        if parts.path == SEARCH:
            return 200, json.dumps(self.search(**{key: value[0] for key, value in parse_qs(parts.query).items()}))
        if parts.path != PATH:
            return 404, "<!doctype html>Not Found"
        given = {key: value[0] for key, value in parse_qs(parts.query).items()} if method == "GET" else json.loads(body)
        if given["name"] not in self.versions:
            return refused(404, "RESOURCE_DOES_NOT_EXIST", f"Registered Model with name={given['name']} not found")
        return {"GET": self.get, "POST": self.set, "DELETE": self.delete}[method](**given)

    def get(self, name: str, alias: str) -> tuple[int, str]:
        if (name, alias) not in self.aliases:
            return refused(400, "INVALID_PARAMETER_VALUE", f"Registered model alias {alias} not found.")
        return 200, json.dumps({"model_version": self.version(name, self.aliases[name, alias])})

    def version(self, name: str, version: str) -> dict[str, Any]:
        tags = [{"key": key, "value": value} for key, value in self.tags.get((name, version), {}).items()]
        status = "PENDING_REGISTRATION" if (name, version) in self.pending else "READY"
        return {"name": name, "version": version, "status": status, **({"tags": tags} if tags else {})}

    def search(self, filter: str, order_by: str, max_results: str) -> dict[str, Any]:  # noqa: A002 (MLflow's name)
        assert (order_by, int(max_results)) == ("version_number DESC", 100)
        found = [(name, versions) for name, versions in self.versions.items() if filter == f"name='{name}'"]
        every = [self.version(name, one) for name, many in found for one in sorted(many, key=int, reverse=True)]
        return {"model_versions": every} if every else {}

    def set(self, name: str, alias: str, version: str) -> tuple[int, str]:
        if alias == "latest":
            return refused(400, "INVALID_PARAMETER_VALUE", "'latest' alias name (case insensitive) is reserved.")
        if version not in self.versions[name]:
            return refused(404, "RESOURCE_DOES_NOT_EXIST", f"Model Version (name={name}, version={version}) not found")
        self.aliases[name, alias] = version
        return 200, "{}"

    def delete(self, name: str, alias: str) -> tuple[int, str]:
        self.aliases.pop((name, alias), None)
        return 200, "{}"

    @property
    def written(self) -> list[str]:
        return [method for method, _, _ in self.asked if method != "GET"]


def refused(status: int, code: str, message: str) -> tuple[int, str]:
    return status, json.dumps({"error_code": code, "message": message})


@pytest.fixture
def mlflow() -> Iterator[FakeMlflow]:
    fake = FakeMlflow()

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, text = fake.handle(self.command, self.path, body, self.headers.get("Authorization"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = reply  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield fake
    server.shutdown()
    server.server_close()


def connected(mlflow: FakeMlflow, **fields: Any) -> Callable[[str], Connection]:
    given = {"host": "127.0.0.1", "port": mlflow.port, "password": SECRET, "database": "http", **fields}
    return lambda conn_id: Connection(conn_id, **given)


def deployment(**changes: Any) -> Deployment:
    linear = {"name": "linear", "version": "2", "model": "onnx:include/models/gradient_boosting.onnx"}
    found = a_deployment(challengers=[linear, {"name": "a_a_check", "model": "champion"}])
    return found.model_copy(update={"promotion": PromotionPolicy.model_validate({"mlflow": {**ALIAS, **changes}})})


def champion(name: str = "linear", version: str = "2") -> CurrentChampion:
    return CurrentChampion(name, version, None, None, number=1, since=moment(0), approved_by="ada")


def follow(mlflow: FakeMlflow, who: CurrentChampion, **fields: Any) -> list[str]:
    return mlflow_alias.follow(DeploymentContext(deployment(), connected(mlflow, **fields)), who)


def refusal(call: Callable[[], object], error: type[ShadowError] = RegistryError) -> str:
    with pytest.raises(error) as caught:
        call()
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_the_alias_is_set_and_moved_and_setting_it_again_changes_nothing(mlflow: FakeMlflow) -> None:
    mlflow.aliases["flight delay", "serving"] = "1"
    mlflow.aliases["flight delay", "candidate"] = "7"
    for _ in range(2):
        assert follow(mlflow, champion()) == ["alias serving of flight delay in MLflow, version 2"]
    assert mlflow.aliases == {("flight delay", "serving"): "2", ("flight delay", "candidate"): "7"}
    assert mlflow.written == ["POST"]
    assert follow(mlflow, champion(version="007")) == ["alias serving of flight delay in MLflow, version 7"]
    assert mlflow.aliases["flight delay", "serving"] == "7"


@pytest.mark.parametrize(
    "who",
    [champion("champion", "7"), champion("a_a_check", "1"), champion("linear", "2a")],
    ids=lambda who: str(who.name),
)
def test_a_champion_that_is_no_version_there_takes_the_alias_away_and_says_so(
    mlflow: FakeMlflow, who: CurrentChampion, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow.aliases["flight delay", "serving"] = "1"
    for _ in range(2):
        assert follow(mlflow, who) == ["alias serving of flight delay in MLflow, removed"]
    assert (mlflow.aliases, mlflow.written) == ({}, ["DELETE"])
    (said, _) = [one for one in caplog.records if one.name == mlflow_alias.__name__]
    assert said.levelno == logging.WARNING
    assert "is not a known version of that model" in said.getMessage()


def test_without_a_registered_model_no_call_is_made(mlflow: FakeMlflow) -> None:
    shadow = DeploymentContext(a_deployment(), connected(mlflow))
    assert mlflow_alias.follow(shadow, champion()) == []
    assert mlflow.asked == []


@pytest.mark.parametrize(
    ("fields", "path", "authorization"),
    [
        ({}, PATH, f"Bearer {SECRET}"),
        ({"login": "ada"}, PATH, "Basic " + base64.b64encode(f"ada:{SECRET}".encode()).decode()),
        ({"password": None}, PATH, None),
        ({"host": "http://127.0.0.1/behind/a/proxy", "database": None}, f"/behind/a/proxy{PATH}", f"Bearer {SECRET}"),
    ],
    ids=["token", "basic", "open", "prefix"],
)
def test_address_and_credentials_are_the_connections(
    mlflow: FakeMlflow, fields: dict[str, Any], path: str, authorization: str | None
) -> None:
    mlflow.answer = 200, "{}"
    follow(mlflow, champion(), **fields)
    assert set(mlflow.asked) == {("GET", path, authorization), ("POST", path, authorization)}


@pytest.mark.parametrize(
    "declared",
    [
        "http://:{secret}@127.0.0.1:{port}/http",
        "http://http%3A%2F%2F127.0.0.1:{port}?__extra__=%7B%7D",
        '{{"conn_type": "http", "host": "127.0.0.1", "port": {port}, "schema": "http", "password": "{secret}"}}',
    ],
)
def test_a_connection_of_the_environment_leads_there(
    mlflow: FakeMlflow, declared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY_MLFLOW", declared.format(secret=SECRET, port=mlflow.port))
    mlflow_alias.follow(DeploymentContext(deployment(), environment), champion())
    assert mlflow.aliases == {("flight delay", "serving"): "2"}
    assert {word for *_, word in mlflow.asked} in ({f"Bearer {SECRET}"}, {None})


def test_without_a_scheme_nothing_is_sent_in_the_clear(mlflow: FakeMlflow) -> None:
    said = refusal(lambda: follow(mlflow, champion(), database=None), TransientError)
    assert "if the server does not speak TLS, set the schema of connection registry_mlflow to http" in said
    assert mlflow.asked == []
    said = refusal(
        lambda: mlflow_alias.follow(DeploymentContext(deployment(), environment), champion()), CredentialsError
    )
    assert "promotion.mlflow.conn_id == 'registry_mlflow': connection registry_mlflow is not declared" in said
    said = refusal(lambda: follow(mlflow, champion(), database="prod"))
    assert "promotion.mlflow.conn_id == 'registry_mlflow': its schema == 'prod', must be http or https" in said


ANSWERS: list[tuple[str, tuple[int, str], type[ShadowError], str]] = [
    (
        "token",
        refused(401, "UNAUTHENTICATED", "no"),
        RegistryError,
        "correct login and password of connection registry",
    ),
    ("right", (403, "Permission denied"), RegistryError, "403 Forbidden; correct login and password"),
    ("another server", (404, "<html>"), RegistryError, "404 Not Found; is connection registry_mlflow the address"),
    ("a page to log in", (200, "<html>"), RegistryError, "200 OK; is connection registry_mlflow the address"),
    ("elsewhere", (302, ""), RegistryError, "302 Found; is connection registry_mlflow the address"),
    ("busy", (429, ""), TransientError, "429 Too Many Requests"),
    ("broken", refused(500, "INTERNAL_ERROR", "oops"), TransientError, "500 INTERNAL_ERROR: oops"),
    ("restarting", (503, "<html>"), TransientError, "503 Service Unavailable"),
]


@pytest.mark.parametrize(("answer", "error", "said"), [one[1:] for one in ANSWERS], ids=[one[0] for one in ANSWERS])
def test_each_refusal_says_what_to_do_and_whether_to_try_again(
    mlflow: FakeMlflow, answer: tuple[int, str], error: type[ShadowError], said: str
) -> None:
    mlflow.answer = answer
    text = refusal(lambda: follow(mlflow, champion()), error)
    assert text.startswith("promotion.mlflow: alias 'serving' of model 'flight delay' is not set: ")
    assert said in text


def test_a_model_version_or_alias_that_cannot_be_is_named(mlflow: FakeMlflow) -> None:
    said = refusal(lambda: follow(mlflow, champion(version="3")))
    assert "404 RESOURCE_DOES_NOT_EXIST: Model Version (name=flight delay, version=3) not found; register that" in said
    mlflow.versions = {}
    for who in (champion(), champion("champion", "7")):
        said = refusal(lambda who=who: follow(mlflow, who))  # type: ignore[misc]
        assert "Registered Model with name=flight delay not found; register that model" in said
    mlflow.versions = {"flight delay": {"2"}}
    reserved = DeploymentContext(deployment(alias="latest"), connected(mlflow))
    said = refusal(lambda: mlflow_alias.follow(reserved, champion()))
    assert "is reserved.; correct promotion.mlflow.alias" in said
    assert mlflow.aliases == {}


def test_a_server_that_is_not_there_or_does_not_answer_is_worth_another_try(
    mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    port = gone.server_address[1]
    monkeypatch.setattr(mlflow_alias, "SECONDS", 0.2)
    assert "timed out" in refusal(lambda: follow(mlflow, champion(), port=port), TransientError)
    gone.server_close()
    assert "Connection refused" in refusal(lambda: follow(mlflow, champion(), port=port), TransientError)
    assert "correct host and port" in refusal(lambda: follow(mlflow, champion(), host="http://[::z]"))
    assert "correct host and port" in refusal(lambda: follow(mlflow, champion(), host="ftp://127.0.0.1"))


def test_a_promotion_and_a_rollback_move_the_alias_and_publishing_repairs_it(
    worlds: Callable[..., World], mlflow: FakeMlflow, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = declare(worlds(), monkeypatch)
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY_MLFLOW", f"http://:{SECRET}@127.0.0.1:{mlflow.port}/http")
    shadow = world.shadow(**settings(world, promotion={**ALWAYS, "manifest": None, "mlflow": ALIAS}))
    shadow = DeploymentContext(shadow.deployment, environment)
    judge(shadow, 0, "PASS", "linear")
    mlflow.answer = 503, ""
    said = refusal(lambda: registry.promote(shadow, "linear", **by("ada")), TransientError)
    assert "deployment late: the champion is linear 2, by promotion 1" in said
    assert "but promotion.mlflow: alias 'serving'" in said
    assert "publish again: shadow champion late --publish" in said
    assert [one.name for one in registry.history(shadow)] == ["linear"]
    mlflow.answer = None
    code, out, _ = invoke("champion", "late", "--publish")
    assert (code, "wrote alias serving of flight delay in MLflow, version 2" in out) == (0, True)
    assert mlflow.aliases == {("flight delay", "serving"): "2"}
    registry.promote(shadow, "other", **by("ada"), force=True)
    assert mlflow.aliases == {("flight delay", "serving"): "1"}
    registry.rollback(shadow, **by("bob"))
    assert mlflow.aliases == {("flight delay", "serving"): "2"}
    registry.rollback(shadow, **by("bob"))  # to the champion that no promotion has made
    assert mlflow.aliases == {}
