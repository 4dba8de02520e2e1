"""Keys change while the service runs: nothing is lost, nothing stops, and no row is left behind."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .client import Client
from .test_concurrency import Pool, answer, behind, pool
from .world import World

__all__ = ["pool"]  # the fixture

QUARANTINED = "quarantined: the credentials cannot be decrypted"
UNKNOWN = "tenant key is destroyed, retired or unknown"


def new_key(world: World, tenant_id: UUID) -> UUID:
    """Makes the next data key of a tenant."""
    with world.svc.within(tenant_id):
        return world.svc.create_tenant_key(world.kek_id, world.kek)


def batch(world: World, tenant_id: UUID, max_rows: int = 100) -> tuple[int, int, int]:
    """Runs one batch, with all keys open."""
    with world.unlocked(tenant_id):
        world.svc.run("set local lock_timeout = '5s'")  # to wait for a row is a failure
        return world.svc.reencrypt_batch(max_rows)


def new_kek() -> tuple[str, bytes]:
    return f"kek {uuid4()}", secrets.token_bytes(32)


def keys_in_use(world: World, tenant_id: UUID) -> set[UUID]:
    """Gives the keys that the rows of a tenant are under."""
    rows = world.superuser.rows(
        "select distinct credentials_key_id from integrations.integration_instances"
        " where tenant_id = %s and credentials is not null",
        tenant_id,
    )
    return {key_id for (key_id,) in rows}


def state_of(world: World, key_id: UUID) -> str:
    return str(
        world.superuser.value(
            "select state::text from integrations_private.tenant_keys where id = %s", key_id
        )
    )


def poison(world: World, instance_id: UUID) -> None:
    """Changes the stored bytes, as a superuser."""
    world.superuser.run(
        """update integrations.integration_instances
              set credentials = credentials || '{"mac": ""}' where id = %s""",
        instance_id,
    )


def terminate(world: World, client: Client) -> None:
    """Ends a session as a crash would, and waits for its end."""
    pid = client.conn.info.backend_pid
    assert world.superuser.value("select pg_terminate_backend(%s)", pid)
    until = time.monotonic() + 60
    while world.superuser.rows("select from pg_stat_activity where pid = %s", pid):
        assert time.monotonic() < until
        time.sleep(0.005)


# Batches.


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


# Writers and the end of a key.


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


# Retirement and shredding.


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


# KEKs.


def of_kek(world: World, kek: tuple[str, bytes], tenants: int = 3) -> dict[UUID, UUID]:
    """Gives new tenants under a KEK, each with an instance."""
    made = {}
    for _ in range(tenants):
        tenant_id = uuid4()
        with world.svc.within(tenant_id):
            world.svc.create_tenant_key(*kek)
            world.svc.unlock(*kek)
            made[tenant_id] = world.svc.create_instance(world.definition, "crm")
            world.svc.put_credentials(made[tenant_id], '{"api_key": "k"}')
    return made


def opened_by(world: World, kek: tuple[str, bytes], instances: dict[UUID, UUID]) -> int:
    """Counts the instances that can be read with a KEK."""
    count = 0
    for tenant_id, instance_id in instances.items():
        try:
            with world.svc.unlocked(tenant_id, *kek):
                assert world.svc.get_credentials(instance_id) == {"api_key": "k"}
            count += 1
        except psycopg.Error as error:
            assert error.sqlstate == "IN307"
    return count


def test_a_new_kek_for_all_tenants(world: World) -> None:
    old, new = new_kek(), new_kek()
    instances = of_kek(world, old, 5)
    envelopes = [world.instance(id).credentials for id in instances.values()]
    for moved, expected in ((2, 2), (4, 2), (5, 1), (5, 0)):
        assert world.admin.rewrap_keys(*old, *new, 2) == expected
        assert opened_by(world, new, instances) == moved
        assert opened_by(world, old, instances) == 5 - moved, "both are usable meanwhile"
    assert [world.instance(id).credentials for id in instances.values()] == envelopes
    for tenant_id, instance_id in instances.items():
        assert world.events(tenant_id).count("tenant_key_rewrapped") == 1
        with world.svc.unlocked(tenant_id, *new):
            world.svc.put_credentials(instance_id, '{"api_key": "k"}')
    assert world.admin.rewrap_keys(*new, *old) == 5, "and back"
    assert opened_by(world, old, instances) == 5


def test_the_rest_stays_under_its_kek(world: World) -> None:
    old, new = new_kek(), new_kek()
    of_kek(world, old, 1)
    tenant_id, instance_id = world.new_stored()
    assert world.admin.rewrap_keys(*old, *new) == 1
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}


def test_destroyed_keys_are_not_wrapped_anew(world: World) -> None:
    old, new = new_kek(), new_kek()
    [instance_id] = of_kek(world, old, 1).values()
    key_id = world.instance(instance_id).credentials_key_id
    world.admin.destroy_key(key_id, str(key_id))
    assert world.admin.rewrap_keys(*old, *new) == 0


def test_rewrapping_that_was_killed_is_taken_up_again(world: World) -> None:
    old, new = new_kek(), new_kek()
    instances = of_kek(world, old, 4)
    admin = world.client("integrations_admin")
    assert admin.rewrap_keys(*old, *new, 1) == 1
    with pytest.raises(psycopg.OperationalError):
        with admin.conn.transaction():
            assert admin.rewrap_keys(*old, *new, 2) == 2
            terminate(world, admin)
            admin.value("select 1")
    assert (opened_by(world, old, instances), opened_by(world, new, instances)) == (3, 1)
    assert world.admin.rewrap_keys(*old, *new) == 3
    assert opened_by(world, new, instances) == 4


def test_two_who_rewrap_at_once(world: World, pool: Pool) -> None:
    old, new = new_kek(), new_kek()
    instances = of_kek(world, old, 6)
    other = world.client("integrations_admin")
    with world.admin.conn.transaction():
        assert world.admin.rewrap_keys(*old, *new, 3) == 3
        second = behind(world, pool, other, lambda: other.rewrap_keys(*old, *new, 3))
    assert answer(second) is None
    assert second.result() == 3, "the other three"
    assert opened_by(world, new, instances) == 6


def test_an_altered_key_is_not_wrapped_anew(world: World) -> None:
    old, new = new_kek(), new_kek()
    [tenant_id] = of_kek(world, old, 1)
    world.superuser.run(
        "update integrations_private.tenant_keys set wrapped = set_byte(wrapped, 40,"
        " get_byte(wrapped, 40) # 1) where tenant_id = %s",
        tenant_id,
    )
    with world.refused("IN304"):
        world.admin.rewrap_keys(*old, *new)


BAD_KEKS: dict[str, tuple[Callable[[str, bytes, str, bytes], tuple[object, ...]], str]] = {
    "wrong old KEK": (lambda a, x, b, y: (a, x[::-1], b, y), "IN303"),
    "wrong new KEK": (lambda a, x, b, y: (a, x, b, y[::-1]), "IN303"),
    "old KEK of a KMS": (lambda a, x, b, y: ("kms-of-tests", x, b, y), "IN303"),
    "new KEK of a KMS": (lambda a, x, b, y: (a, x, "kms-of-tests", y), "IN303"),
    "unknown old KEK": (lambda a, x, b, y: (f"kek {uuid4()}", x, b, y), "IN307"),
    "one id": (lambda a, x, b, y: (a, x, a, x), "22023"),
    "one id, two KEKs": (lambda a, x, b, y: (a, x, a, y), "22023"),
    "null old id": (lambda a, x, b, y: (None, x, b, y), "22023"),
    "null new id": (lambda a, x, b, y: (a, x, None, y), "22023"),
    "blank new id": (lambda a, x, b, y: (a, x, " \n", y), "22023"),
    "null old KEK": (lambda a, x, b, y: (a, None, b, y), "22023"),
    "null new KEK": (lambda a, x, b, y: (a, x, b, None), "22023"),
    "short old KEK": (lambda a, x, b, y: (a, x[1:], b, y), "22023"),
    "long new KEK": (lambda a, x, b, y: (a, x, b, y + b"\0"), "22023"),
    "null limit": (lambda a, x, b, y: (a, x, b, y, None), "22023"),
    "zero": (lambda a, x, b, y: (a, x, b, y, 0), "22023"),
    "negative": (lambda a, x, b, y: (a, x, b, y, -1), "22023"),
}


@pytest.mark.parametrize("bad", BAD_KEKS)
def test_rewrap_refuses(world: World, bad: str) -> None:
    old, new = new_kek(), new_kek()
    for kek in (old, new):
        of_kek(world, kek, 1)
    tenant_id = uuid4()
    with world.svc.within(tenant_id):
        world.svc.add_tenant_key("kms-of-tests", secrets.token_bytes(32), b"wrapped")
    arguments, sqlstate = BAD_KEKS[bad]
    names = ("old_kek_id", "old_kek", "new_kek_id", "new_kek", "max_keys")
    values = arguments(*old, *new)
    with world.refused(sqlstate):
        world.admin.call("rewrap_keys", **dict(zip(names, values, strict=False)))


# Keys that a key management service (KMS) wraps.


class Kms:
    """Wraps keys outside of the database: here by a one-time pad that it keeps."""

    def __init__(self) -> None:
        self.name = f"kms {uuid4()}"
        self.pads: dict[bytes, bytes] = {}

    def new_data_key(self) -> tuple[bytes, bytes]:
        data_key, pad = secrets.token_bytes(32), secrets.token_bytes(32)
        wrapped = bytes(a ^ b for a, b in zip(data_key, pad, strict=True))
        self.pads[wrapped] = pad
        return data_key, wrapped

    def unwrap(self, wrapped: bytes) -> bytes:
        return bytes(a ^ b for a, b in zip(wrapped, self.pads[wrapped], strict=True))

    def open(self, client: Client) -> int:
        """Opens all keys of the transaction's tenant that are its own."""
        keys = [key for key in client.wrapped_keys() if key[1] == self.name]
        for key_id, _, state, wrapped in keys:
            if state in ("active", "decrypt_only"):
                client.unlock_key(key_id, self.unwrap(wrapped))
        return len(keys)

    def add_key(self, client: Client) -> UUID:
        return client.add_tenant_key(self.name, *self.new_data_key())


