"""Refreshes that fail: seen in the status, tried again ever more seldom, and at last given up."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from .keys import QUARANTINED, batch, new_key, poison
from .refreshes import (
    DUE,
    NOW,
    SHORT,
    claim,
    complete,
    due_of,
    fail,
    lease_of,
    shift,
    store,
)
from .world import World


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
