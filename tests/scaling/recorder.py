"""A proxy between functions and the emulator of AWS that writes down every call.

It forwards what it gets, byte for byte, but for one thing: DynamoDB is asked to say what each call
consumed, which the functions do not want to know.
"""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

# What is for one connection alone, and what this end writes itself.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "date"}

LAYER_CALLS = (
    ("POST", re.compile(r"/layers/[^/]+/versions"), "PublishLayerVersion"),
    ("GET", re.compile(r"/layers/[^/]+/versions"), "ListLayerVersions"),
    ("GET", re.compile(r"/layers/[^/]+/versions/[0-9]+"), "GetLayerVersion"),
    ("POST", re.compile(r"/layers/[^/]+/versions/[0-9]+/policy"), "AddLayerVersionPermission"),
)
OBJECT_CALLS = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject"}


@dataclass
class Call:
    """One call of one function, as it went over the wire."""

    function: str
    service: str
    operation: str
    # The table, or the first two parts of an object's key.
    resource: str = ""
    status: int = 0
    # From 1; a higher one is a repetition by the SDK.
    attempt: int = 1
    started: float = 0.0
    ended: float = 0.0
    bytes_up: int = 0
    bytes_down: int = 0
    # Capacity units of DynamoDB: {"Requests/": 1.0, "Requests/open": 2.0}, the table first.
    units: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.service}:{self.operation}"


def describe(method: str, path: str, headers, body: bytes) -> Call:
    """What a request asks for, by the protocol of its service. Raises ValueError if unknown."""
    function = re.search(r"\bapp/([a-z]+)", headers.get("user-agent", ""))
    attempt = re.search(r"\battempt=([0-9]+)", headers.get("amz-sdk-request", ""))
    credential = re.search(
        r"Credential=[^/]*/[0-9]+/[^/]+/([^/]+)/", headers.get("authorization", "")
    )
    call = Call(
        function=function[1] if function else "?",
        service=credential[1] if credential else "?",
        operation="?",
        attempt=int(attempt[1]) if attempt else 1,
        bytes_up=int(headers.get("x-amz-decoded-content-length") or len(body)),
    )
    bare = unquote(urlsplit(path).path)
    if target := headers.get("x-amz-target"):
        call.operation = target.rpartition(".")[2]
        if call.service == "dynamodb":
            call.resource = _tables(json.loads(body))
    elif call.service == "sns":
        call.operation = parse_qs(body.decode())["Action"][0]
    elif call.service == "lambda":
        for wanted, pattern, operation in LAYER_CALLS:
            if method == wanted and pattern.fullmatch(re.sub(r"^/[0-9-]+", "", bare)):
                call.operation = operation
    elif call.service == "s3" and method in OBJECT_CALLS:
        _bucket, _, key = bare.lstrip("/").partition("/")
        call.operation = OBJECT_CALLS[method] if key else "ListObjectsV2"
        call.resource = "/".join(key.split("/")[:2])
    if "?" in (call.service, call.operation):
        raise ValueError(f"no call that is known here: {method} {path} {dict(headers)}")
    return call


def _tables(request: dict) -> str:
    """The tables that a request to DynamoDB is about."""
    if "TableName" in request:
        return request["TableName"]
    items = request.get("TransactItems", [])
    return "+".join(sorted({part["TableName"] for item in items for part in item.values()}))


def units(answer: bytes) -> dict[str, float]:
    """What DynamoDB says that a call consumed, by table and index."""
    try:
        consumed = json.loads(answer).get("ConsumedCapacity") or []
    except ValueError:
        return {}
    found: dict[str, float] = {}
    for part in consumed if isinstance(consumed, list) else [consumed]:
        table, total = part["TableName"], part["CapacityUnits"]
        indexes = part.get("GlobalSecondaryIndexes", {})
        for name, index in indexes.items():
            found[f"{table}/{name}"] = found.get(f"{table}/{name}", 0) + index["CapacityUnits"]
        own = total - sum(index["CapacityUnits"] for index in indexes.values())
        found[f"{table}/"] = found.get(f"{table}/", 0) + own
    return found


class Recorder:
    """The proxy. Upstream may be set once it is known."""

    def __init__(self):
        self.upstream: int | None = None
        self.calls: list[Call] = []
        self.problems: list[str] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """Where functions find it."""
        return self._server.server_address[1]

    def close(self) -> None:
        """Takes no more calls."""
        self._server.shutdown()
        self._server.server_close()

    def record(self, call: Call) -> None:
        """Writes a call down."""
        with self._lock:
            self.calls.append(call)

    def take(self) -> list[Call]:
        """All calls since the last time, in the order in which they ended."""
        with self._lock:
            taken, self.calls = self.calls, []
            problems, self.problems = self.problems, []
        if problems:
            raise SystemExit("\n".join(problems))
        return taken

    def last_ended(self) -> float:
        """When the last call ended; 0 if there was none."""
        with self._lock:
            return max((call.ended for call in self.calls), default=0.0)


def _handler(recorder: Recorder):
    class Handler(BaseHTTPRequestHandler):
        """One connection of a function, and one of its own to the emulator."""

        protocol_version = "HTTP/1.1"
        # An answer in two packets would wait for the first one to be acknowledged.
        wbufsize = -1
        disable_nagle_algorithm = True

        def setup(self):
            super().setup()
            self.emulator = HTTPConnection("127.0.0.1", recorder.upstream)

        def finish(self):
            super().finish()
            self.emulator.close()

        def handle_expect_100(self):
            goes_on = super().handle_expect_100()
            self.wfile.flush()
            return goes_on

        def forward(self):
            body = self._body()
            started = time.monotonic()
            try:
                call = describe(self.command, self.path, self.headers, body)
            except (ValueError, KeyError) as problem:
                recorder.problems.append(str(problem))
                call = None
            if call and call.service == "dynamodb":
                asked = json.loads(body) | {"ReturnConsumedCapacity": "INDEXES"}
                body = json.dumps(asked).encode()
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            headers["Content-Length"] = str(len(body))
            self.emulator.request(self.command, self.path, body, headers)
            answer = self.emulator.getresponse()
            content = answer.read()
            if call:
                call.started, call.ended, call.status = started, time.monotonic(), answer.status
                call.bytes_down = len(content)
                if call.service == "dynamodb":
                    call.units = units(content)
                recorder.record(call)
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            # The answer to HEAD says how long another one would be.
            length = answer.headers.get("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return body

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward

        def log_message(self, format, *args):
            """Says nothing: what is of interest is written down."""

    return Handler


def depth(calls: list[Call]) -> int:
    """How many calls waited for one another: the longest chain of which each began after the
    one before it had ended."""
    chain, ended = 0, float("-inf")
    for call in sorted(calls, key=lambda call: call.ended):
        if call.started >= ended:
            chain, ended = chain + 1, call.ended
    return chain


def busy(calls: list[Call]) -> float:
    """Seconds during which at least one call was under way."""
    total, until = 0.0, float("-inf")
    for call in sorted(calls, key=lambda call: call.started):
        total += max(0.0, call.ended - max(call.started, until))
        until = max(until, call.ended)
    return total
