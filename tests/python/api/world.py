"""A deployed database with a login of each role, and the stock of tenants that tests start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from .client import Client

__all__ = ["ROLES", "STRANGER", "Pool", "World", "connect"]

ROLES = ("svc_integration", "integrations_tenant", "integrations_admin", "integrations_auditor")
"""The roles whose members come in from outside."""

STRANGER = "stranger"
"""A login that is a member of nothing."""

# Each version of a row bears the number of the transaction that wrote it: there is no need to read
# what is in it, which takes ten times as long.
_STATE = "select " + ", ".join(  # noqa: S608
    f"(select row(count(*), sum(xmin::text::bigint))::text from {table})"  # noqa: S608
    for table in (
        "integrations.integration_definitions",
        "integrations.integration_instances",
        "integrations_private.tenant_keys",
        "integrations_private.key_encryption_keys",
        "integrations_private.compiled_schemas",
        "integrations_private.read_leases",
        "integrations_private.refresh_leases",
        "integrations_private.audit_log",
    )
)


def connect(conninfo: str) -> psycopg.Connection[Any]:
    """Connects in autocommit mode: a test shows its transactions."""
    return psycopg.connect(conninfo, autocommit=True)


# What DISCARD ALL does, but for the prepared statements, which psycopg believes are there.
_FORGET = """
close all; set session authorization default; reset all; unlisten *;
select pg_advisory_unlock_all(); discard temp; discard sequences
"""


class Kept(psycopg.Connection[Any]):
    """A connection that a later test may have, too.

    Attributes:
        heard: whether somebody listens to its notices.
    """

    heard = False

    def add_notice_handler(self, callback: Callable[[psycopg.errors.Diagnostic], None]) -> None:
        self.heard = True
        super().add_notice_handler(callback)


@dataclass(repr=False)
class Pool:
    """Connections that are handed from test to test: what a server keeps in mind of a database,
    and a function once compiled, cost more than most tests.

    Between two tests a connection forgets all that belongs to a session; one of which anything
    else was changed is not handed on.
    """

    idle: dict[str, list[Kept]] = field(default_factory=dict)

    @contextmanager
    def lend(self, conninfo: str) -> Iterator[Kept]:
        """Gives a connection in autocommit mode, as good as new."""
        waiting = self.idle.setdefault(conninfo, [])
        conn = waiting.pop() if waiting else Kept.connect(conninfo, autocommit=True)
        try:
            yield conn
        finally:
            if self._forgets(conn):
                waiting.append(conn)
            else:
                conn.close()

    @staticmethod
    def _forgets(conn: Kept) -> bool:
        if conn.closed or conn.heard or not conn.autocommit or conn.isolation_level is not None:
            return False
        if conn.info.transaction_status != TransactionStatus.IDLE:  # it would stay open
            return False
        try:
            conn.execute(_FORGET, prepare=False)
        except psycopg.Error:
            return False
        return True

    def close(self) -> None:
        """Closes those that nobody has."""
        for waiting in self.idle.values():
            for conn in waiting:
                conn.close()


@dataclass(repr=False)
class World:
    """What a test needs to act. Connections are made when first used.

    Tests share one database per worker and keep apart by using tenants of their own.

    Attributes:
        dsn: the database, as superuser.
        logins: the conninfo of a login of each role, and of the stranger.
        definition: a published definition.
        kek_id: the name of a KEK.
        kek: its 32 bytes.
        stack: closes the connections, or gives them back.
        pool: where the connections that are named by a role come from, if not made anew.
        lent: those that this world has, by conninfo.
    """

    dsn: str
    logins: Mapping[str, str]
    definition: UUID
    kek_id: str
    kek: bytes
    stack: ExitStack
    pool: Pool | None = None
    lent: dict[str, Client] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "World()"  # no password and no key in the report of a failed test

    def client(self, role: str) -> Client:
        """Gives a new connection of the login of a role."""
        return self.log_in(self.logins[role])

    def log_in(self, conninfo: str) -> Client:
        """Gives a new connection of any login."""
        return Client(self.stack.enter_context(connect(conninfo)))

    def of(self, role: str) -> Client:
        """Gives the connection of a role's login, or of the stranger; an earlier test had it."""
        return self._lent(self.logins[role])

    def _lent(self, conninfo: str) -> Client:
        if conninfo not in self.lent:
            if self.pool is None:
                return self.log_in(conninfo)
            self.lent[conninfo] = Client(self.stack.enter_context(self.pool.lend(conninfo)))
        return self.lent[conninfo]

    @cached_property
    def svc(self) -> Client:
        return self.of("svc_integration")

    @cached_property
    def tenant(self) -> Client:
        return self.of("integrations_tenant")

    @cached_property
    def admin(self) -> Client:
        return self.of("integrations_admin")

    @cached_property
    def auditor(self) -> Client:
        return self.of("integrations_auditor")

    @cached_property
    def superuser(self) -> Client:
        """Looks at what nobody else may see, and tampers."""
        return self._lent(self.dsn)

    def unlocked(self, tenant_id: UUID) -> AbstractContextManager[None]:
        """One transaction of the service with a tenant's keys open."""
        return self.svc.unlocked(tenant_id, self.kek_id, self.kek)

    def new_tenant(self) -> UUID:
        """Gives a tenant with a data key."""
        tenant_id = uuid4()
        with self.svc.within(tenant_id):
            self.svc.create_tenant_key(self.kek_id, self.kek)
        return tenant_id

    def new_instance(self, tenant_id: UUID, credentials: str | None = None) -> UUID:
        """Gives an instance; with credentials it is active."""
        with self.svc.within(tenant_id):
            instance_id = self.svc.create_instance(self.definition, f"instance {uuid4()}")
            if credentials is not None:
                self.svc.unlock(self.kek_id, self.kek)
                self.svc.put_credentials(instance_id, credentials)
        return instance_id

    def new_stored(self, credentials: str = '{"api_key": "k"}') -> tuple[UUID, UUID]:
        """Gives a new tenant and its instance with credentials."""
        tenant_id = self.new_tenant()
        return tenant_id, self.new_instance(tenant_id, credentials)

    def read(self, tenant_id: UUID, instance_id: UUID) -> Mapping[str, Any]:
        """Reads credentials, in one transaction."""
        with self.unlocked(tenant_id):
            return self.svc.get_credentials(instance_id)

    def instance(self, instance_id: UUID) -> Any:
        """Gives the stored row as it is, as a record with named fields."""
        with self.superuser.conn.cursor(row_factory=psycopg.rows.namedtuple_row) as cursor:
            cursor.execute(
                "select * from integrations.integration_instances where id = %s", [instance_id]
            )
            return cursor.fetchone()

    def events(self, tenant_id: UUID) -> list[str]:
        """Gives the audited events of a tenant, the oldest first."""
        rows = self.superuser.rows(
            "select event from integrations_private.audit_log where tenant_id = %s order by at",
            tenant_id,
        )
        return [event for (event,) in rows]

    @contextmanager
    def refused(self, *sqlstates: str) -> Iterator[pytest.ExceptionInfo[psycopg.Error]]:
        """Expects an error with one of these SQLSTATEs, and that no stored row changed."""
        before = self.superuser.rows(_STATE)
        with pytest.raises(psycopg.Error) as caught:
            yield caught
        assert caught.value.sqlstate in sqlstates, caught.value
        assert self.superuser.rows(_STATE) == before
