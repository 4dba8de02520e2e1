r"""Changes of every shape that real Sqitch projects have.

``$N`` stands for a number of its own, ``$ROOT`` for the way to the project's folder. The names of
all objects hold the number, so that any set of shapes makes a project, in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["SHAPES", "VARIABLES", "Shape"]


@dataclass(frozen=True, slots=True)
class Shape:
    """The scripts of a change.

    Attributes:
        deploy: its deploy script.
        revert: takes back exactly what that did; None: there is no such file.
        verify: None: there is no such file.
        reworked: a deploy script that replaces what the first one made; reverted by that.
        files: further files that the scripts read, by path.
    """

    deploy: str
    revert: str
    verify: str | None = None
    reworked: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


# What the scripts expect; where it is set differs: configuration, target and command line.
VARIABLES = {"schema": "pub lic", "text": "it's :text", "number": "42", "type": "integer"}

_SQL_FUNCTION = (
    "begin;\ncreate or replace function f$N() returns int language sql as $$ select 1 $$;\ncommit;"
)
_PLPGSQL = (
    "begin;\ncreate or replace function p$N(i int) returns text language plpgsql as $body$\n"
    "begin -- commit;\n  if i > 0 then return $in$;$in$; end if;\n  return 'a;b';\nend;\n$body$;\n"
    "comment on function p$N(int) is E'it\\'s; one';\nend;\n"
)

SHAPES: Mapping[str, Shape] = {
    "framed": Shape(
        "-- Deploy t$N\n\nBEGIN;\n\nCREATE TABLE t$N (id SERIAL PRIMARY KEY, a TEXT);\n\nCOMMIT;\n",
        "BEGIN;\n\nDROP TABLE t$N;\n\nCOMMIT;\n",
        "BEGIN;\n\nSELECT id, a FROM t$N WHERE FALSE;\n\nROLLBACK;\n",
    ),
    "last commit without semicolon": Shape(
        "begin;\ncreate table u$N (id int);\ncommit",
        "begin;\ndrop table u$N;\nCOMMIT -- the end",
        "begin;\nselect id from u$N;\nrollback",
    ),
    "bare statements": Shape(
        "create table b$N (i int, j int);\r\ninsert into b$N values (1, 2);\r\n"
        "alter table b$N add k int default 3;\r\n",
        "drop table b$N;",
        "select 1 / count(*) from b$N where k = 3;",
    ),
    "function": Shape(
        _SQL_FUNCTION,
        "begin;\ndrop function f$N();\ncommit;",
        "select f$N();",
        reworked=_SQL_FUNCTION.replace("select 1", "select 1 + 1"),
    ),
    "plpgsql": Shape(
        _PLPGSQL,
        "drop function p$N(int);",
        "begin;\nselect has_function_privilege('p$N(int)', 'execute');\nrollback;",
        reworked=_PLPGSQL.replace("'a;b'", "'c;d'").replace("one", "two"),
    ),
    "atomic body": Shape(
        "begin;\ncreate function a$N(i int) returns int begin atomic\n  select case when i > 0"
        " then 1 else 2 end;\n  select i;\nend;\ncommit;",
        "drop function a$N;",
        "select a$N(1);",
    ),
    "settings before begin": Shape(
        "set client_min_messages = 'warning';\nset search_path = pg_catalog, public;\nbegin;\n"
        "create schema s$N;\nset search_path to s$N;\ncreate table inside (i int);\ncommit;",
        "set client_min_messages to error;\nbegin;\ndrop schema s$N cascade;\ncommit;",
        "set search_path = s$N;\nselect i from inside;",
    ),
    "role": Shape(
        "begin;\ncreate schema r$N;\ngrant usage, create on schema r$N to pg_monitor;\n"
        "set role pg_monitor;\ncreate table r$N.t (i int);\ncommit;",
        "set session authorization pg_monitor;\ndrop table r$N.t;\nreset session authorization;\n"
        "drop schema r$N;",
        "set local role pg_monitor;\nselect i from r$N.t;",
    ),
    "temporary table": Shape(
        "create temp table scratch as select 1 as i;\nprepare p as select 1;\nlisten x;\n"
        "begin;\ncreate table k$N as select i from scratch;\ncommit;",
        "create temp table scratch (i int);\ndrop table k$N;",
        "create temp table scratch (i int);\nselect 1 / count(*) from k$N;",
    ),
    "literals": Shape(
        "/* a ; /* nested ; */ begin; */\nbegin; -- a 'quote\n"
        'create table "L;$N" ("a""b" text default \'it\'\'s; \u00e9\',\n'
        "  c text default U&'\\0041',"
        "  d text default E'\\';', e text default $q$';\"$q$, f text default $\u00e9$x;$\u00e9$);\n"
        "insert into \"L;$N\" (\"a\"\"b\") values ('a\\'), (e'a\\\\'), ('x'\n'y');\ncommit;",
        'begin;drop table "L;$N";commit;',
        'begin;select "a""b" from "L;$N";rollback;',
    ),
    "do block": Shape(
        "do $$ begin\n  for i in 1..3 loop\n    execute format('create table d$N_%s ()', i);\n"
        "  end loop;\nend $$;",
        "do $$ begin execute 'drop table d$N_1, d$N_2, d$N_3'; end $$;",
        "do $$ begin assert (select count(*) = 3 from pg_class where relname ~ '^d$N_'); end $$;",
    ),
    "isolation level": Shape(
        "begin isolation level serializable;\ncreate table iso$N as\n"
        "  select current_setting('transaction_isolation') as level;\ncommit work;",
        "start transaction isolation level repeatable read;\ndrop table iso$N;\n"
        "commit and no chain;",
        "begin transaction read only;\nselect 1 / (level = 'serializable')::int from iso$N;\n"
        "abort;",
    ),
    "local settings outside a transaction": Shape(
        "set local search_path = pg_temp;\ncreate table ls$N as select 1 as i;\n",
        "set local lock_timeout = '1s';\ndrop table ls$N;",
        "set local role pg_monitor;\nselect 1 / (current_user <> 'pg_monitor')::int;",
    ),
    "savepoints": Shape(
        "begin;\ncreate table sp$N (i int);\nsavepoint a;\ninsert into sp$N values (1);\n"
        "rollback to a;\ninsert into sp$N values (2);\nrelease a;\ncommit;",
        "drop table sp$N;",
        "select 1 / (sum(i) = 2)::int from sp$N;",
    ),
    "deferred": Shape(
        "begin;\ncreate table de$N (i int primary key deferrable initially deferred);\n"
        "insert into de$N values (1), (2);\nupdate de$N set i = 3 - i;\ncommit;",
        "drop table de$N;",
        "select i from de$N;",
    ),
    "enumeration": Shape(
        "create type e$N as enum ('a', 'b');\nalter type e$N add value 'c';\n"
        "create table en$N (e e$N default 'c');",
        "drop table en$N;\ndrop type e$N;",
        "select 'c'::e$N;",
    ),
    "value in a transaction": Shape(
        "begin;\ncreate type ev$N as enum ('a');\ncommit;\nalter type ev$N add value 'b';\n"
        "create table evt$N (e ev$N default 'b');\ninsert into evt$N default values;",
        "drop table evt$N;\ndrop type ev$N;",
        "select 1 / count(*) from evt$N where e = 'b';",
    ),
    "grants": Shape(
        "begin;\ncreate view gv$N as select 1 as i;\ngrant select on gv$N to pg_monitor;\n"
        "alter default privileges grant select on tables to pg_monitor;\n"
        "alter default privileges revoke select on tables from pg_monitor;\ncommit;",
        "drop view gv$N;",
        "select 1 / has_table_privilege('pg_monitor', 'gv$N', 'select')::int;",
    ),
    "trigger": Shape(
        "begin;\ncreate table tr$N (i int);\ncreate function tf$N() returns trigger\n"
        "language plpgsql as 'begin new.i := new.i + 1; return new; end';\n"
        "create trigger trg before insert on tr$N"
        " for each row execute function tf$N();\ninsert into tr$N values (1);\ncommit;",
        "drop table tr$N;\ndrop function tf$N;",
        "select 1 / (i = 2)::int from tr$N;",
    ),
    "quoted variables": Shape(
        'begin;\ncreate schema if not exists :"schema";\n'
        "create table :\"schema\".v$N (i :type default :number, t text default :'text');\n"
        "insert into :\"schema\".v$N (t) values (':text'), ($$:text$$), (:'text');\n"
        "select 1::int, '{1,2}'::int[], (array[1,2])[1:2];\ncommit;",
        'drop table :"schema".v$N;',
        "select 1 / (count(*) = 3 and bool_or(t = :'text'))::int from :\"schema\".v$N;",
    ),
    "automatic variables": Shape(
        "create table av$N as select :'DBNAME' = current_database() as db, :'USER' = current_user"
        " as u, :'ENCODING'::text as e, :SERVER_VERSION_NUM as v, :'ON_ERROR_STOP' as s;",
        "drop table av$N;",
        "select 1 / (db and u and e = 'UTF8' and v > 1)::int from av$N;",
    ),
    "defined or not": Shape(
        "create table dn$N as select :{?number} as yes, :{?nosuch} as no;",
        "drop table dn$N;",
        "select 1 / (yes and not no)::int from dn$N;",
    ),
    "meta-commands": Shape(
        "\\set ON_ERROR_STOP 1\n\\set name 'm' $N\nbegin;\n\\if :{?name}\n"
        "create table :name (i int);\n\\else\ncreate table wrong (i int);\n\\endif\n"
        "\\echo made :name\ncommit;",
        "\\set name m$N\ndrop table :name;",
        "\\pset format unaligned\nselect i from m$N;",
    ),
    "gset and gexec": Shape(
        "select 'ge$N' as name \\gset\nselect format('create table %I (i int)', :'name') \\gexec\n",
        "select 'drop table ge$N' \\gexec\n",
        "select i from ge$N;",
    ),
    # Not as CSV: psql before 18 and a server from 18 on understand its end differently.
    "copy": Shape(
        "begin;\ncreate table c$N (i int, t text);\ncopy c$N from stdin;\n1\tone;\n2\t\\N\n\\.\n"
        "copy c$N (i) from stdin;\n3\n\\.\ncommit;",
        "drop table c$N;",
        "select 1 / (count(*) = 3)::int from c$N;",
    ),
    "include": Shape(
        "begin;\n\\ir $ROOTshared/one.sql\n\\i shared/two.sql\n"
        "create table inc$N as select one();\ncommit;",
        "drop table inc$N;",
        "select one from inc$N;",
        files={
            "shared/one.sql": "create or replace function one() returns int language sql as"
            " 'select 1';\n",
            "shared/two.sql": "select 2;\n",
        },
    ),
    "concurrent index": Shape(
        "create table ci$N (i int);\ncreate index concurrently ci$N_i on ci$N (i);\n",
        "drop index concurrently ci$N_i;\ndrop table ci$N;",
        "select 1 / count(*) from pg_index where indexrelid = 'ci$N_i'::regclass and indisvalid;",
    ),
    "vacuum": Shape(
        "create table va$N as select generate_series(1, 10) as i;\nvacuum analyze va$N;",
        "drop table va$N;",
        "select i from va$N;",
    ),
    "two transactions": Shape(
        "begin;\ncreate table tt$N (i int);\ncommit;\nbegin;\nalter table tt$N add j int;\ncommit;",
        "begin;\nalter table tt$N drop j;\ncommit;\nbegin;\ndrop table tt$N;\ncommit;",
        "select i, j from tt$N;",
    ),
    "after the commit": Shape(
        "begin;\ncreate table ac$N (i int);\ncommit;\ncomment on table ac$N is 'later';\n",
        "begin;\ndrop table ac$N;\ncommit;\nselect 1;",
        "begin;\nselect i from ac$N;\nrollback;\nselect 1;",
    ),
    "procedure that commits": Shape(
        "create table pc$N (i int);\ncreate procedure pr$N() language plpgsql as $$ begin\n"
        "  insert into pc$N values (1); commit; insert into pc$N values (2); end $$;\ncall pr$N();",
        "drop procedure pr$N;\ndrop table pc$N;",
        "select 1 / (count(*) = 2)::int from pc$N;",
    ),
    "nothing": Shape("-- nothing to do for $N\n", "-- nothing to undo for $N\n", "-- $N\n"),
    "no verify script": Shape("create table nv$N (i int);", "drop table nv$N;"),
    "verify that fails": Shape(
        "create table vf$N (i int);", "drop table vf$N;", "begin;\nselect 1 / 0;\nrollback;\n"
    ),
    "verify that is wrong": Shape(
        "create table vw$N (i int);", "drop table vw$N;", "select nosuch from vw$N;\n"
    ),
    "verify that writes": Shape(
        "create table ww$N (i int);",
        "drop table ww$N;",
        "begin;\ninsert into ww$N values (1);\ncreate table ww_tmp$N ();\nrollback;\n",
    ),
}
