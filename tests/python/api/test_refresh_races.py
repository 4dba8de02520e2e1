"""Refreshes beside one another, and beside all else that happens to an instance."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest

from .refreshes import (
    DUE,
    FRESH,
    claim,
    complete,
    due_of,
    fail,
    lease_of,
    store,
    versions,
)
from .test_concurrency import Pool, answer, behind, pool
from .world import World

__all__ = ["pool"]  # the fixture


def test_a_claim_that_is_rolled_back_leaves_nothing(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    with pytest.raises(ZeroDivisionError), world.svc.within(tenant_id):
        world.svc.claim_refresh(instance_id)
        raise ZeroDivisionError
    assert lease_of(world, instance_id) is None
    assert claim(world, tenant_id, instance_id)


def test_two_claims_at_once(world: World, pool: Pool) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    other = world.client("svc_integration")

    def second() -> None:
        with other.within(tenant_id):
            other.claim_refresh(instance_id, "second")

    with world.svc.within(tenant_id):
        world.svc.claim_refresh(instance_id, "first")
        future = behind(world, pool, other, second)
    assert answer(future) == "IN401"
    assert lease_of(world, instance_id).holder == "first"


def test_two_claims_in_old_snapshots(world: World) -> None:
    """A snapshot that does not show the lease does not hand it out twice."""
    tenant_id, instance_id = world.new_stored(DUE)
    for round in range(2):  # the first time there is no row yet, the second time there is
        other = world.client("svc_integration")
        other.conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with pytest.raises(psycopg.errors.SerializationFailure), other.within(tenant_id):
            other.run("select from integrations.integration_definitions")
            lease = claim(world, tenant_id, instance_id)
            other.claim_refresh(instance_id, "other")
        assert lease_of(world, instance_id).lease == lease
        if round == 0:
            fail(world, tenant_id, lease)


def test_a_lease_that_expires_within_a_transaction(world: World) -> None:
    """The clock counts, not the beginning of the transaction."""
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id, ttl=timedelta(milliseconds=300))
    with world.refused("IN402"), world.unlocked(tenant_id):
        world.svc.value("select pg_sleep(0.4)::text")
        world.svc.complete_refresh(lease, FRESH, 1)


def test_a_lease_expires_while_its_completion_waits(world: World, pool: Pool) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id, ttl=timedelta(milliseconds=700))
    other = world.client("svc_integration")

    def late() -> None:
        with other.unlocked(tenant_id, world.kek_id, world.kek):
            other.complete_refresh(lease, FRESH, 1)

    with world.svc.within(tenant_id):
        world.svc.record_connection(instance_id, True)
        future = behind(world, pool, other, late)
        time.sleep(0.8)
    assert answer(future) == "IN402"
    assert world.instance(instance_id).credentials_version == 1


def test_a_session_ends_and_its_lease_stays(world: World) -> None:
    """It is a row, not a lock of the session: neither lost nor held for ever."""
    tenant_id, instance_id = world.new_stored(DUE)
    other = world.client("svc_integration")
    with other.within(tenant_id):
        lease = other.claim_refresh(instance_id)
    other.conn.close()
    with world.refused("IN401"):
        claim(world, tenant_id, instance_id)
    assert complete(world, tenant_id, lease, 1) == 2


def test_somebody_stores_credentials_during_a_refresh(world: World) -> None:
    """They win; the lease stays, and its failure is no failure of theirs."""
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    assert store(world, tenant_id, instance_id, '{"token": "of a person"}') == 2
    with world.refused("IN306"):
        complete(world, tenant_id, lease, 1)
    with world.refused("IN401"):
        claim(world, tenant_id, instance_id)
    fail(world, tenant_id, lease, "invalid_grant")
    row = world.instance(instance_id)
    assert (row.status, row.status_reason) == ("active", None)
    assert world.read(tenant_id, instance_id) == {"token": "of a person"}
    kept = lease_of(world, instance_id)
    assert (kept.lease, kept.failures, kept.retry_at) == (None, 0, None)


def test_a_completion_that_is_rolled_back_keeps_the_lease(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    with pytest.raises(ZeroDivisionError), world.unlocked(tenant_id):
        world.svc.complete_refresh(lease, FRESH, 1)
        raise ZeroDivisionError
    assert world.instance(instance_id).credentials_version == 1
    assert complete(world, tenant_id, lease, 1) == 2


@pytest.mark.parametrize("end", ["complete_refresh", "fail_refresh"])
def test_somebody_takes_over_while_a_late_one_waits(world: World, pool: Pool, end: str) -> None:
    """The lease that is alive then is another's."""
    tenant_id, instance_id = world.new_stored(DUE)
    late = claim(world, tenant_id, instance_id, "late", ttl=timedelta(milliseconds=1))
    other = world.client("svc_integration")

    def finish() -> None:
        with other.unlocked(tenant_id, world.kek_id, world.kek):
            if end == "complete_refresh":
                other.complete_refresh(late, FRESH, 1)
            else:
                other.fail_refresh(late, "HTTP 503")

    with world.svc.within(tenant_id):
        lease = world.svc.claim_refresh(instance_id, "next")
        future = behind(world, pool, other, finish)
    assert answer(future) == "IN402"
    assert (world.instance(instance_id).status, lease_of(world, instance_id).lease) == (
        "active",
        lease,
    )
    assert complete(world, tenant_id, lease, 1) == 2


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
@pytest.mark.parametrize("end", ["complete_refresh", "fail_refresh"])
def test_a_lease_that_ended_since_an_old_snapshot(world: World, level: str, end: str) -> None:
    """The snapshot still shows it alive; nothing is stored or counted twice."""
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    other = world.client("svc_integration")
    with pytest.raises(psycopg.errors.SerializationFailure), other.conn.transaction():
        other.run(f"set transaction isolation level {level}")
        other.set_tenant(tenant_id)
        other.unlock(world.kek_id, world.kek)
        fail(world, tenant_id, lease)
        if end == "complete_refresh":
            other.complete_refresh(lease, FRESH, 1)
        else:
            other.fail_refresh(lease, "HTTP 503")
    assert lease_of(world, instance_id).failures == 1
    assert world.instance(instance_id).credentials_version == 1


