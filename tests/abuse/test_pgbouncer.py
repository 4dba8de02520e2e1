"""Many clients, one server connection: PgBouncer in transaction mode with a pool of one.

The attacker is another client of the pool, or only a careless one: every tenant's transactions run
on the same server connection, one after the other, as the same login. He wants what the former one
left behind: its tenant, its open keys, its prepared statements. Against him stands that both live
in settings that are local to a transaction, so that COMMIT, ROLLBACK, an error, a cancelled query
and a lost client all end them; PgBouncer itself resets nothing in this mode.

What a client sets for its session stays on the connection. docs/calling.md says so; the tests at
the end show it, and what helps.
"""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from api.client import Client
from api.world import World
from psycopg import pq

from . import pgbouncer
from .pgbouncer import Bouncer

Tenant = tuple[UUID, UUID]


@pytest.fixture
def bouncer(world: World) -> Iterator[Bouncer]:
    """In front of the shared database, for the login of the service."""
    with pgbouncer.running(world.logins["svc_integration"]) as bouncer:
        yield bouncer


@pytest.fixture
def enter(bouncer: Bouncer, world: World) -> Callable[[], Client]:
    """Gives clients of the pool."""
    return lambda: Client(world.stack.enter_context(bouncer.connect()))


def nothing_is_left(world: World, client: Client, former: Tenant) -> None:
    """The client finds no tenant and no key, and cannot read even as the tenant that was here."""
    tenant_id, instance_id = former
    assert client.current_tenant() is None
    assert client.value("select current_setting('integrations.keyring', true)") in (None, "")
    assert client.rows("select id from integrations.integration_instances") == []
    with world.refused("IN001"):
        client.get_credentials(instance_id)
    with world.refused("IN302"), client.within(tenant_id):
        client.get_credentials(instance_id)


def test_all_share_one_connection(enter: Callable[[], Client]) -> None:
    pids = {enter().value("select pg_backend_pid()") for _ in range(5)}
    assert len(pids) == 1


def test_a_commit_leaves_nothing(world: World, enter: Callable[[], Client]) -> None:
    former = world.new_stored()
    one, other = enter(), enter()
    with one.unlocked(former[0], world.kek_id, world.kek):
        assert one.get_credentials(former[1]) == {"api_key": "k"}
    nothing_is_left(world, other, former)
    nothing_is_left(world, one, former)


def test_a_rollback_leaves_nothing(world: World, enter: Callable[[], Client]) -> None:
    former = world.new_stored()
    one, other = enter(), enter()
    with one.conn.transaction(force_rollback=True):
        one.set_tenant(former[0])
        one.unlock(world.kek_id, world.kek)
    nothing_is_left(world, other, former)


def test_without_a_transaction_each_call_stands_alone(
    world: World, enter: Callable[[], Client]
) -> None:
    former = world.new_stored()
    one, other = enter(), enter()
    one.set_tenant(former[0])
    nothing_is_left(world, other, former)
    with world.refused("IN001"):
        one.unlock(world.kek_id, world.kek)
    nothing_is_left(world, other, former)


def test_an_error_leaves_nothing(world: World, enter: Callable[[], Client]) -> None:
    """The client does not even clean up: it goes away with its transaction broken."""
    former = world.new_stored()
    one, other = enter(), enter()
    one.run("begin")
    one.set_tenant(former[0])
    one.unlock(world.kek_id, world.kek)
    with pytest.raises(psycopg.errors.DivisionByZero):
        one.run("select 1 / 0")
    assert one.conn.info.transaction_status == pq.TransactionStatus.INERROR
    one.conn.close()
    nothing_is_left(world, other, former)


def test_a_cancelled_query_leaves_nothing(world: World, enter: Callable[[], Client]) -> None:
    former = world.new_stored()
    one, other = enter(), enter()
    one.run("begin")
    one.set_tenant(former[0])
    one.unlock(world.kek_id, world.kek)
    with ThreadPoolExecutor(1) as pool:
        asleep = pool.submit(one.run, "select pg_sleep(600)")
        sleeping = (
            "select count(*) from pg_stat_activity"
            " where wait_event = 'PgSleep' and datname = current_database()"
        )
        while not world.superuser.value(sleeping):
            assert not asleep.done()
        one.conn.cancel_safe()
        error = asleep.exception()
    assert isinstance(error, psycopg.errors.QueryCanceled)
    one.run("rollback")
    nothing_is_left(world, other, former)


