"""A small server of the Open Inference Protocol on loopback, which answers with an ONNX model or with a fault."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

HOST = "127.0.0.1"
OIP = {
    "tensor(float)": ("FP32", np.float32),
    "tensor(double)": ("FP64", np.float64),
    "tensor(int64)": ("INT64", np.int64),
    "tensor(bool)": ("BOOL", np.bool_),
    "tensor(string)": ("BYTES", object),
}

Fault = Callable[["_Handler", dict[str, Any]], None]


@dataclass
class Server:
    """What it serves, what it was asked, and what goes wrong: `faults` one call each, `always` with every call."""

    session: Any
    port: int = 0
    version: str | None = "1"
    is_described: bool = True
    takes_nan: bool = False
    metadata: dict[str, Any] | None = None
    faults: list[Fault | None] = field(default_factory=list)
    always: Fault | None = None
    when_described: list[Fault] = field(default_factory=list)
    poison: Mapping[str, Any] | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    connections: set[tuple[str, int]] = field(default_factory=set)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/v2/models/late"

    @property
    def model(self) -> str:
        return f"endpoint:{self.url}"

    @property
    def sizes(self) -> list[int]:
        """How many rows it was asked about, call by call."""
        return [one["inputs"][0]["shape"][0] for one in self.asked]

    def described(self) -> dict[str, Any]:
        """Return the metadata of the ONNX model, in the protocol's words."""
        sizes = {"inputs": self.session.get_inputs(), "outputs": self.session.get_outputs()}
        content = {
            part: [
                {
                    "name": one.name,
                    "datatype": OIP[one.type][0],
                    "shape": [size if isinstance(size, int) else -1 for size in one.shape],
                }
                for one in tensors
            ]
            for part, tensors in sizes.items()
        }
        return {"name": "late", "platform": "onnx_onnxv1", **content, **({"versions": ["1"]} if self.version else {})}

    def inferred(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the model's answer, to numbers of the model's own type."""
        kinds = {one.name: OIP[one.type][1] for one in self.session.get_inputs()}
        feed = {one["name"]: np.array(one["data"], kinds[one["name"]]).reshape(one["shape"]) for one in asked["inputs"]}
        names = [one.name for one in self.session.get_outputs()]
        outputs = [
            {
                "name": name,
                "shape": list(array.shape),
                "datatype": {"f4": "FP32", "f8": "FP64", "i8": "INT64"}.get(array.dtype.str[1:], "BYTES"),
                "data": array.reshape(-1).tolist(),
            }
            for name, array in zip(names, self.session.run(None, feed), strict=True)
        ]
        told = {"model_version": self.version} if self.version else {}
        return {"model_name": "late", **told, "outputs": outputs}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    ours: Server

    def do_GET(self) -> None:
        if self.ours.when_described:
            self.ours.when_described.pop(0)(self, {})
        elif not self.ours.is_described:
            self.say(404, {"error": "no metadata"})
        else:
            self.say(200, self.ours.metadata or self.ours.described())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = json.loads(body, parse_constant=float if self.ours.takes_nan else _refuse)
        self.ours.asked.append(asked)
        self.ours.headers.append(dict(self.headers))
        self.ours.moments.append(time.monotonic())
        self.ours.connections.add(self.client_address)
        fault = self.ours.faults.pop(0) if self.ours.faults else self.ours.always
        if fault:
            fault(self, asked)
            return
        for one in asked["inputs"]:
            bad = (self.ours.poison or {}).get(one["name"])
            if bad is not None and bad in one["data"]:
                self.say(400, {"error": f"input {one['name']} cannot be {bad!r} in {one['data']}"})
                return
        self.say(200, self.ours.inferred(asked))

    def say(self, status: int, content: Any, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def status(code: int, content: Any = b"", **headers: str) -> Fault:
    """Answer with a status."""
    return lambda handler, asked: handler.say(code, content, **headers)


def changed(change: Callable[[dict[str, Any]], Any]) -> Fault:
    """Answer as the model does, but with a change to that."""

    def answer(handler: _Handler, asked: dict[str, Any]) -> None:
        message = handler.ours.inferred(asked)
        handler.say(200, change(message) or message)

    return answer


def hang(handler: _Handler, asked: dict[str, Any]) -> None:
    """Do not answer."""
    handler.ours.closing.wait(30)
    handler.close_connection = True


def drip(handler: _Handler, asked: dict[str, Any]) -> None:
    """Send a byte now and then, and never all of them."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    try:
        while not handler.ours.closing.wait(0.02):
            handler.wfile.write(b" ")
            handler.wfile.flush()
    except OSError:
        pass
    handler.close_connection = True


def reset(handler: _Handler, asked: dict[str, Any]) -> None:
    """Break the connection in the middle of the body."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"outputs": [')
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True
    handler.wfile = handler.rfile = _Nothing()  # type: ignore[assignment]


class _Nothing:
    closed = True

    def flush(self) -> None: ...
    def close(self) -> None: ...


@contextmanager
def serving(path: Path) -> Iterator[Server]:
    """Serve an ONNX model until the block ends."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    server = Server(onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))
    handler = type("Handler", (_Handler,), {"ours": server})
    http = ThreadingHTTPServer((HOST, 0), handler)
    http.daemon_threads = True
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        http.shutdown()
        http.block_on_close = False
        http.server_close()
        thread.join()
