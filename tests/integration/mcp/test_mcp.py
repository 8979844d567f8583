"""The MCP server through the SDK's own client: every tool, over memory, standard input and output, and HTTP."""

import io
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from rich.console import Console

from shadow_deployment.cli.commands.mcp import VARIABLE, read_token
from shadow_deployment.errors import CredentialsError
from shadow_deployment.mcp import server
from shadow_deployment.mcp.answers import Answers
from shadow_deployment.pipeline.run import run_days
from tests.conftest import Invoke, declare
from tests.production import FIRST, MATURITY, READER, World, day, linear_model

TOKEN = "t" * 40
DAYS = 6
OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
RULES = [
    {"metric": "brier_score", "is": "superior", "slices": ["origin"]},
    {"metric": "log_loss", "is": "non_inferior", "margin": 0.05},
    {"metric": "agreement", "is": "at_least", "value": 0.1},
]


@pytest.fixture(scope="module")
def judged(worlds: Callable[..., World]) -> World:
    """Six days of a challenger, whose champion's own model file does not repeat what the log says."""
    world = worlds()
    again = linear_model(world.folder / "champion.onnx", {"dep_hour": 0.1, "distance": 0.001})
    shadow = world.shadow(
        name="late",
        champion={"model": f"onnx:{again}"},
        challengers=[OTHER, {"name": "a_a_check", "model": "champion"}],
        policy={"burn_in": 3, "rules": RULES},
    )
    run_days(shadow, [day(number) for number in range(DAYS)], Console(file=io.StringIO()))
    return world


