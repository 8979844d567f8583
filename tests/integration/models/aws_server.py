"""A server on loopback that answers as AWS does where moto does not: a container behind an endpoint, and refusals."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.receivers import HOST

Rows = list[list[str]]


@dataclass(frozen=True)
class Refusal:
    """An error of AWS: HTTP status, code and message, and what a service adds."""

    status: int
    code: str
    message: str = "said by AWS"
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class Aws:
    """What it was asked; `container` answers rows with a type and a body, `refusals` come first, `always` instead."""

    container: Callable[[Rows], tuple[str, str]] = lambda rows: ("text/csv", "\n".join("0.5" for _ in rows))
    port: int = 0
    variant: str = "AllTraffic"
    refusals: list[Refusal | None] = field(default_factory=list)
    always: Refusal | None = None
    seconds: float = 0.0
    bodies: list[str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def connection(self, **extra: Any) -> str:
        own = {"endpoint_url": self.url, "region_name": "eu-central-1"}
        return json.dumps({"conn_type": "aws", "login": "testing", "password": "testing", "extra": own | extra})


@contextmanager
def aws_server() -> Iterator[Aws]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            aws.bodies.append(body)
            aws.asked.append((self.path, dict(self.headers)))
            refusal = aws.refusals.pop(0) if aws.refusals else aws.always
            if refusal:
                content = {"__type": refusal.code, "message": refusal.message, **refusal.more}
                self.say(refusal.status, json.dumps(content).encode(), {"x-amzn-ErrorType": refusal.code})
                return
            if aws.seconds:
                aws.closing.wait(aws.seconds)
            kind, answer = aws.container([line.split(",") for line in body.splitlines()])
            headers = {"Content-Type": kind, "x-Amzn-Invoked-Production-Variant": aws.variant}
            self.say(200, answer.encode(), headers)

        def do_GET(self) -> None:
            """Refuse what is asked of S3; a HEAD has no body, as with S3."""
            aws.asked.append((self.path, dict(self.headers)))
            refusal = aws.always or Refusal(404, "NoSuchKey")
            text = f"<Error><Code>{refusal.code}</Code><Message>{refusal.message}</Message></Error>"
            self.say(refusal.status, text.encode(), {"Content-Type": "application/xml"})

        def do_HEAD(self) -> None:
            self.do_GET()

        def say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    aws = Aws(port=server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield aws
    finally:
        aws.closing.set()
        server.shutdown()
        server.block_on_close = False
        server.server_close()
        thread.join()
