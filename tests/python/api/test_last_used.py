"""last_used_at: true to the minute, and never a reason to wait."""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from .world import World

TABLE = "integrations.integration_instances"


@contextmanager
def quick(world: World, tenant_id: UUID, isolation: str = "read committed") -> Iterator[None]:
    """One transaction of the service that fails where it has to wait."""
    svc = world.svc
    with svc.conn.transaction():
        svc.run(f"set transaction isolation level {isolation}")
        svc.run("set local statement_timeout = '2s'")
        svc.set_tenant(tenant_id)
        svc.unlock(world.kek_id, world.kek)
        yield


def age(world: World, instance_id: UUID, seconds: float) -> None:
    """Moves the last use into the past."""
    world.superuser.run(
        f"update {TABLE} set last_used_at = now() - %s * interval '1 second' where id = %s",
        seconds,
        instance_id,
    )


def test_a_read_stamps_at_most_once_a_minute(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    first = world.instance(instance_id)
    assert first.last_used_at is None
    world.read(tenant_id, instance_id)
    stamped = world.instance(instance_id)
    assert stamped.last_used_at is not None
    for _ in range(3):
        world.read(tenant_id, instance_id)
    assert world.instance(instance_id) == stamped
    age(world, instance_id, 50)
    aged = world.instance(instance_id)
    world.read(tenant_id, instance_id)
    assert world.instance(instance_id) == aged
    age(world, instance_id, 61)
    world.read(tenant_id, instance_id)
    last = world.instance(instance_id)
    assert last.last_used_at > aged.last_used_at
    assert last._replace(last_used_at=None) == first, "nothing but the stamp changed"


LOCKS = {
    "row for update": f"select from {TABLE} where id = '{{id}}' for update",
    "row for no key update": f"select from {TABLE} where id = '{{id}}' for no key update",
    "row for share": f"select from {TABLE} where id = '{{id}}' for share",
    "row updated": f"update {TABLE} set name = name || '!' where id = '{{id}}'",
    "row deleted": f"delete from {TABLE} where id = '{{id}}'",
    "table in share mode": f"lock table {TABLE} in share mode",
    "table in share row exclusive mode": f"lock table {TABLE} in share row exclusive mode",
    "table in exclusive mode": f"lock table {TABLE} in exclusive mode",
    "key rotated": "update integrations_private.tenant_keys set state = 'decrypt_only'"
    " where tenant_id = '{tenant}'",
    "definition deprecated": "select from integrations.integration_definitions for update",
}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_read_never_waits(world: World, lock: str) -> None:
    tenant_id, instance_id = world.new_stored()
    with world.superuser.conn.transaction(force_rollback=True):
        world.superuser.run(LOCKS[lock].format(id=instance_id, tenant=tenant_id))
        with quick(world, tenant_id):
            assert world.svc.get_credentials(instance_id) == {"api_key": "k"}
    stamped = world.instance(instance_id).last_used_at is not None
    assert stamped == (lock in ("key rotated", "definition deprecated"))
    assert world.events(tenant_id)[-1] == "credentials_read", "it is audited all the same"


def test_two_readers_do_not_wait_for_each_other(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    other = world.client("svc_integration")
    with other.unlocked(tenant_id, world.kek_id, world.kek):
        other.get_credentials(instance_id)
        with quick(world, tenant_id):
            assert world.svc.get_credentials(instance_id) == {"api_key": "k"}


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda world, tenant_id, instance_id: world.read(tenant_id, instance_id),
        lambda world, tenant_id, instance_id: age(world, instance_id, 3600),
        lambda world, tenant_id, instance_id: world.superuser.run(
            f"update {TABLE} set name = 'renamed' where id = %s",
            instance_id,
        ),
        lambda world, tenant_id, instance_id: world.superuser.run(
            f"delete from {TABLE} where id = %s",
            instance_id,
        ),
    ],
    ids=["stamp", "old stamp", "change", "deletion"],
)
def test_a_read_from_an_older_snapshot_still_works(
    world: World, isolation: str, meanwhile: Callable[[World, UUID, UUID], object]
) -> None:
    tenant_id, instance_id = world.new_stored()
    reader = world.client("svc_integration")
    with reader.conn.transaction():
        reader.run(f"set transaction isolation level {isolation}")
        reader.set_tenant(tenant_id)
        reader.unlock(world.kek_id, world.kek)
        meanwhile(world, tenant_id, instance_id)
        assert reader.get_credentials(instance_id) == {"api_key": "k"}
        assert reader.get_credentials(instance_id) == {"api_key": "k"}
