"""Keys of tenants, and what becomes of them, for the tests of rotation."""

from __future__ import annotations

import secrets
import time
from uuid import UUID, uuid4

from .client import Client
from .world import World

QUARANTINED = "quarantined: the credentials cannot be decrypted"

UNKNOWN = "tenant key is destroyed, retired or unknown"


def new_key(world: World, tenant_id: UUID) -> UUID:
    """Makes the next data key of a tenant."""
    with world.svc.within(tenant_id):
        return world.svc.create_tenant_key(world.kek_id, world.kek)


def batch(world: World, tenant_id: UUID, max_rows: int = 100) -> tuple[int, int, int]:
    """Runs one batch, with all keys open."""
    with world.unlocked(tenant_id):
        world.svc.run("set local lock_timeout = '5s'")  # to wait for a row is a failure
        return world.svc.reencrypt_batch(max_rows)


def new_kek() -> tuple[str, bytes]:
    return f"kek {uuid4()}", secrets.token_bytes(32)


def keys_in_use(world: World, tenant_id: UUID) -> set[UUID]:
    """Gives the keys that the rows of a tenant are under."""
    rows = world.superuser.rows(
        "select distinct credentials_key_id from integrations.integration_instances"
        " where tenant_id = %s and credentials is not null",
        tenant_id,
    )
    return {key_id for (key_id,) in rows}


def state_of(world: World, key_id: UUID) -> str:
    return str(
        world.superuser.value(
            "select state::text from integrations_private.tenant_keys where id = %s", key_id
        )
    )


def poison(world: World, instance_id: UUID) -> None:
    """Changes the stored bytes, as a superuser."""
    world.superuser.run(
        """update integrations.integration_instances
              set credentials = credentials || '{"mac": ""}' where id = %s""",
        instance_id,
    )


def terminate(world: World, client: Client) -> None:
    """Ends a session as a crash would, and waits for its end."""
    pid = client.conn.info.backend_pid
    assert world.superuser.value("select pg_terminate_backend(%s)", pid)
    until = time.monotonic() + 60
    while world.superuser.rows("select from pg_stat_activity where pid = %s", pid):
        assert time.monotonic() < until
        time.sleep(0.005)
