"""psql is the judge of where a statement ends, and of what a variable stands for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from psql_oracle import is_blank, same, sent

from integrations_db.lexer import scan, split, tokens
from integrations_db.testing.servers import Server

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]
NASTY = r"""-- a comment; with a semicolon
begin; /* one /* nested; */ still */ select 'it''s;', E'\';', "an;""id", $$ ; $$, $t$ $$ ; $t$,
  U&'x;', B'1';
create function f(a integer default (select 1)) returns integer
begin atomic
  select case when true then 1 else 2 end;
  select 2;
end;
create or replace procedure p() language sql begin atomic select 1; end;
create rule r as on insert to t do also (select 1; select 2);
select 1--no;
  , 2 /* ; */;;
select a$b$c from x; select $1, 1$$;$$;
do $body$ begin perform 1; end $body$;
create table begin_log (id int); select case when true then 1 end;
select 'é€', "阱";
commit -- without a semicolon
"""

# Each with the variables it is read with.
CASES: dict[str, tuple[str, dict[str, str]]] = {
    "the nasty one": (NASTY, {}),
    "nothing": (" ;; -- x\n;/* ; */ ;", {}),
    "blank lines": ("select 1\n\n\n-- x\n\n, 2;\n\n", {}),
    "strings": ("select 'a''b', E'a\\';b', U&'x;', N'x;', B'1;', X'1;';b", {}),
    "line by line": ("select E'a'\n '\\';b;", {}),
    "carriage return": ("select E'a'\r '\\';b';c", {}),
    "windows": ("select 1\r\n;\r\n\r\nselect E'a'\r\n'b';\r\nselect '\r\n';", {}),
    "byte order mark": ("\ufeffselect 1;", {}),
    "form feeds": ("\fselect\f1;\fselect 2\f;", {}),
    "unicode": ("select é$a$;$a$; select 'ä;', \"€;\", $ü$;$ü$;", {}),
    "unicode escapes": ("select U&'\\0041;', U&\"d;\" uescape '!'; select u&x;", {}),
    "numbers": ("select 1$$;$$; select 1.5e-3, 1..2, .5, 1e, 1e+; 1E';'; select $1$$;$$;", {}),
    "numbers with junk": ("select 1e$a$; $1b$a$; 2e--';' 2E'\\'; 3eE'\\'; 4.x$$; 0xE'\\';", {}),
    "operators": ("select 1 +--x;\n 2; select 1@/*;*/2; select 1 <>-- y\n 2, 3*/4;", {}),
    "comments": ("select /* a /* b; */ ; */ 1/**/;/*/ ; */select 2; /***/select 3", {}),
    "parentheses": ("f(1;2);c); d (;);(", {}),
    "dollars": ("select $a$;$b$;$a$; select a$b;$b; select $$;$a$;$$; $1; $a $a$;$a$;", {}),
    "bodies": (
        "create or replace function f() begin atomic select case when 1 then 2 end; end; x;"
        "create procedure p() begin; y; end; z;"
        "create or function f() begin; create function f(begin int); z; begin; end;",
        {},
    ),
    "joined": (r"select 1\; select 2; \;a\; b;create\;function begin; c\;", {}),
    "an escaped colon": (r"select \:v, a\:\:text;", {"v": "x"}),
    "rows": (
        "copy t from stdin; select ';'; -- x\nit's; one\t1\n\\.\nselect 2;"
        "COPY t (a) FROM STDIN WITH (format csv);\n\"\n\\.\r\nselect 3;\ncopy t from stdin;\n';",
        {},
    ),
    "plain variables": ("select :v,:v::v, :w, :v.x, x:v;", {"v": "one"}),
    "an empty one": ("select :v 1 :v;:v;:v", {"v": ""}),
    "quoted variables": (
        "select :'v', :\"v\", x:'v', :'w', :\"w\", :'v, :\"v, :' v', :v';';",
        {"v": "it's a \"\\\" ;\n:v"},
    ),
    "tests of variables": ("select :{?v}, :{?w}, :{? v}, :{?v, :{v};", {"v": ""}),
    "not variables": (
        "select ':v', \":v\", $$:v$$, E':v', /* :v */ 1 -- :v\n, 1::v, a[1:2], a[:v]; x := :v",
        {"v": "5", "2": "two"},
    ),
    "statements in a variable": ("a :v b; c", {"v": " x; y ; z"}),
    "a quote opened in a variable": ("select :v, b'; c; select :w x */ y; :u ;$a$ z;", {
        "v": "'a;", "w": "/* ;", "u": "$a$"}),
    "a name around variables": ("a:v:v; :v'b;'; :v:'v'; :v$$;$$;", {"v": "e"}),
    "variables in variables": ("select :a;", {"a": "1, :b, :'b', :a", "b": "2; :c", "c": ":a :b"}),
    "a continued string in a variable": ("select :v, b'; c;", {"v": "E'a'\n '\\';b'"}),
    "a function from variables": (":c function f() :b select 1; end; d;", {
        "c": "create", "b": "begin atomic"}),
    "an open string": ("select 1; select 'a; b", {}),
    "an open comment": ("select 1; select /* a; b", {}),
    "an open name": ("select \"a; b", {}),
    "an open body": ("select $a$ a; $$", {}),
    "an open parenthesis": ("select (1; select 2", {}),
    "no semicolon": ("select 1; select 2 -- x", {}),
}  # fmt: skip


@pytest.fixture(scope="module")
def psql_database(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The maintenance database, whose statements all fail or change nothing, and a folder."""
    return server.dsn, tmp_path_factory.mktemp("psql")