@pytest.fixture
def declared(judged: World, monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(judged, monkeypatch)


@pytest.fixture
def answers(declared: World) -> Answers:
    from shadow_deployment.cli.context import context_of, every_context

    return Answers(context_of, every_context)


Ask = Callable[[Client], Awaitable[Any]]


async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    found = await client.call_tool(tool, arguments)
    assert not found.is_error, found.content
    content = found.structured_content
    assert isinstance(content, dict)
    return content


def asked(answers: Answers, ask: Ask) -> Any:
    async def run() -> Any:
        async with Client(server.build(answers)) as client:
            return await ask(client)

    return anyio.run(run)


def answer(answers: Answers, tool: str, **arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = asked(answers, lambda client: call(client, tool, **arguments))
    return found


OF_OTHER: dict[str, object] = {"deployment": "late", "challenger": "other"}
CALLS: dict[str, dict[str, object]] = {
    "deployments": {},
    "verdict": {"deployment": "late"},
    "why_not": OF_OTHER,
    "explain": OF_OTHER,
    "evidence": OF_OTHER,
    "calendar": OF_OTHER,
    "trials": {"deployment": "late"},
    "plan": {"deployment": "late", "effect": 0.01},
}


def test_each_tool_is_described_and_read_only(answers: Answers) -> None:
    listed = asked(answers, lambda client: client.list_tools()).tools
    assert [tool.name for tool in listed] == list(CALLS)
    for tool in listed:
        assert tool.annotations.read_only_hint
        assert tool.description
        undescribed = {name for name, each in tool.input_schema["properties"].items() if "description" not in each}
        assert not undescribed, f"{tool.name}: {undescribed}"


def test_no_answer_names_or_describes_a_single_request(answers: Answers, declared: World) -> None:
    ids = {name for (name,) in declared.query("SELECT request_id FROM shadow.request")}
    values = {repr(value) for (value,) in declared.query("SELECT champion FROM shadow.request WHERE champion > 0")}
    values = {value for value in values if len(value) > 8}  # 0.01 is said of much
    for tool, arguments in CALLS.items():
        said = json.dumps(answer(answers, tool, **arguments))
        words = {word.strip("()[]{},.:\"'") for word in said.replace("\\n", " ").split()}
        assert not ids & words, tool
        assert not values & words, tool
    explained = answer(answers, "explain", **CALLS["explain"])["explanation"]
    assert "features differ between serving and shadow" in explained
    assert "Slices, by mean difference" in explained
    assert "What would change the verdict" in explained


def test_a_mean_over_a_few_requests_is_withheld(answers: Answers) -> None:
    rows = answer(answers, "evidence", **CALLS["evidence"], of_slice="origin=LGA", metric="brier_score")["rows"]
    few = [row for row in rows if row["pairs"] < 10]
    assert few
    assert len(few) < len(rows)
    for row in rows:
        assert (row["difference"] is None) == (row["pairs"] < 10)


def test_verdict_and_trials_are_what_the_command_line_prints(answers: Answers, invoke: Invoke) -> None:
    _, printed, _ = invoke("verdict", "late", "--json")
    found, expected = answer(answers, "verdict", deployment="late"), json.loads(printed)
    assert found.keys() == expected.keys()
    for ours, theirs in zip(found["challengers"], expected["challengers"], strict=True):
        for key in ("name", "version", "outcome", "day", "days", "trial", "chain"):
            assert ours[key] == theirs[key]
        assert [each["outcome"] for each in ours["findings"]] == [each["outcome"] for each in theirs["findings"]]
    _, printed, _ = invoke("trials", "late", "--json")
    lines = [json.loads(line) for line in printed.splitlines()]
    assert answer(answers, "trials", deployment="late")["trials"] == [
        {key: value for key, value in line.items() if key != "terms"} for line in lines
    ]
    _, printed, _ = invoke("plan", "late", "--effect", "0.01", "--json")
    planned = answer(answers, "plan", deployment="late", effect=0.01)
    assert [rule | {"next_alpha": planned["next_alpha"]} for rule in planned["challengers"]["other"]] == json.loads(
        printed
    )["other"]


def test_why_not_tells_what_bars_from_what_is_open(answers: Answers) -> None:
    found = answer(answers, "why_not", deployment="late", challenger="other")
    assert found["outcome"] == "INCONCLUSIVE"
    assert found["barred"] == [found["waiting"]]
    assert found["waiting"].startswith("features differ between serving and shadow")
    rules = {(rule["rule"], rule["slice"]): rule for rule in found["rules"]}
    assert set(rules) == {
        *(("brier_score superior", name) for name in ("all", "origin=EWR", "origin=JFK", "origin=LGA")),
        ("log_loss non_inferior 0.05", "all"),
    }
    assert found["passed"] == 1  # agreement
    of_lga = rules["brier_score superior", "origin=LGA"]
    assert of_lga["lower"] < of_lga["bound"] < of_lga["upper"]
    assert of_lga["what_would_decide"] == (
        f"Brier score in origin=LGA would be decided by about {of_lga['more_days']} more days like those so far"
    )
    assert answer(answers, "why_not", deployment="late", challenger="other", as_of=str(day(-1)))["outcome"] is None


def test_the_calendar_accounts_for_each_day(answers: Answers) -> None:
    found = answer(answers, "calendar", deployment="late", challenger="other")
    assert sum(run["days"] for run in found["runs"]) == DAYS
    assert found["runs"][0]["from"] == str(FIRST)
    assert {run["state"] for run in found["runs"]} == {"compared"}
    counted = sum(run["days"] for run in found["runs"] if run["labels_count"])
    assert counted == found["counts"]["counted"] == DAYS - MATURITY


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("verdict", {"deployment": "lat"}, "there is no deployment 'lat'"),
        ("why_not", {"deployment": "late", "challenger": "othr"}, "must be one of other, a_a_check"),
        ("evidence", {"deployment": "late", "challenger": "other", "metric": "auc"}, "metric == 'auc', must be one of"),
        (
            "evidence",
            {"deployment": "late", "challenger": "other", "of_slice": "x"},
            "must be one of all, carrier=(null), carrier=AA",
        ),
        ("plan", {"deployment": "late", "effect": -1}, "greater than 0"),
        ("verdict", {"deployment": "late", "as_of": "yesterday"}, "date"),
    ],
)
def test_a_wrong_argument_is_an_error_that_says_what_is_allowed(
    answers: Answers, tool: str, arguments: dict[str, object], said: str
) -> None:
    found = asked(answers, lambda client: client.call_tool(tool, arguments))
    assert found.is_error
    assert said in found.content[0].text


