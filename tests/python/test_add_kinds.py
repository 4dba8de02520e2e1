"""Every kind of change that ``add`` writes: deployed by Sqitch and by us, tested, reverted."""

# ruff: noqa: S608  # SQL is put together from the constants of every_kind

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import engine
import psycopg
import pytest
from api.cluster import Cluster
from every_kind import CHANGES, EXAMPLES, OWNER, READER, SCHEMA, empty_project, write_every_kind
from faults.dumps import dump
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from small_project import rows, run, sqitch

from integrations_db import scaffold
from integrations_db.errors import Usage
from integrations_db.plan import read_plan
from integrations_db.rendering import OURS, SCRIPTS, Templates
from integrations_db.testing import databases
from integrations_db.testing.servers import Server
from size import size

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with every kind."""
    return write_every_kind(tmp_path_factory.mktemp("every") / "kind")


@pytest.mark.static
def test_every_kind_is_tried() -> None:
    kinds = Templates([]).kinds()
    assert {it.kind for it in CHANGES} == set(kinds)
    files = {
        path.relative_to(OURS).as_posix()
        for script in SCRIPTS
        for path in (OURS / script).rglob("*.j2")
    }
    assert files == {f"{script}/{kind}.sql.j2" for kind in kinds for script in SCRIPTS}


@pytest.mark.static
def test_what_is_written_is_plain_sql_in_house_style(folder: Path) -> None:
    done = run(folder, "check", "--strict")
    assert done.returncode == 0, done.stdout
    apart = re.findall(r"(\w+)/tables/orders_00(\d)\w+\.sql:\d+: note: not atomic", done.stdout)
    assert apart == [("deploy", "4"), ("deploy", "5"), ("deploy", "7")] + [
        (kind, number) for number in "89" for kind in ("deploy", "revert")
    ]
    for path in folder.rglob("*.sql"):
        text = path.read_text()
        assert not re.search(r"\t|[ \r]$|\n\n\n|\{\{|\{%|<built-in|\bNone\b", text, re.MULTILINE), (
            path
        )
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        if "tests" not in path.parts:
            assert max(map(len, text.splitlines())) <= 100, path
            assert not re.search(r"(?<!on delete )cascade", text), path
    squawk = Path(sys.executable).with_name("squawk")
    if squawk.exists():  # it comes with `make lint`
        linted = subprocess.run(  # noqa: S603
            [squawk, "-c", ROOT / ".squawk.toml", *sorted((folder / "deploy").rglob("*.sql"))],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert linted.returncode == 0, linted.stdout


def fails(dsn: str, folder: Path, name: str) -> str | None:
    """What a verify script says, None if it passes."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        try:
            conn.execute((folder / "verify" / f"{name}.sql").read_bytes())
        except psycopg.Error as error:
            return str(error)
    return None


def drop_roles(dsn: str) -> None:
    """Drops what a test that failed has left."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for role in (OWNER, READER):
            conn.execute(f"drop role if exists {role}".encode())


def own_roles(dsn: str) -> list[str]:
    names = f"('{OWNER}', '{READER}')"
    return [row[0] for row in rows(dsn, f"select rolname from pg_roles where rolname in {names}")]


def without_registry(dsn: str) -> str:
    """The structure of a database, but for the registry of deployments."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("drop schema if exists sqitch cascade")
    return dump(dsn)


@dataclass(slots=True)
class Watching(engine.Heard):
    """Runs the verify script of each change just before the change."""

    dsn: str = ""
    folder: Path = ROOT
    seen: list[str] = field(default_factory=list)

    def change(self, action: str, title: str) -> None:
        said = fails(self.dsn, self.folder, title)
        assert said is not None, title
        assert f"verify {title}: " in said
        self.seen.append(title)


def pgtap_passes(dsn: str, folder: Path) -> int:
    """Runs the pgTAP files, each of which is rolled back; returns how many assertions passed."""
    passed = 0
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("create extension pgtap")
        for path in sorted((folder / "tests/pgtap").rglob("*_test.sql")):
            cursor = conn.execute(path.read_bytes())
            lines: list[str] = []
            while True:
                if cursor.description:
                    lines += [str(row[0]) for row in cursor.fetchall()]
                if not cursor.nextset():
                    break
            wrong = [line for line in lines if line.startswith(("not ok", "# Looks"))]
            assert not wrong, (path, wrong)
            ran = sum(line.startswith("ok ") for line in lines)
            assert f"1..{ran}" in lines, (path, lines)
            passed += ran
        conn.execute("drop extension pgtap")
    return passed


