"""Which scripts one transaction can hold, and how the others are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations_db.script import Kind, ScriptError, read_script, words

pytestmark = pytest.mark.static


def read(tmp_path: Path, source: str, kind: Kind = "deploy") -> list[str]:
    path = tmp_path / "x.sql"
    path.write_text(source, encoding="utf-8")
    return [statement.text for statement in read_script(path, kind).statements]


@pytest.mark.parametrize(
    ("kind", "source", "expected"),
    [
        ("deploy", "begin; a; b; commit;", ["a", "b"]),
        ("deploy", "BEGIN WORK; a; END", ["a"]),
        ("deploy", "start transaction; a; commit and no chain;", ["a"]),
        ("deploy", "set x = 1; begin; a; commit;", ["set x = 1", "a"]),
        ("deploy", "a; b;", ["a", "b"]),
        ("deploy", "begin; savepoint s; rollback to s; release s; commit;", None),
        ("deploy", "", []),
        ("deploy", "\ufeffbegin; a; commit;", ["a"]),
        ("deploy", "begin; create function f() begin atomic select 1; end; commit;", None),
        ("verify", "begin; a; rollback;", ["a"]),
        ("verify", "begin; a; commit;", ["a"]),
        ("verify", "begin; a;", ["a"]),
        ("verify", "a; rollback;", ["a"]),
        ("verify", "a;", ["a"]),
    ],
)
def test_accepted(tmp_path: Path, kind: Kind, source: str, expected: list[str] | None) -> None:
    statements = read(tmp_path, source, kind)
    if expected is None:
        assert statements
    else:
        assert statements == expected


@pytest.mark.parametrize(
    ("source", "line", "why"),
    [
        ("begin;\na;", 1, "BEGIN without COMMIT"),
        ("begin;\na;\nrollback;", 3, "ROLLBACK"),
        ("a;\ncommit;", 2, "without a BEGIN"),
        ("begin;\na;\ncommit;\nb;", 4, "after COMMIT"),
        ("begin;a;commit;\nbegin;b;commit;", 2, "after COMMIT"),
        ("begin;\nbegin;\ncommit;", 2, "inside a transaction"),
        ("a;\nbegin;\ncommit;", 1, "before BEGIN"),
        ("begin;\ncommit and chain;", 2, "CHAIN"),
        ("begin isolation level serializable;\ncommit;", 1, "isolation"),
        ("\nset transaction read only;", 2, "transaction"),
        ("\ncreate unique index concurrently i on t (a);", 2, "transaction"),
        ("drop index concurrently i;", 1, "transaction"),
        ("vacuum t;", 1, "transaction"),
        ("reindex table concurrently t;", 1, "transaction"),
        ("create database d;", 1, "transaction"),
        ("alter system set a = 1;", 1, "transaction"),
        ("alter table t detach partition p concurrently;", 1, "transaction"),
        ("prepare transaction 'x';", 1, "somebody else"),
        ("discard all;", 1, "transaction"),
        ("\n\\i other.sql\n", 2, "meta-command"),
        ("select 1 \\gset\n", 1, "meta-command"),
        ("copy t (a, b) from stdin;\n1\t2\n\\.\n", 1, "client"),
        ("copy (select 1) to stdout;", 1, "client"),
    ],
)
def test_refused_with_line_and_reason(tmp_path: Path, source: str, line: int, why: str) -> None:
    with pytest.raises(ScriptError, match=rf"x\.sql:{line}: .*{why}"):
        read(tmp_path, source)


def test_files_that_are_no_scripts(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="No such file"):
        read_script(tmp_path / "missing.sql", "deploy")
    (tmp_path / "latin.sql").write_bytes(b"select '\xe4';")
    with pytest.raises(ScriptError, match="UTF-8"):
        read_script(tmp_path / "latin.sql", "deploy")
    (tmp_path / "nul.sql").write_bytes(b"select '\0';")
    with pytest.raises(ScriptError, match="NUL"):
        read_script(tmp_path / "nul.sql", "deploy")


def test_places_count_characters(tmp_path: Path) -> None:
    path = tmp_path / "x.sql"
    path.write_text("begin;\n-- é\n  select 'é', x;\ncommit;", encoding="utf-8")
    script = read_script(path, "deploy")
    assert script.place(script.source.index("x;")) == (3, 15)


def test_words_skip_what_is_quoted() -> None:
    assert words('drop /* x */ index "concurrently" if', 3) == ("DROP", "INDEX", "IF")
