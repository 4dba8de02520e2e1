-- Deploy integrations:functions/list_audit_gaps to pg
-- requires: functions/list_audit_partitions

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

create function integrations_private.list_audit_gaps()
returns table (
  since timestamptz,
  until timestamptz
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
begin
  return query
    select g.since, g.until
      from (
        select coalesce(pg_catalog.lag(l.until) over (order by l.since), '-infinity') as since,
               l.since as until
          from integrations_private.list_audit_partitions() as l
         where l.since is not null
        union all
        select coalesce(pg_catalog.max(l.until), '-infinity'), 'infinity'
          from integrations_private.list_audit_partitions() as l
      ) as g
     where g.since < g.until
     order by g.since;
end;
$function$;

alter function integrations_private.list_audit_gaps() owner to integrations_owner;

comment on function integrations_private.list_audit_gaps() is
$$Returns the spans of time for which the audit log has no partition but the default one, the oldest
first.$$;

revoke all on function integrations_private.list_audit_gaps() from public;
grant execute on function integrations_private.list_audit_gaps() to integrations_keymaster;

commit;
