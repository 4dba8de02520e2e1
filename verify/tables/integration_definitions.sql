-- Verify integrations:tables/integration_definitions on pg

begin;
set local search_path = pg_catalog, pg_temp;

-- Every column, with its exact type.
do $verify$
begin
  if (
    select array_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
                     || case when a.attnotnull then ' not null' else '' end
                     order by a.attnum)
      from pg_catalog.pg_attribute as a
     where a.attrelid = pg_catalog.to_regclass('integrations.integration_definitions')
       and a.attnum > 0
       and not a.attisdropped
  ) is distinct from array[
    'id uuid not null',
    'name character varying not null',
    'type character varying not null',
    'version character varying not null',
    'status integrations.integration_definition_status not null',
    'docs_url character varying',
    'description text',
    'credentials_schema jsonb not null',
    'config_schema jsonb not null',
    'created_at timestamp with time zone not null',
    'updated_at timestamp with time zone not null'
  ] then
    raise exception 'verify tables/integration_definitions: the columns differ';
  end if;

  if (
    select c.relowner = pg_catalog.to_regrole('integrations_owner')
           and c.relrowsecurity = false
           and c.relforcerowsecurity = false
           and pg_catalog.obj_description(c.oid, 'pg_class') is not null
           and not exists (
             select from pg_catalog.pg_attribute as a
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                and pg_catalog.col_description(c.oid, a.attnum) is null)
      from pg_catalog.pg_class as c
     where c.oid = pg_catalog.to_regclass('integrations.integration_definitions')
  ) is not true then
    raise exception
      'verify tables/integration_definitions: owner, row-level security or comments differ';
  end if;

  -- Not-null constraints are left out: they are columns' properties, and constraints only since 18.
  if (
    select array_agg(c.conname::text order by c.conname::text collate "C")
           filter (where c.convalidated)
      from pg_catalog.pg_constraint as c
     where c.conrelid = pg_catalog.to_regclass('integrations.integration_definitions')
       and c.contype <> 'n'
  ) is distinct from array[
    'integration_definitions_docs_url_is_http',
    'integration_definitions_name_is_valid',
    'integration_definitions_name_version_key',
    'integration_definitions_pkey',
    'integration_definitions_schemas_are_schemas',
    'integration_definitions_type_is_valid',
    'integration_definitions_version_is_semver'
  ] then
    raise exception 'verify tables/integration_definitions: the constraints differ';
  end if;
end
$verify$;

rollback;