def test_a_timeout_leaves_nothing(world: World, enter: Callable[[], Client]) -> None:
    former = world.new_stored()
    one, other = enter(), enter()
    with (
        pytest.raises(psycopg.errors.QueryCanceled),
        one.unlocked(former[0], world.kek_id, world.kek),
    ):
        one.run("set local statement_timeout = 1")
        one.run("select pg_sleep(600)")
    nothing_is_left(world, other, former)


def test_a_client_that_is_lost_leaves_nothing(world: World, enter: Callable[[], Client]) -> None:
    """In the middle of its transaction; PgBouncer closes the server connection."""
    former = world.new_stored()
    one, other = enter(), enter()
    one.run("begin")
    one.set_tenant(former[0])
    one.unlock(world.kek_id, world.kek)
    one.conn.close()
    nothing_is_left(world, other, former)


def test_many_clients_at_once(world: World, bouncer: Bouncer) -> None:
    """Each works for a tenant of its own and never meets another's, whatever goes wrong."""
    tenants = [world.new_stored(f'{{"of": "{number}"}}') for number in range(10)]
    start = threading.Barrier(len(tenants))
    seed = random.SystemRandom().getrandbits(32)

    def work(number: int) -> int:
        chance = random.Random(seed + number)  # noqa: S311  # no secret
        tenant_id, instance_id = tenants[number]
        foreign = tenants[(number + 1) % len(tenants)][1]
        done = 0
        with bouncer.connect() as conn:
            client = Client(conn)
            start.wait()
            for _ in range(25):
                try:
                    with client.unlocked(tenant_id, world.kek_id, world.kek):
                        assert client.current_tenant() == tenant_id
                        seen = client.rows("select id from integrations.integration_instances")
                        assert seen == [(instance_id,)]
                        assert client.get_credentials(instance_id) == {"of": str(number)}
                        match chance.randrange(6):
                            case 0:
                                client.get_credentials(foreign)
                            case 1:
                                client.run("select 1 / 0")
                            case 2:
                                client.put_credentials(instance_id, f'{{"of": "{number}"}}')
                            case 3:
                                with conn.transaction(force_rollback=True):
                                    client.put_credentials(instance_id, '{"of": "nobody"}')
                            case 4:
                                client.create_tenant_key(world.kek_id, world.kek)
                    done += 1
                except psycopg.Error as error:
                    assert error.sqlstate in ("IN201", "22012"), error
                assert client.current_tenant() is None
        return done

    with ThreadPoolExecutor(len(tenants)) as pool:
        assert sum(pool.map(work, range(len(tenants)))) > 100, f"seed {seed}"
    for number, (tenant_id, instance_id) in enumerate(tenants):
        assert world.read(tenant_id, instance_id) == {"of": str(number)}


def test_statements_prepared_in_sql_show_who_executes_them(
    world: World, enter: Callable[[], Client]
) -> None:
    """PREPARE stays on the connection for whoever comes: with the rows of his tenant only."""
    tenants = [world.new_stored(f'{{"of": "{number}"}}') for number in range(2)]
    one, other = enter(), enter()
    with one.unlocked(tenants[0][0], world.kek_id, world.kek):
        one.run("prepare mine as select id from integrations.integration_instances")
        one.run("prepare secret (uuid) as select integrations.get_credentials($1)")
        for _ in range(8):  # past the custom plans
            assert one.rows("execute mine") == [(tenants[0][1],)]
            assert one.value(f"execute secret ('{tenants[0][1]}')") == {"of": "0"}
    assert other.rows("execute mine") == []
    with other.within(tenants[1][0]):
        assert other.rows("execute mine") == [(tenants[1][1],)]
    for former, answer in ((tenants[0], "IN201"), (tenants[1], "IN302")):
        with world.refused(answer), other.within(tenants[1][0]):
            other.value(f"execute secret ('{former[1]}')")


