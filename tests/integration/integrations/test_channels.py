"""Each channel delivers: what is received is looked at, at a real end; what goes wrong says so without a secret."""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied

from shadow_deployment.config.actions import Email, Slack, Sns, Webhook
from shadow_deployment.errors import CredentialsError, ShadowError, TransientError
from shadow_deployment.integrations.channels import send
from shadow_deployment.ledger.alerts import Alert
from tests.receivers import HOST, KEYS, Mailbox, Posts, Topic, aws, free_port, mail_server, topic, web_server

HOSTILE = "<script>alert('x')</script> \"q\" <!channel> & _m_"
ALERT = Alert(
    "failed",
    "late",
    dt.date(2024, 3, 5),
    "s" * 64,
    f"late: gate closed for 2024-03-05: {HOSTILE}",
    ("other 1 FAILS against champion 7", f"- Brier score superior, origin={HOSTILE}: -0.1"),
    "Mend it.",
    "2024-03-05 00:00 to 2024-03-06 00:00 UTC",
    "http://airflow.example:8080/dags/shadow_late/runs/scheduled__2024-03-05T00%3A00%3A00%2B00%3A00/tasks/gate",
    details={"problems": [HOSTILE]},
)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with aws() as found:
        yield found


@pytest.fixture
def posts() -> Iterator[Posts]:
    with web_server() as found:
        yield found


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as found:
        yield found


def declared(monkeypatch: pytest.MonkeyPatch, conn_id: str, value: str) -> str:
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", value)
    return conn_id


def refused(channel: Any, kind: type[ShadowError] = TransientError) -> str:
    with pytest.raises(kind) as caught:
        send(channel, ALERT)
    own = caught.value
    assert own.__suppress_context__ or own.__context__ is None  # a traceback would show what the library had said
    return str(caught.value)


def sns(monkeypatch: pytest.MonkeyPatch, found: Topic) -> Sns:
    return Sns(kind="sns", topic=found.arn, conn_id=declared(monkeypatch, "aws_alerts", found.connection()))


