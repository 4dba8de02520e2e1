"""Each script is classified before anything runs: atomic, not atomic, for psql, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations_db.script import VERIFY_SAVEPOINT, Kind, Script, ScriptError, read_script, words

pytestmark = pytest.mark.static

BACK = f"ROLLBACK TO SAVEPOINT {VERIFY_SAVEPOINT}"


def read(tmp_path: Path, source: str, kind: Kind = "deploy", **variables: str) -> Script:
    path = tmp_path / "x.sql"
    path.write_bytes(source.encode())
    return read_script(path, kind, variables)


def texts(script: Script) -> list[str]:
    return [statement.text for statement in script.body]


# Without a BEGIN, psql would commit each statement: inside of one transaction these differ.
NEEDS_PSQLS_TRANSACTIONS = [
    ("a;\nlock table t;", 2, "LOCK outside of a transaction, which PostgreSQL refuses"),
    ("savepoint s;", 1, "SAVEPOINT outside of a transaction, which PostgreSQL refuses"),
    ("a;\nrollback to s;", 2, "ROLLBACK outside of a transaction, which PostgreSQL refuses"),
    ("release s;", 1, "RELEASE outside of a transaction, which PostgreSQL refuses"),
    (
        "declare c cursor for select 1;",
        1,
        "DECLARE outside of a transaction, which PostgreSQL refuses",
    ),
    (
        "declare c scroll cursor without hold for select 1;",
        1,
        "DECLARE outside of a transaction, which PostgreSQL refuses",
    ),
    (
        "a;\ncreate local temporary table t (a int) on commit drop;",
        2,
        "ON COMMIT outside of a transaction, at the end of the statement itself",
    ),
    (
        "create temp table t on\ncommit delete rows as select 1;",
        1,
        "ON COMMIT outside of a transaction, at the end of the statement itself",
    ),
    (
        "create table t ();\nselect dblink_exec('', 'insert into t default values');",
        2,
        "dblink, which sees only what is committed",
    ),
    (
        "a;\ndo $$ begin perform dblink('x', 'y'); end $$;",
        2,
        "dblink, which sees only what is committed",
    ),
]


@pytest.mark.parametrize(
    ("source", "begin", "body"),
    [
        ("begin; a; b; commit;", "BEGIN", ["a", "b"]),
        ("BEGIN WORK; a; END", "BEGIN", ["a"]),
        ("start transaction; a; commit and no chain;", "BEGIN", ["a"]),
        ("set x = 1; begin; a; commit; reset x;", "BEGIN", ["set x = 1", "a", "reset x"]),
        ("a; b", "BEGIN", ["a", "b"]),
        ("", "BEGIN", []),
        ("\ufeffbegin; a; commit;", "BEGIN", ["a"]),
        ("begin;\r\na;\r\ncommit;\r\n", "BEGIN", ["a"]),
        (
            "begin; savepoint s; rollback to s; rollback work to savepoint s; release s; end;",
            "BEGIN",
            ["savepoint s", "rollback to s", "rollback work to savepoint s", "release s"],
        ),
        (
            "begin; create function f() begin atomic select 1; end; commit;",
            "BEGIN",
            ["create function f() begin atomic select 1; end"],
        ),
        # What the transaction is asked to be, ours is.
        (
            "begin isolation level serializable, read write; a; commit;",
            "BEGIN isolation level serializable, read write",
            ["a"],
        ),
        (
            "start transaction deferrable; set transaction isolation level serializable; a; end;",
            "BEGIN deferrable isolation level serializable",
            ["a"],
        ),
        # A second BEGIN is but a warning.
        ("begin; a; begin; b; commit;", "BEGIN", ["a", "b"]),
        # Without BEGIN these last for their own statement, so they do nothing.
        ("set local x = 1; set transaction read only; set constraints c immediate", "BEGIN", []),
        (r"begin\; a\; b\; commit;", "BEGIN", ["a", "b"]),
        (r"set local x = 1\; a;", "BEGIN", ["set local x = 1", "a"]),
        ("begin; SET standard_conforming_strings = on; commit;", "BEGIN", None),
        ("begin; create function f() set standard_conforming_strings = off; end;", "BEGIN", None),
        ("begin; alter role r set standard_conforming_strings = off; end;", "BEGIN", None),
        ("begin; comment on role r is 'standard_conforming_strings'; end;", "BEGIN", None),
        ("begin; create subscription s publication p with (connect = false); end;", "BEGIN", None),
        ("begin; alter subscription s disable; end;", "BEGIN", None),
        ("begin; alter subscription s set (synchronous_commit = off); end;", "BEGIN", None),
        ("begin; reindex (concurrently false) table t; end;", "BEGIN", None),
        ("begin; cluster t; cluster \"T\"; end;", "BEGIN", None),
        ("begin; alter database d set default_tablespace = x; end;", "BEGIN", None),
        ("begin; alter table t detach partition p finalize; end;", "BEGIN", None),
        ("begin; do $$ begin perform commit from t; end $$; end;", "BEGIN", None),
        ("begin; create procedure p() as $$ begin commit; end $$; end;", "BEGIN", None),
    ],
)  # fmt: skip
def test_atomic(tmp_path: Path, source: str, begin: str, body: list[str] | None) -> None:
    script = read(tmp_path, source)
    assert (script.execution, script.why) == ("atomic", None)
    assert script.begin == begin
    if body is not None:
        assert texts(script) == body


@pytest.mark.parametrize(
    ("source", "body"),
    [
        ("begin; a; rollback;", ["a"]),
        ("begin; a; commit;", ["a"]),
        ("begin; a;", ["a"]),
        ("a; rollback;", ["a"]),
        ("a;", ["a"]),
        ("begin; a; rollback; begin; b; rollback;", ["a", BACK, "b"]),
        ("begin; a; rollback and chain; b; rollback;", ["a", BACK, "b"]),
        ("begin; set local x = 1; a; commit; set local y = 1; b", ["set local x = 1", "a", "b"]),
        ("begin read only; set transaction isolation level serializable; a; rollback", ["a"]),
    ],
)
def test_a_verify_script_is_one_transaction_that_is_undone(
    tmp_path: Path, source: str, body: list[str]
) -> None:
    script = read(tmp_path, source, "verify")
    assert (script.execution, script.why) == ("atomic", None)
    assert texts(script) == body


@pytest.mark.parametrize(("source", "line", "why"), NEEDS_PSQLS_TRANSACTIONS)
def test_a_transaction_of_its_own_is_as_good_as_psqls(
    tmp_path: Path, source: str, line: int, why: str
) -> None:
    assert read(tmp_path, f"begin; {source} commit;").execution == "atomic"
    alone = read(tmp_path, source, "verify")
    assert alone.execution == "not atomic"
    assert (alone.why or "").endswith(f"x.sql:{line}: {why}")


@pytest.mark.parametrize(
    ("source", "line", "why"),
    [
        ("\nvacuum t;", 2, "VACUUM cannot run inside a transaction"),
        ("begin;\nvacuum t;\nrollback;", 2, "VACUUM cannot run inside a transaction"),
        (
            "begin;\nprepare transaction 'x';",
            2,
            "PREPARE TRANSACTION leaves the transaction to others",
        ),
        (
            "a;\ndo $$ begin\n perform 1; commit; end $$;",
            2,
            "the DO block ends transactions itself",
        ),
    ],
)
def test_a_verify_script_that_our_transaction_cannot_hold(
    tmp_path: Path, source: str, line: int, why: str
) -> None:
    script = read(tmp_path, source, "verify")
    assert script.execution == "not atomic"
    assert (script.why or "").endswith(f"x.sql:{line}: {why}")


@pytest.mark.parametrize(
    ("source", "begin"),
    [
        ("begin read only;\na;\nrollback;", "BEGIN read only"),
        ("begin read only;\na;\nrollback;\nbegin;\nb;\nrollback;", "BEGIN"),
        ("a;", "BEGIN"),
    ],
)
def test_the_modes_of_a_verify_script(tmp_path: Path, source: str, begin: str) -> None:
    assert read(tmp_path, source, "verify").begin == begin


def test_where_a_verify_script_goes_back(tmp_path: Path) -> None:
    script = read(tmp_path, "begin;\na;\n  rollback;\nbegin;\nb;\nrollback;", "verify")
    assert texts(script) == ["a", BACK, "b"]
    assert script.place(script.body[1], 0) == script.place(script.body[1], 8) == (3, 3)
    assert script.body[1].line == 3
    assert texts(read(tmp_path, "rollback;\na;\nrollback;", "verify")) == ["a"]


@pytest.mark.parametrize(
    "source",
    [
        "declare c cursor with hold for select 1;",
        "create temp table t (a int) on commit preserve rows;",
        "create function f() returns text language sql as $$ select dblink('x', 'y') $$;",
    ],
)
def test_atomic_without_a_begin(tmp_path: Path, source: str) -> None:
    assert read(tmp_path, source).execution == "atomic"


@pytest.mark.parametrize(
    ("source", "line", "why"),
    [
        ("a;\ncommit;", 2, "COMMIT without a BEGIN before it"),
        ("a;\nrollback;", 2, "ROLLBACK without a BEGIN before it"),
        ("begin;\na;\ncommit;\nb;", 4, "stands outside of the script's transaction"),
        ("a;\nbegin;\nb;\ncommit;", 1, "stands outside of the script's transaction"),
        ("begin;a;commit;\nbegin;b;commit;", 2, "begins a second transaction"),
        ("begin;a;rollback;\nb;", 1, "ROLLBACK undoes a part of the script"),
        ("begin;\na;\ncommit and chain;\nb;\ncommit;", 3, "AND CHAIN begins a second transaction"),
        ("begin;\na;\ncommit and chain;", 3, "AND CHAIN begins a second transaction"),
        (
            "begin;\na;\nprepare transaction 'x';",
            3,
            "PREPARE TRANSACTION leaves the transaction to others",
        ),
        ("begin read only;\na;\ncommit;", 1, "is read only, and the registry rows must be written"),
        (
            "begin;\nset transaction read only;\na;\ncommit;",
            2,
            "is read only, and the registry rows must be written",
        ),
        (
            "begin;\na;\nset transaction isolation level serializable;\ncommit;",
            3,
            "changes the modes of a transaction",
        ),
        ("begin;\nset transaction snapshot 'x';\ncommit;", 2, "changes the modes of a transaction"),
        (
            "set default_transaction_isolation = serializable;\nbegin;\na;\ncommit;",
            1,
            "changes how the next transactions begin",
        ),
        (
            "set session characteristics as transaction read write;\na;",
            1,
            "changes how the next transactions begin",
        ),
        (
            "a;\ndo $$ begin\n perform 1; commit; end $$;",
            2,
            "the DO block ends transactions itself",
        ),
        ("do 'begin rollback and chain; end';", 1, "the DO block ends transactions itself"),
        ("do e'begin commit; end';", 1, "the DO block ends transactions itself"),
        ("do $b$ begin commit /* now */ ; end $b$;", 1, "the DO block ends transactions itself"),
        ("begin;\na;\ncommit;\nrollback;", 4, "ROLLBACK without a BEGIN before it"),
        *NEEDS_PSQLS_TRANSACTIONS,
    ],
)
def test_not_atomic(tmp_path: Path, source: str, line: int, why: str) -> None:
    script = read(tmp_path, source)
    assert script.execution == "not atomic"
    assert script.why is not None
    assert script.why.endswith(f"x.sql:{line}: {why}")
    assert script.body == ()
    assert script.statements


@pytest.mark.parametrize(
    ("source", "line", "what"),
    [
        ("\ncreate unique index concurrently i on t (a);", 2, "CREATE INDEX CONCURRENTLY"),
        ("a;\ndrop index concurrently if exists i;", 2, "DROP INDEX CONCURRENTLY"),
        ("begin;\nvacuum (full) t;\ncommit;", 2, "VACUUM"),
        ("reindex table concurrently t;", 1, "REINDEX CONCURRENTLY"),
        ("reindex (verbose, concurrently) index i;", 1, "REINDEX CONCURRENTLY"),
        ("reindex (verbose) schema s;", 1, "REINDEX SCHEMA"),
        ("reindex database;", 1, "REINDEX DATABASE"),
        ("create database d;", 1, "CREATE DATABASE"),
        ("drop tablespace t;", 1, "DROP TABLESPACE"),
        ('alter database "D" set tablespace t;', 1, "ALTER DATABASE ... SET TABLESPACE"),
        ("alter system set a = 1;", 1, "ALTER SYSTEM"),
        (
            "alter table t detach partition p concurrently;",
            1,
            "ALTER TABLE ... DETACH PARTITION CONCURRENTLY",
        ),
        ("create subscription s connection 'x' publication p;", 1, "CREATE SUBSCRIPTION"),
        (
            "alter subscription s refresh publication;",
            1,
            "ALTER SUBSCRIPTION that changes the publisher",
        ),
        (
            "alter subscription s set publication p;",
            1,
            "ALTER SUBSCRIPTION that changes the publisher",
        ),
        (
            "alter subscription s set (failover = true);",
            1,
            "ALTER SUBSCRIPTION that changes the publisher",
        ),
        ("cluster (verbose);", 1, "CLUSTER without a table"),
        ("discard all;", 1, "DISCARD ALL"),
        ("commit prepared 'x';", 1, "COMMIT PREPARED"),
        ("rollback prepared 'x';", 1, "ROLLBACK PREPARED"),
    ],
)
def test_what_cannot_run_inside_a_transaction(
    tmp_path: Path, source: str, line: int, what: str
) -> None:
    test_not_atomic(tmp_path, source, line, f"{what} cannot run inside a transaction")


@pytest.mark.parametrize(
    ("source", "line", "why"),
    [
        ("\n\\i other.sql\n", 2, r"psql's \i"),
        ("select 1 \\gset\n", 1, r"psql's \gset"),
        (
            "begin;\ncopy t (a, b) from stdin;\n1\tit's\n\\.\ncommit;",
            2,
            "COPY from or to the client",
        ),
        ("copy (select 1) to stdout;", 1, "COPY from or to the client"),
        ("a;\nselect :ROW_COUNT;", 2, ":ROW_COUNT"),
        ("select :'SQLSTATE';", 1, ":SQLSTATE"),
        ("set standard_conforming_strings = off;", 1, "standard_conforming_strings"),
        ("select set_config('standard_conforming_strings', 'off', false);", 1, "standard_"),
        (
            "begin;\nset standard_conforming_strings = off;\nselect 'a\\';b';\ncommit;",
            2,
            "standard_",
        ),
        ("create index concurrently i on t (a);\n\\echo done", 2, r"\echo"),
        ("begin;\n\\i other.sql\n", 2, r"psql's \i"),  # which may commit
    ],
)
def test_for_psql(tmp_path: Path, source: str, line: int, why: str) -> None:
    script = read(tmp_path, source)
    assert script.execution == "psql"
    assert script.why is not None
    assert f"x.sql:{line}: " in script.why
    assert why in script.why
    assert script.statements == script.body == ()


def test_a_file_that_is_not_utf8_is_for_psql(tmp_path: Path) -> None:
    (tmp_path / "latin.sql").write_bytes(b"\nselect '\xe4';\nselect 1;\n")
    script = read_script(tmp_path / "latin.sql", "deploy")
    assert script.execution == "psql"
    assert (script.path, script.source) == (tmp_path / "latin.sql", "")
    assert script.why is not None
    assert "latin.sql:2: is not UTF-8" in script.why


@pytest.mark.parametrize(
    ("source", "line", "why"),
    [
        ("begin;\na;", 1, "BEGIN without COMMIT"),
        ("a;\nbegin;", 2, "BEGIN without COMMIT"),
        ("begin;\na;\ncommit and chain;\nb;", 3, "AND CHAIN without COMMIT"),
        ("begin;\na;\nrollback;", 3, "ROLLBACK at the end"),
        ("begin;a;commit;\nbegin;\na;\nabort;\nreset role;", 4, "ROLLBACK at the end"),
        ("begin;\n\\echo hello\na;", 1, "BEGIN without COMMIT"),
        ("begin;\ncopy t from stdin;\ncommit;\n\\.\n", 1, "BEGIN without COMMIT"),
        ("a;\nselect 'b;\nc", 2, "string is not closed"),
        ("a /* b;\nc", 1, "comment is not closed"),
        ('a;\nb "c;', 2, "quoted name is not closed"),
        ("a;\n\nb $x$ c; $$", 3, "dollar-quoted string is not closed"),
    ],
)
@pytest.mark.parametrize("kind", ["deploy", "revert"])
def test_refused(tmp_path: Path, kind: Kind, source: str, line: int, why: str) -> None:
    with pytest.raises(ScriptError, match=rf"x\.sql:{line}: .*{why}") as failed:
        read(tmp_path, source, kind)
    if "is not closed" not in why:
        assert str(failed.value).endswith("count as done. End its transaction with COMMIT.")


def test_files_that_are_no_scripts(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"missing\.sql: cannot be read: No such file"):
        read_script(tmp_path / "missing.sql", "deploy")
    with pytest.raises(ScriptError, match=r"x\.sql:2: .*NUL"):
        read(tmp_path, "a;\nselect '\0';\nb '\0';\n")
    with pytest.raises(ScriptError, match=r"x\.sql:2: .*NUL"):
        read(tmp_path, "\n\0")
    for encoding in ("utf-16", "utf-16-be"):
        text = "\ufeffselect 1;".encode(encoding).removeprefix(b"\xff\xfe")
        (tmp_path / "wide.sql").write_bytes(text)
        with pytest.raises(ScriptError, match=r"wide\.sql:1: is UTF-16; save it as UTF-8$"):
            read_script(tmp_path / "wide.sql", "deploy")


def test_places_count_characters(tmp_path: Path) -> None:
    script = read(tmp_path, "begin;\n-- é\n  select 'é', x;\ncommit;")
    (statement,) = script.body
    assert script.place(statement, statement.text.index("x")) == (3, 15)


@pytest.mark.parametrize(
    ("marked", "line", "column"),
    [
        ("select @, 1;", 1, 8),
        ("\nselect @, 1;", 2, 8),
        ("\n@, 1;", 2, 1),
        ("select :v,\n  :v @;", 2, 6),
        (":v; select :'v',\n @", 2, 2),
        ("a\\;\n b\\; c\\;\n d @", 3, 4),
        ("begin\\; :v\\; :{?v} @\\; end", 1, 20),
    ],
)
def test_places_after_variables(tmp_path: Path, marked: str, line: int, column: int) -> None:
    script = read(tmp_path, marked, v="first,\nsecond ; third")
    (statement,) = (statement for statement in script.body if "@" in statement.text)
    assert script.place(statement, statement.text.index("@")) == (line, column)


def test_a_place_within_a_variable_is_the_variable(tmp_path: Path) -> None:
    script = read(tmp_path, "a;\n  select :v;", v="1; b ; c")
    assert texts(script) == ["a", "select 1", "b", "c"]
    for statement, inside in zip(script.body[1:], (7, 0, 0), strict=True):
        assert script.place(statement, inside) == (2, 10)


def test_variables_that_are_not_set_are_told(tmp_path: Path) -> None:
    script = read(tmp_path, "select :v, :'w', :{?x}, a[1:2], ':y';", v="1, :z")
    assert [(r.name, r.offset) for r in script.unset] == [
        *(("z", 7), ("w", 11), ("x", 17), ("2", 27)),
    ]


def test_apart_keeps_what_psql_would_send(tmp_path: Path) -> None:
    script = read(tmp_path, "begin isolation level serializable; call p(); commit;")
    apart = script.apart("x.sql:1: p ends transactions")
    assert (apart.execution, apart.why) == ("not atomic", "x.sql:1: p ends transactions")
    assert [s.text for s in apart.statements][1:] == ["call p()", "commit"]
    assert apart.body == ()
    assert apart.begin == "BEGIN"


def test_words_skip_what_is_quoted() -> None:
    assert words('drop /* x */ index "concurrently" if', 3) == ("DROP", "INDEX", "IF")
