"""A proxy between a client and PostgreSQL that does something at a chosen moment.

It reads the client's messages of the wire protocol, and counts its requests: simple queries, and
the Sync that ends an extended query. A moment is the n-th request, before the server has seen it or
after the server has answered it (the client has not seen the answer).
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

__all__ = ["Proxy", "through"]

When = Literal["before", "after"]


@dataclass(slots=True)
class Proxy:
    """A running proxy.

    Attributes:
        dsn: conninfo that leads through it.
        moment: at which request to act, and whether before the server has seen it or after it has
            answered; None: never. Counted over all connections, from 1.
        act: called then, when the client will get no answer any more.
        requests: the texts of all requests so far.
    """

    dsn: str
    moment: tuple[int, When] | None = None
    act: Callable[[], None] = lambda: None
    requests: list[str] = field(default_factory=list)


@contextmanager
def through(dsn: str) -> Iterator[Proxy]:
    """Gives a proxy to the server of a conninfo; connections still open at the end are cut."""
    parts = conninfo_to_dict(dsn)
    host, port = str(parts["host"]), int(parts.get("port") or 5432)
    listener = socket.create_server(("127.0.0.1", 0))
    # A proxy speaks no TLS.
    plain = {"host": "127.0.0.1", "port": listener.getsockname()[1], "sslmode": "disable"}
    proxy = Proxy(make_conninfo(dsn, **plain, gssencmode="disable"))
    threads: list[threading.Thread] = []
    sockets: list[socket.socket] = []

    over = threading.Event()

    def accept() -> None:
        while True:
            client = listener.accept()[0]
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets.append(client)
            if over.is_set():
                return
            try:
                server = _connect(host, port)
            except OSError:
                _close(client)
                continue
            sockets.append(server)
            cut = threading.Event()
            for pump in (_requests, _answers):
                thread = threading.Thread(target=pump, args=(proxy, client, server, cut))
                threads.append(thread)
                thread.start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield proxy
    finally:
        over.set()
        socket.create_connection(listener.getsockname()).close()
        acceptor.join()
        listener.close()
        for end in sockets:
            _close(end)
        for thread in threads:
            thread.join()
        for end in sockets:
            end.close()


def _connect(host: str, port: int) -> socket.socket:
    if host.startswith("/"):
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server
    server = socket.create_connection((host, port))
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


def _close(end: socket.socket) -> None:
    """Ends a connection both ways, also for a thread that waits for it."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _read(end: socket.socket, size: int) -> bytes:
    """Returns exactly so many bytes.

    Raises:
        OSError: the connection ended before.
    """
    data = b""
    while len(data) < size:
        more = end.recv(size - len(data))
        if not more:
            raise OSError("the connection ended")
        data += more
    return data


def _message(end: socket.socket, tagged: bool) -> tuple[bytes, bytes]:
    """Returns the type of the next message (nothing for the first ones) and all its bytes."""
    tag = _read(end, 1) if tagged else b""
    head = _read(end, 4)
    return tag, tag + head + _read(end, struct.unpack("!i", head)[0] - 4)


def _requests(
    proxy: Proxy, client: socket.socket, server: socket.socket, cut: threading.Event
) -> None:
    """Hands on what the client sends."""
    with suppress(OSError):
        server.sendall(_message(client, tagged=False)[1])
        text = b""
        while True:
            tag, data = _message(client, tagged=True)
            text += data[5:] if tag in b"QP" else b""
            if tag in b"QS":
                proxy.requests.append(text.decode(errors="replace").strip("\0"))
                text = b""
                if proxy.moment == (len(proxy.requests), "before"):
                    proxy.act()
                    break
                if proxy.moment == (len(proxy.requests), "after"):
                    cut.set()  # from now on the client hears nothing
            server.sendall(data)
    _close(client)
    _close(server)


def _answers(
    proxy: Proxy, client: socket.socket, server: socket.socket, cut: threading.Event
) -> None:
    """Hands on what the server sends, until the client shall hear nothing any more."""
    with suppress(OSError):
        while True:
            tag, data = _message(server, tagged=True)
            if not cut.is_set():
                client.sendall(data)
            elif tag == b"Z":
                proxy.act()
                break
    _close(client)
    _close(server)