def test_sns_reaches_the_queue_behind_the_topic(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = topic(endpoint, "alerts")
    send(sns(monkeypatch, found), ALERT)
    [message] = found.received()
    assert message["Subject"].startswith("late: gate closed for 2024-03-05: <script>")
    assert len(message["Subject"]) <= 99
    lines = message["Message"].splitlines()
    assert lines[0] == ALERT.title
    assert ALERT.lines[1] in lines
    assert ALERT.link in lines
    assert f"day 2024-03-05: {ALERT.window}" in lines
    kinds = {key: value["Value"] for key, value in message["MessageAttributes"].items()}
    assert kinds == {"kind": "failed", "deployment": "late", "day": "2024-03-05"}


def test_a_fifo_topic_takes_the_same_alert_once(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = topic(endpoint, "alerts.fifo")
    channel = sns(monkeypatch, found)
    send(channel, ALERT)
    send(channel, ALERT)
    send(channel, replace(ALERT, signature="other"))
    assert len(found.received()) == 2


def test_sns_without_the_topic_names_the_code(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = topic(endpoint, "gone")
    channel = sns(monkeypatch, replace(found, arn=found.arn.replace("gone", "nowhere")))
    assert refused(channel) == "SNS refuses it: NotFound"


def test_sns_that_is_not_there_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Topic("arn:aws:sns:eu-central-1:123456789012:alerts", f"http://{HOST}:{free_port()}", "", None)
    assert refused(sns(monkeypatch, found)) == "SNS does not answer: EndpointConnectionError"


def test_mail_arrives_and_names_stay_text(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    conn_id = declared(monkeypatch, "smtp_alerts", mailbox.connection())
    send(Email(kind="email", to=["a@example.org"], conn_id=conn_id), ALERT)
    [(recipients, message)] = mailbox.received
    assert recipients == ["a@example.org"]
    assert message["From"] == "shadow@example.org"
    assert message["Message-ID"] == f"<{ALERT.id}@late.shadow>"
    assert message["Subject"].startswith("late: gate closed for 2024-03-05: <script>")
    part = message.get_body(("html",))
    assert part is not None
    body = part.get_content()
    assert "<script>" not in body
    assert "&lt;script&gt;alert(&#x27;x&#x27;)" in body
    assert f'<a href="{ALERT.link}">' in body


def test_a_line_break_in_a_title_adds_no_header(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    conn_id = declared(monkeypatch, "smtp_alerts", mailbox.connection())
    evil = replace(ALERT, title="late\r\nBcc: victim@example.org\r\n\r\nbody")
    send(Email(kind="email", to=["a@example.org"], conn_id=conn_id), evil)
    [(recipients, message)] = mailbox.received
    assert recipients == ["a@example.org"]
    assert message["Bcc"] is None
    assert message["Subject"] == "late Bcc: victim@example.org body"


def test_an_address_that_is_refused_is_shown_by_its_code(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    conn_id = declared(monkeypatch, "smtp_alerts", mailbox.connection())
    mailbox.refused = {"a@example.org"}
    said = refused(Email(kind="email", to=["a@example.org"], conn_id=conn_id))
    assert said == "the mail server refuses the address: 550"


def test_mail_without_a_server_or_a_sender_says_so(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    conn_id = declared(monkeypatch, "smtp_alerts", mailbox.connection(from_email=None))
    channel = Email(kind="email", to=["a@example.org"], conn_id=conn_id)
    assert "from_email" in refused(channel, CredentialsError)
    declared(monkeypatch, "smtp_alerts", Mailbox(port=free_port()).connection())
    assert refused(channel) == "the mail server does not answer: ConnectionRefusedError"


def test_webhook_posts_json_with_the_connections_login_and_headers(
    posts: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = posts.connection(login="u", password="hunter22", extra={"X-Team": "ml"})
    send(Webhook(kind="webhook", conn_id=declared(monkeypatch, "hook", value)), ALERT)
    [(path, headers, body)] = posts.received
    assert path == "/"
    assert headers["Authorization"].startswith("Basic ")
    assert (headers["X-Team"], headers["Idempotency-Key"]) == ("ml", ALERT.id)
    assert headers["Content-Type"] == "application/json"
    assert body["title"] == ALERT.title
    assert body["details"] == {"problems": [HOSTILE]}
    assert Alert.stored(body) == ALERT


def test_a_webhooks_path_is_part_of_its_host(posts: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    value = json.dumps({"conn_type": "http", "host": f"{posts.url}/services/t0ken"})
    send(Webhook(kind="webhook", conn_id=declared(monkeypatch, "hook", value)), ALERT)
    assert [path for path, _, _ in posts.received] == ["/services/t0ken"]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_takes_nothing_is_an_error_without_its_address(
    posts: Posts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level("DEBUG", logger="airflow")
    posts.status, posts.location = status, f"{posts.url}/elsewhere"
    value = json.dumps({"conn_type": "http", "host": f"{posts.url}/services/t0ken"})
    said = refused(Webhook(kind="webhook", conn_id=declared(monkeypatch, "hook", value)))
    assert said == f"the webhook refuses it: HTTP {status}"
    assert "t0ken" not in caplog.text
    assert not posts.received


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "{url}/services/T0/B0/s3cret"},
        {"host": "{url}/services", "password": "T0/B0/s3cret"},
        {"host": "{address}/services", "schema": "http", "password": "/T0/B0/s3cret"},
    ],
)
def test_slack_finds_its_address_as_the_slack_provider_does(
    posts: Posts, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str]
) -> None:
    shown = {key: value.format(url=posts.url, address=f"{HOST}:{posts.port}") for key, value in fields.items()}
    conn_id = declared(monkeypatch, "slack_alerts", json.dumps({"conn_type": "slackwebhook", **shown}))
    send(Slack(kind="slack", conn_id=conn_id), ALERT)
    [(path, _, body)] = posts.received
    assert path == "/services/T0/B0/s3cret"
    assert "&lt;!channel&gt;" in body["text"]
    assert "<!channel>" not in body["text"]
    assert {part["type"] for block in body["blocks"] for part in texts(block)} == {"plain_text"}
    assert any("<!channel>" in part["text"] for block in body["blocks"] for part in texts(block))


def texts(block: dict[str, Any]) -> list[dict[str, Any]]:
    return block["elements"] if "elements" in block else [block["text"]]


def test_slack_that_refuses_or_is_away_keeps_its_token(posts: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    posts.status = 403
    secret = f"{posts.url}/services/T0/B0/s3cret"
    conn_id = declared(monkeypatch, "slack_alerts", json.dumps({"conn_type": "slackwebhook", "password": secret}))
    channel = Slack(kind="slack", conn_id=conn_id)
    assert refused(channel) == "Slack refuses it: HTTP 403"
    away = secret.replace(str(posts.port), str(free_port()))
    declared(monkeypatch, "slack_alerts", json.dumps({"conn_type": "slackwebhook", "password": away}))
    assert refused(channel) == "Slack does not answer: ConnectionError"
    declared(monkeypatch, "slack_alerts", json.dumps({"conn_type": "slackwebhook"}))
    assert "has no password" in refused(channel, CredentialsError)


@pytest.mark.parametrize(
    "channel",
    [
        Email(kind="email", to=["a@example.org"], conn_id="nowhere"),
        Slack(kind="slack", conn_id="nowhere"),
        Webhook(kind="webhook", conn_id="nowhere"),
    ],
)
def test_a_connection_that_is_not_declared_is_named(channel: Any) -> None:
    assert "connection nowhere is not declared" in refused(channel, CredentialsError)


def denied(*_: Any) -> None:
    raise AirflowSecretsBackendAccessDenied("Access denied for connection 'x'")


def test_a_connection_that_a_deadline_callback_may_not_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseHook, "get_connection", denied)
    said = refused(Webhook(kind="webhook", conn_id="hook"), CredentialsError)
    assert said.startswith("connection hook cannot be read here")
    assert "AIRFLOW_CONN_HOOK" in said


@pytest.mark.parametrize("readable", [True, False])
def test_sns_without_a_connection_takes_the_credentials_that_boto3_finds(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, readable: bool
) -> None:
    if not readable:
        monkeypatch.setattr(BaseHook, "get_connection", denied)
    found = topic(endpoint, f"role{int(readable)}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    channel = Sns(kind="sns", topic=found.arn, conn_id="aws_default")
    assert "there are no credentials for SNS in eu-central-1" in refused(channel, CredentialsError)
    for name, value in KEYS.items():
        monkeypatch.setenv(name.upper(), value)
    send(channel, ALERT)
    assert len(found.received()) == 1
