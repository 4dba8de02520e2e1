-- Verify integrations:roles/integrations_keymaster on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

-- Whether it may log in is left to a DBA: a cluster of servers may need the owner to.
do $verify$
begin
  if (
    select not r.rolsuper
           and not r.rolbypassrls
           and not r.rolcreaterole
           and not r.rolcreatedb
           and not r.rolreplication
      from pg_catalog.pg_roles as r
     where r.rolname = 'integrations_keymaster'
  ) is not true then
    raise exception
      'verify roles/integrations_keymaster: the role is missing, or its attributes differ';
  end if;
end
$verify$;

rollback;
