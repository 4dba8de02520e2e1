"""docs/calling.md tells the truth: its examples run, and what it says leaks does, and no more."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from .client import Client
from .server_log import Log
from .world import World

PAGE = (Path(__file__).parents[3] / "docs" / "calling.md").read_text()
Login = Callable[[str, str], str]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def the(language: str, what: str) -> str:
    """Gives the one block that holds this."""
    [found] = [block for block in blocks(language) if what in block]
    return found


@pytest.fixture
def page() -> Any:
    """The functions of the page."""
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(block, names)  # noqa: S102  # our own document
    return SimpleNamespace(**names)


def test_reading(world: World, page: Any) -> None:
    tenant_id, instance_id = world.new_stored()
    found = page.read_credentials(world.svc.conn, tenant_id, instance_id, world.kek_id, world.kek)
    assert found == {"api_key": "k"}
    assert world.events(tenant_id)[-1] == "credentials_read"


def test_reading_many_at_once(world: World, page: Any) -> None:
    tenant_id, first = world.new_stored()
    ids = [first, world.new_instance(tenant_id, '{"api_key": "second"}')]
    read = page.read_many
    found = read(world.svc.conn, tenant_id, ids, world.kek_id, world.kek)
    assert found == [{"api_key": "k"}, {"api_key": "second"}]
    assert world.events(tenant_id).count("credentials_read") == 2
    _, foreign = world.new_stored()
    with world.refused("IN201"):
        read(world.svc.conn, tenant_id, [first, foreign], world.kek_id, world.kek)


def test_storing(world: World, page: Any) -> None:
    tenant_id, instance_id = world.new_stored()
    store = page.store_credentials
    who = (world.svc.conn, tenant_id, instance_id)
    assert store(*who, '{"api_key": "new"}', 1, world.kek_id, world.kek) == 2
    with world.refused("IN306"):
        store(*who, '{"api_key": "newer"}', 1, world.kek_id, world.kek)
    assert world.read(tenant_id, instance_id) == {"api_key": "new"}


@pytest.mark.parametrize(("keys", "answer"), [(1, None), (9, "IN302")])
def test_storing_beside_a_new_key(world: World, page: Any, keys: int, answer: str | None) -> None:
    """The key comes between unlock and put_credentials, once; always, and it gives up."""
    tenant_id, instance_id = world.new_stored()
    left = keys

    class Beside:
        """The service's connection, with somebody who makes keys at its side."""

        transaction = world.svc.conn.transaction

        def execute(self, query: str, values: list[object]) -> Any:
            nonlocal left
            if "put_credentials" in query and left:
                left -= 1
                with world.admin.within(tenant_id):
                    world.admin.create_tenant_key(world.kek_id, world.kek)
            return world.svc.conn.execute(query.encode(), values)

    arguments = (Beside(), tenant_id, instance_id, "{}", 1, world.kek_id, world.kek)
    if answer is None:
        assert page.store_credentials(*arguments) == 2
        return
    with pytest.raises(psycopg.Error) as caught:
        page.store_credentials(*arguments)
    assert caught.value.sqlstate == answer
    assert left == keys - 3


def test_what_is_tried_again_is_what_the_table_says(page: Any) -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (At once|Once)", PAGE, re.MULTILINE)
    codes = {code for cell, _ in rows for code in re.findall(r"`(\w+)`", cell)}
    assert codes == page.AGAIN


