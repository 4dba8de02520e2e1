"""``docs``: what the documents tell is what the catalogue holds, on every server the same."""

from __future__ import annotations

import re
import shutil
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from small_project import Sql, run, run_json, write_project

from integrations_db import project
from integrations_db.cli import documenting
from integrations_db.config import Target, load_config
from integrations_db.database import connect
from integrations_db.docs import model, pages, source
from integrations_db.errors import Failure
from integrations_db.plan import Plan
from integrations_db.project import Project, load_project
from integrations_db.testing.databases import new_name

pytestmark = pytest.mark.database

# Lines of documents are easier to read whole.
# ruff: noqa: E501

ROOT = Path(__file__).parents[2]
SCHEMAS = ("integrations", "integrations_private")

# An object of every kind that the documents tell of, with what differs between servers, and names
# and comments that would be markup.
EVERYTHING = """
begin;
create schema "my app";
comment on schema "my app" is 'Odd | names <script>alert(1)</script>';
create type "my app".state as enum ('new', 'it''s done');
create domain "my app".positive as integer default 7 not null constraint positive check (value > 0);
create type "my app".pair as (a integer, b timestamp with time zone);
create type "my app".span as range (subtype = integer);
create table "my app".customers (
  id bigint generated always as identity primary key,
  email text not null constraint customers_email_key unique,
  state "my app".state not null default 'new',
  referrer bigint constraint customers_referrer_fkey references "my app".customers,
  name varchar(20) default 'a | `b`' constraint customers_name_is_plain check (name !~ '[|`]'),
  shout text generated always as (upper(name)) stored,
  since timestamptz(3) not null default now()
);
comment on table "my app".customers is 'Who buys. <!-- /docs -->';
comment on column "my app".customers.email is 'Where to write; a|b `c` *d* <e>';
comment on constraint customers_name_is_plain on "my app".customers is 'No pipes.';
create table "my app"."we""ird | <b>" (
  "a b" integer primary key references "my app".customers,
  "c`d" "my app".positive[]
);
create table "my app".events (
  customer bigint not null references "my app".customers,
  at timestamptz not null,
  primary key (customer, at)
) partition by range (at);
create table "my app".events_2026 partition of "my app".events
  for values from ('2026-01-01 00:00+00') to ('2027-01-01 00:00+00');
create table "my app".events_rest partition of "my app".events default;
create unlogged table "my app".scratch (room integer, during int4range,
  constraint scratch_no_overlap exclude using gist (during with &&));
create index scratch_room_idx on "my app".scratch (room desc) where room > 3;
comment on index "my app".scratch_room_idx is 'Finds rooms.';
create table "my app".lodgers (room integer) inherits ("my app".scratch);
create view "my app".seen with (security_invoker = true) as select id, email from "my app".customers;
create view "my app".shown as select id from "my app".customers;
create materialized view "my app".counted as select count(*) from "my app".customers;
create function "my app".greet(name text default 'you', times integer default 1, variadic rest text[] default '{}')
returns table(line text, number integer) language plpgsql stable security definer
set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'nobody | is there' using errcode = 'AB001', hint = 'Come.';
end $$;
comment on function "my app".greet is 'Greets. Callable by everybody. Errors: AB001 nobody is there.';
create function "my app".twice(value integer) returns integer language sql immutable strict as 'select 2 * value';
create function "my app".twice(value text) returns text language sql immutable as 'select value || value';
create procedure "my app".tidy(inout count integer) language sql as 'select 1';
create aggregate "my app".total(integer) (sfunc = int4pl, stype = integer);
create function "my app".no_change() returns trigger language plpgsql as 'begin return null; end';
revoke all on function "my app".no_change() from public;
create trigger keep before update of email, name on "my app".customers for each row
  when (old.name is distinct from new.name) execute function "my app".no_change();
alter table "my app".customers enable row level security;
create policy own on "my app".customers as restrictive for update to public
  using (name = current_user) with check (name <> '');
grant usage on schema "my app" to public;
grant select, insert (email, name) on "my app".customers to public;
commit;
"""
UNDO = 'begin;\ndrop schema "my app" cascade;\ncommit;\n'


def _documented(dsn: str, folder: Path) -> pages.Pages:
    with closing(connect(Target(dsn), print)) as conn:
        found = model.read(conn, "integrations", (), None, SCHEMAS)
    return pages.render(found, folder)


