-- Deploy integrations:functions/list_audit_partitions to pg
-- requires: tables/audit_log

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- The catalogue writes a bound as the session writes times: so that is settled here. A bound that
-- is no time is MINVALUE or MAXVALUE.
create function integrations_private.list_audit_partitions()
returns table (
  partition regclass,
  since timestamptz,
  until timestamptz
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set datestyle = 'ISO, YMD'
as $function$
begin
  return query
    select i.inhrelid::pg_catalog.regclass,
           case when b.bound <> 'DEFAULT' then coalesce(b.ends[1]::timestamptz, '-infinity') end,
           case when b.bound <> 'DEFAULT' then coalesce(b.ends[2]::timestamptz, 'infinity') end
      from pg_catalog.pg_inherits as i
           join pg_catalog.pg_class as c on c.oid = i.inhrelid
           cross join lateral (
             select p.bound,
                    pg_catalog.regexp_match(
                      p.bound, $$FROM \((?:'(.*)'|MINVALUE)\) TO \((?:'(.*)'|MAXVALUE)\)$$) as ends
               from (select pg_catalog.pg_get_expr(c.relpartbound, c.oid)) as p (bound)
           ) as b
     where i.inhparent = 'integrations_private.audit_log'::pg_catalog.regclass
     order by 2, 3;
end;
$function$;

alter function integrations_private.list_audit_partitions() owner to integrations_owner;

comment on function integrations_private.list_audit_partitions() is
$$Returns the partitions of the audit log with their bounds, the oldest first; the default one,
which has none, comes last.$$;

revoke all on function integrations_private.list_audit_partitions() from public;
grant execute on function integrations_private.list_audit_partitions() to integrations_keymaster;

commit;
