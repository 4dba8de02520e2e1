"""A project of thirty changes for the fault tests, and what a database must look like after each.

Its scripts are of every shape that is one transaction: with and without a BEGIN of their own, with
several statements, DO blocks, data, an enum, functions, views, comments. Each has a verify script,
and a revert script that undoes it exactly. All of them pause for a moment and say in their
session's application_name which phase they are in, so that a kill finds them there.

The expected states come from running the scripts over a plain connection, without any deployer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from small_project import Sql, write_project

from integrations_db.plan import Plan, read_plan, script_hash

__all__ = [
    "Story",
    "Violated",
    "hook_registry",
    "observe",
    "tell",
    "thirty",
    "unhook_registry",
    "whole",
]

Connection = psycopg.Connection[Any]
State = tuple[tuple[Any, ...], ...]

PAUSE = 0.003  # seconds in every script and, three times, among the registry rows of a change


class Violated(AssertionError):
    """A database in which changes and their records do not agree."""


@dataclass(frozen=True, slots=True)
class Story:
    """The project, and the states of a database that it leads through.

    Attributes:
        folder: where its plan and scripts are.
        plan: its plan.
        states: what is in the database after 0, 1, 2, … changes, the registry aside.
    """

    folder: Path
    plan: Plan
    states: tuple[State, ...]


def _pause(phase: str) -> str:
    return f"select set_config('application_name', 'in {phase}', true), pg_sleep({PAUSE});\n"


def _change(
    deploy: str, revert: str, verify: str, own: bool = True, number: int = 0, **more: Any
) -> Sql:
    """Makes a change.

    Args:
        deploy: statements; the pause stands after the first one, which is on the first line.
        revert: likewise.
        verify: a query that fails when the change is not there.
        own: whether the scripts have a BEGIN and COMMIT of their own.
        number: what $N stands for.
        more: of ``Sql``.
    """

    def script(body: str, phase: str, end: str) -> str:
        first, _, rest = body.replace("$N", str(number)).partition("\n")
        text = f"{first}\n{_pause(phase)}{rest}\n"
        return f"BEGIN;\n{text}{end};\n" if own else text

    return Sql(
        deploy=script(deploy, "script", "COMMIT"),
        revert=script(revert, "script", "COMMIT"),
        verify=script(verify, "verify", "ROLLBACK"),
        **more,
    )


def thirty() -> Mapping[str, Sql]:
    """Returns the thirty changes."""
    changes: dict[str, Sql] = {
        "schema": _change(
            "create schema story;\ncomment on schema story is 'a story';",
            "drop schema story;",
            "select 1 / count(*) from pg_namespace where nspname = 'story';",
        ),
        "mood": _change(
            "create type story.mood as enum ('sad', 'ok');",
            "drop type story.mood;",
            "select 'ok'::story.mood;",
            tags=("v1",),
        ),
        "double": _change(
            "create function story.double(i int) returns int language sql as 'select 2 * i';\n"
            "comment on function story.double is 'twice';",
            "drop function story.double(int);",
            "select 1 / (story.double(2) = 4)::int;",
            own=False,
        ),
    }
    previous = "mood"
    for number in range(1, 10):
        name = f"t{number}"
        own = number % 3 != 0
        changes[name] = _change(
            "create table story.t$N (id int primary key, mood story.mood default 'ok');\n"
            "comment on table story.t$N is 'table $N';\n"
            "create index t$N_mood on story.t$N (mood);",
            "drop index story.t$N_mood;\ndrop table story.t$N;",
            "select id, mood from story.t$N where false;",
            own,
            number,
            requires=(previous,),
        )
        changes[f"{name}_rows"] = _change(
            "insert into story.t$N select i, 'sad' from generate_series(1, $N) as i;\n"
            "update story.t$N set mood = 'ok' where id > 1;",
            "delete from story.t$N where id > 1;\ndelete from story.t$N;",
            "select 1 / (count(*) = $N)::int from story.t$N;",
            not own,
            number,
            requires=("mood", name),
            tags=(f"v1.{number}",) if number % 4 == 0 else (),
        )
        previous = name
    for number in range(1, 9):
        changes[f"part{number}"] = _change(
            "create view story.v$N as select id from story.t$N;\n"
            "do $$ begin\n  execute 'alter table story.t$N add note text';\nend $$;\n"
            "update story.t$N set note = 'n' || id;\n"
            "alter table story.t$N add constraint t$N_note check (note <> '');",
            "alter table story.t$N drop note;\ndrop view story.v$N;",
            "select 1 / count(*) from story.v$N join story.t$N using (id) where note <> '';",
            number % 2 == 0,
            number,
            note=f"Part {number}",
        )
    changes["end"] = _change(
        "create sequence story.s;\ncreate table story.last (i int default nextval('story.s'));",
        "drop table story.last;\ndrop sequence story.s;",
        "select i from story.last;",
        conflicts=("other:nosuch",),
        tags=("v2",),
    )
    return changes


def tell(folder: Path, dsn: str, changes: Mapping[str, Sql]) -> Story:
    """Writes a project, and plays its scripts in an empty database, which is empty afterwards.

    Args:
        folder: an empty folder.
        dsn: conninfo of an empty database.
        changes: the changes of the project.
    """
    write_project(folder, changes, project="story")
    plan = read_plan(folder / "sqitch.plan")

    def play(kind: str, name: str) -> None:
        conn.execute((folder / kind / f"{name}.sql").read_bytes())

    with psycopg.connect(dsn, autocommit=True) as conn:
        states = [observe(conn)]
        for change in plan.changes:
            play("deploy", change.name)
            play("verify", change.name)
            states.append(observe(conn))
        assert len(set(states)) == len(states), "two states look the same"
        for index, change in reversed(list(enumerate(plan.changes))):
            play("revert", change.name)
            assert observe(conn) == states[index], f"revert/{change.name}.sql is not exact"
    return Story(folder, plan, tuple(states))


# Everything that anybody may have made, in any schema but those of the server and the registry.
_OBSERVE = """
with spaces as (
  select oid, nspname from pg_namespace
   where nspname !~ '^pg_' and nspname not in ('information_schema', 'sqitch')
), classes as (
  select c.*, n.nspname from pg_class as c join spaces as n on n.oid = c.relnamespace
)
select 'schema', nspname, obj_description(oid, 'pg_namespace') from spaces
union all
select concat('class ', relkind), concat(nspname, '.', relname), obj_description(oid, 'pg_class')
  from classes
