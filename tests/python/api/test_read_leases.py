"""Strictly audited reads: the entry is committed before the credentials leave."""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from .client import Client
from .server_log import Log
from .world import World, connect


def opened(world: World, tenant_id: UUID, instance_id: UUID) -> UUID:
    """Gives a lease whose opening is committed."""
    with world.svc.within(tenant_id):
        return world.svc.open_read_lease(instance_id, "ticket 4711")


def entries(world: World, tenant_id: UUID) -> list[tuple[object, ...]]:
    """Gives the audit entries about leases and reads, the oldest first."""
    return world.auditor.rows(
        "select event, detail ->> 'lease', detail ->> 'reason' from integrations.audit_trail"
        " where tenant_id = %s and event ~ '^(read_lease|credentials_read)' order by at",
        tenant_id,
    )


def test_a_read_in_two_transactions(world: World, log: Log) -> None:
    tenant_id, instance_id = world.new_stored()
    lease = opened(world, tenant_id, instance_id)
    assert entries(world, tenant_id) == [("read_lease_opened", str(lease), "ticket 4711")]
    with world.unlocked(tenant_id):
        assert world.svc.read_with_lease(lease) == {"api_key": "k"}
    assert entries(world, tenant_id) == [
        ("read_lease_opened", str(lease), "ticket 4711"),
        ("credentials_read", None, None),
        ("read_lease_used", str(lease), None),
    ]
    user = conninfo_to_dict(world.logins["svc_integration"])["user"]
    line = (
        f"LOG:  integrations: read_lease_used tenant={tenant_id} instance={instance_id}"
        f" lease={lease} session_user={user}"
    )
    assert log.text().count(line) == 1


