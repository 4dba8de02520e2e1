-- Tests functions/write_audit: the way of most functions into the audit log.
begin;
select plan(22);

select has_function('integrations_private', 'write_audit', array['uuid', 'uuid', 'text', 'jsonb']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.write_audit(uuid,uuid,text,jsonb)'::regprocedure
  ),
  'tenant_id uuid, instance_id uuid, event text, detail jsonb DEFAULT ''{}''::jsonb',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'write_audit',
  array['uuid', 'uuid', 'text', 'jsonb'],
  'void'
);
select function_lang_is(
  'integrations_private', 'write_audit',
  array['uuid', 'uuid', 'text', 'jsonb'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'write_audit',
  array['uuid', 'uuid', 'text', 'jsonb'],
  'volatile'
);
select isnt_definer('integrations_private', 'write_audit', array['uuid', 'uuid', 'text', 'jsonb']);
select function_owner_is(
  'integrations_private', 'write_audit',
  array['uuid', 'uuid', 'text', 'jsonb'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.write_audit(uuid,uuid,text,jsonb)',
  array['integrations_keymaster']
);

set local application_name = 'crm sync';
select tests.as_owner(tests.tenant_a());
select lives_ok(
  $$
    select integrations_private.write_audit(
      tests.tenant_a(), tests.nobody(), 'tested', '{"version": 1}')
  $$,
  'an entry about an instance');
select lives_ok(
  $$ select integrations_private.write_audit(tests.tenant_a(), null, 'tested_too') $$,
  'an entry about none, without detail');
select results_eq(
  $$
    select instance_id, actor, session_actor, application, detail
      from tests.audited(tests.tenant_a(), 'tested')
  $$,
  $$
    select tests.nobody(), 'integrations_owner', session_user::text collate "default", 'crm sync',
           '{"version": 1}'::jsonb
  $$,
  'it says who, by which login and program, and what');
select results_eq(
  $$ select instance_id, detail from tests.audited(tests.tenant_a(), 'tested_too') $$,
  $$ values (null::uuid, '{}'::jsonb) $$,
  'the instance may be missing, the detail is an object');
select ok(
  (select a.at between pg_catalog.now() and pg_catalog.clock_timestamp()
     from tests.audited(tests.tenant_a(), 'tested') as a),
  'it says when, by the clock');

select tests.as_superuser();
select results_eq(
  $$
    select tableoid::regclass::text from integrations_private.audit_log where event = 'tested'
  $$,
  array['integrations_private.audit_log_default'],
  'a month without a partition of its own is kept in the default one');
set local application_name = '';
do $$
begin
  perform integrations_private.write_audit(tests.tenant_a(), null, 'by_login');
end
$$;
select results_eq(
  $$ select actor, application from tests.audited(tests.tenant_a(), 'by_login') $$,
  $$ select session_user::text collate "default", null::text $$,
  'without SET ROLE the actor is the login; an empty application_name is none');

select tests.as_owner(tests.tenant_a());
do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations_private.write_audit(tests.tenant_b(), null, 'forged') $$,
  '42501', null, 'write_audit cannot write for another tenant');
select throws_ok(
  $$ select integrations_private.write_audit(tests.tenant_a(), null, 'Not an event') $$,
  '23514', null, 'write_audit refuses a malformed event');
select throws_ok(
  $$ select integrations_private.write_audit(tests.tenant_a(), null, 'tested', '[]') $$,
  '23514', null, 'write_audit refuses a detail that is no object');
select tests.unchanged('what was refused left no entry');

select * from finish();
rollback;
