-- Verify integrations:types/integration_instance_status on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

do $verify$
begin
  if (
    select t.typowner = pg_catalog.to_regrole('integrations_owner')
           and pg_catalog.obj_description(t.oid, 'pg_type') is not null
           and array(
             select e.enumlabel::text
               from pg_catalog.pg_enum as e
              where e.enumtypid = t.oid
              order by e.enumsortorder
           ) = array['pending', 'active', 'error', 'disabled', 'revoked']
      from pg_catalog.pg_type as t
     where t.oid = pg_catalog.to_regtype('integrations.integration_instance_status')
  ) is not true then
    raise exception
      'verify types/integration_instance_status: missing, or labels, owner or comment differ';
  end if;
end
$verify$;

rollback;
