"""Real ends of the channels, on loopback: a mail server, a web server, and SNS with a queue behind its topic."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOST = "127.0.0.1"
REGION = "eu-central-1"
KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}


@dataclass
class Posts:
    """A web server that keeps what is posted to it and answers `status`, or hangs up."""

    port: int
    received: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    status: int = 200
    location: str | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def bodies(self) -> list[Any]:
        return [body for _, _, body in self.received]

    @property
    def titles(self) -> list[str]:
        return [body["title"] for body in self.bodies]

    def connection(self, **fields: Any) -> str:
        return json.dumps({"conn_type": "http", "host": HOST, "schema": "http", "port": self.port, **fields})


@contextmanager
def web_server() -> Iterator[Posts]:
    """Serve POST until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length))
            if 200 <= posts.status < 300:
                posts.received.append((self.path, dict(self.headers), body))
            self.send_response(posts.status)
            if posts.location:
                self.send_header("Location", posts.location)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    posts = Posts(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield posts
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mailbox:
    """A mail server that keeps what it takes; it refuses the addresses in `refused`."""

    port: int = 0
    received: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if address in self.refused:
            return "550 no such user here, s3cret"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.received.append((list(envelope.rcpt_tos), message))
        return "250 taken"

    def connection(self, **extra: Any) -> str:
        own = {"from_email": "shadow@example.org", "disable_ssl": True, "disable_tls": True, "retry_limit": 0}
        return json.dumps({"conn_type": "smtp", "host": HOST, "port": self.port, "extra": own | extra})


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """Serve SMTP until the block ends."""
    from aiosmtpd.controller import Controller

    mailbox = Mailbox(port=free_port())
    controller = Controller(mailbox, hostname=HOST, port=mailbox.port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@dataclass
class Topic:
    """A topic of SNS whose messages land in a queue of SQS."""

    arn: str
    endpoint: str
    queue: str
    client: Any

    def connection(self) -> str:
        return json.dumps(
            {"conn_type": "aws", "login": "testing", "password": "testing", "extra": {"endpoint_url": self.endpoint}}
        )

    def received(self) -> list[dict[str, Any]]:
        """Return what has arrived since it was asked before, as SNS wraps it."""
        found: list[dict[str, Any]] = []
        while messages := self.client.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for one in messages:
                found.append(json.loads(one["Body"]))
                self.client.delete_message(QueueUrl=self.queue, ReceiptHandle=one["ReceiptHandle"])
        return found


@contextmanager
def aws() -> Iterator[str]:
    """Serve SNS and SQS until the block ends; yields the endpoint."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def topic(endpoint: str, name: str) -> Topic:
    """Make a topic, and a queue that is subscribed to it."""
    import boto3

    kinds = {"FifoTopic": "true"} if name.endswith(".fifo") else {}
    queues = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    sns = boto3.client("sns", endpoint_url=endpoint, region_name=REGION, **KEYS)
    sqs = boto3.client("sqs", endpoint_url=endpoint, region_name=REGION, **KEYS)
    arn = sns.create_topic(Name=name, Attributes=kinds)["TopicArn"]
    url = sqs.create_queue(QueueName=name, Attributes=queues)["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)
    return Topic(arn, endpoint, url, sqs)


def free_port() -> int:
    """Return a port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