def check(source: str, variables: Mapping[str, str], theirs: list[str]) -> None:
    """Compares what we would send for a script with what psql has sent."""
    statements = split(source.removeprefix("\ufeff"), variables)
    ours = [s.text for s in statements if not is_blank(s.text)]
    alike = [same(*pair) for pair in zip(ours, theirs, strict=False)]
    assert len(ours) == len(theirs) and all(alike), (source, variables, ours, theirs)


def test_cases(empty_database: str, tmp_path: Path) -> None:
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute("create table t (a text)")
    theirs = sent(empty_database, tmp_path, list(CASES.values()))
    for (source, variables), expected in zip(CASES.values(), theirs, strict=True):
        check(source, variables, expected)


def test_the_scripts_of_this_project(empty_database: str, tmp_path: Path) -> None:
    files = [
        file for kind in ("deploy", "revert", "verify") for file in (ROOT / kind).rglob("*.sql")
    ]
    files += (ROOT / "tests" / "pgtap").rglob("*.sql")
    assert len(files) > 200
    # Nothing is executed: all fail in a transaction that has failed.
    scripts: list[tuple[str, dict[str, str]]]
    scripts = [("begin; select 1 / 0;" + file.read_text(encoding="utf-8"), {}) for file in files]
    scripts = [(source, {}) for source, _ in scripts if not has_commands(source, {})]
    assert len(scripts) > 200
    for (source, _), expected in zip(scripts, sent(empty_database, tmp_path, scripts), strict=True):
        check(source, {}, expected)


def has_commands(source: str, variables: Mapping[str, str]) -> bool:
    """Whether it holds a meta-command, which nobody but psql runs."""
    return any(s.text.startswith("\\") for s in scan(source, variables).statements)


FRAGMENTS = st.sampled_from(
    "a begin end case select create or replace function procedure atomic é ü$ E U N b 1 2.5 1e $1 "
    "' '' \" \"\" $$ $a$ $é$ $ ( ) ; ;; , . : :: := + - * / @ = < [ ] { } ? & | -- /* */ /*/ **/ "
    r"'x;' E'\';' E'a\\' U&'\0041;' U&';' U&\";\" B'1' N';' \"a;b\" $$;$$ $a$;$$;$a$ 'it''s' "
    r"\; \: :v :'v' :\"v\" :{?v} :w :'w' :u :{?u} :v:w ::v :v' :1 :_ é:v create~function "
    "create~or~replace~procedure begin~atomic".split(" ")
).map(lambda text: text.replace("~", " ").replace(r"\"", '"'))
SPACES = st.sampled_from(["", "", " ", " ", "\n", "\n", "\r\n", "\r", "\t", "\f", "\n\n", " \n  "])
TEXTS = st.lists(st.tuples(FRAGMENTS, SPACES), max_size=25).map(
    lambda pairs: "".join(part for pair in pairs for part in pair)
)
CHARACTERS = st.text("ab'\"$;:()/*-+E&U{}?v1 \n\ré", max_size=40)
# A comment at a value's end ends there, but seems to go on in what psql sends.
VALUES = (TEXTS | CHARACTERS).filter(
    lambda text: [t.kind for t in tokens(text)][-1:] != ["comment"]
)
SCRIPTS = st.tuples(
    TEXTS | CHARACTERS,
    st.fixed_dictionaries({}, optional={"v": VALUES, "w": VALUES, "1": VALUES}),
)


@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # each step of shrinking starts psql
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@example([(";".join(source for source, _ in [CASES["strings"], CASES["dollars"]]), {})])
@given(st.lists(SCRIPTS, min_size=1, max_size=40))
def test_any_script(
    psql_database: tuple[str, Path], scripts: list[tuple[str, dict[str, str]]]
) -> None:
    scripts = [script for script in scripts if not has_commands(*script)]
    theirs = sent(*psql_database, scripts)
    for (source, variables), expected in zip(scripts, theirs, strict=True):
        check(source, variables, expected)
