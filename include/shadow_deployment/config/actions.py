"""What follows from a verdict: how the champion may change, who is told, and which files learn of it."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from shadow_deployment.base.paths import is_supported_address
from shadow_deployment.config.policy import Section

ConnId = Annotated[str, Field(min_length=1)]
Text = Annotated[str, Field(min_length=1)]
FORMER_CHAMPION = "previous_champion"  # what the former champion is called while it is watched
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+(\.fifo)?")
_ADDRESS = re.compile(r"[^@\s,;]+@[^@\s,;]+")
_NAMESPACE = re.compile(r"(?!AWS/)[A-Za-z0-9._#-][A-Za-z0-9._/#-]{0,254}")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


def _document(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme == "s3":
        is_one = is_supported_address(value) and parts.path.strip("/") and not parts.path.endswith("/")
        if not is_one or parts.query or parts.fragment:
            raise ValueError("must be s3://BUCKET/KEY")
    elif not is_supported_address(value) or parts.path.endswith("/") or not parts.path:
        raise ValueError("must be file:///an/absolute/file, a path, or s3://BUCKET/KEY")
    return value


def _clock(value: str) -> str:
    if not _CLOCK.fullmatch(value):
        raise ValueError('must be a time of day as "HH:MM"')
    return value


def _topic(value: str) -> str:
    if not _TOPIC.fullmatch(value):
        raise ValueError("must be the ARN of an SNS topic")
    return value


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError("must be one e-mail address")
    return value


def _namespace(value: str) -> str:
    if not _NAMESPACE.fullmatch(value):
        raise ValueError("must be letters, digits and ._/#-, at most 255, and not begin with AWS/")
    return value


def _environment(value: str) -> str:
    if not _ENVIRONMENT.fullmatch(value):
        raise ValueError("must be one word such as dev, staging or prod: letters, digits and ._-, at most 255")
    return value


Document = Annotated[str, AfterValidator(_document)]
Clock = Annotated[str, AfterValidator(_clock)]
Topic = Annotated[str, AfterValidator(_topic)]
Address = Annotated[str, AfterValidator(_address)]
Namespace = Annotated[str, AfterValidator(_namespace)]
Environment = Annotated[str, AfterValidator(_environment)]


class RegisteredModel(Section):
    """The registered model in MLflow whose alias follows the champion.

    A promotable challenger's `version` then is the number of a version of that model.
    """

    conn_id: ConnId
    model: Text
    alias: Text = "champion"


class PromotionPolicy(Section):
    """How the champion may change.

    `approval` says whether somebody must approve, `approvers` who may (Airflow user names; empty: whoever has the
    right in Airflow), and `consecutive` on how many judged days in a row a challenger must pass before it is asked
    about. A question waits `response_hours`; without an answer it is put again after `ask_again_days`, while a
    rejection holds until the case is another. After a promotion the former champion is judged against the new one for
    `watch_days` (0: not at all); `rollback` says whether a former champion that turns out better comes back by itself.
    """

    approval: Literal["required", "automatic"] = "required"
    approvers: list[Text] = []
    consecutive: Annotated[int, Field(ge=1, le=365)] = 1
    response_hours: Annotated[int, Field(ge=1, le=23)] = 20
    ask_again_days: Annotated[int, Field(ge=1, le=3650)] = 7
    watch_days: Annotated[int, Field(ge=0, le=3650)] = 60
    rollback: Literal["manual", "automatic"] = "manual"
    allow_force: bool = False
    manifest: Document | None = None
    conn_id: ConnId | None = None
    mlflow: RegisteredModel | None = None


class Sns(Section):
    """An SNS topic, through Airflow's amazon provider."""

    kind: Literal["sns"]
    topic: Topic
    conn_id: ConnId = "aws_default"


class Email(Section):
    """E-mail, through Airflow's smtp provider."""

    kind: Literal["email"]
    to: Annotated[list[Address], Field(min_length=1)]
    conn_id: ConnId = "smtp_default"


class Slack(Section):
    """An incoming webhook of Slack, whose address is the connection's."""

    kind: Literal["slack"]
    conn_id: ConnId = "slack_default"


class Webhook(Section):
    """Any address that takes JSON by POST: the connection's."""

    kind: Literal["webhook"]
    conn_id: ConnId


Channel = Sns | Email | Slack | Webhook
CHANNELS = ("sns", "email", "slack", "webhook")


def _kind(value: Any) -> Any:
    """Refuse what is no channel with a word about which there are."""
    if not isinstance(value, dict):
        raise ValueError("must be keys and values, such as {kind: slack, conn_id: slack_default}")  # noqa: TRY004
    if value.get("kind") not in CHANNELS:
        raise ValueError(f"must have kind, one of {', '.join(CHANNELS)}")
    return value


AnyChannel = Annotated[
    Annotated[Sns, Tag("sns")]
    | Annotated[Email, Tag("email")]
    | Annotated[Slack, Tag("slack")]
    | Annotated[Webhook, Tag("webhook")],
    Discriminator(lambda value: value["kind"] if isinstance(value, dict) else value.kind),
    BeforeValidator(_kind),
]


class Alerts(Section):
    """Who is told that a gate failed, and of promotions.

    With `repeat: daily` every failed gate is told, with `change` only one that fails otherwise than the day before.
    `deadline` is the local time by which the run that begins with the window's end must be done.
    """

    channels: list[AnyChannel] = []
    repeat: Literal["daily", "change"] = "daily"
    deadline: Clock | None = None


class Status(Section):
    """A JSON file, of others too, in which each challenger's entry says how it stands.

    The file is an object whose key `key` holds a list of objects with an `id` each, or such a list itself. `ids` names
    the entry of a challenger; without one it is DEPLOYMENT/CHALLENGER. Other entries, and other keys of an entry, stay
    as they are.
    """

    file: Document
    conn_id: ConnId | None = None
    key: Text = "recommendations"
    ids: dict[str, Text] = {}


class CloudWatch(Section):
    """Metrics of each day on Amazon CloudWatch, through Airflow's amazon provider.

    `environment` and `namespace` are the stack's parameters Environment and MetricNamespace: its alarms watch these
    alone. Without a `conn_id`, null, the credentials are those that boto3 finds by itself, such as a role of the
    machine.
    """

    environment: Environment
    namespace: Namespace = "Shadow"
    conn_id: ConnId | None = "aws_default"
