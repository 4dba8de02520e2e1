"""Refreshes: one worker at a time, none lost, and failures that back off and end."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from size import size

from .test_concurrency import Pool, answer, behind, pool
from .test_rotation import QUARANTINED, batch, new_key, poison
from .world import ROLES, World

__all__ = ["pool"]  # the fixture

DUE = '{"token": "old", "expires_in": 60}'
FRESH = '{"token": "new", "expires_in": 3600}'
SHORT = timedelta(milliseconds=50)
NOW = timedelta(0)


def due_of(world: World, *tenants: UUID) -> list[UUID]:
    """Gives the listed instances of these tenants, the earliest first."""
    listed = world.svc.list_refresh_due(100_000)
    assert [at for _, _, at in listed] == sorted(at for _, _, at in listed)
    return [instance_id for tenant_id, instance_id, _ in listed if tenant_id in tenants]


def claim(
    world: World, tenant_id: UUID, instance_id: UUID, holder: str = "worker", **more: object
) -> UUID:
    with world.svc.within(tenant_id):
        return world.svc.claim_refresh(instance_id, holder, **more)


def complete(
    world: World, tenant_id: UUID, lease: UUID, version: int, credentials: str = FRESH
) -> int:
    with world.unlocked(tenant_id):
        return world.svc.complete_refresh(lease, credentials, version)


def fail(world: World, tenant_id: UUID, lease: UUID, reason: str = "HTTP 503", **more: Any) -> None:
    with world.svc.within(tenant_id):
        world.svc.fail_refresh(lease, reason, **more)


def store(world: World, tenant_id: UUID, instance_id: UUID, credentials: str = FRESH) -> int:
    with world.unlocked(tenant_id):
        return world.svc.put_credentials(instance_id, credentials)


def lease_of(world: World, instance_id: UUID) -> Any:
    """Gives the stored row of leases as it is, or None."""
    with world.superuser.conn.cursor(row_factory=psycopg.rows.namedtuple_row) as cursor:
        cursor.execute(
            "select * from integrations_private.refresh_leases where instance_id = %s",
            [instance_id],
        )
        return cursor.fetchone()


def shift(world: World, instance_id: UUID, by: timedelta) -> None:
    """Lets time pass for a lease: moves what is stored of it into the past."""
    world.superuser.run(
        "update integrations_private.refresh_leases as l"
        "   set leased_until = leased_until - p.by, retry_at = retry_at - p.by,"
        "       refreshed_at = refreshed_at - p.by"
        "  from (select %s::interval) as p (by) where l.instance_id = %s",
        by,
        instance_id,
    )


# The life of a lease.


def test_a_refresh(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    assert due_of(world, tenant_id) == [instance_id]
    lease = claim(world, tenant_id, instance_id)
    assert due_of(world, tenant_id) == [], "it is leased"
    assert complete(world, tenant_id, lease, 1) == 2
    assert due_of(world, tenant_id) == [], "it is not due any more"
    assert world.read(tenant_id, instance_id) == json.loads(FRESH)
    row = world.instance(instance_id)
    assert (row.status, row.credentials_version) == ("active", 2)
    assert row.credentials_expire_at > datetime.now(UTC) + timedelta(minutes=55)
    kept = lease_of(world, instance_id)
    assert (kept.lease, kept.leased_until, kept.failures) == (None, None, 0)
    assert world.events(tenant_id)[-4:] == [
        "refresh_claimed",
        "credentials_stored",
        "refresh_completed",
        "credentials_read",
    ]


@pytest.mark.parametrize("holder", ["worker", "another"])
def test_a_live_lease_is_exclusive(world: World, holder: str) -> None:
    """For its own holder, too: threads may share a name."""
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    with world.refused("IN401") as caught:
        claim(world, tenant_id, instance_id, holder)
    assert str(lease) not in str(vars(caught.value.diag)), "who holds the lease may end it"
    assert complete(world, tenant_id, lease, 1) == 2


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


def test_a_lease_is_used_once(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    complete(world, tenant_id, lease, 1)
    with world.refused("IN402"):
        complete(world, tenant_id, lease, 2)
    with world.refused("IN402"):
        fail(world, tenant_id, lease)
    lease = claim(world, tenant_id, instance_id)
    fail(world, tenant_id, lease)
    with world.refused("IN402"):
        fail(world, tenant_id, lease)
    with world.refused("IN402"):
        complete(world, tenant_id, lease, 2)


def test_an_expired_lease_is_lost_even_if_nobody_took_over(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id, ttl=SHORT)
    time.sleep(0.1)
    with world.refused("IN402"):
        complete(world, tenant_id, lease, 1)
    with world.refused("IN402"):
        fail(world, tenant_id, lease)
    assert due_of(world, tenant_id) == [instance_id], "it is listed again"


def test_a_lease_that_expires_within_a_transaction(world: World) -> None:
    """The clock counts, not the beginning of the transaction."""
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id, ttl=timedelta(milliseconds=300))
    with world.refused("IN402"), world.unlocked(tenant_id):
        world.svc.value("select pg_sleep(0.4)::text")
        world.svc.complete_refresh(lease, FRESH, 1)


def test_who_took_over_completes_and_who_was_late_does_not(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    late = claim(world, tenant_id, instance_id, "dead", ttl=SHORT)
    time.sleep(0.1)
    lease = claim(world, tenant_id, instance_id, "alive")
    assert lease != late
    with world.refused("IN402"):
        complete(world, tenant_id, late, 1)
    with world.refused("IN402"):
        fail(world, tenant_id, late)
    assert complete(world, tenant_id, lease, 1) == 2


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


def test_a_claim_needs_no_dueness(world: World) -> None:
    """A service may refuse credentials before their time; and some never expire."""
    for credentials in (FRESH, '{"token": "for ever"}'):
        tenant_id, instance_id = world.new_stored(credentials)
        assert due_of(world, tenant_id) == []
        assert complete(world, tenant_id, claim(world, tenant_id, instance_id), 1) == 2


def test_one_refresh_serves_all_who_met_the_same_refusal(world: World) -> None:
    tenant_id, instance_id = world.new_stored(FRESH)
    complete(world, tenant_id, claim(world, tenant_id, instance_id, "first"), 1)
    with world.refused("IN401"):
        claim(world, tenant_id, instance_id, "second")
    again = claim(world, tenant_id, instance_id, "first")  # it knows what it stored
    fail(world, tenant_id, again)
    shift(world, instance_id, timedelta(minutes=1))
    assert claim(world, tenant_id, instance_id, "second")


def test_what_is_due_again_may_be_claimed_at_once(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    complete(world, tenant_id, claim(world, tenant_id, instance_id, "first"), 1, DUE)
    assert due_of(world, tenant_id) == [instance_id]
    assert claim(world, tenant_id, instance_id, "second")


def test_other_credentials_than_the_refreshed_ones_may_be_claimed(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    complete(world, tenant_id, claim(world, tenant_id, instance_id, "first"), 1)
    store(world, tenant_id, instance_id)
    assert claim(world, tenant_id, instance_id, "second")


# Completion.


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


def test_a_lease_outlives_a_refused_completion(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    with world.refused("IN302"), world.svc.within(tenant_id):
        world.svc.complete_refresh(lease, FRESH, 1)
    with world.refused("IN303"), world.svc.unlocked(tenant_id, world.kek_id, bytes(32)):
        world.svc.complete_refresh(lease, FRESH, 1)
    for credentials in ('{"token": SENTINEL}', "[]", "", '{"a": "' + 65536 * "x" + '"}'):
        with world.refused("IN305") as caught:
            complete(world, tenant_id, lease, 1, credentials)
        assert "SENTINEL" not in str(caught.value)
    for version in (-1, 0, 2):
        with world.refused("IN306"):
            complete(world, tenant_id, lease, version)
    assert complete(world, tenant_id, lease, 1) == 2


def test_a_completion_that_is_rolled_back_keeps_the_lease(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    with pytest.raises(ZeroDivisionError), world.unlocked(tenant_id):
        world.svc.complete_refresh(lease, FRESH, 1)
        raise ZeroDivisionError
    assert world.instance(instance_id).credentials_version == 1
    assert complete(world, tenant_id, lease, 1) == 2


def test_a_completion_lands_on_the_active_key(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    key_id = new_key(world, tenant_id)
    assert complete(world, tenant_id, lease, 1) == 2
    assert world.instance(instance_id).credentials_key_id == key_id


@pytest.mark.parametrize("status", ["disabled", "revoked"])
def test_switched_off(world: World, status: str) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    with world.tenant.within(tenant_id):
        world.tenant.set_instance_status(instance_id, status, "stop")
    with world.refused("IN202"):
        complete(world, tenant_id, lease, 1)
    with world.refused("IN202"):
        fail(world, tenant_id, lease)
    with world.refused("IN202"):
        claim(world, tenant_id, instance_id)
    assert world.instance(instance_id).status_reason == "stop"
    shift(world, instance_id, timedelta(hours=1))
    assert due_of(world, tenant_id) == []


def test_deleted(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    with world.tenant.within(tenant_id):
        world.tenant.delete_instance(instance_id)
    with world.refused("IN402"):
        complete(world, tenant_id, lease, 1)
    with world.refused("IN402"):
        fail(world, tenant_id, lease)
    with world.refused("IN201"):
        claim(world, tenant_id, instance_id)
    assert lease_of(world, instance_id) is None


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


def test_a_first_token_is_fetched_under_a_lease(world: World) -> None:
    """A pending instance has no failure, and becomes active as ever."""
    tenant_id = world.new_tenant()
    instance_id = world.new_instance(tenant_id)
    fail(world, tenant_id, claim(world, tenant_id, instance_id))
    assert world.instance(instance_id).status == "pending"
    assert complete(world, tenant_id, claim(world, tenant_id, instance_id), 0) == 1
    assert world.instance(instance_id).status == "active"


# Failures.


def test_a_failure_is_seen_backs_off_and_is_tried_again(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    fail(world, tenant_id, claim(world, tenant_id, instance_id), "HTTP 503")
    row = world.instance(instance_id)
    assert (row.status, row.status_reason) == ("error", "HTTP 503")
    assert world.events(tenant_id)[-2:] == ["status_changed", "refresh_failed"]
    assert world.read(tenant_id, instance_id) == json.loads(DUE), "reads go on"
    assert due_of(world, tenant_id) == [], "it backs off"
    shift(world, instance_id, timedelta(minutes=4))
    assert due_of(world, tenant_id) == [], "five minutes, if nothing else is said"
    shift(world, instance_id, timedelta(minutes=1))
    assert due_of(world, tenant_id) == [instance_id]
    lease = claim(world, tenant_id, instance_id)
    assert due_of(world, tenant_id) == [], "it is leased"
    assert complete(world, tenant_id, lease, 1) == 2
    row = world.instance(instance_id)
    assert (row.status, row.status_reason) == ("active", None)
    kept = lease_of(world, instance_id)
    assert (kept.failures, kept.retry_at) == (0, None)


def test_a_retry_is_not_lost_when_its_worker_dies(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    fail(world, tenant_id, claim(world, tenant_id, instance_id), retry_after=NOW)
    claim(world, tenant_id, instance_id, ttl=SHORT)
    time.sleep(0.1)
    assert due_of(world, tenant_id) == [instance_id]


def test_failures_double_the_wait_up_to_a_day_and_end(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    waits: list[int] = []
    while instance_id not in due_of(world, tenant_id) or len(waits) < 20:
        lease = claim(world, tenant_id, instance_id)
        before = datetime.now(UTC)
        fail(world, tenant_id, lease, f"failure {len(waits) + 1}", retry_after=timedelta(minutes=6))
        kept = lease_of(world, instance_id)
        assert kept.failures == len(waits) + 1
        if kept.retry_at is None:
            break
        waits.append(round((kept.retry_at - before) / timedelta(minutes=6)))
        shift(world, instance_id, timedelta(days=2))
        assert due_of(world, tenant_id) == [instance_id]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 240]
    shift(world, instance_id, timedelta(days=400))
    assert due_of(world, tenant_id) == [], "not listed for ever"
    row = world.instance(instance_id)
    assert (row.status, row.status_reason) == ("error", "failure 10")


def test_a_wait_of_more_than_a_day_is_kept(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    for _ in range(3):
        lease, before = claim(world, tenant_id, instance_id), datetime.now(UTC)
        fail(world, tenant_id, lease, retry_after=timedelta(days=9))
        begun = lease_of(world, instance_id).retry_at - timedelta(days=9)
        assert before <= begun <= datetime.now(UTC)


def test_new_credentials_end_the_count_of_failures(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    for _ in range(10):
        fail(world, tenant_id, claim(world, tenant_id, instance_id), retry_after=NOW)
    assert due_of(world, tenant_id) == []
    store(world, tenant_id, instance_id, DUE)
    assert due_of(world, tenant_id) == [instance_id]
    fail(world, tenant_id, claim(world, tenant_id, instance_id))
    assert lease_of(world, instance_id).failures == 1
    assert due_of(world, tenant_id) == []
    store(world, tenant_id, instance_id, DUE)
    assert due_of(world, tenant_id) == [instance_id], "nor do they back off"


def test_a_good_connection_ends_the_error_and_not_the_back_off(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    fail(world, tenant_id, claim(world, tenant_id, instance_id))
    with world.svc.within(tenant_id):
        world.svc.record_connection(instance_id, True)
    assert world.instance(instance_id).status == "active"
    assert due_of(world, tenant_id) == []
    shift(world, instance_id, timedelta(minutes=5))
    assert due_of(world, tenant_id) == [instance_id]


def test_a_failure_in_error_renews_the_reason(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    with world.svc.within(tenant_id):
        world.svc.record_connection(instance_id, False, "refused")
    assert due_of(world, tenant_id) == [], "not an error of a refresh"
    fail(world, tenant_id, claim(world, tenant_id, instance_id), 1001 * "e", retry_after=NOW)
    assert world.instance(instance_id).status_reason == 1000 * "e"
    assert due_of(world, tenant_id) == [instance_id]


@pytest.mark.parametrize("failed_before", [False, True])
def test_quarantine_is_not_listed_and_keeps_its_mark(world: World, failed_before: bool) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    if failed_before:
        fail(world, tenant_id, claim(world, tenant_id, instance_id), retry_after=NOW)
        assert due_of(world, tenant_id) == [instance_id]
    poison(world, instance_id)
    new_key(world, tenant_id)
    assert batch(world, tenant_id) == (0, 0, 1)
    assert due_of(world, tenant_id) == []
    fail(world, tenant_id, claim(world, tenant_id, instance_id), "IN304", retry_after=NOW)
    row = world.instance(instance_id)
    assert (row.status, row.status_reason) == ("error", QUARANTINED)
    assert due_of(world, tenant_id) == []
    assert complete(world, tenant_id, claim(world, tenant_id, instance_id), 1) == 2
    assert world.instance(instance_id).status == "active"


# Arguments.


@pytest.mark.parametrize(
    "arguments",
    [
        {"instance_id": None},
        {"holder": None},
        {"holder": ""},
        {"holder": " \t"},
        {"holder": 201 * "h"},
        {"ttl": None},
        {"ttl": timedelta(0)},
        {"ttl": timedelta(seconds=-1)},
        {"ttl": timedelta(hours=1, microseconds=1)},
    ],
    ids=str,
)
def test_bad_claims(world: World, arguments: dict[str, Any]) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    with world.refused("22023"), world.svc.within(tenant_id):
        world.svc.claim_refresh(**{"instance_id": instance_id, "holder": "worker", **arguments})


def test_good_claims(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    fail(world, tenant_id, claim(world, tenant_id, instance_id, 200 * "ü", ttl=timedelta(hours=1)))
    claim(world, tenant_id, instance_id, "w", ttl=timedelta(microseconds=1))


@pytest.mark.parametrize(
    "arguments",
    [
        {"lease": None},
        {"reason": None},
        {"reason": QUARANTINED},
        {"retry_after": None},
        {"retry_after": timedelta(seconds=-1)},
        {"retry_after": timedelta(days=30, seconds=1)},
    ],
    ids=str,
)
def test_bad_failures(world: World, arguments: dict[str, Any]) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    with world.refused("22023"), world.svc.within(tenant_id):
        world.svc.fail_refresh(**{"lease": lease, "reason": "no", **arguments})


def test_bad_completions(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    for arguments in ((None, FRESH, 1), (lease, None, 1), (lease, FRESH, None)):
        with world.refused("22023"), world.unlocked(tenant_id):
            world.svc.complete_refresh(*arguments)


@pytest.mark.parametrize("max_rows", [None, 0, -1])
def test_bad_lists(world: World, max_rows: int | None) -> None:
    with world.refused("22023"):
        world.svc.list_refresh_due(max_rows)


# Attackers.


def test_a_lease_of_another_tenant_is_worth_nothing(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    attacker, _ = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    errors = []
    for guess in (lease, uuid4()):
        with world.refused("IN402") as caught, world.unlocked(attacker):
            world.svc.complete_refresh(guess, FRESH, 1)
        diag = caught.value.diag
        errors.append(
            (diag.message_primary, str(diag.message_detail).replace(str(guess), ""), diag.context)
        )
        with world.refused("IN402"):
            fail(world, attacker, guess)
    assert errors[0] == errors[1], "it does not tell whether the lease exists"
    with world.refused("IN201"):
        claim(world, attacker, instance_id)
    assert complete(world, tenant_id, lease, 1) == 2


def test_without_a_tenant(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    with world.refused("IN001"):
        world.svc.claim_refresh(instance_id)
    with world.refused("IN001"):
        world.svc.complete_refresh(lease, FRESH, 1)
    with world.refused("IN001"):
        world.svc.fail_refresh(lease, "no")
    assert due_of(world, tenant_id) == []


@pytest.mark.parametrize("role", [role for role in ROLES if role != "svc_integration"])
def test_only_the_service_refreshes(world: World, role: str) -> None:
    """With a lease of its own tenant in its hands, too."""
    tenant_id, instance_id = world.new_stored(DUE)
    lease, client = claim(world, tenant_id, instance_id), world.client(role)
    actions: list[Callable[[], object]] = [
        lambda: client.claim_refresh(instance_id),
        lambda: client.complete_refresh(lease, FRESH, 1),
        lambda: client.fail_refresh(lease, "no"),
        lambda: client.list_refresh_due(),
        lambda: client.rows("select * from integrations_private.refresh_leases"),
        lambda: client.run("delete from integrations_private.refresh_leases"),
    ]
    for action in actions:
        with world.refused("42501"), client.conn.transaction():
            client.run(f"set local integrations.tenant_id = '{tenant_id}'")
            action()


def test_nobody_reads_or_writes_leases_by_hand(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    claim(world, tenant_id, instance_id)
    for statement in (
        "select lease from integrations_private.refresh_leases",
        "update integrations_private.refresh_leases set leased_until = null, lease = null",
        "insert into integrations_private.refresh_leases default values",
        "delete from integrations_private.refresh_leases",
        "truncate integrations_private.refresh_leases",
    ):
        with world.refused("42501"), world.svc.within(tenant_id):
            world.svc.run(statement)


def test_the_audit_trail_does_not_tell_the_lease(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    lease = claim(world, tenant_id, instance_id)
    entries = world.auditor.rows(
        "select a::text from integrations.audit_trail as a where tenant_id = %s", tenant_id
    )
    assert any("refresh_claimed" in entry for (entry,) in entries)
    assert not any(str(lease) in entry for (entry,) in entries)


def test_a_list_has_ids_only_and_any_tenant_of_the_transaction_will_do(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    with world.svc.within(uuid4()):
        listed = world.svc.list_refresh_due(100_000)
    at = world.instance(instance_id).credentials_expire_at
    assert (tenant_id, instance_id, at) in listed


# The list.


@pytest.mark.parametrize("failed", [set(), {3}, set(range(6))], ids=["none", "one", "all"])
def test_the_earliest_come_first_and_not_more_than_asked_for(
    world: World, failed: set[int]
) -> None:
    """A retry takes its place among the others, and the whole is cut, not each half."""
    tenants = [world.new_tenant() for _ in range(3)]
    # Earlier than whatever other tests have left, the earliest last.
    instances = [
        world.new_instance(tenants[n % 3], f'{{"expires_at": "1999-01-{31 - n:02}T00:00:00Z"}}')
        for n in range(6)
    ]
    for n in failed:
        fail(world, tenants[n % 3], claim(world, tenants[n % 3], instances[n]), retry_after=NOW)
    for setting in ("on", "off"):  # the order is not that of an index, by luck
        world.svc.run(f"set enable_indexscan = {setting}")
        world.svc.run(f"set enable_bitmapscan = {setting}")
        for max_rows in range(1, 6):
            listed = [instance_id for _, instance_id, _ in world.svc.list_refresh_due(max_rows)]
            assert listed == instances[: 5 - max_rows : -1]
    for n, instance_id in enumerate(instances):
        with world.svc.within(tenants[n % 3]):
            world.svc.delete_instance(instance_id)


@pytest.mark.parametrize("status", ["deprecated", "retired"])
def test_the_definition_makes_no_difference(world: World, status: str) -> None:
    """Instances of a retired connector go on working."""
    definition = world.admin.register_definition(f"Old {uuid4()}", "oauth2")
    world.admin.set_definition_status(definition, "published")
    tenant_id = world.new_tenant()
    with world.unlocked(tenant_id):
        instance_id = world.svc.create_instance(definition, "old")
        world.svc.put_credentials(instance_id, DUE)
    world.admin.set_definition_status(definition, status)
    assert due_of(world, tenant_id) == [instance_id]
    assert complete(world, tenant_id, claim(world, tenant_id, instance_id), 1) == 2


STATES = ["active", "pending", "error", "disabled", "revoked", "quarantined"]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(STATES),
            st.sampled_from([-3600, 0, 290, 900, None]),
            st.sampled_from(["none", "live", "expired", "backing off", "due again", "given up"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_what_is_listed(world: World, rows: list[tuple[str, int | None, str]]) -> None:
    """Every combination of status, expiry and lease, against the sentence that says what is due."""
    tenant_id = world.new_tenant()
    expected = set()
    for status, expires_in, lease in rows:
        instance_id = world.new_instance(tenant_id)
        if status != "pending":
            expiry = {} if expires_in is None else {"expires_at": time.time() + expires_in}
            store(world, tenant_id, instance_id, json.dumps(expiry))
        if lease in ("live", "expired"):
            claim(world, tenant_id, instance_id)
        elif lease != "none":
            for _ in range(10 if lease == "given up" else 1):
                fail(world, tenant_id, claim(world, tenant_id, instance_id))
        if lease in ("expired", "due again"):
            shift(world, instance_id, timedelta(minutes=5))
        with world.svc.within(tenant_id):
            if status == "quarantined":
                world.superuser.run(
                    "update integrations.integration_instances"
                    " set status = 'error', status_reason = %s where id = %s",
                    QUARANTINED,
                    instance_id,
                )
                world.superuser.run(
                    "update integrations_private.refresh_leases set retry_at = null"
                    " where instance_id = %s",
                    instance_id,
                )
            elif status == "active" and world.instance(instance_id).status == "error":
                world.svc.set_instance_status(instance_id, "active")
            elif status not in ("pending", "active", world.instance(instance_id).status):
                world.svc.set_instance_status(instance_id, status)
        if (
            expires_in is not None
            and expires_in <= 300
            and lease not in ("live", "backing off")
            and (status == "active" or (status == "error" and lease == "due again"))
        ):
            expected.add(instance_id)
    assert set(due_of(world, tenant_id)) == expected


# At volume.


@pytest.fixture
def plan_of(world: World) -> Iterator[Callable[[int], str]]:
    """Gives the plan of what list_refresh_due runs inside."""
    plans: list[str] = []
    conn = world.superuser.conn
    world.superuser.run("load 'auto_explain'")

    def hear(diag: psycopg.errors.Diagnostic) -> None:
        plans.append(str(diag.message_primary))

    conn.add_notice_handler(hear)

    def plan(max_rows: int) -> str:
        for setting, value in {
            "auto_explain.log_min_duration": "0",
            "auto_explain.log_nested_statements": "on",
            "auto_explain.log_analyze": "on",
            "client_min_messages": "log",
        }.items():
            world.superuser.rows("select set_config(%s, %s, true)", setting, value)
        plans.clear()
        world.superuser.rows("select * from integrations.list_refresh_due(%s)", max_rows)
        return "\n".join(plans)

    yield plan
    conn.remove_notice_handler(hear)


def test_the_list_reads_as_much_as_it_returns(world: World, plan_of: Callable[[int], str]) -> None:
    """Among many: not the rows that are not due yet, nor those that failed for good."""
    _, instance_id = world.new_stored('{"expires_in": 120}')
    # Copies of one row, in bulk: only what the list reads has to be as the functions make it.
    copies = """
        insert into integrations.integration_instances
               (tenant_id, integration_id, name, status, credentials, credentials_version,
                credentials_expire_at)
        select i.tenant_id, i.integration_id, %s || n, %s, i.credentials, i.credentials_version,
               clock_timestamp() + %s * n * interval '1 second'
          from integrations.integration_instances as i, generate_series(1, %s) as n
         where i.id = %s"""
    with world.superuser.conn.transaction(force_rollback=True):
        world.superuser.run(copies, "later ", "active", 3600, 20_000, instance_id)
        world.superuser.run(copies, "dead ", "error", -3600, 20_000, instance_id)
        world.superuser.run(copies, "due ", "active", -1, 300, instance_id)
        world.superuser.run(copies, "leased ", "active", -100, 50, instance_id)
        world.superuser.run(copies, "again ", "error", -1, 50, instance_id)
        # Here, so that the checks of the foreign key below know how many there are: with older
        # statistics they read all rows of the tenant, for each lease.
        world.superuser.run("analyze integrations.integration_instances")
        leases = """
            insert into integrations_private.refresh_leases
                   (tenant_id, instance_id, holder, credentials_version, claimed_at, failures,
                    lease, leased_until, retry_at)
            select i.tenant_id, i.id, 'w', 1, now(), 10,
                   case when %s then gen_random_uuid() end, case when %s then now() + '1 hour' end,
                   case when %s then now() - interval '1 minute' end
              from integrations.integration_instances as i where i.name like %s"""
        world.superuser.run(leases, False, False, False, "dead %")
        world.superuser.run(leases, True, True, False, "leased %")
        world.superuser.run(leases, False, False, True, "again %")
        world.superuser.run("analyze integrations_private.refresh_leases")
        for max_rows in (1, 100, 1000):
            for _ in range(7):  # a generic plan, too
                plan = plan_of(max_rows)
            assert "integration_instances_credentials_expire_at_idx" in plan, plan
            assert "refresh_leases_retry_at_idx" in plan, plan
            assert "Seq Scan on integration_instances" not in plan, plan
            read = [
                int(rows) * int(loops)
                for rows, loops in re.findall(r"actual [^)]*rows=(\d+)[.\d]* loops=(\d+)", plan)
            ]
            assert read and max(read) <= 1000, plan


# Fifty workers.


PAGE = (Path(__file__).parents[3] / "docs/refresh.md").read_text()


def test_the_query_of_the_documents_shows_what_waits(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    fail(world, tenant_id, claim(world, tenant_id, instance_id))
    [query] = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert instance_id in {row[1] for row in world.superuser.rows(query)}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The worker of docs/refresh.md, as it stands there."""
    [text] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path_factory.mktemp("worker") / "worker.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("worker", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_worker_leaves_credentials_alone_that_somebody_stored_meanwhile(
    world: World, worker: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its claim and its reading: a refresh would use up a token that it cannot replace."""
    tenant_id, instance_id = world.new_stored(DUE)
    other, call = world.client("svc_integration"), worker.call

    def interfere(conn: Any, function: str, **arguments: Any) -> Any:
        if function == "get_credentials":
            with other.unlocked(tenant_id, world.kek_id, world.kek):
                other.put_credentials(instance_id, FRESH)
        return call(conn, function, **arguments)

    def ask(credentials: object) -> None:
        pytest.fail(f"asked with {credentials}")

    monkeypatch.setattr(worker, "call", interfere)
    conn = world.svc.conn
    assert not worker.refresh_one(conn, world.kek_id, world.kek, "w", ask, tenant_id, instance_id)
    row = world.instance(instance_id)
    assert (row.status, row.credentials_version) == ("active", 2)
    assert lease_of(world, instance_id).lease is None


def test_the_worker_refreshes_what_was_refused_and_nothing_newer(
    world: World, worker: ModuleType
) -> None:
    tenant_id, instance_id = world.new_stored(FRESH)

    def refresh(refused: int | None) -> bool:
        return bool(
            worker.refresh_one(
                world.svc.conn, world.kek_id, world.kek, "w", lambda _: {"token": "newer"},
                tenant_id, instance_id, refused,
            )
        )  # fmt: skip

    assert not refresh(None), "it is not due"
    assert refresh(1)
    assert world.read(tenant_id, instance_id) == {"token": "newer"}, "without the old expiry"
    assert not refresh(1), "that version is gone"
    assert world.instance(instance_id).credentials_version == 2


def test_the_worker_that_is_too_late_saves_its_tokens(world: World, worker: ModuleType) -> None:
    tenant_id, instance_id = world.new_stored(DUE)

    def ask(credentials: object) -> dict[str, str]:
        shift(world, instance_id, timedelta(minutes=1))
        return {"token": "late"}

    assert worker.refresh_one(
        world.svc.conn, world.kek_id, world.kek, "w", ask, tenant_id, instance_id
    )
    assert world.read(tenant_id, instance_id) == {"token": "late"}


def test_the_worker_tells_what_kind_of_error_it_met(world: World, worker: ModuleType) -> None:
    tenant_id, instance_id = world.new_stored(DUE)

    def ask(credentials: object) -> None:
        raise ValueError("the response was SENTINEL")

    assert not worker.refresh_one(
        world.svc.conn, world.kek_id, world.kek, "w", ask, tenant_id, instance_id
    )
    row = world.instance(instance_id)
    assert (row.status, row.status_reason) == ("error", "ValueError")


class Died(BaseException):
    """The end of a worker's process, which nothing in it catches."""


