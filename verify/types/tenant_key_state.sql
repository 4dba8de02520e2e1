-- Verify integrations:types/tenant_key_state on pg

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
           ) = array['active', 'decrypt_only', 'retired', 'destroyed']
      from pg_catalog.pg_type as t
     where t.oid = pg_catalog.to_regtype('integrations_private.tenant_key_state')
  ) is not true then
    raise exception 'verify types/tenant_key_state: missing, or labels, owner or comment differ';
  end if;
end
$verify$;

rollback;