def test_our_documents_are_fresh(worker_database: str) -> None:
    """The documents of this repository tell what the plan builds, whatever the server's version."""
    made = _documented(worker_database, ROOT / "docs")
    assert pages.stale(made, ROOT / "docs") == {} and made.missing == []
    assert set(made.texts) == {
        "data_model.md",
        "error_codes.md",
        "functions.md",
        "integration_definition.md",
        "integration_instances.md",
        "internal_tables.md",
        "reference.html",
    }


def test_our_documents_explain_every_error() -> None:
    """Each code of our class has a section that tells what to do."""
    text = (ROOT / "docs" / "error_codes.md").read_text()
    codes = set(re.findall(r"^\| (IN\d{3}) \| [`<]", text, re.M))
    sections = dict(
        re.findall(
            r"^### (IN\d{3})\n\n<!-- docs: error \1 -->.*?<!-- /docs -->\n\n(\S)", text, re.M | re.S
        )
    )
    assert codes == set(sections)


def test_an_ordinary_role_will_do(worker_database: str) -> None:
    """Who may do nothing in a database reads the same of it as a superuser."""
    role = new_name("reader")
    with psycopg.connect(worker_database) as conn:
        conn.execute(sql.SQL("create role {}").format(sql.Identifier(role)))
        conn.execute("set local search_path = pg_catalog")
        everything = model.read(conn, "x", (), None, SCHEMAS)
        conn.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        assert model.read(conn, "x", (), None, SCHEMAS) == everything
        conn.rollback()


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of somebody else, with the documents that it gets without a database."""
    folder = write_project(
        tmp_path_factory.mktemp("everything"), {"everything": Sql(EVERYTHING, revert=UNDO)}, "odd"
    )
    pages.write(pages.render(_model_of(folder), folder / "docs").texts, folder / "docs")
    return folder


@pytest.fixture
def there(everything: Path, empty_database: str) -> str:
    """A database on the server of the tests with that project."""
    done = run(everything, "deploy", empty_database)
    assert done.returncode == 0, done.stderr
    return empty_database


def _changed(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(statement.encode())


def test_any_project_has_documents(everything: Path) -> None:
    """Without a page of its own a project gets one for each schema, and those of the rest."""
    made = {it.name: it.read_text() for it in (everything / "docs").iterdir()}
    assert set(made) == {
        "data_model.md",
        "error_codes.md",
        "functions.md",
        "reference.html",
        "schema_my_app.md",
    }
    schema = made["schema_my_app.md"]
    for told in (
        "Odd \\| names &lt;script>alert(1)&lt;/script>",
        "| `email` | `text` | no |  | Where to write; a\\|b \\`c\\` \\*d\\* &lt;e> |",
        "| `id` | `bigint` | no | identity, always |  |",
        "| `state` | `state` | no | `'new'` |  |",
        "| `shout` | `text` | yes | generated: `upper(name::text)` |  |",
        "| `since` | `timestamptz(3)` | no | `now()` |  |",
        "<code>'a &#124; &#96;b&#96;'</code>",
        "Who buys. &lt;!-- /docs -->",
        "No pipes.",
        "Unlogged",
        "Inherits from `my app.scratch`: the columns are there, too, and so are the rows.",
        "Partitioned by `RANGE (at)`; `my app.events_rest` takes what no other partition does.",
        "| `scratch_room_idx` | `btree (room DESC) WHERE room > 3` | Finds rooms. |",
        "EXCLUDE USING gist (during WITH &&)",
        "before update of email, name, each row, when (old.name::text IS DISTINCT FROM new.name::text)",
        "| `own` | update, restrictive | `PUBLIC` | `name::text = CURRENT_USER` | `name::text <> ''` |  |",
        "Row-level security is enabled, not forced",
        "| `PUBLIC` | insert | `email`, `name` |",
        "| `PUBLIC` | select | the table |",
        "| `my app.state` | `new`, `it's done` |  |",
        "| `my app.positive` | domain of `integer`, not null, default `7`, `CHECK (VALUE > 0)` |  |",
        "| `my app.pair` | `a integer`, `b timestamptz` |  |",
        "| `my app.seen` | `id`, `email` | its caller |  |",
        "| `my app.shown` | `id` | its owner, `(who deploys)` |  |",
        "who refreshes it",
    ):
        assert told in schema, told
    # A partition is told with its table, but for the default one.
    assert "events_2026" not in "".join(made.values())
    functions = made["functions.md"]
    for told in (
        "\"my app\".greet(name text default 'you', times integer default 1, variadic rest text[] "
        "default '{}') returns table(line text, number integer)",
        "Callable by `PUBLIC`. Errors: AB001 nobody is there.",
        "Stable, security definer: runs as `(who deploys)`.",
        "twice(value integer) returns integer",
        "twice(value text) returns text",
        'procedure "my app".tidy(inout count integer)\n',
        'aggregate "my app".total(integer) returns integer',
        "Called by triggers.",
    ):
        assert told in functions, told
    assert functions.count("## my app.twice\n") == 1
    assert "my app.span" not in functions  # its constructors
    assert "`nobody | is there`" not in made["error_codes.md"]
    assert "<code>nobody is &#124; there</code>" not in made["error_codes.md"]
    assert "nobody &#124; is there" in made["error_codes.md"]
    diagram = made["data_model.md"]
    assert 'customers ||--o{ events : "customer"' in diagram
    assert 'customers |o--o{ customers : "referrer"' in diagram
    assert re.search(r"customers \|\|--o\| t_my_app_we_ird_b_? : \"a b\"", diagram)


def test_documents_do_not_depend_on_the_server(everything: Path, there: str) -> None:
    """What the embedded server gives is what this one does, whoever deployed there."""
    done = run(everything, "docs", "--check", there)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "drifted" not in done.stderr + done.stdout


def test_check_finds_what_is_stale(everything: Path, there: str, tmp_path: Path) -> None:
    """A comment that changed, and a table that is new: exit code 4 and the lines, nothing written.

    Then docs writes it, and the check is content.
    """
    folder = tmp_path / "docs"
    shutil.copytree(everything / "docs", folder)
    at = ("--output", str(folder), there)
    before = {it.name: it.read_bytes() for it in folder.iterdir()}
    _changed(there, """comment on table "my app".customers is 'Who pays.'""")
    _changed(there, 'create table "my app".more (id integer)')
    done = run(everything, "docs", "--check", *at)
    assert done.returncode == 4
    assert "  | +Who pays." in done.stdout and "schema_my_app.md is stale" in done.stdout
    assert not re.search(r"^\s*::", done.stdout, re.M)
    assert "it has drifted from its plan: 2 differences" in done.stdout + done.stderr
    assert {it.name: it.read_bytes() for it in folder.iterdir()} == before
    written = run_json(everything, "docs", *at)
    assert written["written"] == ["data_model.md", "reference.html", "schema_my_app.md"]
    assert written["missing"] == []
    assert "my app.more" in (folder / "schema_my_app.md").read_text()
    fresh = run_json(everything, "docs", "--check", *at)
    assert fresh["stale"] == [] and len(fresh["documents"]) == 5


def test_what_people_write_stays(everything: Path, tmp_path: Path) -> None:
    """Outside of regions a page is its writer's; a page may be arranged in another way."""
    page = tmp_path / "mine.md"
    begun = (
        "# Mine\n\nMy words.\n\n<!-- docs: table my%20app.customers -->\nhas been\n<!-- /docs -->\n\n"
        "More.\n"
    )
    page.write_text(begun)
    done = run(everything, "docs", "--output", str(tmp_path))
    text = page.read_text()
    assert text.startswith(
        "# Mine\n\nMy words.\n\n<!-- docs: table my%20app.customers -->\n\n## Columns"
    )
    assert text.endswith("<!-- /docs -->\n\nMore.\n") and "has been" not in text
    # The schema is begun, so where its other tables belong is not for us to say.
    assert done.returncode == 1
    assert "table my app.events is on no page" in done.stderr
    assert "<!-- docs: table my%20app.events -->" in done.stderr
    assert not (tmp_path / "schema_my_app.md").exists()
    page.write_text(begun + "\n<!-- docs: schema my%20app -->\n<!-- /docs -->\n")
    assert pages.render(_model_of(everything), tmp_path).missing == []


