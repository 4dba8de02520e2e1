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
                pytest.fail("the server has not written to its log for a minute", pytrace=False)
            time.sleep(0.05)
        return text[self.start :]

    def _read(self) -> str:
        if self.server.log_source:
            return self.server.log()
        text = self.superuser.value("select pg_read_file(pg_current_logfile())")
        if text is None:  # nothing collects it
            pytest.fail(
                "the server's log cannot be read: let the tests start their own server, or set"
                " logging_collector = on on this one",
                pytrace=False,
            )
        return str(text)

    def from_here(self) -> Log:
        """Gives the log of what follows."""
        return Log(self.server, self.superuser, self.start + len(self.text()))