def test_a_service_with_a_kms(world: World) -> None:
    kms, tenant_id, svc = Kms(), uuid4(), world.svc
    with svc.within(tenant_id):
        first = kms.add_key(svc)
        assert kms.open(svc) == 1
        instance_id = svc.create_instance(world.definition, "crm")
        svc.put_credentials(instance_id, '{"api_key": "k"}')
    with world.refused("IN302"), svc.within(tenant_id):
        svc.get_credentials(instance_id)
    with svc.within(tenant_id):
        kms.open(svc)
        assert svc.get_credentials(instance_id) == {"api_key": "k"}
    # Between keys of the KMS.
    with svc.within(tenant_id):
        second = kms.add_key(svc)
        assert [key[0] for key in svc.wrapped_keys()] == [second, first]
        assert [key[2] for key in svc.wrapped_keys()] == ["active", "decrypt_only"]
        assert kms.open(svc) == 2
        assert svc.reencrypt_batch() == (1, 0, 0)
    world.admin.retire_key(first)
    # To a KEK, and back.
    with svc.within(tenant_id):
        third = svc.create_tenant_key(world.kek_id, world.kek)
        kms.open(svc)
        svc.unlock(world.kek_id, world.kek)
        assert svc.reencrypt_batch() == (1, 0, 0)
    assert keys_in_use(world, tenant_id) == {third}
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}
    with svc.within(tenant_id):
        kms.add_key(svc)
        kms.open(svc)
        svc.unlock(world.kek_id, world.kek)
        assert svc.reencrypt_batch() == (1, 0, 0)
    with svc.within(tenant_id):
        kms.open(svc)
        assert svc.get_credentials(instance_id) == {"api_key": "k"}
    world.admin.destroy_key(first, str(first))
    with svc.within(tenant_id):
        assert first not in [key[0] for key in svc.wrapped_keys()]


