"""The documents are true: their links, codes and schemas, and what they say of the database.

Tables and diagrams are read from the Markdown and compared with the live catalogue, both ways: what
is missing in a document is an error just as what is not in the database.
"""

from __future__ import annotations

import html
import json
import re
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import psycopg
import pytest
from jsonschema import Draft202012Validator
from psycopg import sql
from psycopg.types.json import Jsonb

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
SCHEMAS = ("integrations", "integrations_private")
ROLES = (
    "integrations_admin",
    "integrations_auditor",
    "integrations_keymaster",
    "integrations_owner",
    "integrations_tenant",
    "svc_integration",
)
ENUMS = {"definition": "integration_definition_status", "instance": "integration_instance_status"}

Row = dict[str, str]
Connection = psycopg.Connection[tuple[Any, ...]]


# -- reading Markdown ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """A table or a fenced block, with the headings above it, outermost first."""

    page: str
    headings: tuple[str, ...]
    rows: tuple[Row, ...] = ()
    language: str = ""
    text: str = ""

    @property
    def heading(self) -> str:
        """The nearest heading."""
        return self.headings[-1]

    @property
    def table(self) -> str:
        """The qualified table that the page, or this section of it, is about; or nothing."""
        found = [match for text in self.headings for match in re.findall(r"`(\w+\.\w+)`", text)]
        return found[-1] if found else ""


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]


def _blocks(text: str, page: str = "") -> Iterator[Block]:
    headings: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("```"):
            body = []
            for inner in lines:
                if inner.startswith("```"):
                    break
                body.append(inner)
            yield Block(
                page, tuple(headings), language=line.strip("`").strip(), text="\n".join(body)
            )
        elif heading := re.match(r"(#+) (.*)", line):
            headings[len(heading[1]) - 1 :] = [heading[2]]
        elif line.startswith("|"):
            names, rows = _cells(line), []
            for inner in lines:
                if not inner.startswith("|"):
                    break
                if not inner.startswith("|---"):
                    rows.append(dict(zip(names, _cells(inner), strict=True)))
            yield Block(page, tuple(headings), rows=tuple(rows))


def _page(name: str) -> list[Block]:
    return list(_blocks((ROOT / name).read_text(), name))


def _docs() -> list[Block]:
    return [
        block
        for page in sorted((ROOT / "docs").glob("*.md"))
        for block in _page(f"docs/{page.name}")
    ]


def _tables(heading: str) -> dict[str, tuple[Row, ...]]:
    """Gives the rows under this heading for each database table that has it."""
    return {block.table: block.rows for block in _docs() if block.heading == heading and block.rows}


def _with_column(page: str, column: str) -> tuple[Row, ...]:
    """Gives the rows of the page's one table that has this column."""
    (rows,) = [block.rows for block in _page(page) if block.rows and column in block.rows[0]]
    return rows


def _plain(cell: str) -> str:
    """Gives what a cell shows: code is Markdown's, or HTML's where that would not do."""
    if cell.startswith("<code>"):
        return html.unescape(cell.removeprefix("<code>").removesuffix("</code>"))
    return re.sub(r"\[(.*?)\]\(\S+\)", r"\1", cell.replace("`", ""))


def _names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _json_schemas() -> dict[str, dict[str, Any]]:
    blocks = [block for block in _docs() if block.page != "docs/connectors.md"]
    found = [json.loads(block.text) for block in blocks if block.language == "json"]
    return {schema["title"]: schema for schema in found}


# -- without a database -------------------------------------------------------------------------


