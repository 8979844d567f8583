"""Sending one alert to one channel, through Airflow's connections and providers.

What goes wrong is raised as TransientError or CredentialsError whose text says which channel and why, and nothing of
the connection: an address may be the secret itself, and so may what a library writes into its error.
"""

import smtplib
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from shadow_deployment.alerting.formats import as_json, markup, slack, subject, text
from shadow_deployment.config.actions import Channel, Email, Slack, Sns, Webhook
from shadow_deployment.errors import CredentialsError, TransientError
from shadow_deployment.ledger.alerts import Alert

if TYPE_CHECKING:
    from requests import Session

SECONDS = 10
SLACK_ADDRESS = "hooks.slack.com/services"


def send(channel: Channel, alert: Alert) -> None:
    """Send an alert; return once the channel has taken it, raise CredentialsError or TransientError otherwise."""
    connection = _connection(channel)
    match channel:
        case Sns():
            _sns(channel, connection, alert)
        case Email():
            _email(channel, alert)
        case Slack():
            _slack(channel, connection, alert)
        case Webhook():
            _webhook(channel, alert)


def _sns(channel: Sns, connection: Any, alert: Alert) -> None:
    """Publish the text, with kind, deployment and day as attributes that a subscription may filter by.

    Without a connection the credentials are those that boto3 finds itself, such as a role of the machine.
    """
    from airflow.providers.amazon.aws.hooks import sns
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    hook_for: Any = sns.SnsHook
    region, conn_id = channel.topic.split(":")[3], None if connection is None else channel.conn_id
    bounds = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": 2})
    ordered = {"message_group_id": alert.deployment, "message_deduplication_id": alert.id}
    try:
        own = hook_for(aws_conn_id=conn_id, region_name=region).conn_config.botocore_config
        hook = hook_for(aws_conn_id=conn_id, region_name=region, config=bounds if own is None else bounds.merge(own))
        hook.publish_to_target(
            channel.topic,
            text(alert),
            subject=subject(alert),
            message_attributes={"kind": alert.kind, "deployment": alert.deployment, "day": str(alert.day)},
            **(ordered if channel.topic.endswith(".fifo") else {}),
        )
    except ClientError as error:
        raise TransientError(f"SNS refuses it: {error.response.get('Error', {}).get('Code', 'no code')}") from None
    except NoCredentialsError:
        raise CredentialsError(
            f"there are no credentials for SNS in {region}: connection {channel.conn_id} gives none or cannot be read "
            "here, and boto3 finds none"
        ) from None
    except (AirflowException, BotoCoreError) as error:
        raise TransientError(f"SNS does not answer: {type(error).__name__}") from None


def _email(channel: Email, alert: Alert) -> None:
    """Send it as HTML; the Message-ID is the alert's, so that a mail program shows one that comes twice once."""
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    headers = {"Message-ID": f"<{alert.id}@{alert.deployment}.shadow>", "Auto-Submitted": "auto-generated"}
    try:
        with SmtpHook(smtp_conn_id=channel.conn_id) as hook:
            hook.send_email_smtp(
                to=channel.to, subject=subject(alert), html_content=markup(alert), custom_headers=headers
            )
    except smtplib.SMTPRecipientsRefused as error:
        codes = ", ".join(str(code) for code, _ in error.recipients.values())
        raise TransientError(f"the mail server refuses the address: {codes}") from None
    except smtplib.SMTPResponseException as error:
        raise TransientError(f"the mail server refuses it: {error.smtp_code} ({type(error).__name__})") from None
    except (smtplib.SMTPException, OSError) as error:
        raise TransientError(f"the mail server does not answer: {type(error).__name__}") from None
    except AirflowException:
        raise CredentialsError(
            f"connection {channel.conn_id} cannot be used for mail; does its extra have from_email?"
        ) from None


def _slack(channel: Slack, connection: Any, alert: Alert) -> None:
    """Post to the incoming webhook that the connection is: its password is the address, or the end of it."""
    from requests import Session

    token = (connection.password or "").strip()
    if not token:
        raise CredentialsError(f"connection {channel.conn_id} has no password: the webhook's token, or its whole URL")
    base = connection.host or SLACK_ADDRESS
    if "://" not in base:
        base = f"{connection.schema or 'https'}://{base}"
    address = token if "://" in token else f"{base.rstrip('/')}/{token.lstrip('/')}"
    with Session() as session:
        _post(session, address, "Slack", json=slack(alert))


def _webhook(channel: Webhook, alert: Alert) -> None:
    """Post the alert as JSON to the connection's address, with its login and headers as HttpHook reads them."""
    from airflow.providers.http.hooks.http import HttpHook

    hook = HttpHook(method="POST", http_conn_id=channel.conn_id)
    try:
        session = hook.get_conn(headers={"Content-Type": "application/json", "Idempotency-Key": alert.id})
        address = hook.url_from_endpoint(None)
    except (AirflowException, ValueError):
        raise CredentialsError(f"connection {channel.conn_id} has no address that HTTP can use") from None
    with session:
        _post(session, address, "the webhook", data=as_json(alert).encode())


def _post(session: "Session", address: str, who: str, **body: Any) -> None:
    """Post once; a redirection is refused, since following one would lose the body."""
    from requests import RequestException

    try:
        answer = session.post(address, timeout=SECONDS, allow_redirects=False, **body)
    except RequestException as error:
        raise TransientError(f"{who} does not answer: {type(error).__name__}") from None
    if not 200 <= answer.status_code < 300:
        raise TransientError(f"{who} refuses it: HTTP {answer.status_code}")


def _connection(channel: Channel) -> Any:
    """Return Airflow's connection; None where there is none to be had and SNS may do without."""
    conn_id = channel.conn_id
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        if isinstance(channel, Sns):
            return None
        raise CredentialsError(
            f"connection {conn_id} is not declared: add it in Airflow under Admin, Connections, or set "
            f"AIRFLOW_CONN_{conn_id.upper()}"
        ) from None
    except PermissionError:  # AirflowSecretsBackendAccessDenied, which Airflow 3.2.1 does not have
        if isinstance(channel, Sns):
            return None
        raise CredentialsError(
            f"connection {conn_id} cannot be read here: Airflow keeps the connections of its own database from the "
            f"callback of a deadline; set AIRFLOW_CONN_{conn_id.upper()} or put it into a secrets backend"
        ) from None
