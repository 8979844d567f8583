"""A day arrives on CloudWatch as the alarms and the dashboard of the template read it, and never stands in the way."""

import datetime as dt
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from shadow_deployment.config.actions import CloudWatch
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.quality.expectations import Failure, Validation
from shadow_deployment.errors import DeploymentError
from shadow_deployment.integrations import cloudwatch
from shadow_deployment.ledger import snapshots
from shadow_deployment.ledger.checks import validations
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.challengers.identities import challenger_keys
from tests.conftest import declare
from tests.integration.infrastructure.template import PARSED
from tests.integration.integrations.cloudwatch_receiver import SECRET, Receiver, asked, errors
from tests.integration.orchestration.test_promotion_tasks import Events
from tests.integration.promotion.promoting import judge, settings
from tests.production import MATURITY, World, day
from tests.receivers import REGION, aws, free_port

NEWEST = MATURITY + 1

NAMES = ["other", "linear", "a_a_check"]

ALARMS = [one["Properties"] for one in PARSED["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with aws() as found:
        yield found


@pytest.fixture
def receiver(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    made = Receiver(endpoint)
    made.tell("reset")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", made.connection())
    return made


@pytest.fixture(scope="module")
def shadowed(worlds: Callable[..., World]) -> World:
    """Five days, of which the first two are mature; on the last `other` passes and `linear` fails."""
    world = worlds()
    shadow = world.shadow(**settings(world))
    for number in range(NEWEST + 1):
        sampled = steps.sample(shadow, day(number))
        steps.collect_labels(shadow, day(number))
    for one in steps.scoring_plan(shadow, sampled.day, sampled.own):
        steps.score(shadow, day(NEWEST), one["challenger"], one["shard"])
    validate(shadow, None)
    for name in NAMES:
        validate(shadow, name)
    for name, outcome in {"other": "PASS", "linear": "FAIL", "a_a_check": "INCONCLUSIVE"}.items():
        judge(shadow, NEWEST, outcome, name)  # type: ignore[arg-type]
    return world


@pytest.fixture
def world(worlds: Callable[..., World], shadowed: World, monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(worlds(shadowed), monkeypatch)


@pytest.fixture
def shadow(world: World, receiver: Receiver) -> DeploymentContext:
    return world.shadow(**asked(world, receiver))


def validate(shadow: DeploymentContext, challenger: str | None, *failures: Failure) -> None:
    """Keep what the expectations said of the last day: of its inputs, or of a challenger's predictions."""
    with shadow.ledger() as session:
        snapshot = snapshots.find(session, shadow.deployment, day(NEWEST))
        assert snapshot is not None
        key = challenger_keys(shadow, session)[challenger] if challenger else None
        validations.record(session, snapshot, key, Validation("suite", 1, list(failures)))


def test_every_challenger_is_sent_with_what_it_did(world: World, shadow: DeploymentContext, receiver: Receiver) -> None:
    world.query(
        "INSERT INTO shadow.label_collection (snapshot_id, collection, labels_until, arrival, labelled, contradicted, "
        "invalid, early) SELECT id, 99, labels_until, label_revision, labelled - 5, contradicted, invalid, early "
        "FROM shadow.labelled_snapshot WHERE day = %s RETURNING 1",
        [day(0)],
    )
    cloudwatch.publish(shadow, day(NEWEST), NAMES)
    coverages = dict(world.query("SELECT day, labelled::float / rows FROM shadow.labelled_snapshot"))
    coverage = coverages.pop(day(NEWEST - MATURITY))
    assert coverage not in coverages.values(), "the day could not be told from the others"
    answered = dict(
        world.query(
            "SELECT m.name, count(p.error)::float / count(*) FROM shadow.prediction AS p "
            "JOIN shadow.model_version AS m ON m.id = p.challenger_id WHERE p.day = %s GROUP BY 1",
            [day(NEWEST)],
        )
    )
    assert len(set(answered.values())) > 1, "the worst could not be told from the others"
    for name, verdict, failed in (("other", 1, 0), ("linear", -1, 1), ("a_a_check", 0, 0)):
        assert receiver.of(name) == {
            "verdict": verdict,
            "gate_failed": failed,
            "scoring_errors": pytest.approx(answered[name]),
            "label_coverage": pytest.approx(coverage),
            "verdict_published": 1,
        }
    assert receiver.rolled_up() == {
        "verdict": -1,
        "gate_failed": 1,
        "scoring_errors": pytest.approx(max(answered.values())),
        "label_coverage": pytest.approx(coverage),
        "verdict_published": 3,
    }


def test_a_roll_up_is_the_worst_of_its_challengers() -> None:
    values = {name: {"a": 0.25, "b": 0.75} for name in cloudwatch.WORST}
    found = cloudwatch.data("dev", "late", values, dt.datetime.now(dt.UTC))
    rolled_up = {one["MetricName"]: one["Value"] for one in found if len(one["Dimensions"]) == 1}
    assert rolled_up == {
        "verdict": 0.25,
        "gate_failed": 0.75,
        "scoring_errors": 0.75,
        "label_coverage": 0.25,
        "verdict_published": 1.0,
    }
    assert len(found) == 3 * len(values)


def test_a_gate_that_is_open_is_sent_as_zero(shadow: DeploymentContext, receiver: Receiver) -> None:
    cloudwatch.publish(shadow, day(NEWEST), ["other", "a_a_check"])
    found = receiver.rolled_up()
    assert (found["gate_failed"], found["verdict"], found["verdict_published"]) == (0, 0, 2)
    assert receiver.of("linear") == {}


def test_a_day_without_a_verdict_closes_the_gate_and_publishes_none(
    shadow: DeploymentContext, receiver: Receiver
) -> None:
    """The verdicts there are of the days before count for nothing."""
    cloudwatch.publish(shadow, day(NEWEST + 1), NAMES)
    found = receiver.rolled_up()
    assert set(found) == {"gate_failed", "label_coverage"}
    assert found["gate_failed"] == 1
    assert set(receiver.of("other")) == {"gate_failed", "label_coverage"}


def test_who_was_never_scored_answered_nothing(world: World, shadow: DeploymentContext, receiver: Receiver) -> None:
    late = {"name": "late_one", "model": "logged:flights.prediction_log.other_probability"}
    challengers = [*settings(world)["challengers"], late]
    joined = world.shadow(**{**asked(world, receiver), "challengers": challengers})
    cloudwatch.publish(joined, day(NEWEST), [*NAMES, "late_one"])
    assert receiver.of("late_one")["scoring_errors"] == receiver.rolled_up()["scoring_errors"] == 1


def test_a_day_that_stopped_at_its_inputs_blames_no_challenger(shadow: DeploymentContext, receiver: Receiver) -> None:
    validate(shadow, None, Failure("as_the_test_says", "distance", "it does not hold", []))
    cloudwatch.publish(shadow, day(NEWEST), ["other"])
    found = receiver.rolled_up()
    assert "scoring_errors" not in found
    assert found["gate_failed"] == 1


def test_what_is_sent_is_what_the_template_reads(world: World, receiver: Receiver) -> None:
    """Names, dimensions and default namespace; and a roll-up takes the worst in the direction of its alarm."""
    default = CloudWatch(environment="dev")
    assert default.namespace == PARSED["Parameters"]["MetricNamespace"]["Default"]
    assert all(one["Namespace"] == {"Ref": "MetricNamespace"} for one in ALARMS)
    cloudwatch.publish(world.shadow(**asked(world, receiver)), day(NEWEST), NAMES)
    sent = {(name, tuple(sorted(dimensions))) for name, dimensions in receiver.series()}
    alarmed = {(one["MetricName"], tuple(each["Name"] for each in one["Dimensions"])) for one in ALARMS}
    body = PARSED["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    shown = {
        (name, (dimension,))
        for name, dimension in re.findall(r'\["\$\{MetricNamespace}", "(\w+)", "(\w+)", "\$\{Environment}"', body)
    }
    ((dimensions, searched),) = re.findall(
        r'SEARCH\(\'\{\\"\$\{MetricNamespace}\\",([\w,]+)} MetricName=\\"(\w+)', body
    )
    assert len(alarmed) == len(ALARMS)
    assert alarmed == shown
    assert alarmed | {(searched, tuple(dimensions.split(",")))} <= sent
    names = {name for name, _ in alarmed} | {searched}
    by_challenger = ("challenger", "deployment", "environment", "slice")
    assert sent == {(name, each) for name in names for each in (("environment",), by_challenger)}
    folds = {"Maximum": max, "Minimum": min, "Sum": sum}
    assert {one["MetricName"]: folds[one["Statistic"]] for one in ALARMS} | {"verdict": min} == cloudwatch.WORST


def test_no_call_has_more_data_than_cloudwatch_takes(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    client = cloudwatch.aws.client("cloudwatch", "aws_default")
    client.meta.events.register(
        "provide-client-params.cloudwatch.PutMetricData", lambda params, **_: calls.append(len(params["MetricData"]))
    )
    monkeypatch.setattr(cloudwatch.aws, "client", lambda *_: client)
    values = {"verdict": {f"c{number}": 1.0 for number in range(2000)}}
    where = CloudWatch(environment="staging", namespace=receiver.namespace)
    cloudwatch.put(where, cloudwatch.data("staging", "late", values, dt.datetime.now(dt.UTC)))
    assert calls == [1000, 1000, 1]
    assert len(receiver.series()) == 2001


# ---- through the task


@pytest.fixture
def announced(world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Call the task `announce` for a day, as a run of this type does."""
    from shadow_deployment.orchestration.tasks import daily as tasks

    def call(number: int = NEWEST, run_type: str = "manual", **params: Any) -> list[str]:
        context = {
            "params": {"day": str(day(number)), **params},
            "dag_run": SimpleNamespace(run_type=run_type, run_after=None),
            "ti": SimpleNamespace(dag_id="shadow_late", run_id="a run", task_id="publish_results"),
            "outlet_events": Events(),
        }
        monkeypatch.setattr(tasks, "get_current_context", lambda: context)
        return tasks.publish_results("late", None)

    world.deploy(**asked(world, receiver))
    return call


def test_the_task_publishes_the_day(announced: Callable[..., list[str]], receiver: Receiver) -> None:
    assert "shadow://late/verdict" in announced()
    assert receiver.rolled_up()["verdict_published"] == 3


def test_a_run_about_some_challengers_says_nothing_of_the_others(
    announced: Callable[..., list[str]], receiver: Receiver
) -> None:
    announced(challengers=["other"])
    assert {dimensions.get("challenger") for _, dimensions in receiver.series()} == {None, "other"}
    assert receiver.rolled_up()["gate_failed"] == 0


@pytest.mark.parametrize(("run_type", "number"), [("backfill", NEWEST), ("manual", 0)])
def test_backfills_and_past_days_publish_nothing(
    announced: Callable[..., list[str]], receiver: Receiver, run_type: str, number: int
) -> None:
    assert announced(number, run_type) == []
    assert receiver.series() == []


def test_without_the_key_nothing_is_sent_or_missed(
    world: World,
    announced: Callable[..., list[str]],
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
    world.deploy(**settings(world))
    assert announced() != []
    assert errors(caplog) == []
    assert receiver.series() == []


# ---- what goes wrong


@contextmanager
def guarded(receiver: Receiver) -> Iterator[None]:
    """Let the receiver look at credentials and rights until the block ends."""
    receiver.tell("reset-auth", "0")
    try:
        yield
    finally:
        receiver.tell("reset-auth", "inf")


def test_denied_credentials_are_logged_with_what_to_allow_and_the_task_goes_on(
    announced: Callable[..., list[str]],
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    iam = receiver.service("iam")
    iam.create_user(UserName="worker")
    key = iam.create_access_key(UserName="worker")["AccessKey"]
    denied = receiver.connection(key["AccessKeyId"], key["SecretAccessKey"])
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", denied)
    with guarded(receiver):
        assert "shadow://late/verdict" in announced()
    [message] = errors(caplog)
    assert f"no metric of late on {day(NEWEST)} is sent to CloudWatch" in message
    assert "AccessDenied" in message
    assert f"allow cloudwatch:PutMetricData where cloudwatch:namespace is {receiver.namespace}" in message
    assert "connection aws_default" in message
    assert key["SecretAccessKey"] not in caplog.text
    assert receiver.series() == []


def test_unknown_credentials_are_logged_without_their_secret(
    shadow: DeploymentContext, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with guarded(receiver):
        cloudwatch.publish(shadow, day(NEWEST), NAMES)
    [message] = errors(caplog)
    assert "InvalidClientTokenId" in message
    assert SECRET not in caplog.text


def declared(**extra: str) -> str:
    return json.dumps({"conn_type": "aws", "login": "AKIAEXAMPLE", "password": SECRET, "extra": extra})


BROKEN = {
    "not declared": (None, "connection aws_default is not declared"),
    "no connection": (f"aws:{SECRET}@@:x/?", "no metric of late"),
    "no address": (
        declared(endpoint_url=SECRET, region_name=REGION),
        f"no metric of late on {day(NEWEST)} is sent to CloudWatch",
    ),
    "no region": (declared(), "You must specify a region"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_connection_that_cannot_be_used_is_logged_without_its_secret(
    name: str,
    shadow: DeploymentContext,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given, expected = BROKEN[name]
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    if given:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", given)
    cloudwatch.publish(shadow, day(NEWEST), NAMES)
    assert expected in errors(caplog)[-1]
    assert SECRET not in caplog.text
    assert receiver.series() == []


def test_a_service_or_a_ledger_that_does_not_answer_is_logged(
    shadow: DeploymentContext, receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloudwatch.aws, "PATIENCE", {"connect_timeout": 1, "retries": {"total_max_attempts": 1}})
    silent = receiver.connection(endpoint_url=f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", silent)
    cloudwatch.publish(shadow, day(NEWEST), NAMES)
    assert "Could not connect to the endpoint" in errors(caplog)[-1]
    gone = replace(shadow, connections=lambda name: replace(shadow.connections(name), port=1))
    cloudwatch.publish(gone, day(NEWEST), NAMES)
    assert "connection shadow_db" in errors(caplog)[-1]
    assert SECRET not in caplog.text


def test_null_takes_the_credentials_that_boto3_finds(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL_CLOUDWATCH": receiver.endpoint,
    }.items():
        monkeypatch.setenv(name, value)
    cloudwatch.publish(world.shadow(**asked(world, receiver, conn_id=None)), day(NEWEST), NAMES)
    assert receiver.rolled_up()["verdict_published"] == 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"environment": ""}, "cloudwatch.environment == '', must be one word such as dev, staging or prod"),
        ({"environment": "mein Büro"}, "must be one word"),
        ({"namespace": "AWS/EC2"}, "cloudwatch.namespace == 'AWS/EC2', must be letters, digits"),
        ({"namespace": "a b"}, "must be letters, digits"),
        ({"enviroment": "dev"}, "cloudwatch.enviroment is unknown, did you mean environment"),
    ],
)
def test_what_cloudwatch_would_refuse_is_refused_in_the_file(
    world: World, receiver: Receiver, wrong: dict[str, str], message: str
) -> None:
    with pytest.raises(DeploymentError, match=re.escape(message)):
        world.deploy(**asked(world, receiver, **wrong))
