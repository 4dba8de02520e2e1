-- Who may do what, complete: whatever is granted and not listed here is a failure.
begin;
select * from no_plan();

-- Beside the owner of each object, who has everything on it.
create temporary table granted on commit drop as
select 'schema' as kind, n.nspname::text as object, null as field, x.*
  from pg_catalog.pg_namespace as n
       cross join pg_catalog.aclexplode(
         coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) as x
 where n.nspname in ('integrations', 'integrations_private')
   and x.grantee <> n.nspowner
union all
select 'relation', c.oid::regclass::text, null, x.*
  from pg_catalog.pg_class as c
       cross join pg_catalog.aclexplode(
         coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) as x
 where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
   and c.relkind not in ('i', 'I')
   and x.grantee <> c.relowner
union all
select 'column', c.oid::regclass::text, a.attname::text, x.*
  from pg_catalog.pg_class as c
       join pg_catalog.pg_attribute as a on a.attrelid = c.oid
       cross join pg_catalog.aclexplode(a.attacl) as x
 where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
   and x.grantee <> c.relowner
union all
select 'function', p.oid::regprocedure::text, null, x.*
  from pg_catalog.pg_proc as p
       cross join pg_catalog.aclexplode(
         coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) as x
 where p.pronamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
   and x.grantee <> p.proowner
union all
select 'type', t.oid::regtype::text, null, x.*
  from pg_catalog.pg_type as t
       cross join pg_catalog.aclexplode(t.typacl) as x
 where t.typnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
   and x.grantee <> t.typowner;

select is_empty(
  'select kind, object, field, privilege_type from granted where grantee = 0',
  'PUBLIC has nothing');
select is_empty(
  $$
    select kind, object, field, privilege_type, grantee::regrole from granted where is_grantable
  $$,
  'nobody may pass a privilege on');
select set_eq(
  $$
    select object, field, privilege_type, grantee::regrole::text
      from granted
     where kind in ('relation', 'column')
       and privilege_type <> 'SELECT'
  $$,
  $$
    values ('integrations_private.audit_log', null, 'INSERT', 'integrations_keymaster'),
           ('integrations_private.key_encryption_keys', null, 'INSERT', 'integrations_keymaster'),
           ('integrations_private.tenant_keys', 'kek_id', 'UPDATE', 'integrations_keymaster'),
           ('integrations_private.tenant_keys', 'state', 'UPDATE', 'integrations_keymaster'),
           ('integrations_private.tenant_keys', 'updated_at', 'UPDATE', 'integrations_keymaster'),
           ('integrations_private.tenant_keys', 'wrapped', 'UPDATE', 'integrations_keymaster')
  $$,
  'nobody may write, truncate, reference, attach a trigger to or maintain a table, but for '
    || 'key maintenance');
select is_empty(
  $$
    select g.grantee::regrole
      from granted as g
     where g.grantee <> 0
       and g.grantee not in (
             'integrations_admin'::regrole, 'integrations_auditor'::regrole,
             'integrations_keymaster'::regrole, 'integrations_owner'::regrole,
             'integrations_tenant'::regrole, 'svc_integration'::regrole)
  $$,
  'there are no other grantees, the deployer included');
select results_eq(
  $$
    select kind, grantee::regrole::text, privilege_type
      from granted
     where object = 'integrations.integration_instances'
       and (field = 'credentials' or field is null)
  $$,
  $$ values ('column', 'svc_integration', 'SELECT') $$,
  'credentials are for svc_integration alone, by column, and the whole table for nobody');

select set_eq(
  $$
    select object, grantee::regrole::text, privilege_type from granted where kind = 'schema'
  $$,
  $$
    values ('integrations', 'integrations_admin', 'USAGE'),
           ('integrations', 'integrations_auditor', 'USAGE'),
           ('integrations', 'integrations_keymaster', 'USAGE'),
           ('integrations', 'integrations_tenant', 'USAGE'),
           ('integrations', 'svc_integration', 'USAGE'),
           ('integrations_private', 'integrations_keymaster', 'USAGE')
  $$,
  'privileges on schemas');
select set_eq(
  $$
    select object, grantee::regrole::text, privilege_type from granted where kind = 'relation'
  $$,
  $$
    values ('integrations.integration_definitions', 'integrations_admin', 'SELECT'),
           ('integrations.integration_definitions', 'integrations_auditor', 'SELECT'),
           ('integrations.integration_definitions', 'integrations_tenant', 'SELECT'),
           ('integrations.integration_definitions', 'svc_integration', 'SELECT'),
           ('integrations.instance_overview', 'integrations_auditor', 'SELECT'),
           ('integrations.instance_overview', 'integrations_tenant', 'SELECT'),
           ('integrations.instance_overview', 'svc_integration', 'SELECT'),
           ('integrations.audit_trail', 'integrations_auditor', 'SELECT'),
           ('integrations.key_overview', 'integrations_admin', 'SELECT'),
           ('integrations_private.audit_log', 'integrations_keymaster', 'INSERT'),
           ('integrations_private.key_encryption_keys', 'integrations_keymaster', 'INSERT'),
           ('integrations_private.key_encryption_keys', 'integrations_keymaster', 'SELECT'),
           ('integrations_private.tenant_keys', 'integrations_keymaster', 'SELECT')
  $$,
  'privileges on whole tables and views');
