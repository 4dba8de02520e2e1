"""Those who may look at a server as a whole: monitoring, backup operators, users of analytics.

The attacker is a member of a predefined role that reads or writes beyond its own: pg_monitor,
pg_read_all_data, pg_write_all_data. He wants secrets, keys, or at least the ciphertext to work on,
or to put something of his in their place. Row-level security, forced and without a policy for him,
hides every tenant's rows; two tables have no tenant and so none of it, and hold nothing secret.
"""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest
from api.world import STRANGER, World

from .sieve import Sieve, keys_of

Login = Callable[[str, str], str]

TENANT_TABLES = """
select c.oid::regclass::text from pg_class as c
 where c.relnamespace::regnamespace::text in ('integrations', 'integrations_private')
   and c.relkind in ('r', 'p') and c.relrowsecurity
 order by 1
"""


def test_a_reader_of_all_data_reads_no_tenant(world: World, login: Login) -> None:
    tenant_id, instance_id = world.new_stored()
    sieve = Sieve(keys_of(world, tenant_id, instance_id) | {"KEK": world.kek})
    reader = world.log_in(login("pg_read_all_data", world.dsn))
    tables = [table for (table,) in world.superuser.rows(TENANT_TABLES)]
    assert "integrations.integration_instances" in tables
    assert "integrations_private.tenant_keys" in tables
    for table in tables:
        assert reader.rows(f"select * from {table}") == [], table
    with reader.conn.transaction():  # as if he were of the tenant
        reader.run("select set_config('integrations.tenant_id', %s, true)", str(tenant_id))
        for table in tables:
            assert reader.rows(f"select * from {table}") == [], table

    [(check,)] = reader.rows(
        "select check_value from integrations_private.key_encryption_keys where kek_id = %s",
        world.kek_id,
    )
    assert check == hmac.digest(world.kek, f"kek|v1|{world.kek_id}".encode(), hashlib.sha256), (
        "he sees this, and it is no key"
    )
    sieve.heard.append(str(reader.rows("select * from integrations.integration_definitions")))
    sieve.heard.append(str(check))
    assert sieve.in_heard() == set()


@pytest.mark.parametrize("role", ["pg_monitor", "pg_read_all_data", "integrations_tenant",
                                  "integrations_auditor", "svc_integration", STRANGER])  # fmt: skip
def test_statistics_tell_nobody_of_values(world: World, login: Login, role: str) -> None:
    """Configuration and names of all tenants are in pg_statistic after ANALYZE."""
    tenant_id = world.new_tenant()
    for number in range(3):
        with world.svc.within(tenant_id):
            world.svc.create_instance(world.definition, f"n{number}", {"region": "SENTINEL"})
    world.superuser.run("analyze integrations.integration_instances")
    kept = "select most_common_vals::text, histogram_bounds::text from pg_stats"
    assert "SENTINEL" in str(world.superuser.rows(kept))
    if role.startswith("pg_"):
        client = world.log_in(login(role, world.dsn))
    else:
        client = world.client(role)
    assert "SENTINEL" not in str(client.rows(kept))
    raw = "select stavalues1::text, stavalues2::text from pg_statistic"
    if role == "pg_read_all_data":  # the table behind the view: names and configuration, no more
        assert "SENTINEL" in str(client.rows(raw))
        return
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        client.rows(raw)


def test_a_monitor_sees_calls_without_arguments(world: World, login: Login) -> None:
    tenant_id, instance_id = world.new_stored()
    secret = f"SENTINEL{secrets.token_hex(16)}"
    sieve = Sieve(
        keys_of(world, tenant_id, instance_id) | {"KEK": world.kek, "secret": secret.encode()}
    )
    monitor = world.log_in(login("pg_monitor", world.dsn))
    seen = "select query from pg_stat_activity where pid = %s"
    pid = world.svc.conn.info.backend_pid
    with world.unlocked(tenant_id):
        sieve.heard.append(monitor.value(seen, pid))
        world.svc.put_credentials(instance_id, f'{{"k": "{secret}"}}')
        sieve.heard.append(monitor.value(seen, pid))
        world.svc.get_credentials(instance_id)
        sieve.heard.append(monitor.value(seen, pid))
    assert ["unlock" in sieve.heard[0], "put_credentials" in sieve.heard[1],
            "get_credentials" in sieve.heard[2]] == [True] * 3  # fmt: skip
    assert sieve.in_heard() == set()


def test_a_writer_of_all_data_changes_no_tenant(world: World, login: Login) -> None:
    tenant_id, instance_id = world.new_stored()
    writer = world.log_in(login("pg_write_all_data", world.dsn))
    for (table,) in world.superuser.rows(TENANT_TABLES):
        for change in (f"update {table} set tenant_id = tenant_id", f"delete from {table}"):
            try:
                assert writer.run(change) == 0, change
            except psycopg.Error as error:
                assert error.sqlstate == "42501", error
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.run(f"truncate {table}")
    with world.refused("42501"):
        writer.run(
            "insert into integrations_private.audit_log (tenant_id, event, actor, session_actor)"
            " values (%s, 'forged', 'x', 'x')",
            tenant_id,
        )
    with world.refused("42501"):
        writer.run(
            "insert into integrations_private.tenant_keys"
            " (tenant_id, version, kek_id, wrapped, check_value) values (%s, 9, %s, '', %s)",
            tenant_id,
            world.kek_id,
            bytes(16),
        )
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}


def test_a_kek_under_a_stolen_name_is_refused(world: World, login: Login) -> None:
    """He can write the check values of KEKs: then nothing opens, and nothing is made under his."""
    kek_id, kek, evil = f"kek {uuid4()}", secrets.token_bytes(32), secrets.token_bytes(32)
    tenant_id = uuid4()
    with world.svc.within(tenant_id):
        world.svc.create_tenant_key(kek_id, kek)
    writer = world.log_in(login("pg_write_all_data", world.dsn))
    world.superuser.run(f'grant pg_read_all_data to "{writer.value("select current_user")}"')
    forged = hmac.digest(evil, f"kek|v1|{kek_id}".encode(), hashlib.sha256)
    change = (
        "update integrations_private.key_encryption_keys set check_value = %s where kek_id = %s"
    )
    assert writer.run(change, forged, kek_id) == 1
    for call in (world.svc.unlock, world.svc.create_tenant_key):
        with world.refused("IN303"), world.svc.within(tenant_id):
            call(kek_id, kek)
    with world.refused("IN304"), world.svc.within(tenant_id):
        world.svc.unlock(kek_id, evil)


def test_what_does_not_hold_createrole_before_16(world: World, login: Login) -> None:
    """Before 16 CREATEROLE makes itself a member of any role: give it to nobody there."""
    conninfo = login("pg_monitor", world.dsn)
    client = world.log_in(conninfo)
    user = client.value("select current_user")
    world.superuser.run(f'alter role "{user}" createrole')
    for role in ("svc_integration", "integrations_owner"):
        grant = f'grant {role} to "{user}"'
        if world.superuser.conn.info.server_version < 160000:
            client.run(grant)
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                client.run(grant)
