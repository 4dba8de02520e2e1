-- Revert integrations:extensions/pgcrypto from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Only what this package made goes, and only if nothing else uses it by now.
do $extension$
begin
  if (
    select pg_catalog.obj_description(e.oid, 'pg_extension') like '%Created by integrations-db.'
      from pg_catalog.pg_extension as e
     where e.extname = 'pgcrypto'
  ) then
    begin
      drop extension pgcrypto;
    exception when dependent_objects_still_exist then
      raise notice 'extension "pgcrypto" stays: other objects depend on it';
    end;
  end if;

  if pg_catalog.obj_description(pg_catalog.to_regnamespace('pgcrypto'), 'pg_namespace')
     like '%Created by integrations-db.' then
    begin
      drop schema pgcrypto;
    exception when dependent_objects_still_exist then
      raise notice 'schema "pgcrypto" stays: it is not empty';
      revoke usage on schema pgcrypto from integrations_owner, integrations_keymaster;
    end;
  end if;
end
$extension$;

commit;
