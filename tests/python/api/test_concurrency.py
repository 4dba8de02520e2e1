"""Two at once: who comes second waits, sees what the first did, and nothing is lost."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from .client import Client
from .world import World

Pool = ThreadPoolExecutor


@pytest.fixture
def pool() -> Iterator[Pool]:
    """Threads for those who come second."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


def behind(
    world: World, pool: Pool, client: Client, action: Callable[[], object]
) -> Future[object]:
    """Starts an action on another thread, and goes on once it waits for a lock."""
    future = pool.submit(action)
    until = time.monotonic() + 60
    waits = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
    while not world.superuser.value(waits, client.conn.info.backend_pid):
        assert not future.done(), f"it did not wait: {future.exception() or future.result()}"
        assert time.monotonic() < until, "it neither ended nor waited"
        time.sleep(0.005)
    return future


def answer(future: Future[Any]) -> str | None:
    """Gives the SQLSTATE with which an action ended, None for success."""
    error = future.exception(timeout=60)
    assert error is None or isinstance(error, psycopg.Error), error
    return error.sqlstate if error else None


def store(world: World, client: Client, tenant_id: UUID, instance_id: UUID, by: str) -> None:
    """Stores the second version of credentials."""
    with client.unlocked(tenant_id, world.kek_id, world.kek):
        client.put_credentials(instance_id, f'{{"by": "{by}"}}', 1)


def make_key(client: Client, tenant_id: UUID, kek_id: str, kek: bytes) -> None:
    with client.within(tenant_id):
        client.create_tenant_key(kek_id, kek)


@pytest.mark.parametrize("first_commits", [True, False])
def test_of_two_writers_with_the_same_version_one_wins(
    world: World, pool: Pool, first_commits: bool
) -> None:
    tenant_id, instance_id = world.new_stored()
    other = world.client("svc_integration")
    with world.svc.conn.transaction(force_rollback=not first_commits):
        store(world, world.svc, tenant_id, instance_id, "first")
        second = behind(
            world, pool, other, lambda: store(world, other, tenant_id, instance_id, "second")
        )
    assert answer(second) == ("IN306" if first_commits else None)
    winner = "first" if first_commits else "second"
    assert world.read(tenant_id, instance_id) == {"by": winner}
    assert world.instance(instance_id).credentials_version == 2


@pytest.mark.parametrize("round", range(10))
def test_eight_first_keys_at_once(world: World, pool: Pool, round: int) -> None:
    tenant_id = uuid4()
    clients = [world.client("svc_integration") for _ in range(8)]
    start = threading.Barrier(8)

    def make(client: Client) -> None:
        start.wait()
        make_key(client, tenant_id, world.kek_id, world.kek)

    assert [answer(future) for future in [pool.submit(make, client) for client in clients]] == (
        [None] * 8
    )
    keys = world.superuser.rows(
        "select version, state::text from integrations_private.tenant_keys where tenant_id = %s"
        " order by version",
        tenant_id,
    )
    assert keys == [*((version, "decrypt_only") for version in range(1, 8)), (8, "active")]
    with world.svc.within(tenant_id):
        assert world.svc.unlock(world.kek_id, world.kek) == 8


def test_a_key_that_this_snapshot_does_not_see(world: World) -> None:
    """Not a duplicate of the caller's own: the transaction has to be tried again."""
    tenant_id, other = uuid4(), world.client("svc_integration")
    other.conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with pytest.raises(psycopg.errors.SerializationFailure), other.within(tenant_id):
        other.conn.execute("select from integrations.integration_definitions")
        make_key(world.svc, tenant_id, world.kek_id, world.kek)
        other.create_tenant_key(world.kek_id, world.kek)


@pytest.mark.parametrize("first_commits", [True, False])
def test_a_kek_id_that_two_give_to_different_keys(
    world: World, pool: Pool, first_commits: bool
) -> None:
    tenants = [uuid4(), uuid4()]
    kek_id, keks = f"kek {uuid4()}", [secrets.token_bytes(32) for _ in range(2)]
    other = world.client("integrations_admin")
    with world.svc.conn.transaction(force_rollback=not first_commits):
        make_key(world.svc, tenants[0], kek_id, keks[0])
        second = behind(world, pool, other, lambda: make_key(other, tenants[1], kek_id, keks[1]))
    assert answer(second) == ("IN303" if first_commits else None)
    winner = 0 if first_commits else 1
    with world.svc.within(tenants[winner]):
        assert world.svc.unlock(kek_id, keks[winner]) == 1
    with world.refused("IN303"), world.svc.within(tenants[winner]):
        world.svc.unlock(kek_id, keks[1 - winner])
    stored = "select count(*) from integrations_private.tenant_keys where tenant_id = %s"
    assert world.superuser.value(stored, tenants[1 - winner]) == 0


def test_a_kek_id_that_a_snapshot_does_not_show_yet(world: World) -> None:
    kek_id, keks = f"kek {uuid4()}", [secrets.token_bytes(32) for _ in range(2)]
    other = world.client("svc_integration")
    with pytest.raises(psycopg.Error) as caught, other.conn.transaction():
        other.run("set transaction isolation level repeatable read")
        other.set_tenant(uuid4())
        other.value("select count(*) from integrations.integration_definitions")
        make_key(world.svc, uuid4(), kek_id, keks[0])
        other.create_tenant_key(kek_id, keks[1])
    assert caught.value.sqlstate in ("40001", "IN303")


