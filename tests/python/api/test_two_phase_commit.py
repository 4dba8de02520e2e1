"""Prepared transactions: their locks outlive the session, and neither tenant nor keys do.

A transaction manager prepares them here and ends them from another connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest

from .client import Client
from .refreshes import DUE, FRESH, complete, due_of, lease_of
from .server_log import Log
from .world import World


class Prepared:
    """What a test has prepared and not ended."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.names: set[str] = set()

    @contextmanager
    def transaction(self, client: Client, tenant_id: UUID) -> Iterator[str]:
        """A transaction of a tenant with its keys open, which is prepared under this name."""
        name = str(uuid4())
        client.run("begin")
        client.set_tenant(tenant_id)
        client.unlock(self.world.kek_id, self.world.kek)
        yield name
        client.run(f"prepare transaction '{name}'")
        self.names.add(name)

    def end(self, how: str, name: str) -> None:
        self.world.superuser.run(f"{how} prepared '{name}'")
        self.names.discard(name)


@pytest.fixture
def prepared(world: World) -> Iterator[Prepared]:
    if world.superuser.value("show max_prepared_transactions") == "0":
        pytest.skip("the server allows no prepared transactions (max_prepared_transactions = 0)")
    prepared = Prepared(world)
    yield prepared
    for name in set(prepared.names):
        prepared.end("rollback", name)


def settings_of(client: Client) -> list[tuple[object, ...]]:
    return client.rows(
        "select coalesce(current_setting('integrations.tenant_id', true), ''),"
        " coalesce(current_setting('integrations.keyring', true), '')"
    )


def test_tenant_and_keys_stay_with_nobody(world: World, prepared: Prepared) -> None:
    """Neither with the session that prepared, nor with the one that commits."""
    tenant_id, instance_id = world.new_stored()
    with prepared.transaction(world.svc, tenant_id) as name:
        world.svc.put_credentials(instance_id, '{"api_key": "new"}')
    assert settings_of(world.svc) == [("", "")]
    with world.refused("IN302"), world.svc.within(tenant_id):
        world.svc.get_credentials(instance_id)
    prepared.end("commit", name)
    assert settings_of(world.superuser) == [("", "")]
    assert world.read(tenant_id, instance_id) == {"api_key": "new"}


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_read_lease_counts_from_its_commit(world: World, prepared: Prepared, end: str) -> None:
    tenant_id, instance_id = world.new_stored()
    with prepared.transaction(world.svc, tenant_id) as name:
        lease = world.svc.open_read_lease(instance_id, "ticket 4711")
    with world.refused("IN402"), world.unlocked(tenant_id):
        world.svc.read_with_lease(lease)
    assert "read_lease_opened" not in world.events(tenant_id)
    prepared.end(end, name)
    if end == "commit":
        with world.unlocked(tenant_id):
            assert world.svc.read_with_lease(lease) == {"api_key": "k"}
        assert world.events(tenant_id)[-3:-1] == ["read_lease_opened", "credentials_read"]
    else:
        with world.refused("IN402"), world.unlocked(tenant_id):
            world.svc.read_with_lease(lease)


def test_a_read_that_is_taken_back_later_leaves_its_line(
    world: World, prepared: Prepared, log: Log
) -> None:
    tenant_id, instance_id = world.new_stored()
    with world.svc.within(tenant_id):
        lease = world.svc.open_read_lease(instance_id, "ticket 4711")
    with prepared.transaction(world.svc, tenant_id) as name:
        assert world.svc.read_with_lease(lease) == {"api_key": "k"}
    prepared.end("rollback", name)
    assert world.events(tenant_id)[-1] == "read_lease_opened", "the opening is there to stay"
    assert f"read_lease_used tenant={tenant_id}" in log.text()


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_claim_is_exclusive_from_the_first_moment(
    world: World, prepared: Prepared, end: str
) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    with prepared.transaction(world.svc, tenant_id) as name:
        lease = world.svc.claim_refresh(instance_id, "first")
    assert lease_of(world, instance_id) is None
    with pytest.raises(psycopg.errors.LockNotAvailable), world.svc.within(tenant_id):
        world.svc.run("set local lock_timeout = '100ms'")
        world.svc.claim_refresh(instance_id, "second")
    prepared.end(end, name)
    if end == "commit":
        with world.refused("IN401"), world.svc.within(tenant_id):
            world.svc.claim_refresh(instance_id, "second")
        assert due_of(world, tenant_id) == []
        assert complete(world, tenant_id, lease, 1) == 2
    else:
        assert due_of(world, tenant_id) == [instance_id]
        with world.refused("IN402"), world.unlocked(tenant_id):
            world.svc.complete_refresh(lease, FRESH, 1)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_key_is_not_ended_under_a_writer(world: World, prepared: Prepared, end: str) -> None:
    """What he stored needs it, or he stored nothing."""
    tenant_id = world.new_tenant()
    instance_id = world.new_instance(tenant_id)
    [(key_id, *_)] = keys(world, tenant_id)
    with prepared.transaction(world.svc, tenant_id) as name:
        world.svc.put_credentials(instance_id, '{"api_key": "k"}')
    world.admin.run("set lock_timeout = '100ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        world.admin.retire_key(key_id)
    with pytest.raises(psycopg.errors.LockNotAvailable):
        world.admin.destroy_key(key_id, str(key_id))
    prepared.end(end, name)
    if end == "commit":
        with world.refused("IN308"):
            world.admin.retire_key(key_id)
        assert world.read(tenant_id, instance_id) == {"api_key": "k"}
    else:
        world.admin.retire_key(key_id)


def keys(world: World, tenant_id: UUID) -> list[tuple[UUID, str, str, bytes]]:
    with world.svc.within(tenant_id):
        return world.svc.wrapped_keys()


def test_a_batch_goes_round_a_row_that_is_held(world: World, prepared: Prepared) -> None:
    tenant_id, held = world.new_stored()
    world.new_instance(tenant_id, '{"api_key": "other"}')
    with world.svc.within(tenant_id):
        world.svc.create_tenant_key(world.kek_id, world.kek)
    other = world.client("svc_integration")
    with prepared.transaction(other, tenant_id) as name:
        other.record_connection(held, True)
    with world.unlocked(tenant_id):
        assert world.svc.reencrypt_batch() == (1, 1, 0)
    prepared.end("commit", name)
    with world.unlocked(tenant_id):
        assert world.svc.reencrypt_batch() == (1, 0, 0)


def test_maintenance_gives_up_and_readers_go_on(world: World, prepared: Prepared) -> None:
    tenant_id, instance_id = world.new_stored()
    with prepared.transaction(world.svc, tenant_id):
        world.svc.get_credentials(instance_id)
    world.admin.run("set lock_timeout = '100ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        world.admin.rows("select * from integrations.maintain_audit()")
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}
