-- Tests functions/stamp_last_used, within one session: that it never waits needs a second one.
begin;
select plan(16);

select has_function('integrations_private', 'stamp_last_used', array['uuid', 'uuid']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.stamp_last_used(uuid,uuid)'::regprocedure
  ),
  'tenant_id uuid, instance_id uuid',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'stamp_last_used', array['uuid', 'uuid'], 'boolean');
select function_lang_is(
  'integrations_private', 'stamp_last_used',
  array['uuid', 'uuid'],
  'plpgsql'
);
select volatility_is('integrations_private', 'stamp_last_used', array['uuid', 'uuid'], 'volatile');
select isnt_definer('integrations_private', 'stamp_last_used', array['uuid', 'uuid']);
select function_owner_is(
  'integrations_private', 'stamp_last_used',
  array['uuid', 'uuid'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.stamp_last_used(uuid,uuid)', array[]::name[]);

do $$
begin
  perform tests.an_instance(tests.tenant_a()), tests.an_instance(tests.tenant_b());
end
$$;

select tests.as_owner(tests.tenant_a());
select is(
  integrations_private.stamp_last_used(
    tests.tenant_a(), tests.instance_id(tests.tenant_a())),
  true, 'an instance is stamped');
select results_eq(
  $$
    select last_used_at between pg_catalog.now() and pg_catalog.clock_timestamp(),
           updated_at = created_at
      from tests.instance(tests.tenant_a())
  $$,
  $$ values (true, true) $$,
  'with the time of the clock; updated_at stays');

do $$
begin
  perform tests.remember();
end
$$;
select is(
  integrations_private.stamp_last_used(
    tests.tenant_a(), tests.instance_id(tests.tenant_a())),
  false, 'once more');
select is(
  integrations_private.stamp_last_used(
    tests.tenant_b(), tests.instance_id(tests.tenant_b())),
  false, 'for another tenant');
select tests.unchanged('neither is stamped: not twice in a minute, not another tenant''s');

update integrations.integration_instances
   set last_used_at = pg_catalog.now() - interval '61 seconds';
select is(
  integrations_private.stamp_last_used(
    tests.tenant_a(), tests.instance_id(tests.tenant_a())),
  true, 'after a minute');
select cmp_ok(
  (tests.instance(tests.tenant_a())).last_used_at, '>=', pg_catalog.now(), 'it is stamped again');

select * from finish();
rollback;