def test_a_rotation_waits_for_writers(world: World, pool: Pool) -> None:
    tenant_id, instance_id = world.new_stored()
    other = world.client("integrations_admin")
    other.run("set lock_timeout = '100ms'")
    with world.svc.conn.transaction():
        store(world, world.svc, tenant_id, instance_id, "the writer")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            make_key(other, tenant_id, world.kek_id, world.kek)
        other.run("set lock_timeout = 0")
        rotation = behind(
            world, pool, other, lambda: make_key(other, tenant_id, world.kek_id, world.kek)
        )
    assert answer(rotation) is None
    assert world.read(tenant_id, instance_id) == {"by": "the writer"}


def test_a_writer_who_waited_for_a_rotation_stores_nothing_under_the_old_key(
    world: World, pool: Pool
) -> None:
    tenant_id, instance_id = world.new_stored()
    other = world.client("svc_integration")
    with world.svc.conn.transaction():
        make_key(world.svc, tenant_id, world.kek_id, world.kek)
        writer = behind(
            world, pool, other, lambda: store(world, other, tenant_id, instance_id, "late")
        )
    assert answer(writer) == "IN302", "the new key was not open"
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}
    store(world, other, tenant_id, instance_id, "again")
    assert world.read(tenant_id, instance_id) == {"by": "again"}
    active = "select id from integrations_private.tenant_keys where tenant_id = %s and version = 2"
    key_id = world.superuser.value(active, tenant_id)
    assert world.instance(instance_id).credentials_key_id == key_id


def new_definition(world: World, status: str) -> UUID:
    definition = world.admin.register_definition(f"connector {uuid4()}")
    if status != "draft":
        world.admin.set_definition_status(definition, status)
    return definition


def test_an_open_transaction_of_a_tenant_does_not_hold_up_an_administrator(world: World) -> None:
    definition, tenant_id = new_definition(world, "published"), uuid4()
    with world.tenant.within(tenant_id):
        instance_id = world.tenant.create_instance(definition, "just in time")
        with world.admin.conn.transaction():
            world.admin.conn.execute("set local lock_timeout = '1s'")
            world.admin.set_definition_status(definition, "deprecated")
    assert world.instance(instance_id) is not None
    with world.refused("IN103"), world.tenant.within(tenant_id):
        world.tenant.create_instance(definition, "too late")


def test_an_open_deprecation_does_not_hold_up_an_installation(world: World) -> None:
    """What counts is what was published when the call was made."""
    definition, tenant_id = new_definition(world, "published"), uuid4()
    with world.admin.conn.transaction():
        world.admin.set_definition_status(definition, "deprecated")
        with world.tenant.within(tenant_id):
            world.tenant.conn.execute("set local lock_timeout = '1s'")
            instance_id = world.tenant.create_instance(definition, "at the same time")
    assert world.instance(instance_id) is not None


def test_a_draft_that_is_published_meanwhile_is_not_discarded(world: World, pool: Pool) -> None:
    definition = new_definition(world, "draft")
    other = world.client("integrations_admin")
    with world.admin.conn.transaction():
        world.admin.set_definition_status(definition, "published")
        discard = behind(world, pool, other, lambda: other.discard_draft(definition))
    assert answer(discard) == "IN102"
    with world.tenant.within(uuid4()):
        world.tenant.create_instance(definition, "it is there")


def test_two_moves_of_a_definition(world: World, pool: Pool) -> None:
    definition = new_definition(world, "draft")
    other = world.client("integrations_admin")
    with world.admin.conn.transaction():
        world.admin.set_definition_status(definition, "retired")
        second = behind(
            world, pool, other, lambda: other.set_definition_status(definition, "published")
        )
    assert answer(second) == "IN104"


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (lambda client, id: client.revoke_credentials(id), "IN202"),
        (lambda client, id: client.set_instance_status(id, "disabled"), "IN202"),
        (lambda client, id: client.delete_instance(id), "IN201"),
    ],
    ids=["revoked", "disabled", "deleted"],
)
def test_credentials_that_come_after_the_end(
    world: World, pool: Pool, end: Callable[[Client, UUID], None], expected: str
) -> None:
    tenant_id, instance_id = world.new_stored()
    other = world.client("svc_integration")
    with world.svc.within(tenant_id):
        end(world.svc, instance_id)
        late = behind(
            world, pool, other, lambda: store(world, other, tenant_id, instance_id, "late")
        )
    assert answer(late) == expected


def test_two_registrations_of_one_version(world: World, pool: Pool) -> None:
    name, other = f"connector {uuid4()}", world.client("integrations_admin")
    with world.admin.conn.transaction():
        world.admin.register_definition(name)
        second = behind(world, pool, other, lambda: other.register_definition(name))
    assert answer(second) == "23505"


def test_two_who_want_what_the_other_has(world: World, pool: Pool) -> None:
    """One of them is told to try again, and the other goes on."""
    tenant_id = world.new_tenant()
    one, two = world.new_instance(tenant_id), world.new_instance(tenant_id)
    other = world.client("svc_integration")
    with world.svc.within(tenant_id):
        world.svc.update_config(one, {"by": "first"})
        other.run("begin")
        other.set_tenant(tenant_id)
        other.update_config(two, {"by": "second"})
        second = behind(world, pool, other, lambda: other.update_config(one, {"by": "second"}))
        try:
            with world.svc.conn.transaction():
                world.svc.update_config(two, {"by": "first"})
            first = None
        except psycopg.Error as error:
            first = error.sqlstate
    answers = {first, answer(second)}
    other.run("commit")
    assert answers == {None, "40P01"}