MANY = size(200, 1000)


def many_due(world: World) -> list[UUID]:
    """Gives five tenants that share so many due instances, a token of its own in each."""
    tenants = [world.new_tenant() for _ in range(5)]
    for tenant_id in tenants:
        with world.unlocked(tenant_id):
            world.svc.rows(
                "select integrations.put_credentials("
                "         integrations.create_instance(%s, n::text),"
                "         jsonb_build_object('token', %s || ' ' || n, 'expires_in', 60)::text)"
                "  from generate_series(1, %s) as n",
                world.definition,
                str(tenant_id),
                MANY // len(tenants),
            )
    return tenants


def versions(world: World, tenants: list[UUID]) -> Counter[int]:
    """Counts the instances of these tenants by the version of their credentials."""
    rows = world.superuser.rows(
        "select credentials_version, count(*) from integrations.integration_instances"
        " where tenant_id = any (%s) group by 1",
        tenants,
    )
    return Counter(dict(rows))


def run_workers(
    world: World, worker: ModuleType, tenants: list[UUID], ask: Callable[[Any], Any], count: int
) -> int:
    """Lets workers run until all is refreshed, each starting anew when it dies; counts deaths."""
    deaths = [0] * count
    until = time.monotonic() + 300
    finished = threading.Event()

    def work(number: int) -> None:
        while not finished.is_set():
            assert time.monotonic() < until, "it does not end"
            try:
                with psycopg.connect(
                    world.logins["svc_integration"],
                    autocommit=True,
                    application_name="refresh worker",
                ) as conn:
                    while not finished.is_set():
                        worker.refresh_due(conn, world.kek_id, world.kek, f"w{number}", ask)
            except (Died, psycopg.OperationalError):
                deaths[number] += 1

    with ThreadPoolExecutor(count) as threads:
        futures = [threads.submit(work, number) for number in range(count)]
        try:
            while versions(world, tenants)[1]:
                assert time.monotonic() < until, "it does not end"
                for future in futures:
                    assert not future.done() or future.result()
                time.sleep(0.05)
        finally:
            finished.set()
        for future in futures:
            future.result()
    return sum(deaths)


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