@pytest.mark.long
def test_sqitch_and_we_deploy_and_revert_the_same(empty_database: str, folder: Path) -> None:
    """The verify script of each change fails before it and passes after it; so do the tests."""
    dsn = empty_database
    drop_roles(dsn)
    before = dump(dsn)
    heard = Watching(dsn=dsn, folder=folder)
    engine.deploy(folder, dsn, heard)
    assert heard.seen == [change.name for change in CHANGES]
    assert pgtap_passes(dsn, folder) > 80
    assert run(folder, "verify", dsn).returncode == 0
    ours = dump(dsn, "--schema-only", "--exclude-schema=sqitch")
    engine.revert(folder, dsn)
    assert without_registry(dsn) == before
    assert own_roles(dsn) == []

    done = sqitch(folder, dsn, "deploy", "--verify", "{target}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert dump(dsn, "--schema-only", "--exclude-schema=sqitch") == ours
    done = sqitch(folder, dsn, "revert", "-y", "{target}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert without_registry(dsn) == before
    assert own_roles(dsn) == []


def test_an_ordinary_login_deploys_and_reverts(bare: Cluster, folder: Path) -> None:
    """As on a managed cloud: it owns the database, and may make roles."""
    conninfo, _ = bare.deployer()
    before = dump(conninfo)
    engine.deploy(folder, conninfo)
    engine.revert(folder, conninfo)
    assert without_registry(conninfo) == before
    assert own_roles(conninfo) == []


@pytest.mark.long
@pytest.mark.skipif(not size(False, True), reason="takes several seconds")
def test_a_rehearsal_passes(lent_cluster: Server, folder: Path) -> None:
    """Up, down and up again, with the pgTAP files in between, and no drift."""
    done = run(folder, "rehearse", "--server", lent_cluster.dsn)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr


@pytest.fixture
def deployed(empty_database: str, folder: Path) -> str:
    """A database with every kind, as conninfo of a superuser."""
    engine.deploy(folder, empty_database, verify=False)
    return empty_database


BREAKS = {
    f"schemas/{SCHEMA}": [
        f"grant usage on schema {SCHEMA} to public",
        f"revoke usage on schema {SCHEMA} from {READER}",
        f"comment on schema {SCHEMA} is null",
        f"alter schema {SCHEMA} owner to current_user",
    ],
    f"roles/{READER}": [f"alter role {READER} createdb", f"alter role {READER} bypassrls"],
    "types/order_status": [
        f"alter type {SCHEMA}.order_status rename value 'sent' to 'gone'",
        f"alter type {SCHEMA}.order_status owner to current_user",
        f"comment on type {SCHEMA}.order_status is null",
    ],
    "tables/customers": [
        f"alter table {SCHEMA}.customers alter credit drop default",
        f"alter table {SCHEMA}.customers alter credit type numeric(11, 2)",
        f"alter table {SCHEMA}.customers alter name drop not null",
        f"alter table {SCHEMA}.customers drop column tags",
        f"comment on column {SCHEMA}.customers.name is null",
        f"grant select on {SCHEMA}.customers to public",
        f"grant update (name) on {SCHEMA}.customers to public",
        f"revoke select on {SCHEMA}.customers from {READER}",
        f"alter table {SCHEMA}.customers owner to current_user",
    ],
    "tables/orders": [
        f"alter table {SCHEMA}.orders no force row level security",
        f"alter table {SCHEMA}.orders disable row level security",
        f"alter policy tenant_all on {SCHEMA}.orders using (true)",
        f"alter policy tenant_all on {SCHEMA}.orders to public",
        f"create unique index on {SCHEMA}.orders (id)",
        f"grant update on {SCHEMA}.orders to {READER}",
        f"revoke select (title) on {SCHEMA}.orders from {READER}",
        f"grant select (title) on {SCHEMA}.orders to public",
        f"alter table {SCHEMA}.orders alter status drop default",
    ],
    "tables/orders_002_region": [
        f"alter table {SCHEMA}.orders alter region drop default",
        f"alter table {SCHEMA}.orders alter region type varchar",
        f"revoke select (region) on {SCHEMA}.orders from {READER}",
    ],
    "tables/orders_004_region_not_null": [
        f"alter table {SCHEMA}.orders alter region drop not null",
        f"alter table {SCHEMA}.orders add constraint orders_region_is_not_null"
        " check (region is not null)",
    ],
    "tables/orders_005_amount_is_positive": [
        f"alter table {SCHEMA}.orders drop constraint orders_amount_is_positive",
        f"alter table {SCHEMA}.orders drop constraint orders_amount_is_positive,"
        " add constraint orders_amount_is_positive check (amount >= 0) not valid",
    ],
    "tables/orders_009_title_idx": [
        f"drop index {SCHEMA}.orders_tenant_id_lower_title_idx",
        "update pg_index set indisvalid = false where indexrelid ="
        f" '{SCHEMA}.orders_tenant_id_lower_title_idx'::regclass",
    ],
    "types/order_status_002_cancelled": [
        f"alter type {SCHEMA}.order_status rename value 'cancelled' to 'canceled'",
    ],
    "functions/purge_orders": [
        f"alter function {SCHEMA}.purge_orders security invoker",
        f"alter function {SCHEMA}.purge_orders reset search_path",
        f"alter function {SCHEMA}.purge_orders strict",
        f"grant execute on function {SCHEMA}.purge_orders to public",
        f"grant execute on function {SCHEMA}.purge_orders to {READER} with grant option",
        f"alter function {SCHEMA}.purge_orders owner to current_user",
    ],
    "triggers/customers_touch": [
        f"alter table {SCHEMA}.customers disable trigger _100_touch",
        f"drop trigger _100_touch on {SCHEMA}.customers",
        f"grant execute on function {SCHEMA}.tg_customers__touch to public",
    ],
    "views/customer_names": [
        f"alter view {SCHEMA}.customer_names reset (security_invoker)",
        f"alter view {SCHEMA}.customer_names rename column name to title",
        f"grant select on {SCHEMA}.customer_names to public",
    ],
    f"grants/{READER}": [
        f"grant delete on {SCHEMA}.receipts to {READER}",
        f"revoke insert on {SCHEMA}.receipts from {READER}",
        f"grant update (amount) on {SCHEMA}.receipts to {READER}",
        f"grant select on {SCHEMA}.receipts to {READER} with grant option",
    ],
}


def test_verify_scripts_find_what_is_wrong(deployed: str, folder: Path) -> None:
    with psycopg.connect(deployed) as conn:
        for name, statements in BREAKS.items():
            verify = (folder / "verify" / f"{name}.sql").read_text()
            body = verify[verify.index("do $verify$") : verify.index("rollback;")]
            for statement in statements:
                conn.execute(statement.encode())
                conn.execute("set local search_path = pg_catalog, pg_temp")
                with pytest.raises(psycopg.errors.RaiseException, match=f"verify {name}: "):
                    conn.execute(body.encode())
                    print(f"not found: {statement}")
                conn.rollback()


def test_an_index_that_was_broken_off_is_built_again(deployed: str, folder: Path) -> None:
    script = (folder / "deploy/tables/orders_008_created_at_idx.sql").read_bytes()
    name = f"{SCHEMA}.orders_tenant_id_created_at_idx"
    state = f"select indexrelid, indisvalid from pg_index where indexrelid = '{name}'::regclass"

    def again() -> None:
        (folder / "again.sql").write_bytes(script)
        done = subprocess.run(  # noqa: S603
            ["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d", deployed, "-f", folder / "again.sql"],  # noqa: S607
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (folder / "again.sql").unlink()

    ((first, valid),) = rows(deployed, state)
    again()
    assert rows(deployed, state) == [(first, True)]
    with psycopg.connect(deployed) as conn:
        conn.execute(f"update pg_index set indisvalid = false where indexrelid = {first}".encode())
    again()
    ((second, valid),) = rows(deployed, state)
    assert (second != first, valid) == (True, True)
    assert fails(deployed, folder, "tables/orders_008_created_at_idx") is None


def test_not_null_reads_rows_beside_writers_and_goes_on_where_it_stopped(
    empty_database: str, folder: Path
) -> None:
    dsn, orders = empty_database, f"{SCHEMA}.orders"
    change = "tables/orders_004_region_not_null"
    engine.deploy(folder, dsn, to="tables/orders_003_token")
    with psycopg.connect(dsn) as conn:
        conn.execute(f"insert into {orders} (tenant_id, title, amount, region) values"
                     " (gen_random_uuid(), '', 0, null)".encode())  # fmt: skip
    done = run(folder, "deploy", "--to", change, dsn)
    assert done.returncode == 1
    assert "violated by some row" in done.stderr
    with psycopg.connect(dsn) as conn:
        with pytest.raises(psycopg.errors.CheckViolation):
            conn.execute(f"insert into {orders} (tenant_id, title, amount, region) values"
                         " (gen_random_uuid(), '', 0, null)".encode())  # fmt: skip
        conn.rollback()
        conn.execute(f"update {orders} set region = 'eu'".encode())
    done = run(folder, "deploy", "--resume", "--to", change, dsn)
    assert done.returncode == 0, done.stderr
    # No lock that stops writers is held while the rows are read: another transaction writes.
    text = (folder / f"deploy/{change}.sql").read_text()
    adding, validating, setting = text.split("commit;")[:3]
    with psycopg.connect(dsn) as writer, psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(f"alter table {orders} alter region drop not null".encode())
        conn.execute(f"{adding}commit;".encode())
        conn.execute(validating.encode())
        writer.execute("set lock_timeout = '2s'")
        writer.execute(f"update {orders} set amount = 1".encode())
        writer.commit()
        conn.execute("commit")
        conn.execute(f"{setting}commit;".encode())
    assert fails(dsn, folder, change) is None


def test_a_label_goes_again_unless_a_row_holds_it(deployed: str, folder: Path) -> None:
    script = (folder / "revert/types/order_status_002_cancelled.sql").read_bytes()
    orders = f"{SCHEMA}.orders"
    with psycopg.connect(deployed, autocommit=True) as conn:
        conn.execute(f"insert into {orders} (tenant_id, title, amount, status) values"
                     " (gen_random_uuid(), '', 0, 'cancelled'), (gen_random_uuid(), '', 1, 'sent')"
                     .encode())  # fmt: skip
        # The function that takes it as a parameter is in the way, too: nothing is changed.
        with pytest.raises(psycopg.Error):
            conn.execute(script)
        conn.execute("rollback")
        conn.execute(f"drop function {SCHEMA}.count_orders".encode())
        with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="cancelled"):
            conn.execute(script)
        conn.execute("rollback")
        assert fails(deployed, folder, "types/order_status_002_cancelled") is None
        conn.execute(f"update {orders} set status = 'draft' where amount = 0".encode())
        conn.execute(script)
        labels = f"select unnest(enum_range(null::{SCHEMA}.order_status))::text"
        assert [row[0] for row in conn.execute(labels.encode())] == ["draft", "sent", "it's paid"]
        kept = conn.execute(f"select status::text from {orders} order by amount".encode())
        assert kept.fetchall() == [("draft",), ("sent",)]
        assert fails(deployed, folder, "types/order_status") is None
        assert fails(deployed, folder, "tables/orders") is None


def test_the_examples_of_the_page_deploy(tmp_path: Path, empty_database: str) -> None:
    """Also with rows, and the reworked function after it was edited."""
    folder = empty_project(tmp_path / "page")
    for arguments in EXAMPLES:
        done = run(folder, *arguments)
        assert done.returncode == 0, done.stderr
    done = run(folder, "deploy", empty_database)
    assert "byte for byte the same" in done.stderr  # the reworked script is still to be edited
    for kind in ("deploy", "revert"):
        script = folder / kind / "functions/count_orders.sql"
        text = script.read_text().replace("create function", "create or replace function")
        script.write_text(text.replace("from app.orders", "from app.orders where region = 'eu'")
                          if kind == "deploy" else text)  # fmt: skip
    engine.deploy(folder, empty_database)
    with psycopg.connect(empty_database) as conn:
        conn.execute("insert into app.orders (amount, region) values (1, 'eu'), (2, 'us')")
    count = "select app.count_orders()"
    assert rows(empty_database, count) == [(1,)]
    engine.revert(folder, empty_database, to="@v1.0.0")
    assert rows(empty_database, count) == [(2,)]
    engine.revert(folder, empty_database)


# -- odd names ----------------------------------------------------------------------------------

_odd = st.one_of(
    st.sampled_from(["order", "Table", 'a"b', "it's", "50 %", "é€", "a.b", "a,b", "$1", "x" * 63]),
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Co", "Zl", "Zp"]),
        min_size=1,
        max_size=12,
    ).filter(lambda text: text.strip() == text and "$$" not in text),
).filter(lambda text: len(text.encode()) < 64)


@pytest.fixture(scope="module")
def odd_database(pgtap_server: Server) -> Iterator[str]:
    """A database in UTF-8, which holds any name."""
    with databases.clone(pgtap_server.dsn, "template0") as conninfo:
        yield conninfo


@settings(
    max_examples=size(2, 20),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    names=st.lists(_odd, min_size=9, max_size=9, unique_by=lambda text: text[:40]),
    labels=st.lists(_odd, min_size=3, max_size=3, unique=True),
)
@example(names=["s", "$1", "t", "c", "o", "x" * 63, "v", "i", "tenants"], labels=["a", "b", "c"])
def test_odd_names(
    tmp_path_factory: pytest.TempPathFactory,
    odd_database: str,
    names: list[str],
    labels: list[str],
) -> None:
    """Whatever things are called: scripts run, verify before and after, and leave nothing."""
    schema, type_, table, column, other, called, view, index, tenant = names
    folder = empty_project(tmp_path_factory.mktemp("odd"))
    sql = '"{}"'.format
    doubled = [name.replace('"', '""') for name in names]
    # A parameter may be called anything but $1, which PL/pgSQL itself calls the first one.
    parameter = re.sub(r"\A\$(?=\d+\Z)", "a $", doubled[1])
    at = dict(schema=[schema], table=[table])
    quoted = f"{sql(doubled[0])}.{sql(doubled[2])}"
    given_: list[tuple[str, dict[str, list[str]]]] = [
        ("schema", dict(name=[schema])),
        ("enum", dict(schema=[schema], name=[type_], labels=labels[:2])),
        ("enum_label", dict(schema=[schema], enum=[type_], label=labels[2:], before=labels[:1])),
        ("table", dict(schema=[schema], name=[table],
                       columns=[f"{sql(doubled[3])} text", f"{sql(doubled[7])} uuid"])),
        ("tenant_table", dict(schema=[schema], name=[tenant], columns=[f"{sql(doubled[3])} text"],
                              owner=["pg_database_owner"], readers=["pg_monitor"])),
        ("column", dict(at,  column=[other], type=["integer"], default=["0"])),
        ("not_null", dict(at,  column=[column])),
        ("constraint", dict(at,  name=[other], definition=[f"check ({sql(doubled[4])} < 9)"])),
        ("index", dict(at,  name=[index], columns=[sql(doubled[3])])),
        ("function", dict(schema=[schema], name=[called],
                          arguments=[f"{sql(parameter)} {sql(doubled[0])}.{sql(doubled[1])}"])),
        ("trigger", dict(at,  task=[called])),
        ("view", dict(schema=[schema], name=[view], query=[f"select * from {quoted}"])),
        ("grants", dict(schema=[schema], tables=[sql(doubled[2])], role=["pg_monitor"])),
    ]  # fmt: skip
    for number, (kind, variables) in enumerate(given_):
        request = scaffold.Request(f"a/x{number}y", kind, (), (), variables)
        scaffold.add(folder, None, request, "Add it", lambda _: "")
    changes = [change.name for change in read_plan(folder / "sqitch.plan").changes]
    before = what_is_there(odd_database)
    with psycopg.connect(odd_database, autocommit=True) as conn:
        for name in changes:
            with pytest.raises(psycopg.Error):  # of a schema, too, that is not there
                conn.execute((folder / "verify" / f"{name}.sql").read_bytes())
            conn.execute("rollback")
    engine.deploy(folder, odd_database)
    engine.revert(folder, odd_database)
    assert what_is_there(odd_database) == before


# Types with modifiers, as people write them. None of their names is the catalogue's own.
MODIFIED = (
    "varbit(5)",
    "bit",
    "bit(3)[]",
    "interval day to second(3)",
    "interval (2)",
    "interval year to month",
    "float(24)",
    "float(53)",
    "dec(5)",
    "numeric(3, -2)",
    '"char"',
    "int4multirange",
)


def test_what_may_differ_from_the_examples(pgtap_server: Server, tmp_path: Path) -> None:
    """Verify scripts and tests of other orders, types and tenants than the examples have."""
    at = dict(schema=["s"], table=["t"])
    callers = ["pg_signal_backend", "pg_monitor", "pg_database_owner"]
    given_: list[tuple[str, dict[str, list[str]]]] = [
        ("schema", dict(name=["s"], users=["pg_monitor", "pg_database_owner"])),
        ("table", dict(schema=["s"], name=["t"],
                       columns=[f"c{at} {text}" for at, text in enumerate(MODIFIED)])),
        ("function", dict(schema=["s"], name=["f"], callers=callers)),
        ("definer_function", dict(schema=["s"], name=["d"], callers=callers,
                                  owner=["pg_database_owner"])),
        ("column", dict(at, column=["gone"], type=["varbit(7)"], readers=["pg_monitor"])),
        ("tenant_table", dict(schema=["s"], name=["big"], owner=["pg_database_owner"],
                              readers=["pg_monitor"],
                              columns=["tenant_id bigint not null", "name text not null"])),
        ("tenant_table", dict(schema=["s"], name=["named"], owner=["pg_database_owner"],
                              columns=["tenant_id varchar(20) not null"])),
        ("view", dict(schema=["s"], name=["v"], query=["select c1 from s.t"])),
        ("trigger", dict(schema=["s"], table=["v"], task=["put"], timing=["instead of"],
                         events=["insert, delete"])),
        ("trigger", dict(at, task=["count"], timing=["AFTER"], level=["statement"],
                         events=["insert", "update", "delete"])),
        ("index", dict(at, columns=["c0, c1 desc"], include=["c10"], where=["c1 is not null"])),
        ("grants", dict(schema=["s"], tables=["t"], role=["pg_monitor"],
                        privileges=["UPDATE", "select"])),
    ]  # fmt: skip
    folder = empty_project(tmp_path / "project")
    for number, (kind, variables) in enumerate(given_):
        request = scaffold.Request(f"a/x{number}y", kind, (), (), variables)
        scaffold.add(folder, None, request, "Add it", lambda _: "")
    with databases.clone(pgtap_server.dsn, "template0") as dsn:
        engine.deploy(folder, dsn)
        # A column that was dropped keeps its privileges in the catalogue.
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("alter table s.t add gone_again int")
            conn.execute("grant select (gone_again) on s.t to pg_monitor, public")
            conn.execute("alter table s.t drop gone_again")
        for name in ("a/x1y", "a/x11y"):
            assert fails(dsn, folder, name) is None
        assert pgtap_passes(dsn, folder) > 40
        engine.revert(folder, dsn)


@pytest.mark.static
@pytest.mark.parametrize(
    "kind, variables, says",
    [
        # What ALL means depends on the version of the server.
        ("grants", dict(role="r", tables="t", privileges="all"), "is one of select, insert"),
        ("column", dict(table="t", column="c", type="int not null"), "'not null' is no part of"),
        ("column", dict(table="t", column="c", type=" "), "type: is empty"),
        ("index", dict(table="t", columns=""), "columns: is empty"),
        ("constraint", dict(table="t", definition="unique (c)"), "is an index"),
        ("tenant_table", dict(owner="o", columns="id bigint primary key"), "leads with tenant_id"),
        ("tenant_table", dict(owner="o", columns="a text unique"), "leads with tenant_id"),
    ],
)
def test_what_no_script_could_hold_is_refused(
    tmp_path: Path, kind: str, variables: dict[str, str], says: str
) -> None:
    given_ = {name: [text] for name, text in variables.items()}
    request = scaffold.Request("a", kind, (), (), given_)
    with pytest.raises(Usage, match=says):
        scaffold.add(empty_project(tmp_path), None, request, "Add it", lambda _: "")


def what_is_there(dsn: str) -> list[tuple[object, ...]]:
    """Everything in a database but the registry, by name."""
    return rows(
        dsn,
        "select nspname::text from pg_namespace where nspname not in ('sqitch', 'pg_toast')"
        " and nspname !~ '^pg_temp' union all select relname from pg_class where relnamespace ="
        " 'public'::regnamespace union all select typname from pg_type where typnamespace ="
        " 'public'::regnamespace order by 1",
    )
