"""A deployed database with a login of each role, and the stock of tenants that tests start from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from .client import Client

__all__ = ["ROLES", "STRANGER", "World", "connect"]

ROLES = ("svc_integration", "integrations_tenant", "integrations_admin", "integrations_auditor")
"""The roles whose members come in from outside."""

STRANGER = "stranger"
"""A login that is a member of nothing."""

_STATE = """
select (select sum(hashtextextended(t::text, 0)) from integrations.integration_definitions as t),
       (select sum(hashtextextended(t::text, 0)) from integrations.integration_instances as t),
       (select sum(hashtextextended(t::text, 0)) from integrations_private.tenant_keys as t),
       (select sum(hashtextextended(t::text, 0))
          from integrations_private.key_encryption_keys as t),
       (select sum(hashtextextended(t::text, 0)) from integrations_private.compiled_schemas as t),
       (select sum(hashtextextended(t::text, 0)) from integrations_private.read_leases as t),
       (select sum(hashtextextended(t::text, 0)) from integrations_private.refresh_leases as t),
       (select sum(hashtextextended(t::text, 0)) from integrations_private.audit_log as t)
"""


def connect(conninfo: str) -> psycopg.Connection[Any]:
    """Connects in autocommit mode: a test shows its transactions."""
    return psycopg.connect(conninfo, autocommit=True)


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
        stack: closes the connections.
    """

    dsn: str
    logins: Mapping[str, str]
    definition: UUID
    kek_id: str
    kek: bytes
    stack: ExitStack

    def __repr__(self) -> str:
        return "World()"  # no password and no key in the report of a failed test

    def client(self, role: str) -> Client:
        """Gives a new connection of the login of a role."""
        return self.log_in(self.logins[role])

    def log_in(self, conninfo: str) -> Client:
        """Gives a new connection of any login."""
        return Client(self.stack.enter_context(connect(conninfo)))

    @cached_property
    def svc(self) -> Client:
        return self.client("svc_integration")

    @cached_property
    def tenant(self) -> Client:
        return self.client("integrations_tenant")

    @cached_property
    def admin(self) -> Client:
        return self.client("integrations_admin")

    @cached_property
    def auditor(self) -> Client:
        return self.client("integrations_auditor")

    @cached_property
    def superuser(self) -> Client:
        """Looks at what nobody else may see, and tampers."""
        return self.log_in(self.dsn)

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