def test_what_was_not_foreseen_tells_the_client_its_type_only(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Any:
        raise RuntimeError("postgresql://ada:secret@ledger")

    found = asked(Answers(lambda _: broken(), broken), lambda client: client.call_tool("deployments", {}))
    assert found.is_error
    assert "secret" not in found.content[0].text
    assert "RuntimeError" in found.content[0].text
    assert "secret" in caplog.text  # on the server's side


def test_a_role_that_can_only_select_is_enough_and_nothing_is_written(
    answers: Answers, declared: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared.postgres.ensure_reader(declared.ledger, READER, "shadow")
    monkeypatch.setenv("AIRFLOW_CONN_SHADOW_DB", declared.postgres.uri(declared.ledger, READER))
    before = declared.dump()
    for tool, arguments in CALLS.items():
        assert "Cannot be read" not in json.dumps(answer(answers, tool, **arguments))
    assert declared.dump() == before


def test_the_command_answers_on_standard_input_and_output(declared: World) -> None:
    """As a client starts it: a process whose standard output carries nothing but the protocol."""
    program = "from shadow_deployment.cli.main import main; main()"
    started = StdioServerParameters(
        command=sys.executable,
        args=["-c", program, "mcp"],
        env=declared.variables() | {"PYTHONPATH": ":".join(filter(None, sys.path))},
    )

    async def run() -> dict[str, Any]:
        async with Client(stdio_client(started)) as client:
            return await call(client, "deployments")

    found = anyio.run(run)
    assert {line["challenger"] for line in found["deployments"]} == {"other", "a_a_check"}


@pytest.fixture
def url(answers: Answers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    """The server's address; it listens in a thread, and ends with the test."""
    import uvicorn

    made: list[uvicorn.Server] = []

    class Kept(uvicorn.Server):
        def __init__(self, config: uvicorn.Config) -> None:
            super().__init__(config)
            made.append(self)

    monkeypatch.setattr(server.uvicorn, "Server", Kept)
    thread = threading.Thread(target=server.serve_http, args=(answers, TOKEN, 0))
    thread.start()
    until = time.monotonic() + 120
    while not (made and made[0].started) and time.monotonic() < until:
        time.sleep(0.02)
    said = capsys.readouterr().err
    assert said.startswith("listening on http://127.0.0.1:")
    yield said.removeprefix("listening on ").strip()
    made[0].should_exit = True
    thread.join(120)
    assert not thread.is_alive()


def test_over_http_who_knows_the_token_is_answered(url: str) -> None:
    async def run() -> dict[str, Any]:
        http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=120)
        async with http, Client(streamable_http_client(url, http_client=http)) as client:
            return await call(client, "trials", deployment="late")

    assert [trial["name"] for trial in anyio.run(run)["trials"]] == ["other", "a_a_check"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "evil.example"}, 421),
        ({"Authorization": f"Bearer {TOKEN}", "Origin": "http://evil.example"}, 403),
    ],
)
def test_over_http_others_and_pages_of_other_hosts_are_refused(url: str, headers: dict[str, str], status: int) -> None:
    accepts = {"Accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    found = httpx2.post(url, json=body, headers=accepts | headers, timeout=120)
    assert found.status_code == status
    assert "deployments" not in found.text


def test_a_port_that_is_taken_is_a_message(url: str, answers: Answers) -> None:
    port = int(url.split(":")[2].split("/", maxsplit=1)[0])
    with pytest.raises(server.ServingError, match=rf"--port == {port}: Address already in use; choose another one"):
        server.serve_http(answers, TOKEN, port)


def test_a_token_is_read_from_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    assert read_token(file) == TOKEN
    file.chmod(0o640)
    with pytest.raises(CredentialsError, match=r"token: mode == 0640, must be 0600: chmod 600"):
        read_token(file)


def test_without_a_token_http_is_refused(
    declared: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    code, out, err = invoke("mcp", "--http")
    assert (code, out) == (1, "")
    assert f"environment variable {VARIABLE}: the token is empty or not set" in err
    monkeypatch.setenv(VARIABLE, "short")
    assert "the token has 5 characters, must have at least 32" in invoke("mcp", "--http")[2]
    missing = tmp_path / "missing"
    assert f"--token-file {missing}: No such file or directory" in invoke("mcp", "--http", "--token-file", missing)[2]
    assert invoke("mcp", "--token-file", missing)[0] == 2


def test_without_the_sdk_the_command_says_how_to_install_it(
    declared: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name == "mcp" or name.startswith(("mcp.", "shadow_deployment.mcp."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("shadow_deployment.mcp.server")
    monkeypatch.setitem(sys.modules, "mcp", None)
    code, _, err = invoke("mcp")
    assert code == 1
    assert "shadow mcp needs the package mcp" in err
    assert 'which is not installed: pip install "shadow-deployment[mcp]"' in err