def test_prepared_statements_of_the_protocol_never_answer_for_another(
    world: World, bouncer: Bouncer
) -> None:
    """A driver that prepares gets the rows of its tenant, or (PgBouncer before 1.21) an error."""
    tenants = [world.new_stored() for _ in range(3)]
    answers, errors = [], set()
    for _ in range(3):
        for tenant_id, instance_id in tenants:
            with bouncer.connect(prepare_threshold=0) as conn:
                client = Client(conn)
                for _ in range(3):
                    try:
                        with client.unlocked(tenant_id, world.kek_id, world.kek):
                            seen = client.rows("select id from integrations.integration_instances")
                            assert client.get_credentials(instance_id) == {"api_key": "k"}
                    except psycopg.Error as error:
                        errors.add(error.sqlstate)
                    else:
                        answers.append((seen, [(instance_id,)]))
    assert errors <= {"42P05", "26000", "08P01"}, errors
    assert answers
    assert all(seen == expected for seen, expected in answers)
    with bouncer.connect() as conn:
        nothing_is_left(world, Client(conn), tenants[0])


def test_the_log_of_the_pooler_holds_no_secret(world: World, bouncer: Bouncer) -> None:
    """At its most verbose."""
    secret = f"SENTINEL{secrets.token_hex(16)}"
    tenant_id, instance_id = world.new_stored()
    with bouncer.connect() as conn:
        client = Client(conn)
        with client.unlocked(tenant_id, world.kek_id, world.kek):
            client.put_credentials(instance_id, f'{{"k": "{secret}"}}')
            client.get_credentials(instance_id)
        with world.refused("IN305"), client.unlocked(tenant_id, world.kek_id, world.kek):
            client.put_credentials(instance_id, f"{{{secret}")
    text = bouncer.log_file.read_text(errors="replace")
    assert "login attempt" in text, "the log was not read"
    assert secret not in text
    assert world.kek.hex() not in text


# What a client does to its session, and others meet: instead of set_tenant.
HABITS = {
    "SET": "set integrations.tenant_id = '{}'",
    "set_config": "select set_config('integrations.tenant_id', '{}', false)",
}


def settings_of(client: Client) -> list[Any]:
    [row] = client.rows(
        "select current_setting('integrations.tenant_id', true),"
        " current_setting('integrations.keyring', true)"
    )
    return [value or "" for value in row]


@pytest.mark.parametrize("habit", HABITS)
def test_a_tenant_of_the_session_is_everybodys(
    world: World, enter: Callable[[], Client], habit: str
) -> None:
    """The known hazard; set_tenant at the beginning of each transaction is proof against it."""
    former, mine = world.new_stored(), world.new_stored()
    careless, other = enter(), enter()
    careless.run(HABITS[habit].format(former[0]))
    assert other.current_tenant() == former[0]
    with other.within(mine[0]):
        assert other.rows("select id from integrations.integration_instances") == [(mine[1],)]
    with world.refused("IN302"):
        other.get_credentials(former[1])


def test_keys_of_the_session_are_everybodys(world: World, enter: Callable[[], Client]) -> None:
    """Whoever runs SQL as the service can keep the keys that are open in its transaction.

    They stay those of one tenant: with another one they open nothing.
    """
    former, mine = world.new_stored(), world.new_stored()
    evil, other = enter(), enter()
    with evil.unlocked(former[0], world.kek_id, world.kek):
        ring = evil.value("select current_setting('integrations.keyring')")
    evil.run("select set_config('integrations.keyring', %s, false)", ring)
    with other.within(former[0]):
        assert other.get_credentials(former[1]) == {"api_key": "k"}
    with world.refused("IN302"), other.within(mine[0]):
        other.get_credentials(mine[1])
    with other.unlocked(mine[0], world.kek_id, world.kek):
        assert other.get_credentials(mine[1]) == {"api_key": "k"}


def test_a_pooler_that_always_resets_ends_such_habits(world: World) -> None:
    former = world.new_stored()
    login = world.logins["svc_integration"]
    with (
        pgbouncer.running(login, server_reset_query_always="1") as bouncer,
        bouncer.connect() as one,
        bouncer.connect() as two,
    ):
        evil, other = Client(one), Client(two)
        with evil.unlocked(former[0], world.kek_id, world.kek):
            ring = evil.value("select current_setting('integrations.keyring')")
        for name, value in (("tenant_id", str(former[0])), ("keyring", ring)):
            evil.run(f"select set_config('integrations.{name}', %s, false)", value)
        evil.run("create temp table left_behind ()")
        evil.run(
            "declare credentials cursor with hold for"
            " select id from integrations.integration_instances"
        )
        assert settings_of(other) == ["", ""]
        assert other.value("select to_regclass('left_behind')") is None
        assert other.rows("select name from pg_cursors") == []
        nothing_is_left(world, other, former)
