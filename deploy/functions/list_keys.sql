-- Deploy integrations:functions/list_keys to pg
-- requires: grants/integrations_keymaster
-- requires: tables/tenant_keys

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- Administrators have no privilege on keys or instances: this shows them states and counts, across
-- tenants, and nothing else.
create function integrations_private.list_keys()
returns table (
  tenant_id uuid,
  key_id uuid,
  version integer,
  kek_id text,
  state text,
  instance_count bigint,
  created_at timestamptz
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
begin
  return query
    select k.tenant_id, k.id, k.version, k.kek_id, k.state::text, pg_catalog.count(i.id),
           k.created_at
      from integrations_private.tenant_keys as k
           left join integrations.integration_instances as i
             on i.tenant_id = k.tenant_id and i.credentials_key_id = k.id
     group by k.tenant_id, k.id;
end;
$function$;

-- Giving a function away needs CREATE on its schema for the new owner, for this moment only.
grant create on schema integrations_private to integrations_keymaster;
alter function integrations_private.list_keys() owner to integrations_keymaster;
revoke create on schema integrations_private from integrations_keymaster;

comment on function integrations_private.list_keys() is
$$Returns the data keys of all tenants with the number of instances that need each; never key
material. Called through the view key_overview.$$;

revoke all on function integrations_private.list_keys() from public;
grant execute on function integrations_private.list_keys() to integrations_admin;

commit;