def test_in_sql(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    values = {
        "tenant_id": tenant_id,
        "instance_id": instance_id,
        "kek_id": world.kek_id,
        "kek": world.kek,
        "credentials": '{"api_key": "by SQL"}',
    }
    answers: list[Any] = []
    for statement in the("sql", "begin;\n").strip().splitlines():
        cursor = world.svc.conn.execute(statement.rstrip(";").encode(), values)
        if cursor.description:
            answers += cursor.fetchone() or []
    assert answers[-1] == {"api_key": "by SQL"}


def test_lists(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    connectors, instances = the("sql", "integration_definitions"), the("sql", "instance_overview")
    for client in (world.tenant, world.svc):
        ids = [row[0] for row in client.rows(connectors)]
        with client.within(tenant_id):
            [listed] = client.rows(instances)
            [(definition,)] = client.rows(
                "select integration_id from integrations.instance_overview"
            )
        assert (listed[0], listed[4], listed[6]) == (instance_id, "active", True)
        assert definition in ids
        assert client.rows(instances) == []


def test_the_login_of_the_service(world: World) -> None:
    name = f"connector_{uuid4().hex}"
    script = the("sql", "create role").replace("connector_service", name)
    with world.superuser.conn.transaction(force_rollback=True):
        world.superuser.conn.execute(script.encode())
        [(settings,)] = world.superuser.rows(
            "select setconfig from pg_db_role_setting as s join pg_roles as r on r.oid = s.setrole"
            " where r.rolname = %s",
            name,
        )
    assert "log_parameter_max_length=0" in settings
    assert len(settings) == 4


def batch(world: World, secret: str, failing: bool) -> tuple[str, list[object]]:
    """Gives the calls of the page's batch, with placeholders, and their values."""
    tenant_id, instance_id = world.new_stored()
    text = the("sql", "begin; ").strip()
    text = re.sub(r"'[^']*'", "%s", text)
    if failing:
        text = text.replace("commit", "select 1 / 0; commit")
    values = [tenant_id, world.kek_id, world.kek, instance_id, f'{{"api_key": "{secret}"}}']
    assert text.count("%s") == len(values)
    return text, values


def pasted(client: Client, text: str, values: list[object]) -> str:
    """Gives the text as a client sends it that pastes values in."""
    literals = [
        sql.Literal(value if isinstance(value, bytes) else str(value)).as_string(client.conn)
        for value in values
    ]
    return text % tuple(literals)


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("log_statement", ["none", "all"])
def test_what_a_batch_shows(
    world: World, login: Login, log: Log, failing: bool, log_statement: str
) -> None:
    """The table of the page, by line and column."""
    secret = f"SENTINEL{secrets.token_hex(16)}"
    conninfo = login("svc_integration", world.dsn)
    user = str(conninfo_to_dict(conninfo)["user"])
    for name, value in (("log_statement", log_statement), ("log_parameter_max_length", "0")):
        world.superuser.run(f"alter role \"{user}\" set {name} = '{value}'")
    monitor = world.log_in(login("pg_monitor", world.dsn))

    def shown(client: Client) -> bool:
        seen = "select query from pg_stat_activity where pid = %s"
        text = str(monitor.value(seen, client.conn.info.backend_pid))
        return secret in text or world.kek.hex() in text

    def logged() -> bool:
        text = log.text()
        return secret in text or world.kek.hex() in text

    client = world.log_in(conninfo)
    text, values = batch(world, secret, failing)
    left = list(values)
    visible = []
    for statement in text.split("; "):
        here = [left.pop(0) for _ in range(statement.count("%s"))]
        try:
            client.conn.execute(statement.encode(), here or None)
        except psycopg.errors.DivisionByZero:
            client.run("rollback")
        visible.append(shown(client))
    assert not any(visible)
    assert not logged()

    text, values = batch(world, secret, failing)
    try:
        client.conn.execute(pasted(client, text, values).encode())
    except psycopg.errors.DivisionByZero:
        assert failing
    assert shown(client)
    if failing:
        client.run("rollback")
    assert logged() == (failing or log_statement == "all")


def test_an_expression_around_the_answer_quotes_it(world: World, log: Log) -> None:
    secret = f"SENTINEL{secrets.token_hex(16)}"
    tenant_id, instance_id = world.new_stored(json.dumps({"port": secret}))
    with world.refused("22P02") as caught, world.unlocked(tenant_id):
        world.svc.rows(
            "select (integrations.get_credentials(instance_id => %s) ->> 'port')::int", instance_id
        )
    assert secret in str(caught.value)
    assert secret in log.text()


def test_another_encoding_quotes_characters(world: World) -> None:
    tenant_id, instance_id = world.new_stored(json.dumps({"k": "\u20ac"}, ensure_ascii=False))
    world.svc.run("set client_encoding = LATIN1")
    with world.refused("22P05") as caught, world.unlocked(tenant_id):
        world.svc.get_credentials(instance_id)
    assert "0xe2 0x82 0xac" in str(caught.value)
