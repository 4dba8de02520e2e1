-- Everything belongs to the owner, and to the keymaster what works across tenants.
begin;
select * from no_plan();

select is_empty(
  $$
    select c.oid::regclass, c.relowner::regrole
      from pg_catalog.pg_class as c
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and c.relowner <> 'integrations_owner'::regrole
  $$,
  'relations belong to integrations_owner');
select is_empty(
  $$
    select t.oid::regtype, t.typowner::regrole
      from pg_catalog.pg_type as t
     where t.typnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and t.typowner <> 'integrations_owner'::regrole
  $$,
  'types belong to integrations_owner');
select is_empty(
  $$
    select n.nspname, n.nspowner::regrole
      from pg_catalog.pg_namespace as n
     where n.nspname in ('integrations', 'integrations_private')
       and n.nspowner <> 'integrations_owner'::regrole
  $$,
  'both schemas belong to integrations_owner');
select results_eq(
  $$
    select p.oid::regprocedure::text, p.proowner::regrole::text
      from pg_catalog.pg_proc as p
     where p.pronamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and p.proowner <> 'integrations_owner'::regrole
     order by p.oid::regprocedure::text collate "C"
  $$,
  $$
    values ('integrations.destroy_key(uuid,text)', 'integrations_keymaster'),
           ('integrations.doctor()', 'integrations_keymaster'),
           ('integrations.list_refresh_due(integer)', 'integrations_keymaster'),
           ('integrations.maintain_audit(interval)', 'integrations_keymaster'),
           ('integrations.retire_key(uuid)', 'integrations_keymaster'),
           ('integrations.rewrap_keys(text,bytea,text,bytea,integer)', 'integrations_keymaster'),
           ('integrations_private.list_keys()', 'integrations_keymaster')
  $$,
  'functions belong to integrations_owner, but for those that work across tenants');
select is_empty(
  $$
    select d.classid::regclass, d.objid, d.refobjid::regrole
      from pg_catalog.pg_shdepend as d
     where d.dbid = (select b.oid from pg_catalog.pg_database as b
                      where b.datname = pg_catalog.current_database())
       and d.deptype = 'o'
       and d.refobjid in ('svc_integration'::regrole, 'integrations_tenant'::regrole,
                          'integrations_admin'::regrole, 'integrations_auditor'::regrole)
  $$,
  'the application''s roles own nothing');
select is_empty(
  $$
    select d.defaclrole::regrole, d.defaclnamespace, d.defaclacl
      from pg_catalog.pg_default_acl as d
     where d.defaclrole in ('integrations_owner'::regrole, 'integrations_keymaster'::regrole)
        or d.defaclnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  $$,
  'there are no default privileges to be surprised by');

select * from finish();
rollback;
