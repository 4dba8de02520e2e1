-- Verify integrations:tables/compiled_schemas on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

-- Every column, with its exact type and default.
do $verify$
begin
  if (
    select pg_catalog.array_agg(
             pg_catalog.concat_ws(' ',
               a.attname,
               pg_catalog.format_type(a.atttypid, a.atttypmod),
               case when a.attnotnull then 'not null' end,
               case
                 when a.attgenerated = 's' then 'generated'
                 else 'default ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid)
               end)
             order by a.attnum)
      from pg_catalog.pg_attribute as a
           left join pg_catalog.pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = pg_catalog.to_regclass('integrations_private.compiled_schemas')
       and a.attnum > 0
       and not a.attisdropped
  ) is distinct from array[
    'definition_id uuid not null',
    'kind text not null',
    'schema jsonb not null',
    'rules jsonb not null generated'
  ] then
    raise exception 'verify tables/compiled_schemas: the columns differ';
  end if;

  if (
    select pg_catalog.pg_get_expr(d.adbin, d.adrelid)
      from pg_catalog.pg_attribute as a
           join pg_catalog.pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = pg_catalog.to_regclass('integrations_private.compiled_schemas')
       and a.attname = 'rules'
  ) is distinct from
     'integrations_private.compile_schema(schema, (kind || ''_schema''::text))'
  then
    raise exception 'verify tables/compiled_schemas: rules are made otherwise';
  end if;

  if (
    select c.relowner = pg_catalog.to_regrole('integrations_owner')
           and not c.relrowsecurity
           and not c.relforcerowsecurity
           and pg_catalog.obj_description(c.oid, 'pg_class') is not null
           and not exists (
             select from pg_catalog.pg_attribute as a
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                and pg_catalog.col_description(c.oid, a.attnum) is null)
      from pg_catalog.pg_class as c
     where c.oid = pg_catalog.to_regclass('integrations_private.compiled_schemas')
  ) is not true then
    raise exception 'verify tables/compiled_schemas: owner, row-level security or comments differ';
  end if;

  -- What the package's own roles have is verified with their grants; nobody else has anything.
  if exists (
    select
      from (
        select c.relacl as acl
          from pg_catalog.pg_class as c
         where c.oid = pg_catalog.to_regclass('integrations_private.compiled_schemas')
         union all
        select a.attacl
          from pg_catalog.pg_attribute as a
         where a.attrelid = pg_catalog.to_regclass('integrations_private.compiled_schemas')
      ) as p
      cross join lateral pg_catalog.aclexplode(p.acl) as a
     where a.grantee::pg_catalog.regrole::text not in (
             'integrations_admin', 'integrations_auditor', 'integrations_keymaster',
             'integrations_owner', 'integrations_tenant', 'svc_integration')
  ) then
    raise exception 'verify tables/compiled_schemas: somebody else has a privilege';
  end if;

  -- Not-null constraints are left out: they are columns' properties, and constraints only since 18.
  if (
    select pg_catalog.array_agg(c.conname::text order by c.conname::text collate "C")
           filter (where c.convalidated)
      from pg_catalog.pg_constraint as c
     where c.conrelid = pg_catalog.to_regclass('integrations_private.compiled_schemas')
       and c.contype <> 'n'
  ) is distinct from array[
    'compiled_schemas_definition_id_fkey',
    'compiled_schemas_kind_is_known',
    'compiled_schemas_pkey'
  ] then
    raise exception 'verify tables/compiled_schemas: the constraints differ';
  end if;

  if exists (
    select
      from pg_catalog.pg_constraint as c
     where c.conrelid = pg_catalog.to_regclass('integrations_private.compiled_schemas')
       and c.contype = 'c'
       and pg_catalog.obj_description(c.oid, 'pg_constraint') is null
  ) then
    raise exception 'verify tables/compiled_schemas: a rule has no comment';
  end if;
end
$verify$;

rollback;