def test_deleted_while_a_completion_waits(world: World, pool: Pool) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    lease, other = claim(world, tenant_id, instance_id), world.client("svc_integration")

    def late() -> None:
        with other.unlocked(tenant_id, world.kek_id, world.kek):
            other.complete_refresh(lease, FRESH, 1)

    with world.svc.within(tenant_id):
        world.svc.delete_instance(instance_id)
        future = behind(world, pool, other, late)
    assert answer(future) == "IN402"


def test_workers_with_the_same_old_list_refresh_each_once(world: World) -> None:
    """Hasty ones, who do not look again whether it is still due."""
    tenant_id = world.new_tenant()
    for _ in range(40):
        world.new_instance(tenant_id, DUE)
    listed, start = due_of(world, tenant_id), threading.Barrier(8)

    def work(number: int) -> int:
        client, done = world.client("svc_integration"), 0
        start.wait()
        for instance_id in random.sample(listed, len(listed)):
            try:
                with client.within(tenant_id):
                    lease = client.claim_refresh(instance_id, f"w{number}")
            except psycopg.Error as error:
                assert error.sqlstate == "IN401", error
                continue
            version = world.instance(instance_id).credentials_version
            with client.unlocked(tenant_id, world.kek_id, world.kek):
                client.complete_refresh(lease, FRESH, version)
            done += 1
        return done

    assert world.superuser.value("select 1") == 1  # connects before the threads do
    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(work, range(8))) == 40
    assert versions(world, [tenant_id]) == {2: 40}