def _anchors(text: str) -> set[str]:
    """Gives a page's anchors as GitHub and its likes make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _broken_links(page: Path) -> Iterator[str]:
    text = page.read_text()
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"(https?|mailto):", link):
            continue
        file, _, anchor = link.partition("#")
        goal = (page.parent / file) if file else page
        if not goal.exists():
            yield f"{page.name}: {link}: no such file"
        elif anchor and anchor not in _anchors(goal.read_text()):
            yield f"{page.name}: {link}: no such heading"


@pytest.mark.static
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    """Links to files and headings lead somewhere."""
    assert not list(_broken_links(page))


@pytest.mark.static
def test_broken_links_are_found(tmp_path: Path) -> None:
    """The check of links can fail."""
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n[a](page.md#one) [b](#one) [c](none.md) [d](#two) [e](https://x.example)"
    )
    assert list(_broken_links(page)) == [
        "page.md: none.md: no such file",
        "page.md: #two: no such heading",
    ]


@pytest.mark.static
def test_error_codes_are_registered() -> None:
    """Every code that a document names has a row in the registry."""
    known = {
        _plain(row["Code"])
        for block in _page("docs/error_codes.md")
        for row in block.rows
        if "Code" in row
    }
    for page in PAGES:
        named = set(re.findall(r"\bIN\d{3}\b", page.read_text()))
        assert named <= known, f"{page.name} names {sorted(named - known)}"


@pytest.mark.static
def test_documents_stand_for_themselves() -> None:
    """No page has a tab, a blank at the end of a line, or an unfinished thought."""
    for page in PAGES:
        for number, line in enumerate(page.read_text().splitlines(), 1):
            assert "\t" not in line and line == line.rstrip(), f"{page.name}:{number}"
            assert not re.search(r"\b(TODO|FIXME|TBD|XXX)\b", line), f"{page.name}:{number}"


@pytest.mark.static
def test_files_named_in_code_exist() -> None:
    """Paths of this repository that stand in backticks exist."""
    for page in PAGES:
        prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for path in re.findall(r"`((?:docs|tests|scripts|deploy|revert|verify)/[\w./-]+)`", prose):
            if not re.search(r"\bX(_test)?\.sql$", path):
                assert (ROOT / path).exists(), f"{page.name} names {path}"


@pytest.mark.static
def test_json_schemas_are_schemas() -> None:
    """Each column of JSON has a schema of draft 2020-12."""
    schemas = _json_schemas()
    assert set(schemas) == {
        "integration_instances.credentials",
        "integration_instances.config",
        "integration_definitions.credentials_schema",
        "integration_definitions.config_schema",
    }
    for schema in schemas.values():
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        Draft202012Validator.check_schema(schema)


# -- with a database ----------------------------------------------------------------------------


@pytest.fixture
def conn(worker_database: str) -> Iterator[Connection]:
    """A transaction as superuser that is rolled back."""
    with psycopg.connect(worker_database) as connection:
        yield connection
        connection.rollback()


def _type(name: str) -> str:
    name = name.replace("character varying", "varchar")
    name = name.replace("timestamp with time zone", "timestamptz")
    return re.sub(r"\bintegrations(_private)?\.", "", name)


def _expression(text: str | None) -> str:
    """Gives an expression of the catalogue without the casts that only it writes."""
    return re.sub(r"(?:\((\w+)\))?::[\w.]+", r"\1", text or "")


def _live_tables(conn: Connection, kinds: str) -> set[str]:
    query = """
        select c.oid::regclass::text from pg_class as c
         where c.relnamespace = any (%s::regnamespace[]) and c.relkind::text = any (%s)"""
    return {name for (name,) in conn.execute(query, [list(SCHEMAS), list(kinds)])}


@pytest.mark.database
def test_tables_are_documented(conn: Connection) -> None:
    """Each table has its columns, constraints, indexes and policies told, and no other has."""
    tables = _live_tables(conn, "rp")
    assert set(_tables("Columns")) == tables
    assert set(_tables("Constraints")) == tables
    assert set(_tables("Indexes")) == tables
    for heading in ("Triggers", "Policies", "Grants"):
        told = {
            re.findall(r"`(\w+\.\w+)`", part.partition("\n")[0])[0]
            for page in (ROOT / "docs").glob("*.md")
            for part in re.split(r"^#+ Table ", page.read_text(), flags=re.M)[1:]
            if re.search(rf"^#+ {heading}$", part, re.M)
        }
        assert told == tables, heading


@pytest.mark.database
def test_columns(conn: Connection) -> None:
    """Names, order, types, nulls and defaults of columns are the live ones."""
    query = """
        select a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated <> '',
               pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)
          from pg_attribute as a
               left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
         where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped
         order by a.attnum"""
    for table, rows in _tables("Columns").items():
        live = [
            (
                name,
                _type(kind),
                "no" if required else "yes",
                "generated" if generated else _expression(default),
                " ".join(comment.split()),
            )
            for name, kind, required, generated, default, comment in conn.execute(query, [table])
        ]
        told = [
            (
                _plain(row["Column"]),
                _plain(row["Type"]),
                row["Null"],
                _expression(_plain(row["Default"]).partition(": ")[0]),
                row["Meaning"],
            )
            for row in rows
        ]
        assert told == live, table


@pytest.mark.database
def test_constraints(conn: Connection) -> None:
    """Constraints are the live ones, with their COMMENT."""
    query = """
        select conname, pg_get_constraintdef(oid, true), obj_description(oid, 'pg_constraint')
          from pg_constraint where conrelid = %s::regclass and contype <> 'n'"""
    for table, rows in _tables("Constraints").items():
        live = {}
        comments = {}
        for name, rule, comment in conn.execute(query, [table]):
            live[name] = _expression(rule)
            if comment:
                comments[name] = " ".join(comment.split())
        rules = {_plain(row["Constraint"]): _expression(_plain(row["Rule"])) for row in rows}
        assert rules == live, table
        told = {_plain(row["Constraint"]): row["Meaning"] for row in rows}
        assert {name: told[name] for name in comments} == comments, table


@pytest.mark.database
def test_indexes(conn: Connection) -> None:
    """Indexes are the live ones."""
    query = """
        select c.relname, i.indisunique, pg_get_indexdef(i.indexrelid, 0, true)
          from pg_index as i join pg_class as c on c.oid = i.indexrelid
         where i.indrelid = %s::regclass"""
    for table, rows in _tables("Indexes").items():
        live = {
            name: ("unique " if unique else "") + _expression(text.partition(" USING ")[2])
            for name, unique, text in conn.execute(query, [table])
        }
        assert {_plain(row["Index"]): _plain(row["Definition"]) for row in rows} == live, table


@pytest.mark.database
def test_triggers(conn: Connection) -> None:
    """Triggers are the live ones, with when they fire."""
    query = """
        select t.tgname, pg_get_triggerdef(t.oid), t.tgenabled = 'A' from pg_trigger as t
         where t.tgrelid = %s::regclass and not t.tgisinternal"""
    told = _tables("Triggers")
    for table in _live_tables(conn, "rp"):
        live = {}
        for name, text, always in conn.execute(query, [table]):
            found = re.search(rf" {name} (.*) ON .* FOR EACH (\w+) EXECUTE FUNCTION (.*)\(", text)
            assert found
            fires = f"{found[1]}, each {found[2]}".lower() + (", always" if always else "")
            live[name] = (fires, found[3])
        rows = told.get(table, ())
        assert {
            _plain(row["Trigger"]): (row["Fires"], _plain(row["Function"])) for row in rows
        } == live, table


@pytest.mark.database
def test_policies(conn: Connection) -> None:
    """Policies are the live ones, and so is what is said of row-level security."""
    query = """
        select policyname, lower(cmd), roles::text[], qual, with_check, permissive
          from pg_policies where format('%%I.%%I', schemaname, tablename) = %s"""
    told = _tables("Policies")
    for table in _live_tables(conn, "rp"):
        live = {}
        for name, command, roles, rows_, check, permissive in conn.execute(query, [table]):
            assert permissive == "PERMISSIVE" and check in (None, rows_), (table, name)
            live[name] = (command, sorted(roles), re.sub(r"^\((.*)\)$", r"\1", rows_))
        assert {
            _plain(row["Policy"]): (
                row["Command"],
                sorted(_names(row["Roles"])),
                _plain(row["Rows"]),
            )
            for row in told.get(table, ())
        } == live, table
        forced = conn.execute(
            "select relrowsecurity and relforcerowsecurity from pg_class where oid = %s::regclass",
            [table],
        ).fetchone()
        page = next(
            part
            for file in (ROOT / "docs").glob("*.md")
            for part in re.split(r"^#+ Table ", file.read_text(), flags=re.M)[1:]
            if part.startswith(f"`{table}`")
        )
        assert ("Row-level security is enabled and forced." in page) == (forced == (True,)), table


def _allowed(conn: Connection, relation: str) -> dict[str, dict[str, set[str] | None]]:
    """Gives who may do what with it: None for the whole, else the columns.

    Demands that nobody writes but key maintenance.
    """
    grants: dict[str, dict[str, set[str] | None]] = {}
    query = """
        select a.grantee::regrole::text, lower(a.privilege_type), null::name
          from pg_class as c cross join aclexplode(c.relacl) as a
         where c.oid = %(relation)s::regclass and a.grantee <> c.relowner
        union all
        select a.grantee::regrole::text, lower(a.privilege_type), t.attname
          from pg_attribute as t cross join aclexplode(t.attacl) as a
         where t.attrelid = %(relation)s::regclass"""
    for role, privilege, column in conn.execute(query, {"relation": relation}):
        assert privilege == "select" or role == "integrations_keymaster", (relation, role)
        if column is None:
            grants.setdefault(role, {})[privilege] = None
        else:
            columns = grants.setdefault(role, {}).setdefault(privilege, set())
            assert columns is not None, (relation, role)
            columns.add(column)
    return grants


@pytest.mark.database
def test_grants(conn: Connection) -> None:
    """Grants are the live ones, column by column."""
    told = _tables("Grants")
    for table, rows in _tables("Columns").items():
        every = {_plain(row["Column"]) for row in rows}
        documented: dict[str, dict[str, set[str] | None]] = {}
        for row in told.get(table, ()):
            columns = set(_names(row["Columns"]))
            if row["Columns"].startswith("every column"):
                columns = every - columns
            for privilege in row["Privilege"].split(", "):
                documented.setdefault(_plain(row["Role"]), {})[privilege] = (
                    None if row["Columns"] == "the table" else columns
                )
        assert documented == _allowed(conn, table), table


@pytest.mark.database
def test_who_may_do_what(conn: Connection) -> None:
    """The matrix of the data model covers every table and view but partitions, and is true."""
    matrix = _with_column("docs/data_model.md", "Table or view")
    default = "integrations_private.audit_log_default"
    assert {_plain(row["Table or view"]) for row in matrix} == _live_tables(conn, "rpvm") - {
        default
    }
    assert _allowed(conn, default) == {}
    for row in matrix:
        relation = _plain(row.pop("Table or view"))
        told = {_plain(role): set(cell.split(", ")) for role, cell in row.items() if cell}
        live = {
            role: {
                privilege if columns is None else f"{privilege} (columns)"
                for privilege, columns in privileges.items()
            }
            for role, privileges in _allowed(conn, relation).items()
        }
        assert told == live, relation
        assert {_plain(role) for role in row} == set(ROLES) - {"integrations_owner"}


@pytest.mark.database
def test_roles(conn: Connection) -> None:
    """The roles are told, with who may log in, and what is said of their powers holds."""
    rows = _with_column("docs/data_model.md", "Login")
    query = """
        select rolname, rolcanlogin, rolsuper or rolbypassrls or rolcreaterole or rolcreatedb
          from pg_roles where rolname = any (%s)"""
    live = {
        role: login for role, login, powerful in conn.execute(query, [list(ROLES)]) if not powerful
    }
    assert {_plain(row["Role"]): row["Login"].startswith("yes") for row in rows} == live
    assert set(live) == set(ROLES)


@pytest.mark.database
def test_types(conn: Connection) -> None:
    """Enums and their labels are the live ones, in order."""
    rows = _with_column("docs/data_model.md", "Type")
    query = """
        select t.oid::regtype::text, array_agg(e.enumlabel::text order by e.enumsortorder)
          from pg_type as t join pg_enum as e on e.enumtypid = t.oid
         where t.typnamespace = any (%s::regnamespace[]) group by t.oid"""
    live: dict[str, list[str]] = dict(conn.execute(query, [list(SCHEMAS)]).fetchall())
    label = "Values, in their order"
    assert {_plain(row["Type"]): _names(row[label]) for row in rows} == live


@pytest.mark.database
def test_views(conn: Connection) -> None:
    """Views and their columns are the live ones."""
    rows = _with_column("docs/data_model.md", "View")
    query = """
        select array_agg(attname::text order by attnum) from pg_attribute
         where attrelid = %s::regclass and attnum > 0"""
    assert {_plain(row["View"]) for row in rows} == _live_tables(conn, "vm")
    for row in rows:
        assert conn.execute(query, [_plain(row["View"])]).fetchone() == (_names(row["Columns"]),)


@pytest.mark.database
def test_entity_diagram(conn: Connection) -> None:
    """The diagram has every table with its columns, types and keys, and every foreign key."""
    (text,) = [
        block.text for block in _page("docs/data_model.md") if block.text.startswith("erDiagram")
    ]
    drawn = {
        name: [line.split() for line in body.strip().splitlines()]
        for name, body in re.findall(r"^  (\w+) \{\n(.*?)^  \}", text, re.M | re.S)
    }
    query = """
        select format_type(a.atttypid, a.atttypmod), a.attname,
               array(select distinct upper(c.contype::text) || 'K' from pg_constraint as c
                      where c.conrelid = a.attrelid and c.contype in ('p', 'f')
                        and a.attnum = any (c.conkey) order by 1 desc)
          from pg_attribute as a
         where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped
         order by a.attnum"""
    live = {}
    for table in _live_tables(conn, "rp") - {"integrations_private.audit_log_default"}:
        live[table.partition(".")[2]] = [
            [_type(kind), name, *", ".join(keys).split()]
            for kind, name, keys in conn.execute(query, [table])
        ]
    assert drawn == live
    references = conn.execute(
        """
        select r.relname, c.relname from pg_constraint as f
               join pg_class as c on c.oid = f.conrelid join pg_class as r on r.oid = f.confrelid
         where f.contype = 'f' and c.relnamespace = any (%s::regnamespace[])""",
        [list(SCHEMAS)],
    ).fetchall()
    assert set(re.findall(r"^  (\w+) [|o}{-]+ (\w+) :", text, re.M)) == set(references)


def _moves(page: str) -> set[tuple[str, str]]:
    (text,) = [block.text for block in _page(page) if block.text.startswith("stateDiagram")]
    moves = set(re.findall(r"^  (\S+) --> (\S+)$", text, re.M))
    return {move for move in moves if move[0] != "[*]"}


def _labels(conn: Connection, enum: str) -> list[str]:
    name = sql.Identifier("integrations", enum)
    row = conn.execute(sql.SQL("select enum_range(null::{})::text[]").format(name)).fetchone()
    assert row
    return list(row[0])


@pytest.mark.database
def test_life_of_an_instance(conn: Connection) -> None:
    """The diagram has the moves that the functions allow, and that of the first credentials."""
    labels = _labels(conn, ENUMS["instance"])
    query = "select integrations_private.instance_may_move(%s, %s)"
    live = {
        (old, new)
        for old in labels
        for new in labels
        if conn.execute(query, [old, new]).fetchone() == (True,)
    }
    assert _moves("docs/integration_instances.md") == live | {("pending", "active")}


@pytest.mark.database
def test_life_of_a_definition(conn: Connection) -> None:
    """The diagram has every step forward."""
    labels = _labels(conn, ENUMS["definition"])
    assert _moves("docs/integration_definition.md") == set(combinations(labels, 2))


# -- functions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """A function of docs/functions.md."""

    name: str
    signature: str
    callers: list[str]
    errors: list[str]
    example: str


def _calls() -> list[Call]:
    text = (ROOT / "docs/functions.md").read_text().partition("## Internal functions")[0]
    calls = []
    for part in re.split(r"^### ", text, flags=re.M)[1:]:
        signature, example = re.findall(r"```sql\n(.*?)```", part, re.DOTALL)
        told = re.search(r"^Callable by ([^.]*)\. Errors: (.*)\.$", part, re.M)
        assert told, part
        errors = re.findall(r"(?:^|, )\[?([0-9A-Z]{5})\b", told[2])
        assert bool(errors) == (told[2] != "none"), part
        calls.append(
            Call(part.partition("\n")[0], signature.strip(), _names(told[1]), errors, example)
        )
    return calls


_FUNCTIONS = """
    select p.proname, p.oid::regprocedure::text, pg_get_function_arguments(p.oid),
           pg_get_function_result(p.oid), obj_description(p.oid, 'pg_proc'),
           array(select a.grantee::regrole::text from aclexplode(p.proacl) as a
                  where a.grantee <> p.proowner order by 1)
      from pg_proc as p where p.pronamespace = %s::regnamespace order by p.proname"""


@pytest.mark.database
def test_functions(conn: Connection) -> None:
    """Signatures, callers and errors are the live ones."""
    live = {}
    for name, _, arguments, result, comment, callers in conn.execute(_FUNCTIONS, ["integrations"]):
        arguments = (
            _expression(_type(arguments)).replace("DEFAULT", "default").replace("NULL", "null")
        )
        errors = re.findall(r"\b(?:IN\d{3}|\d{2}[0-9A-Z]{3})\b", comment.partition("Errors:")[2])
        live[name] = (
            f"integrations.{name}({arguments}) returns {_type(result).replace('TABLE', 'table')}",
            callers,
            sorted(errors),
        )
    told = {call.name: (call.signature, call.callers, sorted(call.errors)) for call in _calls()}
    assert told == live


@pytest.mark.database
def test_internal_functions(conn: Connection) -> None:
    """The internal functions are told, each with its arguments, result and callers."""
    (rows,) = [block.rows for block in _page("docs/functions.md") if block.rows]
    keywords = re.compile(r"\b(?:DEFAULT|INOUT|OUT)\b")
    live = {
        f"{name}({keywords.sub(lambda word: word[0].lower(), _expression(_type(arguments)))})": (
            _type(result).replace("TABLE", "table"),
            callers,
        )
        for name, _, arguments, result, _, callers in conn.execute(
            _FUNCTIONS, ["integrations_private"]
        )
    }
    assert {
        _type(_plain(row["Function"])): (
            _type(_plain(row["Result"])),
            _names(row["Also callable by"]),
        )
        for row in rows
    } == live


@pytest.mark.database
def test_readme_lists_the_functions(conn: Connection) -> None:
    """The table of the README has every function, with its callers and errors."""
    rows = _with_column("README.md", "Call")
    told = {
        re.sub(r"[`(].*", "", row["Call"].strip("`")): (
            sorted(_names(row["By"])),
            sorted(re.findall(r"\bIN\d{3}\b", row["Errors"])),
        )
        for row in rows
    }
    assert told == {
        call.name: (
            sorted(call.callers),
            sorted(code for code in call.errors if code.startswith("IN")),
        )
        for call in _calls()
    }


def _run_examples(conn: Connection, until: str = "") -> dict[str, Any]:
    """Runs the examples in their order, each as the first of its callers; gives their values."""
    draft = conn.execute(
        "select integrations.register_definition("
        "name => 'Draft', type => 'basic', version => '0.1.0')"
    ).fetchone()
    assert draft
    values: dict[str, Any] = {
        "draft_id": draft[0],
        "tenant_id": uuid.uuid4(),
        "kek": secrets.token_bytes(32),
        "new_kek": secrets.token_bytes(32),
        "data_key": secrets.token_bytes(32),
        "wrapped": secrets.token_bytes(60),  # as a key management service would answer
        "credentials": json.dumps({"access_token": "a token", "expires_in": 240}),
    }
    for call in _calls():
        # svc_integration sorts last; the others would not see what they do not own.
        conn.execute(f"set local role {call.callers[-1]}")
        if call.name == "fail_refresh":  # the lease of the example before is used
            claim = next(other for other in _calls() if other.name == "claim_refresh")
            values["lease"] = conn.execute(claim.example.encode(), values).fetchone()[0]  # type: ignore[index]
        cursor = conn.execute(call.example.encode(), values)
        row = cursor.fetchone()
        assert row is not None and cursor.description, call.name
        values[cursor.description[0].name] = row[0]
        conn.execute("reset role")
        if call.name == "open_read_lease":  # the story is one transaction: as if this were another
            conn.execute("update integrations_private.read_leases set opened_by = '3'")
        if call.name == until:
            break
    return values


@pytest.mark.database
def test_examples_run(conn: Connection) -> None:
    """The examples tell one story that works."""
    values = _run_examples(conn)
    assert values["put_credentials"] == 1
    assert values["get_credentials"] == json.loads(values["credentials"])
    left = conn.execute(
        "select count(*) from integrations.integration_instances where tenant_id = %s",
        [values["tenant_id"]],
    )
    assert left.fetchone() == (0,)


# -- JSON schemas -------------------------------------------------------------------------------


def _accepts(schema: str, value: object) -> bool:
    return bool(Draft202012Validator(_json_schemas()[schema]).is_valid(value))


def _table_accepts(conn: Connection, values: dict[str, Any], credentials: object) -> bool:
    """Tells whether the table would store this, as a superuser, past all functions."""
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(
                "update integrations.integration_instances set credentials = %s"
                " where tenant_id = %s and id = %s",
                [Jsonb(credentials), values["tenant_id"], values["instance_id"]],
            )
    except (psycopg.errors.CheckViolation, psycopg.errors.DataError):
        return False
    return True


@pytest.mark.database
def test_envelope(conn: Connection) -> None:
    """The schema takes what is really stored, and neither it nor the table takes anything else."""
    values = _run_examples(conn, until="put_credentials")
    row = conn.execute(
        "select credentials from integrations.integration_instances where tenant_id = %s",
        [values["tenant_id"]],
    ).fetchone()
    assert row
    envelope = row[0]
    name = "integration_instances.credentials"
    assert _accepts(name, envelope)
    assert _table_accepts(conn, values, envelope)
    refused: list[object] = [
        json.loads(values["credentials"]),
        {},
        [envelope],
        None,
        "ciphertext",
        {**envelope, "v": 2},
        {**envelope, "access_token": "a token"},
        {**envelope, "key": "not a key"},
        {**envelope, "version": "1"},
        {**envelope, "ct": {"access_token": "a token"}},
        {**envelope, "ct": "A" * 131076},
        *({k: v for k, v in envelope.items() if k != gone} for gone in envelope),
    ]
    for value in refused:
        assert not _accepts(name, value), value
        assert not _table_accepts(conn, values, value), value
    # Here the schema says more than the table: only what the functions write has this form.
    for value in ({**envelope, "mac": "AAAA"}, {**envelope, "ct": "a token"}):
        assert not _accepts(name, value), value


@pytest.mark.database
@pytest.mark.parametrize("config", [{}, {"a": [1, None]}, [], "text", 1, True, None], ids=repr)
def test_config(conn: Connection, config: object) -> None:
    """The schema takes what update_config takes."""
    values = _run_examples(conn, until="create_instance")
    statement = "select integrations.update_config(instance_id => %s, config => %s)"
    try:
        with conn.transaction():
            conn.execute(statement, [values["instance_id"], Jsonb(config)])
        accepted = True
    except psycopg.Error as error:
        assert error.sqlstate == "22023"
        accepted = False
    assert _accepts("integration_instances.config", config) == accepted


@pytest.mark.database
@pytest.mark.parametrize("column", ["credentials_schema", "config_schema"])
@pytest.mark.parametrize(
    "schema", [{}, {"type": "object"}, {"a": 1}, True, False, [], "x", 1, None], ids=repr
)
def test_schemas_of_a_definition(conn: Connection, column: str, schema: object) -> None:
    """The schema of the schemas takes what register_definition takes."""
    statement = (
        "select integrations.register_definition(name => 'A', type => 'basic', version => '1.0.0',"
        f" {column} => %s)"
    )
    try:
        conn.execute(statement.encode(), [Jsonb(schema)])
        accepted = True
    except psycopg.Error as error:
        assert error.sqlstate == "IN105"
        accepted = False
    assert _accepts(f"integration_definitions.{column}", schema) == accepted