@pytest.mark.parametrize(
    ("region", "why"),
    [
        ("table my%20app.nothing", "a.md:3: there is no table my app.nothing"),
        ("er nowhere", "a.md:3: there is no schema nowhere; there are: my app"),
        ("function my%20app.nothing", "a.md:3: there is no function my app.nothing"),
        ("error XX999", "a.md:3: no function's COMMENT names the error XX999"),
        ("poem", "a.md:3: there is no region of the kind poem; there are: access, "),
        ("roles of-mine", "a.md:3: the region roles takes no name"),
        ("table", "a.md:3: the region table takes one name"),
    ],
)
def test_wrong_regions_are_told(everything: Path, tmp_path: Path, region: str, why: str) -> None:
    """A region that cannot be rendered is refused, with its line; no file is touched."""
    (tmp_path / "a.md").write_text(f"# A\n\n<!-- docs: {region} -->\n<!-- /docs -->\n")
    found = _model_of(everything)
    with pytest.raises(Failure, match=re.escape(why)):
        pages.render(found, tmp_path)


_models: dict[Path, model.Model] = {}


def _model_of(folder: Path) -> model.Model:
    """Reads what a project builds, once."""
    if folder not in _models:
        _models[folder] = source.of_plan(load_project(folder, None), (), {})
    return _models[folder]


