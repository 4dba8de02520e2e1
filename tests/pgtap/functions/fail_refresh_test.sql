-- Tests functions/fail_refresh.
begin;
select plan(41);

select has_function('integrations', 'fail_refresh', array['uuid', 'text', 'interval']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.fail_refresh(uuid,text,interval)'::regprocedure
  ),
  'lease uuid, reason text, retry_after interval DEFAULT ''00:05:00''::interval',
  'its parameters are called by these names'
);
select function_returns('integrations', 'fail_refresh', array['uuid', 'text', 'interval'], 'void');
select function_lang_is(
  'integrations', 'fail_refresh',
  array['uuid', 'text', 'interval'],
  'plpgsql'
);
select volatility_is('integrations', 'fail_refresh', array['uuid', 'text', 'interval'], 'volatile');
select is_definer('integrations', 'fail_refresh', array['uuid', 'text', 'interval']);
select function_owner_is(
  'integrations', 'fail_refresh',
  array['uuid', 'text', 'interval'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.fail_refresh(uuid,text,interval)', array['svc_integration']);

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

select tests.as_service(tests.tenant_a());
select throws_ok(
  pg_catalog.format(
    'select integrations.fail_refresh(%L, %L, %L)', v.lease, v.reason, v.retry_after),
  v.sqlstate, null, 'fail_refresh refuses ' || v.what)
from (
  values ('a null lease', null, 'no', '1 minute', '22023'),
         ('a null reason', (tests.lease(tests.tenant_a())).lease, null, '1 minute', '22023'),
         ('the mark of quarantine', (tests.lease(tests.tenant_a())).lease,
          'quarantined: the credentials cannot be decrypted', '1 minute', '22023'),
         ('a null wait', (tests.lease(tests.tenant_a())).lease, 'no', null, '22023'),
         ('a negative wait', (tests.lease(tests.tenant_a())).lease, 'no', '-1 second', '22023'),
         ('a wait of more than 30 days', (tests.lease(tests.tenant_a())).lease, 'no',
          '30 days 1 second', '22023'),
         ('an unknown lease', tests.nobody(), 'no', '1 minute', 'IN402'),
         ('another tenant''s lease', (tests.lease(tests.tenant_b())).lease, 'no', '1 minute',
          'IN402')
) as v (what, lease, reason, retry_after, sqlstate);
select tests.as_service(null);
select throws_ok(
  $$ select integrations.fail_refresh((tests.lease(tests.tenant_a())).lease, 'no') $$, 'IN001',
  null, 'fail_refresh needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$ select integrations.fail_refresh((tests.lease(tests.tenant_a())).lease, 'no') $$, '42501',
  null, 'an application may not fail a refresh');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  $$ select integrations.fail_refresh((tests.lease(tests.tenant_a())).lease, 'no') $$, '42501',
  null, 'an administrator may not fail a refresh');
select tests.unchanged('refused failures change nothing');

select tests.as_service(tests.tenant_a());
select lives_ok(
  $$
    select integrations.fail_refresh(
      lease => (tests.lease(tests.tenant_a())).lease, reason => pg_catalog.repeat('e', 1001))
  $$,
  'a failure');
select results_eq(
  $$ select status::text, status_reason from tests.instance(tests.tenant_a()) $$,
  $$ select 'error', pg_catalog.repeat('e', 1000) $$,
  'is seen in the status, with the reason cut to 1000 characters');
select results_eq(
  $$
    select lease, leased_until, failures, refreshed_at,
           retry_at - interval '5 minutes' between pg_catalog.now() and pg_catalog.clock_timestamp()
      from tests.lease(tests.tenant_a())
  $$,
  $$ values (null::uuid, null::timestamptz, 1, null::timestamptz, true) $$,
  'the lease has ended, and it is due again in five minutes');
select results_eq(
  $$
    select event, actor, detail
      from (select * from tests.audited(tests.tenant_a(), 'status_changed')
            union all select * from tests.audited(tests.tenant_a(), 'refresh_failed')) as a
     order by at
  $$,
  $$
    values ('status_changed', 'svc_integration',
            '{"from": "active", "to": "error", "version": 1}'::jsonb),
           ('refresh_failed', 'svc_integration', '{"version": 1, "failures": 1}')
  $$,
  'both are audited, without the reason');

do $$
begin
  for v_try in 2..9 loop
    perform integrations.fail_refresh(
      integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'w'), 'again', '1 hour');
  end loop;
end
$$;
select results_eq(
  $$
    select failures,
           retry_at - interval '1 day' between pg_catalog.now() and pg_catalog.clock_timestamp()
      from tests.lease(tests.tenant_a())
  $$,
  $$ values (9, true) $$, 'the wait doubles up to a day');
select lives_ok(
  $$
    select integrations.fail_refresh(
      integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'w'), 'the last', '1 hour')
  $$,
  'the tenth failure');
select results_eq(
  $$ select failures, retry_at from tests.lease(tests.tenant_a()) $$,
  $$ values (10, null::timestamptz) $$, 'is the last one');
select is(
  (tests.instance(tests.tenant_a())).status_reason, 'the last', 'and the reason is told');

-- Somebody stores credentials in the meantime.
create temporary table claimed on commit drop as
select integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'w') as lease;
do $$
begin
  perform integrations.unlock('kek-1', tests.kek());
  perform integrations.put_credentials(tests.instance_id(tests.tenant_a()), '{}');
end
$$;
select lives_ok(
  'select integrations.fail_refresh(c.lease, ''invalid_grant'') from pg_temp.claimed as c',
  'a failure of credentials that are there no more');
select results_eq(
  $$
    select i.status::text, i.status_reason, l.lease, l.failures, l.retry_at
      from tests.instance(tests.tenant_a()) as i, tests.lease(tests.tenant_a()) as l
  $$,
  $$ values ('active', null::text, null::uuid, 0, null::timestamptz) $$, 'only ends the lease');

-- Quarantine has a reason of its own.
select tests.as_superuser();
update integrations.integration_instances
   set status = 'error', status_reason = integrations_private.quarantine_reason()
 where tenant_id = tests.tenant_a();
select tests.as_service(tests.tenant_a());
select lives_ok(
  $$
    select integrations.fail_refresh(
      integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'w'), 'IN304')
  $$,
  'a failure in quarantine');
select results_eq(
  $$
    select i.status::text, i.status_reason, l.lease, l.retry_at
      from tests.instance(tests.tenant_a()) as i, tests.lease(tests.tenant_a()) as l
  $$,
  $$
    values ('error', 'quarantined: the credentials cannot be decrypted', null::uuid,
            null::timestamptz)
  $$,
  'does not lift it');

do $$
begin
  perform integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'w');
  perform integrations.set_instance_status(tests.instance_id(tests.tenant_a()), 'disabled', 'stop');
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.fail_refresh((tests.lease(tests.tenant_a())).lease, 'no') $$, 'IN202',
  null, 'fail_refresh refuses a disabled instance');
select tests.unchanged('which stays as it is');

select * from finish();
rollback;