select set_eq(
  $$
    select object, grantee::regrole::text,
           pg_catalog.string_agg(field, ' ' order by field collate "C")
      from granted
     where kind = 'column'
     group by object, grantee
  $$,
  $$
    values
      ('integrations.integration_instances', 'svc_integration',
       'config created_at credentials credentials_expire_at credentials_key_id '
       'credentials_version id integration_id last_connected_at last_used_at name status '
       'status_reason tenant_id updated_at'),
      ('integrations.integration_instances', 'integrations_tenant',
       'config created_at credentials_expire_at credentials_key_id '
       'credentials_version id integration_id last_connected_at last_used_at name status '
       'status_reason tenant_id updated_at'),
      ('integrations.integration_instances', 'integrations_auditor',
       'config created_at credentials_expire_at credentials_key_id '
       'credentials_version id integration_id last_connected_at last_used_at name status '
       'status_reason tenant_id updated_at'),
      ('integrations.integration_instances', 'integrations_keymaster',
       'credentials_expire_at credentials_key_id credentials_version id status tenant_id'),
      ('integrations_private.audit_log', 'integrations_auditor',
       'actor application at detail event id instance_id session_actor tenant_id'),
      ('integrations_private.refresh_leases', 'integrations_keymaster',
       'credentials_version instance_id leased_until refreshed_at retry_at tenant_id'),
      ('integrations_private.audit_log', 'integrations_keymaster', 'at'),
      ('integrations_private.tenant_keys', 'integrations_keymaster',
       'kek_id state updated_at wrapped')
  $$,
  'privileges on columns');
select set_eq(
  $$
    select object,
           pg_catalog.string_agg(
             grantee::regrole::text, ' ' order by grantee::regrole::text collate "C")
      from granted
     where kind = 'function'
     group by object
  $$,
  $$
    values
      ('integrations.set_tenant(uuid)', 'integrations_admin integrations_tenant svc_integration'),
      ('integrations.current_tenant()', 'integrations_admin integrations_tenant svc_integration'),
      ('integrations.register_definition(text,text,text,text,text,jsonb,jsonb)',
       'integrations_admin'),
      ('integrations.set_definition_status(uuid,integrations.integration_definition_status)',
       'integrations_admin'),
      ('integrations.discard_draft(uuid)', 'integrations_admin'),
      ('integrations.create_instance(uuid,text,jsonb)', 'integrations_tenant svc_integration'),
      ('integrations.update_config(uuid,jsonb)', 'integrations_tenant svc_integration'),
      ('integrations.rename_instance(uuid,text)', 'integrations_tenant svc_integration'),
      ('integrations.set_instance_status(uuid,integrations.integration_instance_status,text)',
       'integrations_tenant svc_integration'),
      ('integrations.delete_instance(uuid)', 'integrations_tenant svc_integration'),
      ('integrations.upgrade_instance(uuid,uuid)', 'integrations_tenant svc_integration'),
      ('integrations.unlock(text,bytea)', 'svc_integration'),
      ('integrations.put_credentials(uuid,text,integer)', 'svc_integration'),
      ('integrations.get_credentials(uuid)', 'svc_integration'),
      ('integrations.open_read_lease(uuid,text)', 'svc_integration'),
      ('integrations.read_with_lease(uuid)', 'svc_integration'),
      ('integrations.revoke_credentials(uuid)', 'svc_integration'),
      ('integrations.record_connection(uuid,boolean,text)', 'svc_integration'),
      ('integrations.create_tenant_key(text,bytea)', 'integrations_admin svc_integration'),
      ('integrations.add_tenant_key(text,bytea,bytea)', 'svc_integration'),
      ('integrations.unlock_key(uuid,bytea)', 'svc_integration'),
      ('integrations.wrapped_keys()', 'svc_integration'),
      ('integrations.reencrypt_batch(integer)', 'svc_integration'),
      ('integrations.claim_refresh(uuid,text,interval)', 'svc_integration'),
      ('integrations.complete_refresh(uuid,text,integer)', 'svc_integration'),
      ('integrations.fail_refresh(uuid,text,interval)', 'svc_integration'),
      ('integrations.list_refresh_due(integer)', 'svc_integration'),
      ('integrations.rewrap_keys(text,bytea,text,bytea,integer)', 'integrations_admin'),
      ('integrations.retire_key(uuid)', 'integrations_admin'),
      ('integrations.destroy_key(uuid,text)', 'integrations_admin'),
      ('integrations.doctor()', 'integrations_admin'),
      ('integrations.maintain_audit(interval)', 'integrations_admin'),
      ('integrations_private.examine_connections(boolean,text)', 'integrations_keymaster'),
      ('integrations_private.examine_data(interval)', 'integrations_keymaster'),
      ('integrations_private.examine_objects()', 'integrations_keymaster'),
      ('integrations_private.examine_roles()', 'integrations_keymaster'),
      ('integrations_private.examine_settings()', 'integrations_keymaster'),
      ('integrations_private.add_audit_partition('
       'timestamp with time zone,timestamp with time zone)', 'integrations_keymaster'),
      ('integrations_private.bound_audit_default('
       'timestamp with time zone,timestamp with time zone)', 'integrations_keymaster'),
      ('integrations_private.drop_audit_partition(regclass)', 'integrations_keymaster'),
      ('integrations_private.list_audit_gaps()', 'integrations_keymaster'),
      ('integrations_private.list_audit_partitions()', 'integrations_keymaster'),
      ('integrations_private.lock_audit_log(boolean,regclass[],interval)',
       'integrations_keymaster'),
      ('integrations_private.month_of(timestamp with time zone,integer)',
       'integrations_keymaster'),
      ('integrations_private.check_kek(text,bytea)', 'integrations_keymaster'),
      ('integrations_private.check_name(text,text)', 'integrations_keymaster'),
      ('integrations_private.data_key_check_value(uuid,bytea)', 'integrations_keymaster'),
      ('integrations_private.decrypt_bytes(bytea,text)', 'integrations_keymaster'),
      ('integrations_private.decrypt_text(bytea,text)', 'integrations_keymaster'),
      ('integrations_private.encrypt_bytes(bytea,text)', 'integrations_keymaster'),
      ('integrations_private.encrypt_text(text,text)', 'integrations_keymaster'),
      ('integrations_private.hmac(bytea,bytea)', 'integrations_keymaster'),
      ('integrations_private.kek_check_value(text,bytea)', 'integrations_keymaster'),
      ('integrations_private.list_keys()', 'integrations_admin'),
      ('integrations_private.random_bytes(integer)', 'integrations_keymaster'),
      ('integrations_private.register_kek(text,bytea)', 'integrations_keymaster'),
      ('integrations_private.unwrap_key(uuid,uuid,bytea,bytea,bytea)', 'integrations_keymaster'),
      ('integrations_private.write_audit(uuid,uuid,text,jsonb)', 'integrations_keymaster'),
      ('integrations_private.wrapping_passphrase(uuid,uuid,bytea)', 'integrations_keymaster')
  $$,
  'privileges on functions');