def test_the_name_of_a_kms_key_is_no_kek(world: World) -> None:
    kms, tenant_id = Kms(), uuid4()
    with world.svc.within(tenant_id):
        kms.add_key(world.svc)
    for attempt in (world.svc.unlock, world.svc.create_tenant_key):
        with world.refused("IN303"), world.svc.within(tenant_id):
            attempt(kms.name, secrets.token_bytes(32))
    with world.refused("IN303"), world.svc.within(tenant_id):
        world.svc.add_tenant_key(world.kek_id, *kms.new_data_key())


@pytest.mark.parametrize("kms_first", [True, False])
def test_a_name_that_is_given_to_a_kek_and_to_a_kms_key_at_once(
    world: World, pool: Pool, kms_first: bool
) -> None:
    name, other = f"kek {uuid4()}", world.client("svc_integration")

    def bring(client: Client) -> None:
        with client.within(uuid4()):
            client.add_tenant_key(name, secrets.token_bytes(32), b"wrapped")

    def make(client: Client) -> None:
        with client.within(uuid4()):
            client.create_tenant_key(name, secrets.token_bytes(32))

    first, second = (bring, make) if kms_first else (make, bring)
    with world.svc.conn.transaction():
        first(world.svc)
        late = behind(world, pool, other, lambda: second(other))
    assert answer(late) == "IN303"


