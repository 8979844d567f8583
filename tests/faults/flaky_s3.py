"""An S3 of moto's on loopback that fails when it is told to."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.receivers import HOST

Fault = Literal["slow down", "hang", "answer lost", "cut off"]
Choice = Callable[[str, str, int], Fault | None]
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
LONGER_THAN_PATIENCE = 2.0


def never(*_: object) -> None:
    return None


@dataclass
class FlakyS3:
    """Asks `choose(method, path, try)` before each request what goes wrong with it; tries count from 1.

    "slow down" is S3's own 503, "hang" no answer and nothing done, "answer lost" done and no answer, and "cut off" half
    of the body that was announced.
    """

    app: Any
    port: int = 0
    choose: Choice = never
    tries: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def fails(self, choose: Choice) -> None:
        """Fail so from now on."""
        self.choose = choose
        self.tries.clear()
        self.failed.clear()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = (environ["REQUEST_METHOD"], environ["PATH_INFO"])
        self.tries[request] += 1
        fault = self.choose(*request, self.tries[request])
        if fault is None:
            return self.app(environ, start_response)
        self.failed.append(request)
        if fault == "slow down":
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("503 Slow Down", [("Content-Type", "application/xml"), ("Connection", "close")])
            return [SLOW_DOWN]
        if fault == "hang":
            time.sleep(LONGER_THAN_PATIENCE)
            start_response("500 Too Late", [("Connection", "close")])
            return [b""]
        body = b"".join(self.app(environ, start_response))
        if fault == "answer lost":
            time.sleep(LONGER_THAN_PATIENCE)
            return [body]
        return [body[: len(body) // 2]]


@contextmanager
def flaky_s3() -> Iterator[FlakyS3]:
    """Serve until the block ends; what is stored is shared with the other servers of moto's in this process."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    found = FlakyS3(DomainDispatcherApplication(create_backend_app))
    server = make_server(HOST, 0, found, threaded=True, request_handler=MotoRequestHandler)
    found.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
