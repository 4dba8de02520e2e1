"""Data keys change while the service runs: no row is lost, none stops the others."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .client import Client
from .keys import (
    QUARANTINED,
    batch,
    keys_in_use,
    new_kek,
    new_key,
    poison,
    state_of,
    terminate,
)
from .test_concurrency import Pool, answer, behind, pool
from .world import World

__all__ = ["pool"]  # the fixture


def test_rotation_while_the_service_runs(world: World) -> None:
    """Readers and writers never fail but by their own race with a new key, and lose nothing."""
    tenant_id = world.new_tenant()
    instances = [world.new_instance(tenant_id, '{"n": 0}') for _ in range(12)]
    stop = threading.Event()
    written = dict.fromkeys(instances, 0)
    reads, retries = [0], [0]

    def write(mine: list[UUID]) -> None:
        client = world.client("svc_integration")
        while not stop.is_set():
            for instance_id in mine:
                number = written[instance_id] + 1
                try:
                    with client.unlocked(tenant_id, world.kek_id, world.kek):
                        client.put_credentials(instance_id, f'{{"n": {number}}}')
                except psycopg.Error as error:
                    assert error.sqlstate == "IN302", error  # a key was made after the unlock
                    retries[0] += 1
                else:
                    written[instance_id] = number

    def read() -> None:
        client = world.client("svc_integration")
        while not stop.is_set():
            for instance_id in instances:
                before = written[instance_id]
                try:
                    with client.unlocked(tenant_id, world.kek_id, world.kek):
                        assert client.get_credentials(instance_id)["n"] >= before
                except psycopg.Error as error:
                    assert error.sqlstate == "IN302", error  # moved to a key made after the unlock
                else:
                    reads[0] += 1

    with ThreadPoolExecutor(3) as threads:
        futures = [
            threads.submit(write, instances[:4]),
            threads.submit(write, instances[4:8]),
            threads.submit(read),
        ]
        try:
            for _ in range(4):
                former = keys_in_use(world, tenant_id)
                key_id = new_key(world, tenant_id)
                until = time.monotonic() + 60
                while keys_in_use(world, tenant_id) != {key_id}:
                    done, skipped, quarantined = batch(world, tenant_id, 3)
                    assert 0 <= done <= 3
                    assert skipped >= 0
                    assert quarantined == 0
                    assert time.monotonic() < until, "it does not end"
                for old in former:
                    world.admin.retire_key(old)
        finally:
            stop.set()
        for future in futures:
            future.result(timeout=60)
    assert reads[0] > 0
    assert sum(written.values()) > 0
    assert keys_in_use(world, tenant_id) == {key_id}
    for instance_id in instances:
        assert world.read(tenant_id, instance_id) == {"n": written[instance_id]}
        assert world.instance(instance_id).credentials_version == written[instance_id] + 1


@pytest.mark.parametrize("action", ["destroy", "retire"])
def test_a_key_is_not_ended_under_a_batch(world: World, pool: Pool, action: str) -> None:
    """Else rows would leave a key after its destruction was reported."""
    tenant_id, _ = world.new_stored('{"n": 1}')
    (former,) = keys_in_use(world, tenant_id)
    new_key(world, tenant_id)
    admin = world.admin
    with world.unlocked(tenant_id):
        assert world.svc.reencrypt_batch(100) == (1, 0, 0)
        end = {
            "destroy": lambda: admin.destroy_key(former, str(former)),
            "retire": lambda: admin.retire_key(former),
        }[action]
        ended = behind(world, pool, admin, end)
    assert answer(ended) is None
    assert state_of(world, former) == {"destroy": "destroyed", "retire": "retired"}[action]


def test_nothing_but_the_envelope_changes(world: World) -> None:
    tenant_id, instance_id = world.new_stored('{"n": 1.50,   "expires_in": 60}')
    before = world.instance(instance_id)
    key_id = new_key(world, tenant_id)
    assert batch(world, tenant_id) == (1, 0, 0)
    after = world.instance(instance_id)
    assert after.credentials_key_id == key_id
    changed = {field for field in before._fields if getattr(before, field) != getattr(after, field)}
    assert changed == {"credentials", "credentials_key_id"}
    assert world.read(tenant_id, instance_id) == {"n": 1.50, "expires_in": 60}
    assert batch(world, tenant_id) == (0, 0, 0)
    assert world.events(tenant_id).count("credentials_reencrypted") == 1


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.sampled_from(["good", "poisoned", "disabled", "error"]), max_size=7),
    max_rows=st.integers(1, 8),
)
def test_batches_end_with_every_row_moved_or_quarantined(
    world: World, rows: list[str], max_rows: int
) -> None:
    tenant_id = world.new_tenant()
    instances = [world.new_instance(tenant_id, f'{{"n": {n}}}') for n in range(len(rows))]
    for instance_id, kind in zip(instances, rows, strict=True):
        if kind == "poisoned":
            poison(world, instance_id)
        elif kind in ("disabled", "error"):
            with world.svc.within(tenant_id):
                world.svc.set_instance_status(instance_id, kind)
    key_id = new_key(world, tenant_id)
    counts: list[tuple[int, int, int]] = []
    while counts[-1:] != [(0, 0, 0)]:
        counts.append(batch(world, tenant_id, max_rows))
        assert sum(counts[-1]) <= max_rows
        assert len(counts) <= len(rows) + 1
    assert sum(done for done, _, _ in counts) == len(rows) - rows.count("poisoned")
    assert sum(quarantined for _, _, quarantined in counts) == rows.count("poisoned")
    for n, (instance_id, kind) in enumerate(zip(instances, rows, strict=True)):
        row = world.instance(instance_id)
        assert (row.credentials_key_id == key_id) == (kind != "poisoned")
        assert row.status == {"good": "active", "poisoned": "error"}.get(kind, kind)
        if kind in ("good", "error"):
            assert world.read(tenant_id, instance_id) == {"n": n}


def test_disabled_rows_are_moved_and_stay_disabled(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    with world.svc.within(tenant_id):
        world.svc.set_instance_status(instance_id, "disabled", "on leave")
    key_id = new_key(world, tenant_id)
    assert batch(world, tenant_id) == (1, 0, 0)
    row = world.instance(instance_id)
    assert (row.status, row.status_reason) == ("disabled", "on leave")
    assert row.credentials_key_id == key_id
    with world.svc.within(tenant_id):
        world.svc.set_instance_status(instance_id, "active")
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}


def test_what_others_hold_is_skipped_and_moved_the_next_time(world: World) -> None:
    tenant_id = world.new_tenant()
    held, free = (world.new_instance(tenant_id, "{}") for _ in range(2))
    key_id, other = new_key(world, tenant_id), world.client("svc_integration")
    with other.within(tenant_id):
        other.record_connection(held, True)
        assert batch(world, tenant_id) == (1, 1, 0)
        assert batch(world, tenant_id) == (0, 1, 0)
    assert world.instance(free).credentials_key_id == key_id
    assert world.instance(held).credentials_key_id != key_id
    assert batch(world, tenant_id) == (1, 0, 0)
    assert keys_in_use(world, tenant_id) == {key_id}


def test_a_batch_that_was_killed_is_taken_up_again(world: World) -> None:
    tenant_id = world.new_tenant()
    instances = [world.new_instance(tenant_id, f'{{"n": {n}}}') for n in range(6)]
    key_id, other = new_key(world, tenant_id), world.client("svc_integration")
    assert batch(world, tenant_id, 2) == (2, 0, 0)
    with pytest.raises(psycopg.OperationalError):
        with other.unlocked(tenant_id, world.kek_id, world.kek):
            assert other.reencrypt_batch(3) == (3, 0, 0)
            terminate(world, other)
            other.value("select 1")
    moved = [id for id in instances if world.instance(id).credentials_key_id == key_id]
    assert len(moved) == 2, "the killed batch left nothing"
    assert world.events(tenant_id).count("credentials_reencrypted") == 1
    assert batch(world, tenant_id) == (4, 0, 0)
    for n, instance_id in enumerate(instances):
        assert world.read(tenant_id, instance_id) == {"n": n}


def test_a_batch_that_is_killed_while_it_works(world: World) -> None:
    """At any moment: what it leaves is a set of whole rows, each readable."""
    tenant_id = world.new_tenant()
    instances = [world.new_instance(tenant_id, f'{{"n": {n}}}') for n in range(40)]
    key_id = new_key(world, tenant_id)

    def rotate(client: Client) -> None:
        while True:
            with client.unlocked(tenant_id, world.kek_id, world.kek):
                if client.reencrypt_batch(1) == (0, 0, 0):
                    return

    for pause in (0.002, 0.01, 0.02):
        victim = world.client("svc_integration")
        with ThreadPoolExecutor(1) as threads:
            future = threads.submit(rotate, victim)
            time.sleep(pause)
            terminate(world, victim)
            error = future.exception(timeout=60)
            assert error is None or isinstance(error, psycopg.OperationalError)
    rotate(world.svc)
    assert keys_in_use(world, tenant_id) == {key_id}
    for n, instance_id in enumerate(instances):
        assert world.read(tenant_id, instance_id) == {"n": n}


def test_two_rotators_at_once(world: World, pool: Pool) -> None:
    tenant_id = world.new_tenant()
    instances = [world.new_instance(tenant_id, f'{{"n": {n}}}') for n in range(30)]
    key_id, start = new_key(world, tenant_id), threading.Barrier(4)

    def rotate() -> int:
        client = world.client("svc_integration")
        start.wait()
        total = 0
        while True:
            with client.unlocked(tenant_id, world.kek_id, world.kek):
                done, skipped, quarantined = client.reencrypt_batch(4)
            assert quarantined == 0
            total += done
            if done == skipped == 0:
                return total

    totals = [future.result(timeout=60) for future in [pool.submit(rotate) for _ in range(4)]]
    assert sum(totals) == 30, "each row is moved once"
    assert keys_in_use(world, tenant_id) == {key_id}
    for n, instance_id in enumerate(instances):
        assert world.read(tenant_id, instance_id) == {"n": n}


def test_a_row_under_a_kek_that_is_not_open_stops_the_batch(world: World) -> None:
    """Locked is not damaged: nothing is quarantined, and nothing is half done."""
    tenant_id, instance_id = world.new_stored()
    other = world.new_instance(tenant_id, "{}")
    kek = new_kek()
    with world.svc.within(tenant_id):
        world.svc.create_tenant_key(*kek)
    with world.refused("IN302"), world.svc.unlocked(tenant_id, *kek):
        world.svc.reencrypt_batch()
    with world.refused("IN302"), world.unlocked(tenant_id):
        world.svc.reencrypt_batch()
    with world.unlocked(tenant_id):
        world.svc.unlock(*kek)
        assert world.svc.reencrypt_batch() == (2, 0, 0)
    with world.svc.unlocked(tenant_id, *kek):
        assert world.svc.get_credentials(instance_id) == {"api_key": "k"}
        assert world.svc.get_credentials(other) == {}


def test_poisoned_rows_are_quarantined_once(world: World) -> None:
    tenant_id = world.new_tenant()
    good, bad, worse = (world.new_instance(tenant_id, "{}") for _ in range(3))
    with world.svc.within(tenant_id):
        world.svc.set_instance_status(worse, "disabled")
    for instance_id in (bad, worse):
        poison(world, instance_id)
    former = world.instance(bad).credentials_key_id
    key_id = new_key(world, tenant_id)
    assert batch(world, tenant_id) == (1, 0, 2)
    for instance_id in (bad, worse):
        row = world.instance(instance_id)
        assert (row.status, row.status_reason) == ("error", QUARANTINED)
        assert row.credentials_key_id == former, "the evidence stays"
    assert world.events(tenant_id).count("credentials_quarantined") == 2
    before = world.events(tenant_id)
    assert batch(world, tenant_id) == (0, 0, 0)
    assert world.events(tenant_id) == before
    assert world.read(tenant_id, good) == {}
    with world.refused("IN304"):
        world.read(tenant_id, bad)
    with world.refused("IN308") as caught:
        world.admin.retire_key(former)
    assert caught.value.diag.message_detail == f"Key {former}, rows: 2."
    for instance_id in (bad, worse):
        with world.unlocked(tenant_id):
            world.svc.put_credentials(instance_id, '{"api_key": "new"}')
        row = world.instance(instance_id)
        assert (row.status, row.status_reason, row.credentials_key_id) == ("active", None, key_id)
    world.admin.retire_key(former)
    assert state_of(world, former) == "retired"


def test_nobody_writes_the_mark_of_quarantine_by_hand(world: World) -> None:
    """It would keep the row out of rotation, and the former key in use."""
    tenant_id, instance_id = world.new_stored()
    with world.refused("22023"), world.tenant.within(tenant_id):
        world.tenant.set_instance_status(instance_id, "error", QUARANTINED)
    with world.refused("22023"), world.svc.within(tenant_id):
        world.svc.record_connection(instance_id, False, QUARANTINED)


def test_failed_connections_do_not_bring_it_back_into_rotation(world: World) -> None:
    """As a service reports them all the time that cannot read the credentials."""
    tenant_id, instance_id = world.new_stored()
    poison(world, instance_id)
    new_key(world, tenant_id)
    assert batch(world, tenant_id) == (0, 0, 1)
    with world.svc.within(tenant_id):
        world.svc.record_connection(instance_id, False, "HTTP 401")
        world.svc.record_connection(instance_id, False)
    assert world.instance(instance_id).status_reason == QUARANTINED
    assert batch(world, tenant_id) == (0, 0, 0)


def test_a_good_connection_ends_the_quarantine_until_the_next_batch(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    poison(world, instance_id)
    new_key(world, tenant_id)
    assert batch(world, tenant_id) == (0, 0, 1)
    with world.svc.within(tenant_id):
        world.svc.record_connection(instance_id, True)
    assert world.instance(instance_id).status == "active"
    assert batch(world, tenant_id) == (0, 0, 1)
    assert world.instance(instance_id).status_reason == QUARANTINED
    assert batch(world, tenant_id) == (0, 0, 0)


@pytest.mark.parametrize("fate", ["destroy_key", "retired by hand"])
def test_rows_of_a_key_that_is_gone_are_quarantined(world: World, fate: str) -> None:
    tenant_id, instance_id = world.new_stored()
    former = world.instance(instance_id).credentials_key_id
    new_key(world, tenant_id)
    if fate == "destroy_key":
        world.admin.destroy_key(former, str(former))
    else:
        world.superuser.run(
            "update integrations_private.tenant_keys set state = 'retired' where id = %s", former
        )
    assert batch(world, tenant_id) == (0, 0, 1)
    assert batch(world, tenant_id) == (0, 0, 0)


@pytest.mark.parametrize("max_rows", [None, 0, -1])
def test_a_batch_of_no_rows(world: World, max_rows: int | None) -> None:
    tenant_id, _ = world.new_stored()
    with world.refused("22023"), world.unlocked(tenant_id):
        world.svc.reencrypt_batch(max_rows)


def test_a_batch_needs_a_tenant_and_its_active_key(world: World) -> None:
    with world.refused("IN001"), world.svc.conn.transaction():
        world.svc.reencrypt_batch()
    with world.refused("IN307"), world.svc.within(uuid4()):
        world.svc.reencrypt_batch()
    tenant_id, instance_id = world.new_stored()
    key_id = world.instance(instance_id).credentials_key_id
    world.admin.destroy_key(key_id, str(key_id))
    with world.refused("IN307"), world.svc.within(tenant_id):
        world.svc.reencrypt_batch()
