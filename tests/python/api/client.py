"""The stored functions as an application calls them: one method each, in named notation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

__all__ = ["Client"]


@dataclass(frozen=True)
class Client:
    """A connection of its own, of a login that is a member of one role; in autocommit mode.

    Values go as server-side binds. Any method raises psycopg.Error with the function's SQLSTATE.
    """

    conn: psycopg.Connection[Any]

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Runs a query that is written in a test and gives its rows."""
        return self.conn.execute(query.encode(), values or None).fetchall()

    def value(self, query: str, *values: object) -> Any:
        """Gives the one value that a query returns."""
        [[value]] = self.rows(query, *values)
        return value

    def run(self, command: str, *values: object) -> int:
        """Runs a statement and gives the number of rows it touched."""
        return self.conn.execute(command.encode(), values or None).rowcount

    def call(self, function: str, **arguments: object) -> Any:
        """Calls a function of the schema ``integrations`` and gives what it returns."""
        query = sql.SQL("select integrations.{}({})").format(
            sql.Identifier(function),
            sql.SQL(", ").join(
                sql.SQL("{} => %s").format(sql.Identifier(name)) for name in arguments
            ),
        )
        row = self.conn.execute(query, list(arguments.values())).fetchone()
        assert row is not None
        return row[0]

    # Tenants and transactions.

    def set_tenant(self, tenant_id: UUID | None) -> None:
        self.call("set_tenant", tenant_id=tenant_id)

    def current_tenant(self) -> UUID | None:
        return self.call("current_tenant")  # type: ignore[no-any-return]

    @contextmanager
    def within(self, tenant_id: UUID) -> Iterator[None]:
        """One transaction of a tenant."""
        with self.conn.transaction():
            self.set_tenant(tenant_id)
            yield

    @contextmanager
    def unlocked(self, tenant_id: UUID, kek_id: str, kek: bytes) -> Iterator[None]:
        """One transaction of a tenant with its keys open."""
        with self.within(tenant_id):
            self.unlock(kek_id, kek)
            yield

    # Definitions.

    def register_definition(
        self,
        name: str | None,
        type: str | None = "api_key",
        version: str | None = "1.0.0",
        **more: object,
    ) -> UUID:
        return self.call(  # type: ignore[no-any-return]
            "register_definition", name=name, type=type, version=version, **more
        )

    def set_definition_status(self, definition_id: UUID | None, status: str | None) -> None:
        self.call("set_definition_status", definition_id=definition_id, status=status)

    def discard_draft(self, definition_id: UUID | None) -> None:
        self.call("discard_draft", definition_id=definition_id)

    # Instances.

    def create_instance(
        self, integration_id: UUID | None, name: str | None, config: object = None
    ) -> UUID:
        more = {} if config is None else {"config": Jsonb(config)}
        return self.call(  # type: ignore[no-any-return]
            "create_instance", integration_id=integration_id, name=name, **more
        )

    def update_config(self, instance_id: UUID | None, config: object) -> None:
        self.call("update_config", instance_id=instance_id, config=Jsonb(config))

    def upgrade_instance(self, instance_id: UUID | None, integration_id: UUID | None) -> None:
        self.call("upgrade_instance", instance_id=instance_id, integration_id=integration_id)

    def rename_instance(self, instance_id: UUID | None, name: str | None) -> None:
        self.call("rename_instance", instance_id=instance_id, name=name)

    def set_instance_status(
        self, instance_id: UUID | None, status: str | None, reason: str | None = None
    ) -> None:
        self.call("set_instance_status", instance_id=instance_id, status=status, reason=reason)

    def delete_instance(self, instance_id: UUID | None) -> None:
        self.call("delete_instance", instance_id=instance_id)

    def record_connection(
        self, instance_id: UUID | None, ok: bool | None, reason: str | None = None
    ) -> None:
        self.call("record_connection", instance_id=instance_id, ok=ok, reason=reason)

    # Keys and credentials.

    def create_tenant_key(self, kek_id: str | None, kek: bytes | None) -> UUID:
        return self.call("create_tenant_key", kek_id=kek_id, kek=kek)  # type: ignore[no-any-return]

    def unlock(self, kek_id: str | None, kek: bytes | None) -> int:
        return self.call("unlock", kek_id=kek_id, kek=kek)  # type: ignore[no-any-return]

    def unlock_key(self, key_id: UUID | None, data_key: bytes | None) -> None:
        self.call("unlock_key", key_id=key_id, data_key=data_key)

    def add_tenant_key(
        self, kek_id: str | None, data_key: bytes | None, wrapped: bytes | None
    ) -> UUID:
        return self.call(  # type: ignore[no-any-return]
            "add_tenant_key", kek_id=kek_id, data_key=data_key, wrapped=wrapped
        )

    def wrapped_keys(self) -> list[tuple[UUID, str, str, bytes]]:
        """Gives id, KEK, state and wrapped bytes of each key, the newest first."""
        return self.rows("select key_id, kek_id, state, wrapped from integrations.wrapped_keys()")

    def reencrypt_batch(self, max_rows: int | None = 100) -> tuple[int, int, int]:
        """Gives how many rows were moved, skipped and quarantined."""
        [counts] = self.rows(
            "select done, skipped, quarantined"
            " from integrations.reencrypt_batch(max_rows => %s::integer)",
            max_rows,
        )
        done, skipped, quarantined = counts
        return done, skipped, quarantined

    def rewrap_keys(
        self,
        old_kek_id: str | None,
        old_kek: bytes | None,
        new_kek_id: str | None,
        new_kek: bytes | None,
        max_keys: int | None = 1000,
    ) -> int:
        return self.call(  # type: ignore[no-any-return]
            "rewrap_keys",
            old_kek_id=old_kek_id,
            old_kek=old_kek,
            new_kek_id=new_kek_id,
            new_kek=new_kek,
            max_keys=max_keys,
        )

    def retire_key(self, key_id: UUID | None) -> None:
        self.call("retire_key", key_id=key_id)

    def destroy_key(self, key_id: UUID | None, confirm: str | None) -> None:
        self.call("destroy_key", key_id=key_id, confirm=confirm)

    def put_credentials(
        self, instance_id: UUID | None, credentials: str | None, expected_version: int | None = None
    ) -> int:
        return self.call(  # type: ignore[no-any-return]
            "put_credentials",
            instance_id=instance_id,
            credentials=credentials,
            expected_version=expected_version,
        )

    def get_credentials(self, instance_id: UUID | None) -> Mapping[str, Any]:
        return self.call("get_credentials", instance_id=instance_id)  # type: ignore[no-any-return]

    def open_read_lease(self, instance_id: UUID | None, reason: str | None) -> UUID:
        return self.call(  # type: ignore[no-any-return]
            "open_read_lease", instance_id=instance_id, reason=reason
        )

    def read_with_lease(self, lease: UUID | None) -> Mapping[str, Any]:
        return self.call("read_with_lease", lease=lease)  # type: ignore[no-any-return]

    def revoke_credentials(self, instance_id: UUID | None) -> None:
        self.call("revoke_credentials", instance_id=instance_id)

    # Refreshes.

    def claim_refresh(
        self, instance_id: UUID | None, holder: str | None = "worker", **more: object
    ) -> UUID:
        return self.call(  # type: ignore[no-any-return]
            "claim_refresh", instance_id=instance_id, holder=holder, **more
        )

    def complete_refresh(
        self, lease: UUID | None, credentials: str | None, expected_version: int | None
    ) -> int:
        return self.call(  # type: ignore[no-any-return]
            "complete_refresh",
            lease=lease,
            credentials=credentials,
            expected_version=expected_version,
        )

    def fail_refresh(self, lease: UUID | None, reason: str | None, **more: object) -> None:
        self.call("fail_refresh", lease=lease, reason=reason, **more)

    def list_refresh_due(self, max_rows: int | None = 100) -> list[tuple[UUID, UUID, datetime]]:
        """Gives tenant, instance and expiry, the earliest first."""
        return self.rows(
            "select tenant_id, instance_id, expires_at"
            " from integrations.list_refresh_due(max_rows => %s::integer)",
            max_rows,
        )
