-- Types, schemas, views, roles, and the privileges on pgcrypto.
select 'types/' || typname, format(statement, oid::regtype)
  from pg_type, unnest(array[
    'alter type %s add value ''more''', 'alter type %s owner to pg_monitor',
    'comment on type %s is null', 'alter type %s rename value ''active'' to ''other''',
    'alter type %s rename value ''retired'' to ''other''']) as statement
 where typtype = 'e' and typnamespace::regnamespace::text like 'integrations%'
   and (statement not like '%active%' or typname <> 'integration_definition_status')
   and (statement not like '%retired%' or typname <> 'integration_instance_status')
union all
select 'schemas/' || nspname, format(statement, nspname)
  from pg_namespace, unnest(array[
    'grant usage on schema %s to public', 'grant create on schema %s to integrations_admin',
    'alter schema %s owner to pg_monitor', 'comment on schema %s is null',
    'revoke usage on schema %s from integrations_keymaster',
    'grant usage on schema %s to integrations_keymaster with grant option']) as statement
 where nspname like 'integrations%'
union all
select 'views/' || relname, format(statement, oid::regclass)
  from pg_class, unnest(array[
    'alter view %s set (security_invoker = false)', 'alter view %s reset (security_barrier)',
    'alter view %s owner to pg_monitor', 'comment on view %s is null',
    'grant select on %s to public', 'grant delete on %s to svc_integration',
    'alter view %s rename column tenant_id to tenant']) as statement
 where relkind = 'v' and relnamespace = 'integrations'::regnamespace
union all
select 'views/' || relname,
       format('grant select on %s to %s with grant option', c.oid::regclass, a.grantee::regrole)
  from pg_class as c, aclexplode(relacl) as a
 where relkind = 'v' and relnamespace = 'integrations'::regnamespace and grantee <> relowner
union all
select 'roles/' || rolname, format(statement, rolname)
  from pg_roles, unnest(array[
    'alter role %s superuser', 'alter role %s bypassrls', 'alter role %s createrole',
    'alter role %s createdb', 'alter role %s replication']) as statement
 where rolname like 'integrations\_%' or rolname = 'svc_integration'
union all
select 'extensions/pgcrypto', 'revoke usage on schema pgcrypto from ' || rolname
  from pg_roles where rolname in ('integrations_owner', 'integrations_keymaster')
union all
select 'extensions/pgcrypto', format('revoke execute on function %s from public', oid::regprocedure)
  from pg_proc where pronamespace = 'pgcrypto'::regnamespace and oid::regprocedure::text in (
    'pgcrypto.hmac(bytea,bytea,text)', 'pgcrypto.gen_random_bytes(integer)',
    'pgcrypto.pgp_sym_encrypt(text,text,text)', 'pgcrypto.pgp_sym_decrypt(bytea,text)',
    'pgcrypto.pgp_sym_encrypt_bytea(bytea,text,text)', 'pgcrypto.pgp_sym_decrypt_bytea(bytea,text)');
