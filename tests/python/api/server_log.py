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
    """What was written to the log since ``start``, a number of characters."""

    server: Server
    superuser: Client
    start: int = 0

    def text(self) -> str:
        """Gives the text, up to a mark that is written now: absence then means absence."""
        mark = f"mark {uuid4()}"
        self.superuser.run(f"do $$ begin raise log '{mark}'; end $$")
        until = time.monotonic() + 60
        while mark not in (text := self._read()):
            if time.monotonic() > until:
                pytest.fail(
                    "the server's log cannot be read: let the tests start their own server, or set"
                    " logging_collector = on on this one",
                    pytrace=False,
                )
            time.sleep(0.05)
        return text[self.start :]

    def _read(self) -> str:
        text = self.server.log()
        if text:
            return text
        query = "select coalesce(pg_read_file(pg_current_logfile()), '')"
        return str(self.superuser.value(query))

    def from_here(self) -> Log:
        """Gives the log of what follows."""
        return Log(self.server, self.superuser, self.start + len(self.text()))
