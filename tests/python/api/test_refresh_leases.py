"""The lease of a refresh: one worker at a time, and only with a lease that is alive."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from .keys import QUARANTINED, new_key
from .refreshes import (
    DUE,
    FRESH,
    SHORT,
    claim,
    complete,
    due_of,
    fail,
    lease_of,
    shift,
    store,
)
from .world import ROLES, World


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


def test_a_first_token_is_fetched_under_a_lease(world: World) -> None:
    """A pending instance has no failure, and becomes active as ever."""
    tenant_id = world.new_tenant()
    instance_id = world.new_instance(tenant_id)
    fail(world, tenant_id, claim(world, tenant_id, instance_id))
    assert world.instance(instance_id).status == "pending"
    assert complete(world, tenant_id, claim(world, tenant_id, instance_id), 0) == 1
    assert world.instance(instance_id).status == "active"


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
        {"ttl": "12000 months -360000 days 30 minutes"},  # compares as half an hour: fourteen years
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


def test_a_ttl_lasts_as_long_as_it_was_checked_for(world: World) -> None:
    """Whatever months and days it is made of: a month that is added may have 31 days."""
    tenant_id, instance_id = world.new_stored(DUE)
    claim(world, tenant_id, instance_id, ttl="7 months -210 days 30 minutes")
    row = lease_of(world, instance_id)
    assert row.leased_until - row.claimed_at == timedelta(minutes=30)


@pytest.mark.parametrize(
    "arguments",
    [
        {"lease": None},
        {"reason": None},
        {"reason": QUARANTINED},
        {"retry_after": None},
        {"retry_after": timedelta(seconds=-1)},
        {"retry_after": timedelta(days=30, seconds=1)},
        {"retry_after": "1200 months -36000 days"},  # compares as nothing: a year and a half
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
