"""A proxy in front of the real server that does to requests what networks do."""

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

from typing_extensions import Self


@dataclass
class Answer:
    """What the proxy answers instead of the server."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


Fault = Literal["pass", "cut", "lose_reply", "hang", "garbage"] | Answer


class Trickle:
    """A server whose replies, or their heads, have no end: a byte now and then."""

    def __init__(self, *, head: bool = False) -> None:
        self._head = head
        self._end = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0
        """How many bytes were sent one by one."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._trickle, args=(connection,), daemon=True).start()

    def _trickle(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.recv(65536)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
            connection.sendall(head + (b"X-Endless: " if self._head else b"\r\n"))
            # The pace of the server is what is tested; it ends with the client.
            while not self._end.wait(0.05):
                connection.sendall(b" ")
                self.sent += 1


@dataclass
class Seen:
    """What the proxy saw of a request."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


class Weather:
    """A proxy on a port of its own."""

    def __init__(self, target: str) -> None:
        self.seen: list[Seen] = []
        self._target = target
        self._plan: list[Fault] = []
        self._always: Fault = "pass"
        self._end = threading.Event()
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def next(self, *faults: Fault) -> None:
        """Plan what happens to the next requests; forget what was planned and seen before."""
        self.seen.clear()
        self._plan = list(faults)
        self._always = "pass"

    def always(self, fault: Fault) -> None:
        """Plan what happens to all requests from now on."""
        self.next()
        self._always = fault

    def wait_for(self, requests: int) -> None:
        """Wait until so many were seen."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen) >= requests, timeout=30)

    def close(self) -> None:
        """Stop."""
        self._end.set()
        self._server.shutdown()
        self._server.server_close()

    def _fault(self) -> Fault:
        return self._plan.pop(0) if self._plan else self._always

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        weather = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with weather._changed:
                    weather.seen.append(Seen(self.command, self.path, headers, body.decode()))
                    weather._changed.notify_all()
                fault = weather._fault()
                self.close_connection = True
                if isinstance(fault, Answer):
                    self.answer(fault.status, fault.headers, fault.body.encode())
                elif fault == "hang":
                    weather._end.wait()
                elif fault in {"cut", "garbage"}:
                    self.wfile.write(b"no HTTP at all\r\n\r\n" if fault == "garbage" else b"")
                    self.connection.shutdown(socket.SHUT_RDWR)
                else:
                    onward = HTTPConnection(urlsplit(weather._target).netloc)
                    kept = {name: value for name, value in headers.items() if name not in {"host", "connection"}}
                    onward.request(self.command, self.path, body or None, kept)
                    reply = onward.getresponse()
                    text = reply.read()
                    onward.close()
                    if fault == "lose_reply":
                        self.connection.shutdown(socket.SHUT_RDWR)
                    else:
                        self.answer(reply.status, dict(reply.getheaders()), text)

            do_GET = do_POST = do_DELETE = handle_any

            def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in {"content-length", "transfer-encoding", "connection", "date"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        return Handler
