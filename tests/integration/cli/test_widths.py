"""What commands print at 100 and 80 columns and into a pipe: names, dates and numbers whole, and nothing left out."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from shadow_deployment.cli.main import app
from shadow_deployment.ledger import alerts as ledger
from shadow_deployment.ledger.alerts import Alert
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.promotion import registry
from tests.conftest import Invoke, declare
from tests.production import World, day

NAME = "a_deployment_whose_name_has_40_letters__"
CHALLENGER = "a_challenger_whose_name_has_40_letters__"
FORTY = {"name": CHALLENGER, "model": "logged:flights.prediction_log.other_probability", "version": "2026.11.30-1"}
CHALLENGERS = [FORTY, {"name": "a_a_check", "model": "champion"}]
SETTINGS: dict[str, Any] = {
    "name": NAME,
    "owner": "Operations research",
    "challengers": CHALLENGERS,
    "promotion": {"allow_force": True},
    "policy": {
        "burn_in": 2,
        "rules": [
            {"metric": "brier_score", "is": "superior", "slices": ["origin"]},
            {"metric": "population_stability_index", "is": "at_most", "value": 0.25, "role": "advisory"},
            {"metric": "error_rate", "is": "at_most", "value": 0.5},
        ],
    },
}
COMMANDS = {
    "verdict": ["verdict", NAME],
    "explain": ["explain", NAME, "--challenger", CHALLENGER],
    "evidence": ["evidence", NAME],
    "labels": ["labels", NAME],
    "trials": ["trials", NAME],
    "status": ["status", NAME],
    "status of all": ["status", "--all"],
    "champion": ["champion", NAME],
    "promotions": ["promotions", NAME],
    "alerts": ["alerts", NAME],
    "plan": ["plan", NAME, "--effect", "0.05"],
    "verify": ["verify", NAME],
    "erase": ["erase", NAME, "--key", "f0001", "--dry-run"],
    "doctor": ["doctor", NAME],
}
WIDTHS = {"100 columns": "100", "80 columns": "80", "a pipe": None}


@pytest.fixture(scope="module")
def judged(worlds: Callable[..., World]) -> World:
    """Six days with a verdict, then an alert that one of two channels has refused, and a forced promotion."""
    world = worlds()
    shadow = world.shadow(**SETTINGS)
    assert run_days(shadow, [day(number) for number in range(6)], Console(quiet=True)) == []
    alert = Alert("failed", NAME, day(5), "1", title=f"{NAME}: {CHALLENGER} fails on {day(5)}, by -0.0123456 and more")
    with shadow.ledger() as session:
        ledger.put(session, shadow.deployment, alert, ["webhook:hook", "slack:slack_default"])
        (stored,) = ledger.history(session, shadow.deployment)
        ledger.record(session, stored, "webhook:hook", None)
        ledger.record(session, stored, "slack:slack_default", "HTTP 503: the service is not available at the moment")
    registry.promote(shadow, CHALLENGER, approved_by="Ada Lovelace", reason="rehearsal of the first day", force=True)
    return world


@pytest.fixture
def world(judged: World, monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(judged, monkeypatch)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("world")
def test_no_command_cuts_a_word(command: str, width: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared with what it prints at a width where each row is a row and each line a line."""
    monkeypatch.setenv("COLUMNS", "1000")
    _, whole, _ = invoke(*COMMANDS[command])
    if WIDTHS[width] is None:
        monkeypatch.delenv("COLUMNS")
    else:
        monkeypatch.setenv("COLUMNS", str(WIDTHS[width]))
    _, shown, err = invoke(*COMMANDS[command])
    assert whole.strip(), err
    assert "…" not in shown
    words = set(shown.split())
    assert not [word for word in whole.replace("─", "").split() if word not in words]
    if (columns := WIDTHS[width]) is not None:
        too_long = [line for line in shown.splitlines() if len(line) > int(columns)]
        assert not [line for line in too_long if max(map(len, line.split())) < int(columns) // 2], (
            "only for a long word"
        )


