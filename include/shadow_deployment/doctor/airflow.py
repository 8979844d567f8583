"""What a deployment needs of Airflow and AWS: the scheduler, the pool, credentials, permissions, alert channels."""

import datetime as dt
import os
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from shadow_deployment.alerting.outbox import targets
from shadow_deployment.config.actions import Channel, CloudWatch, Sns
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.sampling import digest
from shadow_deployment.doctor.checks import ConcernError, Probe, SkippedError
from shadow_deployment.errors import CredentialsError, RegistryError, TransientError
from shadow_deployment.integrations import aws
from shadow_deployment.ledger.alerts import Alert

POOL = "shadow_scoring"
_SECONDS = 10
_CONFIGURED = ("AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
_ELSEWHERE = (
    "Airflow's own database cannot be read from here; the DAG shadow_doctor proves the pool by a task that runs in it"
)


def installation_probes() -> Iterator[Probe]:
    """Yield what to look at in Airflow itself."""
    yield Probe("Airflow", _health, "start the process that is not healthy; see its log")
    yield Probe("pool", _pool, f'airflow pools set {POOL} 4 "challengers being scored"')


def probes(deployment: Deployment, *, send_test: bool = False) -> Iterator[Probe]:
    """Yield what to look at on AWS and in the alert channels; with `send_test` each channel gets a test alert."""
    for conn_id in sorted(_credentials(deployment), key=str):
        yield Probe(
            f"AWS credentials {conn_id or 'of the machine'}",
            partial(_identity, conn_id),
            "declare the connection, or give the machine a role",
        )
    if deployment.cloudwatch:
        yield Probe(
            "CloudWatch",
            partial(_metric, deployment.cloudwatch, deployment.name),
            f"allow cloudwatch:PutMetricData in the namespace {deployment.cloudwatch.namespace}",
        )
    yield Probe(
        "alert channels", partial(_somebody, deployment), "add a channel to alerts.channels: see include/deployments"
    )
    for name, channel in targets(deployment.alerts).items():
        yield Probe(
            f"test alert to {name}" if send_test else f"channel {name}",
            partial(_send if send_test else _channel, channel, deployment.name),
            "correct the connection in Airflow, or the channel in the deployment's file",
        )


def _somebody(deployment: Deployment) -> str:
    names = targets(deployment.alerts)
    if not names:
        raise ConcernError("alerts.channels is empty: nobody is told of a failure or a verdict")
    return f"{len(names)} declared"


def _health() -> str:
    """Ask the api-server how Airflow is."""
    import httpx

    address = _address()
    try:
        answer = httpx.get(f"{address}/api/v2/monitor/health", timeout=_SECONDS)
        components = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise TransientError(f"{address} does not answer as Airflow does: {type(error).__name__}") from error
    states = {name: component.get("status") for name, component in components.items() if isinstance(component, dict)}
    ill = [f"{name} is {state}" for name, state in states.items() if state not in ("healthy", None)]
    if ill or not answer.is_success:
        raise TransientError(f"{address}: {'; '.join(ill) or f'HTTP {answer.status_code}'}")
    return f"{address}: {', '.join(name for name, state in states.items() if state == 'healthy')} are healthy"


def _address() -> str:
    """Return where the api-server is, as this process would reach it."""
    if not any(name.startswith("AIRFLOW__") or name == "AIRFLOW_HOME" for name in os.environ):
        raise SkippedError("no Airflow is configured here: neither AIRFLOW_HOME nor AIRFLOW__... is set")
    from airflow.sdk.configuration import conf

    inner = urlsplit(conf.get("core", "execution_api_server_url", fallback="") or "")
    if inner.netloc:
        return f"{inner.scheme}://{inner.netloc}{inner.path.removesuffix('/').removesuffix('/execution')}"
    base = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    if not base:
        raise SkippedError("Airflow was not told its address: set AIRFLOW__API__BASE_URL")
    return str(base)


def _pool() -> str:
    if not any(name in os.environ for name in _CONFIGURED):
        raise SkippedError("no Airflow is configured here: neither AIRFLOW_HOME nor its database is set")
    try:
        from airflow.models.pool import Pool
        from airflow.utils.session import create_session

        with create_session() as session:
            pool = Pool.get_pool(POOL, session=session)
            slots = pool.slots if pool else None
    except Exception as error:
        raise SkippedError(_ELSEWHERE) from error
    if slots is None:
        raise RegistryError(f"the pool {POOL} is missing: no score task would ever start")
    if slots == 0:
        raise RegistryError(f"the pool {POOL} has no slots: no score task would ever start")
    return f"{POOL} has {slots} slots"


def _credentials(deployment: Deployment) -> set[str | None]:
    """Return the connections whose AWS credentials a deployment uses; None stands for those that boto3 finds."""
    used: set[str | None] = set()
    declared = deployment.champion
    for model in [*deployment.challengers, *([declared] if declared else [])]:
        if model.kind == "sagemaker" or model.address.startswith("s3://"):
            used.add(model.conn_id)
    places = [(deployment.store.snapshots, deployment.store.snapshots_conn_id)]
    if deployment.promotion.manifest:
        places.append((deployment.promotion.manifest, deployment.promotion.conn_id))
    if deployment.status:
        places.append((deployment.status.file, deployment.status.conn_id))
    used |= {conn_id for uri, conn_id in places if uri.startswith("s3://")}
    if deployment.cloudwatch:
        used.add(deployment.cloudwatch.conn_id)
    return used


def _identity(conn_id: str | None) -> str:
    what, credentials = "AWS does not say who asks", aws.source_of(conn_id)
    with aws.translated(what, credentials, "allow sts:GetCallerIdentity"):
        identity = aws.client("sts", conn_id).get_caller_identity()
    return f"{identity['Arn']} (credentials of {credentials})"


def _metric(settings: CloudWatch, name: str) -> str:
    """Send a metric that nothing watches: PutMetricData has no dry run."""
    datum = {
        "MetricName": "doctor",
        "Dimensions": [{"Name": "Environment", "Value": settings.environment}, {"Name": "Deployment", "Value": name}],
        "Value": 1.0,
    }
    with aws.translated(
        f"CloudWatch takes no metrics of {settings.namespace}",
        aws.source_of(settings.conn_id),
        "allow cloudwatch:PutMetricData",
    ):
        aws.client("cloudwatch", settings.conn_id).put_metric_data(Namespace=settings.namespace, MetricData=[datum])
    return f"the metric doctor was put into {settings.namespace}"


def _channel(channel: Channel, name: str) -> str:  # noqa: ARG001 (as _send)
    """Look whether a channel could be used, without sending anything."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        BaseHook.get_connection(channel.conn_id)
    except AirflowNotFoundException:
        if not isinstance(channel, Sns):
            raise CredentialsError(f"connection {channel.conn_id} is not declared") from None
    if isinstance(channel, Sns):
        return _topic(channel)
    return f"connection {channel.conn_id} is declared; --send-test sends to it"


def _topic(channel: Sns) -> str:
    from botocore.exceptions import ClientError

    with aws.translated(f"{channel.topic} cannot be looked at", aws.source_of(channel.conn_id), "allow sns:Publish"):
        try:
            client = _sns(channel)
            client.get_topic_attributes(TopicArn=channel.topic)
        except ClientError as error:
            if aws.code_of(error) in ("AuthorizationError", "AuthorizationErrorException", "AccessDenied"):
                raise SkippedError("these credentials may not look at the topic; --send-test publishes to it") from None
            raise
    return f"{channel.topic} is there; --send-test publishes to it"


def _sns(channel: Sns) -> Any:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        BaseHook.get_connection(channel.conn_id)
        conn_id: str | None = channel.conn_id
    except AirflowNotFoundException:
        conn_id = None
    region = channel.topic.split(":")[3]
    return AwsBaseHook(aws_conn_id=conn_id, client_type="sns", region_name=region).get_client_type()


def _send(channel: Channel, name: str) -> str:
    from shadow_deployment.integrations.channels import send

    now = dt.datetime.now(dt.UTC)
    alert = Alert(
        "test",
        name,
        now.date(),
        digest(["test", now.isoformat()]),
        f"{name}: a test of this channel",
        ("the doctor has sent this: alerts of failed comparisons come the same way",),
        "Nothing is to be done.",
    )
    send(channel, alert)
    return "a test alert was taken"
