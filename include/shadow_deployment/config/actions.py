"""What follows from a verdict: promotion, alerts, the status file and CloudWatch metrics; and what else must work."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from shadow_deployment.config.fields import Clock, Days, Document, HttpAddress, Section, Text, matching

FORMER_CHAMPION = "previous_champion"  # the challenger name of the former champion while it is watched

Topic = Annotated[
    str, matching(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+(\.fifo)?", "must be the ARN of an SNS topic")
]
EmailAddress = Annotated[str, matching(r"[^@\s,;]+@[^@\s,;]+", "must be one e-mail address")]
Namespace = Annotated[
    str,
    matching(
        r"(?!AWS/)[A-Za-z0-9._#-][A-Za-z0-9._/#-]{0,254}",
        "must be letters, digits and ._/#-, at most 255, and not begin with AWS/",
    ),
]
Environment = Annotated[
    str,
    matching(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}",
        "must be one word such as dev, staging or prod: letters, digits and ._-, at most 255",
    ),
]


class RegisteredModel(Section):
    """A model registered in MLflow whose alias follows the champion.

    Each promotable challenger's `version` must then be the number of a version of this model.
    """

    conn_id: Text = Field(description="Airflow connection of the MLflow server.")
    model: Text = Field(description="Name of the registered model.")
    alias: Text = Field("champion", description="Alias that points to the champion's version.")


class PromotionPolicy(Section):
    """How the champion may change, and how the former champion is watched afterwards."""

    approval: Literal["required", "automatic"] = Field(
        "required", description="Whether a person must approve each promotion."
    )
    approvers: list[Text] = Field(
        [],
        description="User names that may approve, in Airflow and with `shadow promote`; empty: everybody whom Airflow "
        "permits to.",
    )
    valid_days: Days = Field(7, description="How long after it was given a PASS may be promoted, in days.")
    consecutive: Annotated[int, Field(ge=1, le=365)] = Field(
        1, description="Judged days in a row, in days, that a challenger must pass before approval is requested."
    )
    response_hours: Annotated[int, Field(ge=1, le=23)] = Field(
        20, description="How long an approval request stays open, in hours."
    )
    ask_again_days: Days = Field(
        7, description="When an unanswered request is repeated, in days. A rejection stands until the case changes."
    )
    watch_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        60, description="How long the former champion is judged against the new one, in days; 0: not at all."
    )
    rollback: Literal["manual", "automatic"] = Field(
        "manual", description="Whether a former champion that proves better is restored automatically."
    )
    allow_force: bool = Field(False, description="Whether `shadow promote --force` may promote without a PASS.")
    manifest: Document | None = Field(
        None, description="JSON file that names the champion: a path, `file:///PATH` or `s3://BUCKET/KEY`."
    )
    conn_id: Text | None = Field(
        None, description="Airflow connection for a manifest on S3; without it, boto3's default credentials."
    )
    mlflow: RegisteredModel | None = Field(None, description="Registered model in MLflow to keep in step.")


class Sns(Section):
    """An SNS topic."""

    kind: Literal["sns"] = Field(description="Kind of channel.")
    topic: Topic = Field(description="ARN of the topic.")
    conn_id: Text = Field("aws_default", description="Airflow connection of the amazon provider.")


class Email(Section):
    """E-mail over SMTP."""

    kind: Literal["email"] = Field(description="Kind of channel.")
    to: Annotated[list[EmailAddress], Field(min_length=1)] = Field(description="Recipients.")
    conn_id: Text = Field("smtp_default", description="Airflow connection of the smtp provider.")


class Slack(Section):
    """An incoming webhook of Slack."""

    kind: Literal["slack"] = Field(description="Kind of channel.")
    conn_id: Text = Field("slack_default", description="Airflow connection that holds the webhook's address.")


class Webhook(Section):
    """Any address that accepts JSON by POST."""

    kind: Literal["webhook"] = Field(description="Kind of channel.")
    conn_id: Text = Field(description="Airflow connection that holds the address.")


Channel = Sns | Email | Slack | Webhook
CHANNELS = ("sns", "email", "slack", "webhook")


def _require_kind(value: Any) -> Any:
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
    BeforeValidator(_require_kind),
]


class Alerts(Section):
    """Who is alerted to failed gates, missed deadlines and promotions."""

    channels: list[AnyChannel] = Field([], description="Where alerts go; empty: nowhere.")
    repeat: Literal["daily", "change"] = Field(
        "change",
        description="`change`: alert on a failed gate only if it fails differently from the day before; `daily`: on "
        "every one.",
    )
    deadline: Clock | None = Field(
        None, description='Local time, `"HH:MM"`, by which the run that starts at the window\'s end must be done.'
    )


STATUS_KEY: Final = "shadow"
StatusName = Literal["in_shadow", "passed", "failed", "asked", "rejected", "promoted", "rolled_back"]


def _free_key(name: str) -> str:
    if name in ("id", STATUS_KEY):
        raise ValueError(f"must not be id or {STATUS_KEY}, which are keys of their own")
    return name


class Status(Section):
    """A JSON file, possibly shared with other tools, that holds the state of each challenger.

    The file is an object whose `key` holds a list of objects with an `id` each, or such a list itself. Other entries
    and other keys of an entry are preserved. An entry that is missing is added only to a list that nobody else writes
    to.
    """

    file: Document = Field(description="The JSON file: a path, `file:///PATH` or `s3://BUCKET/KEY`.")
    conn_id: Text | None = Field(
        None, description="Airflow connection for a file on S3; without it, boto3's default credentials."
    )
    key: Text = Field("recommendations", description="Key of the file that holds the list.")
    ids: dict[str, Text] = Field(
        {}, description="Entry id of each challenger, by name; by default DEPLOYMENT/CHALLENGER."
    )
    field: Annotated[Text, AfterValidator(_free_key)] | None = Field(
        None, description="Key of an entry that holds the status as one word, such as `status`; without it, none does."
    )
    values: dict[StatusName, Text] = Field({}, description="The words of `field`, by status: `{promoted: deployed}`.")


class CloudWatch(Section):
    """Daily metrics on Amazon CloudWatch, as the alarms of `include/infrastructure/shadow.yaml` expect them."""

    environment: Environment = Field(description="The stack's parameter Environment, such as dev or prod.")
    namespace: Namespace = Field("Shadow", description="The stack's parameter MetricNamespace.")
    conn_id: Text | None = Field(
        "aws_default", description="Airflow connection of the amazon provider; null: boto3's default credentials."
    )


class Dependency(Section):
    """Anything else that must respond over HTTP for the deployment to work, such as a feature service.

    Only `shadow doctor` checks it.
    """

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Name in the doctor's report.")
    url: HttpAddress = Field(description="Address to get, without a login.")