@pytest.mark.parametrize("command", ["verdict", "trials", "promotions", "status of all", "alerts", "plan"])
@pytest.mark.usefixtures("world")
def test_names_stand_whole_in_a_pipe(command: str, invoke: Invoke) -> None:
    _, shown, _ = invoke(*COMMANDS[command])
    assert CHALLENGER in shown.split() or f"{CHALLENGER}:" in shown.split()


@pytest.mark.parametrize("name", [command.callback.__name__ for command in app.registered_commands if command.callback])
def test_the_help_of_every_command_is_whole_at_80_columns(
    name: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, shown, _ = invoke(name, "--help")
    assert (code, "…" in shown) == (0, False)
    assert max(map(len, shown.splitlines())) <= 80


def test_headings_that_are_not_plain_are_explained(world: World, invoke: Invoke) -> None:
    for command, term in {
        "verdict": "interval: a confidence sequence",
        "evidence": "pairs: requests that count",
        "labels": "set aside: contradicted",
        "trials": "batch: trials that were opened together",
        "plan": "half pass by, ",
    }.items():
        assert term in " ".join(invoke(*COMMANDS[command])[1].split())


def test_all_deployments_are_one_table_with_what_needs_somebody_first(world: World, invoke: Invoke) -> None:
    world.deploy(**SETTINGS | {"name": "quiet"})
    (world.deployments / "late.yaml").rename(world.deployments / "quiet.yaml")
    world.deploy(**SETTINGS)
    broken = world.deployments / "broken.yaml"
    broken.write_text("name: broken\nstart: yesterday\n")
    try:
        code, shown, err = invoke("status", "--all")
        _, rows, _ = invoke("status", "--all", "--json")
    finally:
        broken.unlink()
        (world.deployments / "quiet.yaml").unlink()
    lines = [json.loads(row) for row in rows.splitlines()]
    assert (code, err) == (1, "")
    assert [(line["deployment"], line["challenger"]) for line in lines] == [
        ("broken", None),
        *((name, challenger["name"]) for name in ("quiet", NAME) for challenger in CHALLENGERS),
    ]
    assert [line["needs_somebody"] for line in lines] == [True, False, False, False, False]
    assert [line["stage"] for line in lines] == [None, "not_started", "not_started", "champion", "as_expected"]
    assert "start" in lines[0]["what_to_do"]
    assert lines[1]["outcome"] is None, "it has no day of its own"
    found = (lines[3]["owner"], lines[3]["outcome"], lines[3]["since"])
    assert found == ("Operations research", "INCONCLUSIVE", str(day(5)))
    assert lines[3]["what_to_do"].startswith("Let production serve it")
    for line in lines:
        assert line["deployment"] in shown.split()


def test_nobody_is_needed_where_all_is_quiet(reading: World, invoke: Invoke) -> None:
    reading.deploy(**SETTINGS)
    code, shown, _ = invoke("status", "--all")
    assert (code, "Not started" in " ".join(shown.split())) == (0, True)


def test_a_ledger_that_is_away_needs_somebody_and_is_named(
    reading: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_EU_LEDGER", "postgresql://nobody@127.0.0.1:9/eu")
    reading.deploy(**SETTINGS | {"store": {"conn_id": "eu_ledger"}})
    code, rows, _ = invoke("status", "--all", "--json")
    (line,) = map(json.loads, rows.splitlines())
    assert (code, line["deployment"], line["state"], line["challenger"]) == (1, NAME, "Cannot be read", None)
    assert line["what_to_do"].startswith("connection eu_ledger (nobody@127.0.0.1:9/eu) is lost or not there")


@pytest.mark.parametrize("arguments", [[], [NAME, "--all"], ["--all", "--write"]])
def test_a_name_or_all_is_given(arguments: list[str], invoke: Invoke) -> None:
    code, _, err = invoke("status", *arguments)
    assert (code, "give a deployment's name, or --all without --write" in " ".join(err.replace("│", "").split())) == (
        2,
        True,
    )
