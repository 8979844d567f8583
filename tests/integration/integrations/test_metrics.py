"""Verdicts and promotions arrive as metrics, under names and with tags that StatsD and OpenTelemetry take."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.decision.words.finding import Finding, Verdict
from shadow_deployment.integrations import metrics
from shadow_deployment.ledger import predictions, verdicts
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.challengers.trials import open_trials
from shadow_deployment.promotion import registry
from tests.builders import a_verdict
from tests.conftest import PROJECT
from tests.integration.promotion.promoting import by, judge, settings
from tests.production import World, day

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")

PROGRAM = """
import datetime as dt
from airflow.sdk.configuration import conf
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
from shadow_deployment.promotion import registry, request
from shadow_deployment.integrations import metrics
request.outcome_now = lambda *_: "PASS"
from shadow_deployment.orchestration.run_context import context_of
legacy = conf.getboolean("metrics", "legacy_names_on")
stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=legacy)
found = context_of("late")
metrics.verdict(found, "other", dt.date(2024, 3, 4))
metrics.promotion("late", registry.promote(found, "other", approved_by="ada", reason="it is better"))
"""


class Receiver:
    """A StatsD server: what has arrived at its socket."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def variables(self, **settings: str) -> dict[str, str]:
        here = {"STATSD_ON": "True", "STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(self.port)}
        return {f"AIRFLOW__METRICS__{key}": value for key, value in {**here, **settings}.items()}

    def lines(self) -> list[str]:
        """Everything of ours that was sent, in order: datagrams on loopback are there when sending returns."""
        found: list[str] = []
        self.socket.setblocking(False)
        while True:
            try:
                found += self.socket.recv(65536).decode().splitlines()
            except BlockingIOError:
                return [line for line in found if line.startswith("airflow.shadow.")]

    def values(self) -> dict[str, float]:
        """The last value of each gauge or counter by name, without Airflow's prefix."""
        split = [re.fullmatch(r"airflow\.(.*):([-+\d.e]+)\|[gc]", line) for line in self.lines()]
        assert None not in split
        return {one[1]: float(one[2]) for one in split if one}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.socket.close()


@pytest.fixture
def sent(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Receiver]]:
    """Let this process send its metrics to the receiver, with these settings."""
    from airflow.sdk.configuration import conf
    from airflow.sdk.observability import stats
    from airflow.sdk.observability.metrics import stats_utils

    clients: list[Any] = []

    def factory() -> Any:
        made = stats_utils.get_stats_factory()()
        clients.append(made.statsd)
        return made

    def configure(**settings: str) -> Receiver:
        for name, value in receiver.variables(**settings).items():
            monkeypatch.setenv(name, value)
        stats.initialize(factory=factory, export_legacy_names=conf.getboolean("metrics", "legacy_names_on"))
        return receiver

    yield configure
    monkeypatch.undo()
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)
    for one in clients:
        one.close()


@pytest.fixture(scope="module")
def shadowed(worlds: Callable[..., World]) -> World:
    """Four days with their labels, of which the first is mature; `other` passes on the last, the A/A check does not."""
    world = worlds()
    shadow = world.shadow(**settings(world))
    for number in range(4):
        steps.sample(shadow, day(number))
        steps.collect_labels(shadow, day(number))
    judge(shadow, 3, "PASS")
    judge(shadow, 3, "INCONCLUSIVE", "a_a_check")
    return world


@pytest.fixture
def world(worlds: Callable[..., World], shadowed: World) -> World:
    return worlds(shadowed)


@pytest.fixture
def shadow(world: World) -> DeploymentContext:
    return world.shadow(**settings(world))


def finding(metric: str, slice_name: str = "all", **terms: Any) -> Finding:
    given = {"role": "blocking", "outcome": "FAIL", "estimate": -0.25, "lower": -0.5, "upper": 0.125, **terms}
    return Finding(metric, slice_name, "superior", bound=0.0, reason="as the test says", **given)


def keep(shadow: DeploymentContext, *findings: Finding, number: int = 3) -> None:
    challenger = shadow.deployment.challenger("other")
    with shadow.ledger() as session:
        key = predictions.challenger_id(session, shadow.deployment, challenger, model_digest(challenger))
        trial = open_trials(session, shadow.deployment, {challenger.name: key}, "7")[challenger.name]
        failing = Verdict("FAIL", ["as the test says"], findings)
        verdicts.store(session, shadow.deployment, a_verdict(day(number), key, failing, trial=trial))


