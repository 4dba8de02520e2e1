"""A verify script is worth something only if it can fail: each fails before its deploy script ran,
and after any one property of what it made was changed behind the project's back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest

from .deployment import CHANGES, ROOT, Connection, run_script
from .world import connect


def fails_before_and_passes_after(run: Callable[[str, str], None], change: str) -> None:
    """Demands that a verify script tells whether its change is there; leaves it deployed.

    Args:
        run: runs a script, given its kind and its change.
        change: the change.
    """
    with suppress(psycopg.Error):
        run("verify", change)
        pytest.fail(f"verify/{change}.sql passes before its deploy script ran")
    run("deploy", change)
    try:
        run("verify", change)
    except psycopg.Error as error:
        pytest.fail(f"verify/{change}.sql fails after its deploy script ran: {error}")


def test_each_fails_before_its_deploy_and_passes_after(lent_database: str) -> None:
    with connect(lent_database) as conn:
        for change in CHANGES:
            fails_before_and_passes_after(partial(run_script, conn), change)


@pytest.fixture
def conn(shared_database: str) -> Iterator[Connection]:
    """A superuser's connection in a transaction that is rolled back."""
    with connect(shared_database) as conn, conn.transaction(force_rollback=True):
        yield conn


def fails(conn: Connection, change: str, text: str | None = None) -> bool:
    """Tells whether a verify script fails, without leaving the transaction that we are in.

    Args:
        conn: the connection.
        change: whose script.
        text: another text for it.
    """
    text = text or (ROOT / "verify" / f"{change}.sql").read_text()
    body, frames = re.subn(r"^(begin|rollback);$", "", text, flags=re.MULTILINE)
    assert frames == 2
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(body.encode())
    except psycopg.Error as error:
        assert error.sqlstate in ("P0001", "42704", "42P01", "3F000"), f"{change}: {error}"
        return True
    return False


MUTATIONS = {
    "functions": 300,
    "tables": 100,
    "triggers": 15,
    "policies": 30,
    "grants": 100,
    "rest": 70,
}
"""The files of ``mutations``, each with the least number of mutations that it must give.

Each query gives changes, and statements that break one property of what the change made.
"""


def mutations(conn: Connection, kind: str) -> list[tuple[str, str]]:
    """Returns the mutations of a kind: a change, and statements that break one property of it."""
    query = Path(__file__).with_name("mutations") / f"{kind}.sql"
    return conn.execute(query.read_bytes()).fetchall()


def unnoticed(
    conn: Connection, mutations: Iterable[tuple[str, str]], text: str | None = None
) -> list[str]:
    """Returns the mutations that their change's verify script, or another text, passes over."""
    found = []
    for change, statement in mutations:
        with conn.transaction(force_rollback=True):
            conn.execute(statement.encode())
            if not fails(conn, change, text):
                found.append(f"{change}: {statement}")
    return found


@pytest.mark.parametrize("kind", MUTATIONS)
def test_a_broken_property_is_noticed(conn: Connection, kind: str) -> None:
    tried = mutations(conn, kind)
    assert len(tried) >= MUTATIONS[kind]
    assert {change for change, _ in tried} <= set(CHANGES)
    found = unnoticed(conn, tried)
    assert not found, "\n".join(["not noticed:", *found])


ONE_EACH = {
    "functions/get_credentials": "grant execute on function integrations.get_credentials to public",
    "functions/put_credentials": "alter function integrations.put_credentials reset row_security",
    "tables/integration_instances": "alter table integrations.integration_instances"
    " no force row level security",
    "tables/tenant_keys": "drop index integrations_private.tenant_keys_tenant_id_active_idx",
    "triggers/audit_log_append_only": "alter table integrations_private.audit_log"
    " enable trigger _110_no_truncate",
    "policies/integration_instances": "alter policy tenant_all"
    " on integrations.integration_instances using (true)",
    "grants/svc_integration": "grant update on integrations.integration_instances"
    " to svc_integration",
    "types/tenant_key_state": "alter type integrations_private.tenant_key_state add value 'lost'",
    "views/key_overview": "alter view integrations.key_overview set (security_invoker = false)",
    "schemas/integrations": "grant create on schema integrations to integrations_tenant",
    "roles/integrations_owner": "alter role integrations_owner bypassrls",
}


@pytest.mark.parametrize("change", ONE_EACH)
def test_exactly_the_verify_script_of_the_change_fails(conn: Connection, change: str) -> None:
    conn.execute(ONE_EACH[change].encode())
    assert [other for other in CHANGES if fails(conn, other)] == [change]


def test_all_pass_as_they_are(conn: Connection) -> None:
    assert [change for change in CHANGES if fails(conn, change)] == []
