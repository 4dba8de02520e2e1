-- Tests grants/integrations_keymaster_002_refresh_leases: what is leased, and not the leases.
begin;
select plan(22);

select table_privs_are(
  'integrations_private', 'refresh_leases', 'integrations_keymaster', array[]::name[],
  'integrations_keymaster has no privilege on the whole of refresh_leases');
select column_privs_are(
  'integrations_private', 'refresh_leases', c, 'integrations_keymaster', array['SELECT'],
  'integrations_keymaster may read refresh_leases.' || c)
from pg_catalog.unnest(array[
       'tenant_id', 'instance_id', 'credentials_version', 'leased_until', 'retry_at',
       'refreshed_at'
     ]) as c;
select column_privs_are(
  'integrations_private', 'refresh_leases', c, 'integrations_keymaster', array[]::name[],
  'integrations_keymaster may do nothing with refresh_leases.' || c)
from pg_catalog.unnest(array[
       'lease', 'holder', 'claimed_at', 'failures'
     ]) as c;

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active');
  perform integrations.set_tenant(tests.tenant_a());
  perform integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'w');
  perform integrations.set_tenant(tests.tenant_b());
  perform integrations.claim_refresh(tests.instance_id(tests.tenant_b()), 'w');
  perform tests.remember();
end
$$;

select tests.as_keymaster();
select set_eq(
  'select tenant_id, credentials_version from integrations_private.refresh_leases',
  $$ values (tests.tenant_a(), 1), (tests.tenant_b(), 1) $$,
  'the keymaster sees what is leased, of all tenants');
select throws_ok(q, '42501', null, 'the keymaster is refused: ' || q)
from pg_catalog.unnest(array[
       'select * from integrations_private.refresh_leases',
       'select lease from integrations_private.refresh_leases',
       'select tenant_id from integrations_private.refresh_leases where lease is not null',
       'select holder from integrations_private.refresh_leases',
       'update integrations_private.refresh_leases set leased_until = null',
       'insert into integrations_private.refresh_leases default values',
       'delete from integrations_private.refresh_leases',
       'truncate integrations_private.refresh_leases'
     ]) as q;
select tests.unchanged('nothing has changed by any of this');

select * from finish();
rollback;
