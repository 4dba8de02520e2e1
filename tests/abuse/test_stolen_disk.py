"""What a thief of a dump or of the data files gets: no secret, no KEK, no data key."""

from __future__ import annotations

import secrets

import pytest
from api.world import World

from .sieve import Sieve, keys_of

TABLES = """
select oid::regclass::text, coalesce(reltoastrelid, 0)::regclass::text from pg_class
 where relnamespace::regnamespace::text like 'integrations%' and relkind = 'r'
"""


@pytest.fixture
def hidden(world: World) -> Sieve:
    """Secrets that are stored in every way there is, and looked for."""
    secret = f"SENTINEL{secrets.token_hex(16)}"
    tenant_id, instance_id = world.new_stored(f'{{"api_key": "{secret}", "n": "{"x" * 9000}"}}')
    with world.unlocked(tenant_id):
        world.svc.put_credentials(instance_id, f'{{"api_key": "{secret}"}}')
    needles = keys_of(world, tenant_id, instance_id)
    with world.svc.within(tenant_id):
        world.svc.revoke_credentials(instance_id)
    return Sieve(needles | {"secret": secret.encode(), "KEK": world.kek})


def test_a_logical_copy_holds_no_secret(world: World, hidden: Sieve) -> None:
    """COPY writes what pg_dump does; functions, settings and comments are dumped too."""
    for table, _ in world.superuser.rows(TABLES):
        with world.superuser.conn.cursor().copy(f"copy {table} to stdout") as copy:
            hidden.heard += [bytes(block).decode() for block in copy]
    assert "tenant_key_created" in "".join(hidden.heard)
    hidden.heard += map(
        str,
        world.superuser.rows(
            "select prosrc, proconfig::text from pg_proc union all"
            " select setconfig::text, null from pg_db_role_setting union all"
            " select description, null from pg_description"
        ),
    )
    assert hidden.in_heard() == set()


def test_data_files_and_their_log_hold_no_secret(world: World, hidden: Sieve) -> None:
    superuser = world.superuser
    superuser.run("checkpoint")
    files = [
        path
        for tables in superuser.rows(TABLES)
        for table in tables
        if table != "-"
        for (path,) in superuser.rows("select pg_relation_filepath(%s::regclass)", table)
    ]
    assert len(files) > 5
    contents: dict[str, bytes] = {
        path: superuser.value("select pg_read_binary_file(%s)", path) for path in files
    }
    # A checkpoint of others may take a segment away between its listing and its reading.
    contents |= {
        name: content
        for name, content in superuser.rows(
            "select name, pg_read_binary_file('pg_wal/' || name, 0, size, true)"
            " from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$' order by modification desc limit 2"
        )
        if content is not None
    }
    assert len(contents) > len(files), "no write-ahead log was read"
    for path, content in contents.items():
        for name, secret in hidden.needles.items():
            assert secret not in content, f"{path} holds the {name}"
            assert secret.hex().encode() not in content, f"{path} holds the {name} in hex"


def test_statistics_hold_no_ciphertext(world: World) -> None:
    for _ in range(3):
        world.new_stored()
    world.superuser.run("analyze integrations.integration_instances")
    world.superuser.run("analyze integrations_private.tenant_keys")
    kept = world.superuser.rows(
        "select tablename, attname from pg_stats where attname in"
        " ('credentials', 'wrapped', 'check_value') and schemaname like 'integrations%%'"
        " and (histogram_bounds is not null or most_common_vals is not null)"
        " and tablename <> %s",
        "key_encryption_keys",
    )
    assert kept == []