BAD_KEYS: dict[str, tuple[str | None, bytes | None, bytes | None]] = {
    "null name": (None, bytes(32), b"w"),
    "blank name": (" \t", bytes(32), b"w"),
    "long name": ("k" * 201, bytes(32), b"w"),
    "null key": ("kms", None, b"w"),
    "no key": ("kms", b"", b"w"),
    "short key": ("kms", bytes(31), b"w"),
    "long key": ("kms", bytes(33), b"w"),
    "nothing wrapped": ("kms", bytes(32), None),
    "no bytes wrapped": ("kms", bytes(32), b""),
    "too many bytes": ("kms", bytes(32), bytes(16385)),
    "not wrapped": ("kms", bytes(32), bytes(32)),
}


@pytest.mark.parametrize("bad", BAD_KEYS)
def test_add_tenant_key_refuses(world: World, bad: str) -> None:
    with world.refused("22023"), world.svc.within(uuid4()):
        world.svc.add_tenant_key(*BAD_KEYS[bad])


def test_unlock_key_refuses(world: World) -> None:
    kms, tenant_id, other = Kms(), uuid4(), uuid4()
    data_key, wrapped = kms.new_data_key()
    with world.svc.within(tenant_id):
        key_id = world.svc.add_tenant_key(kms.name, data_key, wrapped)
    for id, key, sqlstate in (
        (None, data_key, "22023"),
        (key_id, None, "22023"),
        (key_id, data_key[1:], "22023"),
        (key_id, data_key + b"\0", "22023"),
        (key_id, data_key[::-1], "IN303"),
        (key_id, wrapped, "IN303"),
        (uuid4(), data_key, "IN307"),
    ):
        with world.refused(sqlstate), world.svc.within(tenant_id):
            world.svc.unlock_key(id, key)
    with world.refused("IN307"), world.svc.within(other):
        world.svc.unlock_key(key_id, data_key)
    for call in (
        lambda: world.svc.unlock_key(key_id, data_key),
        lambda: world.svc.add_tenant_key(kms.name, data_key, wrapped),
        world.svc.wrapped_keys,
    ):
        with world.refused("IN001"), world.svc.conn.transaction():
            call()
    world.admin.retire_key(key_id)
    with world.refused("IN307"), world.svc.within(tenant_id):
        world.svc.unlock_key(key_id, data_key)


def test_a_kms_key_is_open_for_its_tenant_only(world: World) -> None:
    kms, one = Kms(), uuid4()
    two, of_two = world.new_stored()
    with world.svc.within(one):
        kms.add_key(world.svc)
    with world.refused("IN302"), world.svc.within(one):
        kms.open(world.svc)
        world.svc.set_tenant(two)
        world.svc.get_credentials(of_two)


# Roles.


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
