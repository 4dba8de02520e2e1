"""Tries a transaction again when others hold what it needs, and finds out who they are."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext

import psycopg

from integrations_db.config import Target
from integrations_db.database import connect
from integrations_db.errors import Failure
from integrations_db.registry import Connection
from integrations_db.transaction import BUSY, Run, ScriptFailed

__all__ = ["PAUSES", "retried"]

# Seconds between the attempts, give or take a quarter: two that wait for each other must not meet
# again and again.
PAUSES = (0.5, 1.0, 3.0, 8.0)
_GLANCE = 0.02  # seconds between two looks at who blocks

# Words that a statement may begin with. Its text may hold secrets; the first word does not.
_VERBS = frozenset(
    "ALTER ANALYZE BEGIN CALL CLUSTER COMMENT COMMIT COPY CREATE DELETE DO DROP END EXECUTE EXPLAIN"
    " FETCH GRANT INSERT LOCK MERGE REFRESH REINDEX REVOKE SELECT SET TRUNCATE UPDATE VACUUM WITH"
    " autovacuum".split()
)
_BLOCKERS = """
    select p.pid, a.usename, a.application_name, a.state, a.query,
      extract(epoch from pg_catalog.clock_timestamp() - a.state_change)::pg_catalog.float8,
      extract(epoch from pg_catalog.clock_timestamp() - a.xact_start)::pg_catalog.float8
      from (select distinct pid
              from pg_catalog.unnest(pg_catalog.pg_blocking_pids(%s)) as u (pid)) as p
      left join pg_catalog.pg_stat_activity as a using (pid)"""


def retried(run: Run, work: Callable[[], None]) -> None:
    """Runs a transaction; again, after a while, when others held what it needs.

    Args:
        run: what is done; its connection is the one that ``work`` uses.
        work: one whole transaction, rolled back before it raises.

    Raises:
        ScriptFailed: as ``work`` does; after the last attempt with ``blockers`` named.
    """
    blockers: dict[int, str] = {}
    for pause in (*PAUSES, None):
        try:
            # An attempt is watched from the second on: who blocks is asked of a connection more.
            with _watched(run.target, run.conn, blockers) if pause != PAUSES[0] else nullcontext():
                work()
            return
        except (ScriptFailed, psycopg.Error) as error:
            cause = error.error if isinstance(error, ScriptFailed) else error
            if not isinstance(cause, BUSY):
                raise
            failed = (
                error
                if isinstance(error, ScriptFailed)
                else ScriptFailed("recording the change", None, cause)
            )
            failed.blockers = tuple(blockers[pid] for pid in sorted(blockers))
            if pause is None:
                raise failed from None
            run.listener.say(
                f"{cause.diag.message_primary}; rolled back, trying again in {pause:g} s"
            )
            # Not a matter of secrets.
            time.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311


@contextmanager
def _watched(target: Target, conn: Connection, blockers: dict[int, str]) -> Iterator[None]:
    """Notes, while it lasts, who blocks the session of ``conn``; by server process."""
    try:
        watch = connect(target, lambda _: None)
    except Failure:
        yield  # no connection to be had: then nobody is named
        return
    pid = conn.info.backend_pid
    over = threading.Event()

    def look() -> None:
        while not over.wait(_GLANCE):
            try:
                rows = watch.execute(_BLOCKERS.encode(), (pid,)).fetchall()
            except psycopg.Error:
                return
            blockers.update({row[0]: _described(*row) for row in rows})

    with closing(watch):
        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _described(
    pid: int,
    user: str | None,
    application: str | None,
    state: str | None,
    query: str | None,
    seconds: float | None,
    in_transaction: float | None,
) -> str:
    """Returns who blocks, since when, and how a DBA may end it."""
    if pid == 0:
        return "a prepared transaction (see pg_prepared_xacts; ROLLBACK PREPARED ends it)"
    facts = [f"user {user}"] if user else []
    facts += [application] if application else []
    if state == "active":
        found = re.match(r"\s*(\w+)", query or "")
        verb = f" ({found[1]})" if found and found[1].upper() in _VERBS else ""
        facts.append(f"active{verb} for {_span(seconds)}")
    elif state:
        facts.append(f"{state} for {_span(seconds)}")
    if in_transaction is not None:
        facts.append(f"in its transaction for {_span(in_transaction)}")
    ends = f"select pg_terminate_backend({pid})"
    if state == "active":
        ends = f"select pg_cancel_backend({pid}), or pg_terminate_backend({pid})"
    return f"server process {pid} ({', '.join(facts)}); a DBA may end it: {ends}"


def _span(seconds: float | None) -> str:
    """Returns a time span as a person reads it."""
    if seconds is None:
        return "an unknown time"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