def test_one_use(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    lease = opened(world, tenant_id, instance_id)
    with world.unlocked(tenant_id):
        world.svc.read_with_lease(lease)
    with world.refused("IN402"), world.unlocked(tenant_id):
        world.svc.read_with_lease(lease)


def test_not_in_the_transaction_that_opened_it(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    with world.refused("IN402"), world.unlocked(tenant_id):
        world.svc.read_with_lease(world.svc.open_read_lease(instance_id, "at once"))


def test_no_savepoint_makes_it_another_transaction(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    with world.unlocked(tenant_id):
        with world.svc.conn.transaction():
            lease = world.svc.open_read_lease(instance_id, "in a savepoint")
        with pytest.raises(psycopg.Error) as caught, world.svc.conn.transaction():
            world.svc.read_with_lease(lease)
        assert caught.value.sqlstate == "IN402"
        world.svc.run("savepoint late")
        with pytest.raises(psycopg.Error) as caught:
            world.svc.read_with_lease(lease)
        assert caught.value.sqlstate == "IN402"
        world.svc.run("rollback to late")
    with world.unlocked(tenant_id):  # and now it is another one
        assert world.svc.read_with_lease(lease) == {"api_key": "k"}


def test_an_opening_that_was_rolled_back_is_none(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    with world.svc.conn.transaction(force_rollback=True):
        world.svc.set_tenant(tenant_id)
        lease = world.svc.open_read_lease(instance_id, "never mind")
    with world.refused("IN402"), world.unlocked(tenant_id):
        world.svc.read_with_lease(lease)


def test_before_the_opening_commits_nobody_else_can_use_it(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    other = world.client("svc_integration")
    with world.svc.within(tenant_id):
        lease = world.svc.open_read_lease(instance_id, "two connections")
        with (
            pytest.raises(psycopg.Error) as caught,
            other.unlocked(tenant_id, world.kek_id, world.kek),
        ):
            other.read_with_lease(lease)
        assert caught.value.sqlstate == "IN402"
    with other.unlocked(tenant_id, world.kek_id, world.kek):  # a pool hands out any connection
        assert other.read_with_lease(lease) == {"api_key": "k"}


def test_a_rolled_back_read_leaves_opening_and_line_and_can_be_repeated(
    world: World, log: Log
) -> None:
    tenant_id, instance_id = world.new_stored()
    lease = opened(world, tenant_id, instance_id)
    for _ in range(2):
        with world.svc.conn.transaction(force_rollback=True):
            world.svc.set_tenant(tenant_id)
            world.svc.unlock(world.kek_id, world.kek)
            assert world.svc.read_with_lease(lease) == {"api_key": "k"}
    assert entries(world, tenant_id) == [("read_lease_opened", str(lease), "ticket 4711")]
    assert log.text().count(f"read_lease_used tenant={tenant_id}") == 2
    with world.unlocked(tenant_id):
        world.svc.read_with_lease(lease)
    with world.refused("IN402"), world.unlocked(tenant_id):
        world.svc.read_with_lease(lease)


def test_another_login_cannot_use_it(world: World, login: Callable[[str, str], str]) -> None:
    tenant_id, instance_id = world.new_stored()
    lease = opened(world, tenant_id, instance_id)
    thief = world.log_in(login("svc_integration", world.dsn))
    for role in ("none", "svc_integration"):
        thief.run(f"set role {role}")
        with world.refused("IN402"), thief.unlocked(tenant_id, world.kek_id, world.kek):
            thief.read_with_lease(lease)
    with world.unlocked(tenant_id):
        assert world.svc.read_with_lease(lease) == {"api_key": "k"}


def test_another_tenant_cannot_use_it(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    other_tenant, _ = world.new_stored()
    lease = opened(world, tenant_id, instance_id)
    with world.refused("IN402") as theirs, world.unlocked(other_tenant):
        world.svc.read_with_lease(lease)
    with world.refused("IN402") as nobodys, world.unlocked(other_tenant):
        guess = uuid4()
        world.svc.read_with_lease(guess)
    said, guessed = theirs.value.diag, nobodys.value.diag
    assert str(said.message_detail).replace(str(lease), "?") == str(guessed.message_detail).replace(
        str(guess), "?"
    )
    assert (said.message_primary, said.message_hint) == (
        guessed.message_primary,
        guessed.message_hint,
    )


def test_a_lease_names_its_instance(world: World) -> None:
    tenant_id, instance_id = world.new_stored('{"api_key": "first"}')
    second = world.new_instance(tenant_id, '{"api_key": "second"}')
    first_lease, second_lease = (opened(world, tenant_id, it) for it in (instance_id, second))
    with world.unlocked(tenant_id):
        assert world.svc.read_with_lease(second_lease) == {"api_key": "second"}
        assert world.svc.read_with_lease(first_lease) == {"api_key": "first"}


@pytest.mark.parametrize(
    "moved", ["interval '-60 seconds'", "interval '1 hour'"], ids=["over", "clock set back"]
)
def test_it_lasts_a_minute_of_the_clock(world: World, moved: str) -> None:
    tenant_id, instance_id = world.new_stored()
    lease = opened(world, tenant_id, instance_id)
    world.superuser.run(
        "update integrations_private.read_leases"
        f" set opened_at = opened_at + {moved}, expires_at = expires_at + {moved} where id = %s",
        lease,
    )
    with world.refused("IN402"), world.unlocked(tenant_id):
        world.svc.read_with_lease(lease)


def test_a_minute_that_ends_while_the_reader_waits_is_over(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    lease = opened(world, tenant_id, instance_id)
    answers: list[str | None] = []

    def wait(reader: Client) -> None:
        try:
            with reader.unlocked(tenant_id, world.kek_id, world.kek):
                reader.read_with_lease(lease)
            answers.append(None)
        except psycopg.Error as error:
            answers.append(error.sqlstate)

    holder = world.log_in(world.dsn)
    with holder.conn.transaction():
        # Longer ago than the lease lasts, as seen by whoever gets the row after this.
        holder.run(
            "update integrations_private.read_leases set expires_at = clock_timestamp()"
            " where id = %s",
            lease,
        )
        reader = world.client("svc_integration")
        thread = threading.Thread(target=wait, args=[reader])
        thread.start()
        until_waiting(world, reader)
    thread.join()
    assert answers == ["IN402"]


def until_waiting(world: World, client: Client) -> None:
    """Returns when a connection waits for a lock."""
    for _ in range(2000):
        if world.superuser.value(
            "select cardinality(pg_blocking_pids(%s)) > 0", client.conn.info.backend_pid
        ):
            return
        world.superuser.run("select pg_sleep(0.01)")
    pytest.fail("it never waited")


@pytest.mark.parametrize("commits", [True, False], ids=["the first commits", "it rolls back"])
def test_two_readers_at_once(world: World, commits: bool) -> None:
    tenant_id, instance_id = world.new_stored()
    lease = opened(world, tenant_id, instance_id)
    first, second = world.client("svc_integration"), world.client("svc_integration")
    answers: list[object] = []

    def read() -> None:
        try:
            with second.unlocked(tenant_id, world.kek_id, world.kek):
                answers.append(second.read_with_lease(lease))
        except psycopg.Error as error:
            answers.append(error.sqlstate)

    with first.conn.transaction(force_rollback=not commits):
        first.set_tenant(tenant_id)
        first.unlock(world.kek_id, world.kek)
        assert first.read_with_lease(lease) == {"api_key": "k"}
        thread = threading.Thread(target=read)
        thread.start()
        until_waiting(world, second)
    thread.join()
    assert answers == ["IN402" if commits else {"api_key": "k"}]


def test_many_readers_of_one_lease(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    lease = opened(world, tenant_id, instance_id)
    answers: list[object] = []
    barrier = threading.Barrier(8)

    def read() -> None:
        with connect(world.logins["svc_integration"]) as conn:
            client = Client(conn)
            barrier.wait(30)
            try:
                with client.unlocked(tenant_id, world.kek_id, world.kek):
                    answers.append(client.read_with_lease(lease)["api_key"])
            except psycopg.Error as error:
                answers.append(error.sqlstate)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, answers)) == ["IN402"] * 7 + ["k"]


@pytest.mark.parametrize("status", ["disabled", "revoked"])
def test_what_happens_after_the_opening_counts(world: World, status: str) -> None:
    tenant_id, instance_id = world.new_stored()
    lease = opened(world, tenant_id, instance_id)
    with world.svc.within(tenant_id):
        world.svc.set_instance_status(instance_id, status)
    with world.refused("IN202"), world.unlocked(tenant_id):
        world.svc.read_with_lease(lease)


def test_a_lease_is_no_key(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    lease = opened(world, tenant_id, instance_id)
    with world.refused("IN302"), world.svc.within(tenant_id):
        world.svc.read_with_lease(lease)
    with world.unlocked(tenant_id):  # what was refused has not used it up
        assert world.svc.read_with_lease(lease) == {"api_key": "k"}


def test_a_tampered_envelope_is_refused(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    lease = opened(world, tenant_id, instance_id)
    world.superuser.run(
        "update integrations.integration_instances"
        " set credentials = jsonb_set(credentials, '{mac}', to_jsonb(repeat('A', 43) || '='))"
        " where id = %s",
        instance_id,
    )
    with world.refused("IN304"), world.unlocked(tenant_id):
        world.svc.read_with_lease(lease)


def test_a_read_only_transaction_gets_nothing(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    lease = opened(world, tenant_id, instance_id)
    with world.refused("25006"), world.svc.conn.transaction():
        world.svc.run("set transaction read only")
        world.svc.set_tenant(tenant_id)
        world.svc.unlock(world.kek_id, world.kek)
        world.svc.read_with_lease(lease)


def test_unused_leases_do_not_pile_up(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    for _ in range(3):
        opened(world, tenant_id, instance_id)
    world.superuser.run(
        "update integrations_private.read_leases"
        " set opened_at = now() - interval '2 minutes', expires_at = now() - interval '1 minute'"
        " where tenant_id = %s",
        tenant_id,
    )
    lease = opened(world, tenant_id, instance_id)
    assert leases_of(world, tenant_id) == {lease}


def leases_of(world: World, tenant_id: UUID) -> set[UUID]:
    """Gives the leases that are stored."""
    rows = world.superuser.rows(
        "select id from integrations_private.read_leases where tenant_id = %s", tenant_id
    )
    return {lease for (lease,) in rows}


def end_all(world: World, tenant_id: UUID) -> None:
    """Lets the minute of a tenant's leases pass."""
    world.superuser.run(
        "update integrations_private.read_leases set opened_at = opened_at - interval '1 hour',"
        " expires_at = expires_at - interval '1 hour' where tenant_id = %s",
        tenant_id,
    )


def test_removing_unused_leases_waits_for_nobody(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    held, other = opened(world, tenant_id, instance_id), opened(world, tenant_id, instance_id)
    end_all(world, tenant_id)
    with world.superuser.conn.transaction():
        world.superuser.rows(
            "select from integrations_private.read_leases where id = %s for update", held
        )
        world.svc.run("set lock_timeout = '5s'")
        lease = opened(world, tenant_id, instance_id)
    assert leases_of(world, tenant_id) == {held, lease}, "the other one is gone"
    assert other not in leases_of(world, tenant_id)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_removing_unused_leases_fails_no_old_snapshot(world: World, level: str) -> None:
    """Somebody else has removed them since."""
    tenant_id, instance_id = world.new_stored()
    opened(world, tenant_id, instance_id)
    end_all(world, tenant_id)
    other = world.client("svc_integration")
    with other.conn.transaction():
        other.run(f"set transaction isolation level {level}")
        other.set_tenant(tenant_id)
        other.rows("select from integrations.integration_instances")
        first = opened(world, tenant_id, instance_id)
        second = other.open_read_lease(instance_id, "ticket 4712")
    assert leases_of(world, tenant_id) == {first, second}


def test_a_lease_begins_by_the_clock(world: World) -> None:
    """Not with its transaction, which may have begun long before."""
    tenant_id, instance_id = world.new_stored()
    with world.svc.within(tenant_id):
        lease = world.svc.open_read_lease(instance_id, "ticket 4711")
        began = world.svc.value("select transaction_timestamp()")
    [(opened_at, expires_at)] = world.superuser.rows(
        "select opened_at, expires_at from integrations_private.read_leases where id = %s", lease
    )
    assert opened_at > began
    assert expires_at - opened_at == timedelta(minutes=1)
