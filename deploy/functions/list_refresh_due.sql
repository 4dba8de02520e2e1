-- Deploy integrations:functions/list_refresh_due to pg
-- requires: grants/integrations_keymaster_002_refresh_leases
-- requires: tables/integration_instances

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- Ids only, because it sees all tenants; whoever claims one sets its tenant first. The two halves
-- have an index each, and what has failed for good is in neither: it costs nothing any more. What
-- belongs to a row is looked up in a scalar sub-select, because the plan of a join, made before the
-- limit and the time are known, may read a whole table for a few rows. What a refresh has brought
-- may be due already, and early: it comes last, or one tenant's would stand before all others for
-- ever.
create function integrations.list_refresh_due(max_rows integer default 100)
returns table (
  tenant_id uuid,
  instance_id uuid,
  expires_at timestamptz
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set plpgsql.print_strict_params = off
set debug_print_plan = off
set debug_print_parse = off
set debug_print_rewritten = off
as $function$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_due constant timestamptz := v_now + interval '5 minutes';
  v_recently constant timestamptz := v_now - interval '1 minute';
  v_rows integer;
begin
  if list_refresh_due.max_rows is null or list_refresh_due.max_rows < 1 then
    raise exception 'max_rows must be at least 1' using errcode = '22023';
  end if;

  return query
    select d.tenant_id, d.id, d.expire_at
      from (
        (select i.tenant_id, i.id, i.credentials_expire_at as expire_at
           from integrations.integration_instances as i
          where i.status = 'active'
            and i.credentials_expire_at <= v_due
            and (
              select l.leased_until > v_now
                     or (l.credentials_version = i.credentials_version
                         and (l.retry_at > v_now
                              or l.refreshed_at > v_recently))
                from integrations_private.refresh_leases as l
               where l.tenant_id = i.tenant_id
                 and l.instance_id = i.id
            ) is not true
          order by i.credentials_expire_at
          limit list_refresh_due.max_rows)
        union all
        (select r.tenant_id, r.instance_id, r.expire_at
           from (
             select l.tenant_id, l.instance_id,
                    (select i.credentials_expire_at
                       from integrations.integration_instances as i
                      where i.tenant_id = l.tenant_id
                        and i.id = l.instance_id
                        and i.status = 'error'
                        and i.credentials_version = l.credentials_version) as expire_at
               from integrations_private.refresh_leases as l
              where l.retry_at <= v_now
                and (l.leased_until <= v_now) is not false
           ) as r
          where r.expire_at <= v_due
          order by r.expire_at
          limit list_refresh_due.max_rows)
      ) as d
     order by d.expire_at
     limit list_refresh_due.max_rows;

  get diagnostics v_rows = row_count;
  return query
    select i.tenant_id, i.id, i.credentials_expire_at
      from integrations.integration_instances as i
     where i.status = 'active'
       and i.credentials_expire_at <= v_due
       and (
         select l.credentials_version = i.credentials_version
                and l.refreshed_at > v_recently
                and (l.leased_until > v_now or l.retry_at > v_now) is not true
           from integrations_private.refresh_leases as l
          where l.tenant_id = i.tenant_id
            and l.instance_id = i.id
       )
     order by i.credentials_expire_at
     limit list_refresh_due.max_rows - v_rows;
end;
$function$;

-- Giving a function away needs CREATE on its schema for the new owner, for this moment only.
grant create on schema integrations to integrations_keymaster;
alter function integrations.list_refresh_due(integer) owner to integrations_keymaster;
revoke create on schema integrations from integrations_keymaster;

comment on function integrations.list_refresh_due(integer) is
$$Lists up to max_rows instances, of all tenants, whose credentials expire within five minutes, the
earliest first, but last what was refreshed less than a minute ago: active ones, and those whose
refresh failed and is due again. Not those with a live lease, nor those that back off. It leases
nothing: claim_refresh does.
Callable by svc_integration. Errors: 22023 max_rows.$$;

revoke all on function integrations.list_refresh_due(integer) from public;
grant execute on function integrations.list_refresh_due(integer) to svc_integration;

commit;
