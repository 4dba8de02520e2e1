"""Refuses tables of the registry in which a stranger has put something that would run as us.

Whoever may create a schema in a database can make a registry before it is deployed to, or marks of
unfinished scripts: views in their place call his functions as the one who asks ``status``, triggers
and constraints as the one who deploys. What the owner is trusted with is no matter; of everybody
else only plain tables are used, that compute nothing but what those of Sqitch do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

from integrations_db.errors import Failure

if TYPE_CHECKING:
    from integrations_db.registry import Connection

__all__ = ["query", "refuse"]

# Superusers can do all of it anyway, and whoever is logged in does it to himself. An ordinary login
# trusts the roles that it is a member of; a superuser would be one of every role. It is the login
# that counts: from a role that it has set, a function comes back.
#
# What an expression calls: functions of others are among its dependencies, those of PostgreSQL are
# not, so that they are taken from its text. What is immutable there changes nothing and reads no
# file.
_QUERY: LiteralString = """\
with strange as (
  select c.oid, c.relkind, c.relrowsecurity, pg_catalog.pg_get_userbyid(c.relowner) as owner,
         pg_catalog.format('%I.%I', n.nspname, c.relname) as name
    from pg_catalog.pg_class as c
         join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
         join pg_catalog.pg_roles as o on o.oid = c.relowner
         join pg_catalog.pg_roles as me on me.rolname = session_user
   where n.nspname = {schema}
     and c.relname = any ({tables})
     and c.relkind in ('r', 'p', 'v', 'm', 'f')
     and not o.rolsuper
     and o.oid <> me.oid
     and (me.rolsuper or not pg_catalog.pg_has_role(me.oid, o.oid, 'MEMBER'))
), expressions as (
  select d.adrelid as relation, 'pg_catalog.pg_attrdef'::pg_catalog.regclass as class, d.oid,
         'what it computes for a column' as what, d.adbin::pg_catalog.text as text
    from pg_catalog.pg_attrdef as d
   union all
  select k.conrelid, 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid,
         pg_catalog.format('constraint %I', k.conname), k.conbin::pg_catalog.text
    from pg_catalog.pg_constraint as k
   where k.contype <> 'f'
   union all
  select i.indrelid, 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid,
         pg_catalog.format('index %I', x.relname),
         pg_catalog.concat(i.indexprs::pg_catalog.text, i.indpred::pg_catalog.text)
    from pg_catalog.pg_index as i join pg_catalog.pg_class as x on x.oid = i.indexrelid
)
select s.name, s.owner::pg_catalog.text as owner, f.what
  from strange as s
       cross join lateral (
         select 'it is no plain table' as what
          where s.relkind <> 'r'
             or exists (select from pg_catalog.pg_inherits as h
                         where s.oid in (h.inhparent, h.inhrelid))
          union all
         select pg_catalog.format('trigger %I', t.tgname)
           from pg_catalog.pg_trigger as t
          where t.tgrelid = s.oid and not t.tgisinternal
          union all
         select pg_catalog.format('foreign key of %s', k.conrelid::pg_catalog.regclass)
           from pg_catalog.pg_constraint as k
          where k.confrelid = s.oid and k.contype = 'f' and k.conrelid not in (
                  select o.oid from pg_catalog.pg_class as o
                   where o.relnamespace = (select relnamespace from pg_catalog.pg_class as c
                                            where c.oid = s.oid)
                     and o.relname = any ({tables}))
          union all
         select pg_catalog.format('rule %I', r.rulename)
           from pg_catalog.pg_rewrite as r
          where r.ev_class = s.oid
          union all
         select 'row-level security'
          where s.relrowsecurity
          union all
         select pg_catalog.format('type of column %I', a.attname)
           from pg_catalog.pg_attribute as a
                join pg_catalog.pg_type as t on t.oid = a.atttypid
          where a.attrelid = s.oid and a.attnum > 0 and not a.attisdropped
            and t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace
          union all
         select e.what
           from expressions as e
          where e.relation = s.oid
            and (exists (select from pg_catalog.pg_depend as d
                          where d.classid = e.class and d.objid = e.oid
                            and d.refclassid in ('pg_catalog.pg_proc'::pg_catalog.regclass,
                                                 'pg_catalog.pg_type'::pg_catalog.regclass,
                                                 'pg_catalog.pg_operator'::pg_catalog.regclass))
                 or exists (select from pg_catalog.regexp_matches(
                                          e.text, ':(?:op)?funcid ([0-9]+)', 'g') as m (id)
                                     left join pg_catalog.pg_proc as p
                                       on p.oid = m.id[1]::pg_catalog.oid
                             where (p.provolatile = 'i' or p.proname in ('clock_timestamp', 'now'))
                                   is not true))
       ) as f
 order by s.name, f.what
 limit 1"""


# Most often the tables are those of who is logged in, which the other query passes over: to plan it
# each time took a quarter of a short command.
_OF_OTHERS: LiteralString = """\
select exists (
  select from pg_catalog.pg_class as c
         join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
   where n.nspname = {schema}
     and c.relname = any ({tables})
     and pg_catalog.pg_get_userbyid(c.relowner) <> session_user)"""


def query(schema: str, tables: Sequence[str]) -> str:
    """Returns the query for what is not to be used: table, owner, and what it is about it.

    Args:
        schema: where the tables are, if they are there.
        tables: their names.
    """
    return _filled(_QUERY, schema, tables)


def _filled(text: LiteralString, schema: str, tables: Sequence[str]) -> str:
    names = {"schema": sql.Literal(schema), "tables": sql.Literal(list(tables))}
    return sql.SQL(text).format(**names).as_string(None)


def refuse(conn: Connection, schema: str, tables: Sequence[str]) -> None:
    """Refuses tables in which a stranger has put something.

    Raises:
        Failure: one of them is not to be used.
    """
    row = conn.execute(_filled(_OF_OTHERS, schema, tables).encode()).fetchone()
    if row == (False,):
        return
    row = conn.execute(query(schema, tables).encode()).fetchone()
    if row is None:
        return
    name, owner, what = row
    raise Failure(
        f"{name} belongs to {owner}, and what {owner} has put there would run with the rights of "
        f"{conn.info.user}: {what}. Nothing was touched. A registry is made of plain tables: drop "
        f"what is strange, or log in as {owner} if that role may deploy here."
    )
