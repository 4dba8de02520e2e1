-- Deploy integrations:functions/lock_active_key to pg
-- requires: tables/tenant_keys

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- FOR SHARE until the writer commits: no row can land on a key that is being retired. A key that
-- is replaced while this waits for it drops out of the result, and its successor is not in the
-- snapshot, so a second look finds it.
create function integrations_private.lock_active_key(tenant_id uuid)
returns integrations_private.tenant_keys
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_key integrations_private.tenant_keys;
begin
  for v_try in 1..10 loop
    select k.* into v_key
      from integrations_private.tenant_keys as k
     where k.tenant_id = lock_active_key.tenant_id
       and k.state = 'active'
       for share;
    exit when found;
  end loop;

  return v_key;
end;
$function$;

alter function integrations_private.lock_active_key(uuid) owner to integrations_owner;

comment on function integrations_private.lock_active_key(uuid) is
$$Returns the tenant's active key, held against retirement, or NULLs when there is none.$$;

revoke all on function integrations_private.lock_active_key(uuid) from public;

commit;