union all
select 'column', concat(relname, '.', attname), concat(format_type(atttypid, atttypmod), attnotnull,
    (select pg_get_expr(adbin, adrelid) from pg_attrdef where (adrelid, adnum) = (attrelid, attnum))
  )
  from pg_attribute join classes as c on c.oid = attrelid where attnum > 0 and not attisdropped
union all
select 'constraint', conname, pg_get_constraintdef(k.oid)
  from pg_constraint as k join spaces on spaces.oid = connamespace
union all
select 'index', indexrelid::regclass::text, concat(pg_get_indexdef(indexrelid), indisvalid)
  from pg_index join classes as c on c.oid = indrelid
union all
select 'type', typname, (select string_agg(enumlabel, ',' order by enumsortorder)
    from pg_enum where enumtypid = t.oid)
  from pg_type as t join spaces on spaces.oid = typnamespace
union all
select 'function', p.oid::regprocedure::text, concat(prosrc, obj_description(p.oid, 'pg_proc'))
  from pg_proc as p join spaces on spaces.oid = pronamespace
union all
select 'rows', relname, query_to_xml(format('select * from %I.%I as r order by r::text',
    nspname, relname), true, false, '')::text
  from classes where relkind = 'r'
order by 1, 2, 3
"""


def observe(conn: Connection) -> State:
    """Returns what is in a database: objects of all kinds, comments and rows."""
    return tuple(conn.execute(_OBSERVE).fetchall())


def whole(conn: Connection, story: Story) -> int:
    """Checks that every change is there with its record, or neither is.

    Args:
        conn: an autocommit connection.
        story: the project that was deployed.

    Returns:
        How many changes are deployed.

    Raises:
        Violated: a change without record, a record without change, or records that disagree.
    """
    there = observe(conn)
    if conn.execute("select to_regclass('sqitch.changes')").fetchone() == (None,):
        _demand(there == story.states[0], "there are changes without any registry")
        return 0
    recorded = conn.execute(
        "select change_id, change, script_hash from sqitch.changes order by committed_at"
    ).fetchall()
    count = len(recorded)
    deployed = story.plan.changes[:count]
    names = [row[1] for row in recorded]
    _demand(
        recorded
        == [(c.id, c.name, script_hash(story.folder / f"deploy/{c.name}.sql")) for c in deployed],
        f"not the first changes of the plan are recorded: {names}",
    )
    if there != story.states[count]:
        surplus = sorted(set(there) - set(story.states[count]), key=str)
        missing = sorted(set(story.states[count]) - set(there), key=str)
        raise Violated(f"{count} changes are recorded; surplus: {surplus}; missing: {missing}")
    tags = conn.execute("select tag_id, change_id from sqitch.tags").fetchall()
    _demand(
        set(tags) == {(tag.id, change.id) for change in deployed for tag in change.tags},
        f"other tags are recorded: {tags}",
    )
    ids = {change.name: change.id for change in deployed}
    dependencies = conn.execute(
        "select change_id, type, dependency, dependency_id from sqitch.dependencies"
    ).fetchall()
    expected = {
        (c.id, "require", d.name_in("story"), ids[d.name_in("story")])
        for c in deployed
        for d in c.requires
    } | {(c.id, "conflict", d.name_in("story"), None) for c in deployed for d in c.conflicts}
    _demand(set(dependencies) == expected, f"other dependencies are recorded: {dependencies}")
    history = conn.execute(
        "select change_id, array_agg(event order by committed_at) from sqitch.events"
        " where event in ('deploy', 'revert') group by change_id"
    ).fetchall()
    for change_id, events in history:
        alternating = ["deploy", "revert"] * len(events)
        last = "deploy" if change_id in ids.values() else "revert"
        _demand(
            events == alternating[: len(events)] and events[-1] == last,
            f"the history of {change_id} is {events}, and it should end with {last}",
        )
    _demand(set(ids.values()) <= {row[0] for row in history}, "deployed changes have no event")
    ties = conn.execute(
        "select committed_at from sqitch.changes group by 1 having count(*) > 1"
    ).fetchall()
    _demand(not ties, f"the order of changes is lost: {ties}")
    return count


def _demand(holds: bool, message: str) -> None:
    if not holds:
        raise Violated(message)


_HOOKS = ("changes", "dependencies", "tags", "events")


def hook_registry(conn: Connection) -> None:
    """Makes the registry's tables, which exist, pause while rows are written and at the commit."""
    conn.execute(
        "create function sqitch.pause() returns trigger language plpgsql as $$ begin\n"
        f"  perform set_config('application_name', tg_argv[0], true), pg_sleep({PAUSE});\n"
        "  return null;\nend $$"
    )
    for table in _HOOKS:
        conn.execute(
            sql.SQL(
                "create trigger pause after insert or delete on sqitch.{} for each row"
                " execute function sqitch.pause('in registry')"
            ).format(sql.Identifier(table))
        )
    conn.execute(
        "create constraint trigger pause_commit after insert or delete on sqitch.changes"
        " deferrable initially deferred for each row execute function sqitch.pause('in commit')"
    )


def unhook_registry(conn: Connection) -> None:
    """Takes the pauses out again."""
    conn.execute("set client_min_messages = warning")
    conn.execute("drop function sqitch.pause() cascade")
