-- Tests functions/claim_refresh.
begin;
select plan(56);

select has_function('integrations', 'claim_refresh', array['uuid', 'text', 'interval']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.claim_refresh(uuid,text,interval)'::regprocedure
  ),
  'instance_id uuid, holder text, ttl interval DEFAULT ''00:01:00''::interval',
  'its parameters are called by these names'
);
select function_returns('integrations', 'claim_refresh', array['uuid', 'text', 'interval'], 'uuid');
select function_lang_is(
  'integrations', 'claim_refresh',
  array['uuid', 'text', 'interval'],
  'plpgsql'
);
select volatility_is(
  'integrations', 'claim_refresh',
  array['uuid', 'text', 'interval'],
  'volatile'
);
select is_definer('integrations', 'claim_refresh', array['uuid', 'text', 'interval']);
select function_owner_is(
  'integrations', 'claim_refresh',
  array['uuid', 'text', 'interval'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.claim_refresh(uuid,text,interval)', array['svc_integration']);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active'),
          tests.an_instance(tests.tenant_a(), 'failed', 'error'),
          tests.an_instance(tests.tenant_a(), 'new'),
          tests.an_instance(tests.tenant_a(), 'disabled', 'disabled'),
          tests.an_instance(tests.tenant_a(), 'revoked', 'revoked');
  perform tests.remember();
end
$$;

select tests.as_service(tests.tenant_a());
select throws_ok(
  pg_catalog.format(
    'select integrations.claim_refresh(%L, %L, %L)',
    case when v.what <> 'a null id' then tests.instance_id(tests.tenant_a()) end, v.holder, v.ttl),
  '22023', null, 'claim_refresh refuses ' || v.what)
from (
  values ('a null id', 'w', '1 minute'),
         ('a null holder', null, '1 minute'),
         ('an empty holder', '', '1 minute'),
         ('a blank holder', ' ', '1 minute'),
         ('a long holder', pg_catalog.repeat('w', 201), '1 minute'),
         ('a null ttl', 'w', null),
         ('a ttl of nothing', 'w', '0'),
         ('a negative ttl', 'w', '-1 second'),
         ('a ttl of more than an hour', 'w', '1 hour 1 microsecond')
) as v (what, holder, ttl);
select throws_ok(
  pg_catalog.format(
    'select integrations.claim_refresh(%L, %L)', tests.instance_id(tests.tenant_a(), n), 'w'),
  'IN202', null, 'claim_refresh refuses a ' || n || ' instance')
from pg_catalog.unnest(array['disabled', 'revoked']) as n;
select throws_ok(
  $$ select integrations.claim_refresh(tests.nobody(), 'w') $$, 'IN201', null,
  'claim_refresh does not find an unknown id');
select throws_ok(
  $$ select integrations.claim_refresh(tests.instance_id(tests.tenant_b()), 'w') $$, 'IN201', null,
  'claim_refresh does not find another tenant''s');
select is(
  tests.answer_about(
    'select integrations.claim_refresh(%L, ''w'')', tests.instance_id(tests.tenant_b())),
  tests.answer_about('select integrations.claim_refresh(%L, ''w'')', tests.nobody()),
  'but for the id, the two answers are the same');
select tests.as_service(null);
select throws_ok(
  $$ select integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'w') $$, 'IN001', null,
  'claim_refresh needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$ select integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'w') $$, '42501', null,
  'an application may not claim');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  $$ select integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'w') $$, '42501', null,
  'an administrator may not claim');
select tests.as_auditor();
select throws_ok(
  $$ select integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'w') $$, '42501', null,
  'an auditor may not claim');
select tests.unchanged('refused claims change nothing');

select tests.as_service(tests.tenant_a());
create temporary table claimed on commit drop as
select integrations.claim_refresh(
         instance_id => tests.instance_id(tests.tenant_a()), holder => 'refresher 1') as lease;
select results_eq(
  $$
    select l.lease, l.holder, l.credentials_version, l.leased_until - l.claimed_at,
           l.claimed_at > pg_catalog.now(), l.failures, l.retry_at, l.refreshed_at
      from tests.lease(tests.tenant_a()) as l
  $$,
  $$
    select c.lease, 'refresher 1', 1, interval '1 minute', true, 0, null::timestamptz,
           null::timestamptz
      from pg_temp.claimed as c
  $$,
  'the lease lasts a minute, by the clock');
select results_eq(
  $$
    select instance_id, actor, detail from tests.audited(tests.tenant_a(), 'refresh_claimed')
  $$,
  $$
    select tests.instance_id(tests.tenant_a()), 'svc_integration', '{"version": 1}'::jsonb
  $$,
  'it is audited, without the lease');
select is(
  (tests.instance(tests.tenant_a())).status::text, 'active', 'a claim does not touch the instance');
do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  pg_catalog.format(
    'select integrations.claim_refresh(%L, %L)', tests.instance_id(tests.tenant_a()), h),
  'IN401', 'refresh lease is held by another', h || ' does not get what is leased')
from pg_catalog.unnest(array['refresher 1', 'refresher 2']) as h;
select tests.unchanged('the lease stays as it is');

select tests.as_superuser();
update integrations_private.refresh_leases
   set leased_until = pg_catalog.clock_timestamp(), failures = 3,
       retry_at = '2026-01-01 00:00:00+00';
select tests.as_service(tests.tenant_a());
select isnt(
  integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'refresher 2', '1 hour'),
  (select c.lease from pg_temp.claimed as c), 'what has expired is leased anew');
select results_eq(
  $$
    select holder, leased_until - claimed_at, failures, retry_at
      from tests.lease(tests.tenant_a())
  $$,
  $$ values ('refresher 2', interval '1 hour', 3, '2026-01-01 00:00:00+00'::timestamptz) $$,
  'its failures count on, and it is listed again should this worker die');

select tests.as_superuser();
update integrations_private.refresh_leases
   set leased_until = pg_catalog.clock_timestamp(), credentials_version = 0;
select tests.as_service(tests.tenant_a());
select lives_ok(
  $$ select integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'refresher 2') $$,
  'a claim of other credentials');
select results_eq(
  $$ select credentials_version, failures, retry_at from tests.lease(tests.tenant_a()) $$,
  $$ values (1, 0, null::timestamptz) $$, 'begins without failures');

-- Refreshed a moment ago, by refresher 2.
select tests.as_superuser();
update integrations_private.refresh_leases
   set lease = null, leased_until = null,
       refreshed_at = pg_catalog.clock_timestamp();
select tests.as_service(tests.tenant_a());
select throws_ok(
  $$ select integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'refresher 1') $$,
  'IN401', 'credentials were refreshed by another a moment ago',
  'one refresh serves all who wait for it');
select lives_ok(
  $$ select integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'refresher 2') $$,
  'who refreshed knows what it does');
select tests.as_superuser();
update integrations_private.refresh_leases
   set lease = null, leased_until = null,
       refreshed_at = pg_catalog.clock_timestamp() - interval '1 minute';
select tests.as_service(tests.tenant_a());
select lives_ok(
  $$ select integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'refresher 1') $$,
  'after a minute anybody may claim again');

select lives_ok(
  $$ select integrations.claim_refresh(tests.instance_id(tests.tenant_a(), 'failed'), 'w') $$,
  'an instance in error can be claimed');
select lives_ok(
  $$ select integrations.claim_refresh(tests.instance_id(tests.tenant_a(), 'new'), 'w') $$,
  'so can one that has no credentials yet');

select * from finish();
rollback;