def test_a_database_before_the_end_of_the_plan_is_told(tmp_path: Path, empty_database: str) -> None:
    """Pending changes, edited scripts and an empty database are told, not hidden."""
    folder = write_project(
        tmp_path,
        {
            "one": Sql("create table one (id integer);\n"),
            "two": Sql("create table two (id integer);\n"),
        },
    )
    done = run(folder, "docs", empty_database)
    assert done.returncode == 1 and "no change of small is deployed here" in done.stderr
    assert not (folder / "docs").exists()
    assert run(folder, "deploy", "--to", "one", empty_database).returncode == 0
    (folder / "deploy" / "one.sql").write_text("create table one (id integer); -- as ever\n")
    done = run(folder, "docs", empty_database)
    assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr
    assert "1 change pending, from two on" in told and "scripts were edited: one" in told
    assert "public.one" in (folder / "docs" / "schema_public.md").read_text()
    assert "public.two" not in (folder / "docs" / "schema_public.md").read_text()


def test_a_reader_without_the_registry(everything: Path, there: str) -> None:
    """Who may not read the registry gets documents, and hears what is not known."""
    role = new_name("reader")
    name = sql.Identifier(role)
    with psycopg.connect(there, autocommit=True) as conn:
        conn.execute(sql.SQL("create role {} login").format(name))
        try:
            options = f"-c role={role}"
            done = run(everything, "docs", "--check", make_conninfo(there, options=options))
            assert done.returncode == 0, done.stdout + done.stderr
            assert "the registry cannot be read" in done.stdout + done.stderr
        finally:
            conn.execute(sql.SQL("drop role {}").format(name))


def test_who_deployed_has_no_name(everything: Path, empty_database: str) -> None:
    """The documents are the same whoever deployed, and that it was another role is no drift."""
    role = new_name("deployer")
    name = sql.Identifier(role)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(sql.SQL("create role {}").format(name))
        try:
            here = sql.Identifier(conn.info.dbname)
            conn.execute(sql.SQL("grant create on database {} to {}").format(here, name))
            as_it = make_conninfo(empty_database, options=f"-c role={role}")
            assert run(everything, "deploy", as_it).returncode == 0
            for dsn in (as_it, empty_database):
                done = run(everything, "docs", "--check", dsn)
                assert done.returncode == 0, done.stdout + done.stderr
                assert "drift" not in done.stdout + done.stderr
        finally:
            conn.execute(sql.SQL("drop owned by {} cascade").format(name))
            conn.execute(sql.SQL("drop role {}").format(name))


def test_only_some_schemas(tmp_path: Path, empty_database: str) -> None:
    """Of a database that others use, too, only the schemas that were asked for are told."""
    folder = write_project(
        tmp_path, {"one": Sql("create schema mine;\ncreate table mine.one (id integer);\n")}
    )
    assert run(folder, "deploy", empty_database).returncode == 0
    _changed(empty_database, "create schema theirs; create table theirs.secret (id integer)")
    with open(folder / "sqitch.conf", "a") as conf:
        conf.write("[docs]\n\tschema = mine\n")
    assert run(folder, "docs", empty_database).returncode == 0
    assert "theirs" not in "".join(it.read_text() for it in (folder / "docs").iterdir())
    done = run(folder, "docs", "--check", "--schema", "nowhere", empty_database)
    assert done.returncode == 1 and "nothing to document in the schema nowhere" in done.stderr


def test_a_plan_that_fails_is_told(tmp_path: Path) -> None:
    """What cannot be built is refused, and said to have been a scratch."""
    folder = write_project(tmp_path, {"one": Sql("begin;\nselect 1 / 0;\ncommit;\n")})
    done = run(folder, "docs")
    assert done.returncode == 1
    assert "could not be built in an empty database" in done.stderr
    assert "division by zero" in done.stderr and "Traceback" not in done.stderr


def test_the_installed_project_is_not_written_into() -> None:
    """The copy of the project inside the package is no place for documents."""
    inside = Path(project.__file__).parent / "project"
    with pytest.raises(Failure, match="--output DIR"):
        documenting._folder(Project(inside, load_config(ROOT), Plan("x")))
