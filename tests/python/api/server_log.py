"""The server's log, complete up to the moment in which it is read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import uuid4

import pytest

from integrations_db.testing.servers import Server

from .client import Client

__all__ = ["Log"]


@dataclass(frozen=True)
class Log:
    """What was written to the log since ``start``, a number of bytes."""

    server: Server
    superuser: Client
    start: int = 0

    def text(self) -> str:
        """Gives the text, up to a mark that is written now: absence then means absence."""
        return self._marked().decode(errors="replace")

    def from_here(self) -> Log:
        """Gives the log of what follows."""
        return Log(self.server, self.superuser, self.start + len(self._marked()))

    def _marked(self) -> bytes:
        mark = f"mark {uuid4()}"
        self.superuser.run(f"do $$ begin raise log '{mark}'; end $$")
        until = time.monotonic() + 60
        while mark.encode() not in (written := self._read()):
            if time.monotonic() > until:
                pytest.fail(
                    "for a minute the server has not written to its log, or it writes to a new one",
                    pytrace=False,
                )
            time.sleep(0.05)
        return written

    def _read(self) -> bytes:
        if self.server.log_source:
            with open(self.server.log_source, "rb") as file:
                file.seek(self.start)
                return file.read()
        query = "select pg_read_binary_file(pg_current_logfile(), %s, 1 << 28)"
        written = self.superuser.value(query, self.start)
        if written is None:  # nothing collects it
            pytest.fail(
                "the server's log cannot be read: let the tests start their own server, or set"
                " logging_collector = on on this one",
                pytrace=False,
            )
        return bytes(written)
