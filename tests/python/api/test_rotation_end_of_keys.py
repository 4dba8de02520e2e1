"""The end of a data key: nobody needs it any more, or it is shredded with all it encrypted."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

import psycopg
import pytest

from .keys import (
    UNKNOWN,
    batch,
    keys_in_use,
    new_kek,
    new_key,
    state_of,
)
from .test_concurrency import Pool, answer, behind, pool
from .world import World

__all__ = ["pool"]  # the fixture


def test_a_new_key_waits_for_an_open_writer(world: World, pool: Pool) -> None:
    """So that no row lands on the former key after it was counted."""
    tenant_id, instance_id = world.new_stored()
    other = world.client("svc_integration")

    def rotate() -> UUID:
        with other.within(tenant_id):
            return other.create_tenant_key(world.kek_id, world.kek)

    with world.unlocked(tenant_id):
        world.svc.put_credentials(instance_id, '{"by": "the writer"}')
        rotation = behind(world, pool, other, rotate)
    assert answer(rotation) is None
    assert batch(world, tenant_id) == (1, 0, 0)
    assert keys_in_use(world, tenant_id) == {rotation.result()}
    assert world.read(tenant_id, instance_id) == {"by": "the writer"}


@pytest.mark.parametrize("isolation", [None, *psycopg.IsolationLevel])
def test_a_key_is_retired_behind_a_writer(
    world: World, pool: Pool, isolation: psycopg.IsolationLevel | None
) -> None:
    """The key is active and no row needs it, until the writer commits; whatever the isolation."""
    tenant_id, admin = world.new_tenant(), world.client("integrations_admin")
    instance_id = world.new_instance(tenant_id)
    [(key_id,)] = world.superuser.rows(
        "select id from integrations_private.tenant_keys where tenant_id = %s", tenant_id
    )
    admin.conn.isolation_level = isolation
    keeps_its_snapshot = isolation in (
        psycopg.IsolationLevel.REPEATABLE_READ,
        psycopg.IsolationLevel.SERIALIZABLE,
    )

    def retire() -> None:
        with admin.conn.transaction():
            admin.retire_key(key_id)

    if keeps_its_snapshot:
        with world.refused("25001"):
            retire()
        return
    with world.unlocked(tenant_id):
        world.svc.put_credentials(instance_id, "{}")
        retirement = behind(world, pool, admin, retire)
    assert answer(retirement) == "IN308"
    assert state_of(world, key_id) == "active"
    assert world.read(tenant_id, instance_id) == {}


@pytest.mark.parametrize("retired", [True, False])
def test_a_writer_behind_the_retirement_of_its_key(world: World, pool: Pool, retired: bool) -> None:
    tenant_id = world.new_tenant()
    instance_id = world.new_instance(tenant_id)
    [(key_id,)] = world.superuser.rows(
        "select id from integrations_private.tenant_keys where tenant_id = %s", tenant_id
    )
    writer = world.client("svc_integration")
    unlocked = threading.Event()

    def put() -> None:
        with writer.unlocked(tenant_id, world.kek_id, world.kek):
            unlocked.set()
            writer.put_credentials(instance_id, "{}")

    with world.admin.conn.transaction(force_rollback=not retired):
        world.admin.retire_key(key_id)
        late = behind(world, pool, writer, put)
        assert unlocked.is_set()
    assert answer(late) in ({"IN302", "IN307"} if retired else {None})
    assert state_of(world, key_id) == ("retired" if retired else "active")
    assert keys_in_use(world, tenant_id) == (set() if retired else {key_id})


def test_no_row_lands_on_a_retired_key(world: World, pool: Pool) -> None:
    """Writers, rotation and retirement as fast as they can."""
    tenant_id = world.new_tenant()
    instances = [world.new_instance(tenant_id, "{}") for _ in range(4)]
    stop = threading.Event()

    def write(instance_id: UUID) -> None:
        client = world.client("svc_integration")
        while not stop.is_set():
            try:
                with client.unlocked(tenant_id, world.kek_id, world.kek):
                    client.put_credentials(instance_id, "{}")
            except psycopg.Error as error:
                assert error.sqlstate in ("IN302", "IN307"), error

    futures = [pool.submit(write, instance_id) for instance_id in instances]
    try:
        for _ in range(12):
            former = keys_in_use(world, tenant_id)
            new_key(world, tenant_id)
            for key_id in former:
                try:
                    world.admin.retire_key(key_id)
                except psycopg.Error as error:
                    assert error.sqlstate in ("IN308", "IN307"), error
            batch(world, tenant_id)
            stray = world.superuser.rows(
                "select from integrations.integration_instances as i"
                " join integrations_private.tenant_keys as k"
                "   on k.tenant_id = i.tenant_id and k.id = i.credentials_key_id"
                " where i.tenant_id = %s and k.state = 'retired'",
                tenant_id,
            )
            assert stray == []
    finally:
        stop.set()
    assert [answer(future) for future in futures] == [None] * 4


def test_retirement(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    former = world.instance(instance_id).credentials_key_id
    with world.refused("IN308") as caught:
        world.admin.retire_key(former)
    assert caught.value.diag.message_detail == f"Key {former}, rows: 1."
    new_key(world, tenant_id)
    with world.refused("IN308"):
        world.admin.retire_key(former)
    batch(world, tenant_id)
    world.admin.retire_key(former)
    assert state_of(world, former) == "retired"
    assert world.events(tenant_id)[-1] == "tenant_key_retired"
    for key_id, sqlstate in ((former, "IN307"), (uuid4(), "IN307"), (None, "22023")):
        with world.refused(sqlstate):
            world.admin.retire_key(key_id)
    world.admin.destroy_key(former, str(former))
    assert state_of(world, former) == "destroyed"
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}


def test_shredding_a_key_that_rows_need(world: World) -> None:
    (tenant_id, instance_id), (other, of_other) = world.new_stored(), world.new_stored()
    key_id = world.instance(instance_id).credentials_key_id
    for confirm in (None, "", "yes", str(key_id).upper(), f" {key_id}", str(uuid4())):
        with world.refused("22023"):
            world.admin.destroy_key(key_id, confirm)
    with world.refused("22023"):
        world.admin.destroy_key(None, str(key_id))
    unknown = uuid4()
    with world.refused("IN307"):
        world.admin.destroy_key(unknown, str(unknown))
    world.admin.destroy_key(key_id, str(key_id))
    assert state_of(world, key_id) == "destroyed"
    [(wrapped, detail)] = world.superuser.rows(
        "select k.wrapped, a.detail from integrations_private.tenant_keys as k"
        "  join integrations_private.audit_log as a on a.tenant_id = k.tenant_id"
        " where k.id = %s and a.event = 'tenant_key_destroyed'",
        key_id,
    )
    assert wrapped is None
    assert detail == {"key": str(key_id), "rows": 1}
    with world.refused("IN307"):
        world.read(tenant_id, instance_id)
    with world.refused("IN307") as caught, world.svc.within(tenant_id):
        world.svc.get_credentials(instance_id)
    assert caught.value.diag.message_primary == UNKNOWN
    assert caught.value.diag.message_detail == f"Key {key_id}."
    with world.refused("IN307"):
        world.admin.destroy_key(key_id, str(key_id))
    assert world.read(other, of_other) == {"api_key": "k"}
    new_key(world, tenant_id)
    with world.unlocked(tenant_id):
        world.svc.put_credentials(instance_id, '{"api_key": "new"}')
    assert world.read(tenant_id, instance_id) == {"api_key": "new"}


def test_a_key_is_destroyed_behind_an_open_writer(world: World, pool: Pool) -> None:
    tenant_id, instance_id = world.new_stored()
    key_id = world.instance(instance_id).credentials_key_id
    with world.unlocked(tenant_id):
        world.svc.put_credentials(instance_id, "{}")
        end = behind(world, pool, world.admin, lambda: world.admin.destroy_key(key_id, str(key_id)))
    assert answer(end) is None
    with world.refused("IN307"), world.svc.within(tenant_id):
        world.svc.get_credentials(instance_id)


@pytest.mark.parametrize("role", ["integrations_tenant", "integrations_auditor", "stranger"])
def test_others_do_nothing_with_keys(world: World, role: str) -> None:
    client, key_id = world.client(role), uuid4()
    for call in (
        lambda: client.retire_key(key_id),
        lambda: client.destroy_key(key_id, str(key_id)),
        lambda: client.rewrap_keys(*new_kek(), *new_kek()),
        client.reencrypt_batch,
        client.wrapped_keys,
        lambda: client.unlock_key(key_id, bytes(32)),
        lambda: client.add_tenant_key("kms", bytes(32), b"wrapped"),
    ):
        with world.refused("42501"):
            call()