select is_empty(
  $$ select object from granted where kind = 'type' $$,
  'types have the privileges that they are born with');

-- Elsewhere: only what the owners need of pgcrypto, and that PUBLIC may not have it.
select set_eq(
  $$
    select pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid), d.refobjid::regrole::text
      from pg_catalog.pg_shdepend as d
     where d.dbid in (0, (select b.oid from pg_catalog.pg_database as b
                           where b.datname = pg_catalog.current_database()))
       and d.refclassid = 'pg_catalog.pg_authid'::regclass
       and d.refobjid in (
             'integrations_admin'::regrole, 'integrations_auditor'::regrole,
             'integrations_keymaster'::regrole, 'integrations_owner'::regrole,
             'integrations_tenant'::regrole, 'svc_integration'::regrole)
       -- The lists above, and what the helpers of these tests need.
       and pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
           !~ '\m(integrations|integrations_private|tests|schema public)\M'
  $$,
  $$
    values ('schema pgcrypto', 'integrations_keymaster'),
           ('schema pgcrypto', 'integrations_owner')
  $$,
  'the roles have nothing outside of both schemas but the use of pgcrypto');
-- A role such as pg_read_all_data would undo every list above.
select is_empty(
  $$
    select m.member::regrole, m.roleid::regrole
      from pg_catalog.pg_auth_members as m
     where m.member in (
             'integrations_admin'::regrole, 'integrations_auditor'::regrole,
             'integrations_keymaster'::regrole, 'integrations_owner'::regrole,
             'integrations_tenant'::regrole, 'svc_integration'::regrole)
  $$,
  'the roles are members of no other');
select is_empty(
  $$
    select s.setrole::regrole, s.setconfig
      from pg_catalog.pg_db_role_setting as s
     where s.setrole in (
             'integrations_admin'::regrole, 'integrations_auditor'::regrole,
             'integrations_keymaster'::regrole, 'integrations_owner'::regrole,
             'integrations_tenant'::regrole, 'svc_integration'::regrole)
  $$,
  'the roles begin their sessions with no settings of their own');

-- Of the database itself: the roles of the package may not make schemas to put things in a path.
select ok(
  not pg_catalog.has_database_privilege(r, pg_catalog.current_database(), 'create'),
  r || ' may not create schemas')
from pg_catalog.unnest(array[
       'integrations_admin', 'integrations_auditor', 'integrations_keymaster',
       'integrations_owner', 'integrations_tenant', 'svc_integration'
     ]) as r;

select * from finish();
rollback;