def test_a_verdict_and_a_promotion_of_a_process_like_a_task_arrive(world: World, receiver: Receiver) -> None:
    world.deploy(**settings(world))
    variables = {**os.environ, **world.variables(), **receiver.variables()}
    command = [sys.executable, "-c", PROGRAM]
    ended = subprocess.run(command, cwd=PROJECT, env=variables, check=False, capture_output=True, text=True)
    assert (ended.returncode, "rror" in ended.stdout + ended.stderr) == (0, False), ended.stdout + ended.stderr
    found = receiver.values()
    ((population, rows, labelled),) = world.query(
        "SELECT newest.population, newest.rows, first.labelled::float / first.rows "
        "FROM shadow.snapshot AS newest, shadow.labelled_snapshot AS first WHERE newest.day = %s AND first.day = %s",
        [day(3), day(0)],
    )
    assert found.pop("shadow.late.label_coverage") == found.pop("shadow.label_coverage") == pytest.approx(labelled)
    assert found == {
        "shadow.verdict": 1,
        "shadow.late.other.verdict": 1,
        "shadow.requests": population,
        "shadow.late.requests": population,
        "shadow.sampled": rows,
        "shadow.late.sampled": rows,
        "shadow.promotion": 1,
        "shadow.late.other.promotion.promotion": 1,
    }


def test_every_gate_is_sent_with_its_interval_and_no_monitor(
    shadow: DeploymentContext, sent: Callable[..., Receiver]
) -> None:
    receiver = sent()
    keep(
        shadow,
        finding("brier_score"),
        finding("log_loss", lower=None, upper=None),
        finding("agreement", role="advisory"),
    )
    metrics.verdict(shadow, "other", day(3))
    found = {name: value for name, value in receiver.values().items() if name.startswith("shadow.late.other.")}
    assert found == {
        "shadow.late.other.verdict": -1,
        "shadow.late.other.brier_score.superior.all.estimate": -0.25,
        "shadow.late.other.brier_score.superior.all.lower": -0.5,
        "shadow.late.other.brier_score.superior.all.upper": 0.125,
        "shadow.late.other.log_loss.superior.all.estimate": -0.25,
    }


SLICES = ("origin=EWR", "origin=東京", "origin=大阪", "name=a,b=c d|e:f@g.h", "text=" + "x" * 300, "text=" + "x" * 301)


def test_slices_of_any_text_arrive_apart_in_names_and_tags(
    shadow: DeploymentContext, sent: Callable[..., Receiver], caplog: pytest.LogCaptureFixture
) -> None:
    keep(shadow, *(finding("brier_score", name, lower=None, upper=None) for name in SLICES))
    receiver = sent()
    metrics.verdict(shadow, "other", day(3))
    names = {line.partition(":")[0] for line in receiver.lines() if ".brier_score.superior." in line}
    assert len(names) == len(SLICES)
    assert "airflow.shadow.late.other.brier_score.superior.origin-EWR.estimate" in names
    receiver = sent(STATSD_INFLUXDB_ENABLED="True", LEGACY_NAMES_ON="False")
    metrics.verdict(shadow, "other", day(3))
    lines = receiver.lines()
    tagged = {line.partition(":")[0] for line in lines if line.startswith("airflow.shadow.estimate,")}
    assert len(tagged) == len(SLICES)
    tags = "deployment=late,challenger=other,metric=brier_score,rule=superior,slice=origin-EWR"
    assert f"airflow.shadow.estimate,{tags}:-0.25|g" in lines
    assert "airflow.shadow.verdict,deployment=late,challenger=other:-1|g" in lines
    assert any(line.startswith("airflow.shadow.requests,deployment=late:") for line in lines)
    assert not [line for line in lines if line.startswith("airflow.shadow.late.")]
    assert not [one for one in caplog.records if one.levelname in ("WARNING", "ERROR")]


def test_only_the_newest_day_is_sent(shadow: DeploymentContext, sent: Callable[..., Receiver]) -> None:
    receiver = sent()
    metrics.verdict(shadow, "other", day(2))
    metrics.verdict(shadow, "otherwise", day(3))
    assert receiver.lines() == []
    metrics.verdict(shadow, "a_a_check", day(3))
    assert receiver.values()["shadow.late.a_a_check.verdict"] == 0


def test_rollbacks_are_counted_by_themselves(shadow: DeploymentContext, sent: Callable[..., Receiver]) -> None:
    registry.promote(shadow, "other", **by("ada"))
    receiver = sent(STATSD_INFLUXDB_ENABLED="True")
    metrics.promotion("late", registry.rollback(shadow, **by("bob")))
    assert receiver.lines() == [
        "airflow.shadow.promotion,deployment=late,challenger=champion,kind=rollback:1|c",
        "airflow.shadow.late.champion.rollback.promotion:1|c",
    ]


def test_a_failure_to_send_is_logged_and_nothing_more(
    shadow: DeploymentContext,
    sent: Callable[..., Receiver],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent()
    gone = replace(shadow, connections=lambda name: replace(shadow.connections(name), port=1))
    metrics.verdict(gone, "other", day(3))
    assert "no metric of the verdict of other on 2024-03-04 is sent" in caplog.text
    monkeypatch.setattr(metrics.Stats, "incr", lambda *arguments, **terms: 1 / 0)
    made = registry.promote(shadow, "other", **by("ada"))
    metrics.promotion("late", made)
    assert "no metric of promotion 1 of late is sent" in caplog.text
