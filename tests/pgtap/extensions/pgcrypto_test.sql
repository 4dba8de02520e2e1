-- Tests extensions/pgcrypto: found where it is, or created; usable by the two owners only.
begin;
select plan(15);

select has_extension('pgcrypto');
create temporary table pgcrypto on commit drop as
select n.nspname as schema
  from pg_catalog.pg_extension as e
       join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
 where e.extname = 'pgcrypto';

select ok(
  pg_catalog.has_schema_privilege(r, p.schema, 'usage'), r || ' may use its schema')
from pgcrypto as p
     cross join pg_catalog.unnest(array['integrations_owner', 'integrations_keymaster']) as r;
-- Who can create there can put an overload beside a function of it.
select ok(
  not pg_catalog.has_schema_privilege(r, p.schema, 'create'), r || ' may create nothing there')
from pgcrypto as p
     cross join pg_catalog.unnest(array[
       'integrations_owner', 'integrations_keymaster', 'integrations_admin',
       'integrations_auditor', 'integrations_tenant', 'svc_integration', 'public'
     ]) as r;
select ok(
  not pg_catalog.has_schema_privilege(r, p.schema, 'usage'), r || ' may not use what we made')
from pgcrypto as p
     cross join pg_catalog.unnest(array[
       'integrations_admin', 'integrations_auditor', 'integrations_tenant', 'svc_integration',
       'public'
     ]) as r
where p.schema = 'pgcrypto';

select * from finish();
rollback;
