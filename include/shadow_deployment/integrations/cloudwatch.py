"""The day as metrics on Amazon CloudWatch: what the alarms and the dashboard of `include/infrastructure` read.

An alarm watches one series and cannot search, so each metric is sent twice: for each challenger, with the dimensions
environment, deployment, challenger and slice; and for the deployment, with environment alone, the worst of its
challengers. There the deployments of an environment meet, and the alarm's statistic takes the worst of them.
"""

import datetime as dt
import logging
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from shadow_deployment.config.actions import CloudWatch
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.decision.calendar import newest_coverage
from shadow_deployment.errors import GateFailed, ShadowError
from shadow_deployment.integrations import aws
from shadow_deployment.integrations.metrics import OUTCOMES
from shadow_deployment.ledger import page, snapshots, verdicts
from shadow_deployment.ledger.checks import validations
from shadow_deployment.ledger.labels import maturity_of
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.challengers.conclusion import concluded
from shadow_deployment.pipeline.challengers.identities import challenger_keys

logger = logging.getLogger(__name__)

Values = dict[str, dict[str, float]]
MOST = 1000  # data of one PutMetricData
WORST: dict[str, Callable[[Iterable[float]], float]] = {
    "verdict": min,
    "gate_failed": max,
    "scoring_errors": max,
    "label_coverage": min,
    "verdict_published": sum,
}


def publish(context: DeploymentContext, day: dt.date, challengers: Collection[str]) -> None:
    """Send a day's metrics of these challengers, where the deployment asks for it; a failure is logged as an error.

    The time of the data is now: it is when the day was judged that alarms go by.
    """
    settings, name = context.deployment.cloudwatch, context.deployment.name
    if settings is None:
        return
    with _quietly(f"{name} on {day}"):
        values = measure(context, day, challengers)
        put(settings, data(settings.environment, name, values, dt.datetime.now(dt.UTC)))


def measure(context: DeploymentContext, day: dt.date, challengers: Collection[str]) -> Values:
    """Return each metric of a day by challenger; a challenger of whom it is not known is left out.

    - verdict: 1 PASS, 0 INCONCLUSIVE, -1 FAIL; and verdict_published: 1, where there is a verdict of this day.
    - gate_failed: 1 where the day or the challenger closes the gate, else 0.
    - scoring_errors: the share of the sampled requests without an answer, those of shards that were never scored among
      them; none where the inputs do not meet their expectations, as then nothing is scored.
    - label_coverage: the share of sampled requests with a label on the newest day of which no label is expected any
      more; the same for all challengers.

    Raises LedgerError where the ledger cannot be read.
    """
    deployment = context.deployment
    with context.ledger() as session:
        stored = verdicts.latest(session, deployment, day)
        taken = snapshots.snapshots(session, deployment, None, day)
        today = [snapshot for snapshot in taken if snapshot.day == day]
        errors = _scoring_errors(context, session, today, challengers)
    judged = {name: stored[name].outcome for name in challengers if name in stored and stored[name].day == day}
    coverage = newest_coverage(taken, maturity_of(deployment))
    return {
        "verdict": {name: OUTCOMES[outcome] for name, outcome in judged.items()},
        "gate_failed": {name: _gate_failed(context, day, name) for name in challengers},
        "scoring_errors": errors,
        "label_coverage": {} if coverage is None else dict.fromkeys(challengers, coverage),
        "verdict_published": dict.fromkeys(judged, 1.0),
    }


def data(environment: str, deployment: str, values: Values, now: dt.datetime) -> list[dict[str, Any]]:
    """Return the metrics as CloudWatch takes them, each for the deployment as a whole and for each challenger.

    A deployment's value is the worst of its challengers' (`WORST`), of verdict_published their number; a control,
    which never passes, keeps its verdict from being 1.
    """
    points: list[dict[str, Any]] = []
    for metric, by_challenger in values.items():
        if by_challenger:
            worst = WORST[metric](by_challenger.values())
            points.append(_datum(metric, worst, now, {"environment": environment}))
        for name, value in by_challenger.items():
            own = {"environment": environment, "deployment": deployment, "challenger": name, "slice": ALL}
            points.append(_datum(metric, value, now, own))
    return points


def put(settings: CloudWatch, data: Sequence[Mapping[str, Any]]) -> None:
    """Send data in calls of at most `MOST`; raise CredentialsError, RegistryError or TransientError.

    After an error the calls before it have been taken.
    """
    what = f"namespace {settings.namespace} cannot be written"
    rights = f"allow cloudwatch:PutMetricData where cloudwatch:namespace is {settings.namespace}"
    with aws.translated(what, aws.source_of(settings.conn_id), rights):
        client = aws.client("cloudwatch", settings.conn_id)
        for first in range(0, len(data), MOST):
            client.put_metric_data(Namespace=settings.namespace, MetricData=data[first : first + MOST])


def _scoring_errors(
    context: DeploymentContext, session: Session[Any], today: Sequence[Snapshot], challengers: Collection[str]
) -> dict[str, float]:
    shares: dict[str, float] = {}
    valid = {validation.challenger_id: validation.success for validation in validations.recorded(session, today)}
    for snapshot in today:
        if not snapshot.rows or not valid.get(None):
            continue
        keys = challenger_keys(context, session)
        ends = concluded(session, context.deployment, keys, snapshot.day)
        answered = {scored.challenger_id: scored.rows - scored.errors for scored in page.scored(session, snapshot)}
        for name in (name for name in challengers if name not in ends):
            shares[name] = (snapshot.rows - answered.get(keys.get(name, -1), 0)) / snapshot.rows
    return shares


def _gate_failed(context: DeploymentContext, day: dt.date, challenger: str) -> float:
    try:
        steps.gate(context, day, [challenger])
    except GateFailed:
        return 1.0
    return 0.0


def _datum(metric: str, value: float, now: dt.datetime, dimensions: Mapping[str, str]) -> dict[str, Any]:
    named = [{"Name": name, "Value": text} for name, text in dimensions.items()]
    return {"MetricName": metric, "Dimensions": named, "Timestamp": now, "Value": float(value)}


@contextmanager
def _quietly(what: str) -> Iterator[None]:
    """Let a failure to send be an error in the log: it must not fail what has been decided.

    Of an error that is not the engine's own only kind and place are logged: a library may write a connection into it.
    """
    try:
        yield
    except ShadowError as error:
        logger.error("no metric of %s is sent to CloudWatch: %s", what, error)  # noqa: TRY400 (its text says it all)
    except Exception as error:  # noqa: BLE001 (whatever it is, the day is judged)
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.error("no metric of %s is sent to CloudWatch: %s\n%s", what, type(error).__name__, where)  # noqa: TRY400