@pytest.mark.long
def test_fifty_workers_refresh_each_once(world: World, worker: ModuleType) -> None:
    tenants, asked, lock = many_due(world), Counter[str](), threading.Lock()

    def ask(credentials: dict[str, Any]) -> dict[str, Any]:
        with lock:
            asked[credentials["token"]] += 1
        return {"expires_in": 3600}

    assert run_workers(world, worker, tenants, ask, 50) == 0
    assert versions(world, tenants) == {2: MANY}
    prefixes = tuple(map(str, tenants))
    ours = {token: n for token, n in asked.items() if token.startswith(prefixes)}
    assert len(ours) == MANY
    assert set(ours.values()) == {1}, "no token is used twice"
    assert due_of(world, *tenants) == []


@pytest.mark.long
def test_fifty_workers_that_die_lose_nothing(
    world: World, worker: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They die while they ask, and their sessions are killed at any moment, also in a commit."""
    tenants, call = many_due(world), worker.call

    def impatient(conn: Any, function: str, **arguments: Any) -> Any:
        if function == "claim_refresh":
            arguments["ttl"] = "2 seconds"  # so that the test need not wait for a minute
        return call(conn, function, **arguments)

    monkeypatch.setattr(worker, "call", impatient)

    def ask(credentials: dict[str, Any]) -> dict[str, Any]:
        if random.random() < 0.05:  # noqa: S311
            raise Died
        return {"expires_in": 3600}

    stop = threading.Event()

    def kill() -> int:
        killed = 0
        with psycopg.connect(world.dsn, autocommit=True) as conn:
            while not stop.wait(0.05):
                killed += conn.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name = 'refresh worker' and datname = current_database()"
                    " order by random() limit 1"
                ).rowcount
        return killed

    with ThreadPoolExecutor(1) as thread:
        killer = thread.submit(kill)
        try:
            deaths = run_workers(world, worker, tenants, ask, 50)
        finally:
            stop.set()
        assert killer.result() > 0
    assert deaths > MANY / 50
    assert versions(world, tenants) == {2: MANY}, "each is stored once"
    assert due_of(world, *tenants) == []
    stored = "select count(*) from integrations_private.audit_log where event = %s"
    mine = stored + " and tenant_id = any (%s)"
    assert world.superuser.value(mine, "credentials_stored", tenants) == 2 * MANY
