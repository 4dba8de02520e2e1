-- The helpers of these tests, tested: a helper that always passes would make every test pass.
begin;
select plan(47);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), s::text, s)
     from pg_catalog.unnest(
            pg_catalog.enum_range(null::integrations.integration_instance_status)) as s;
end
$$;

-- check_test is for the session's own role: this takes the line of an assertion and comes back.
create function pg_temp.line_of(helper text)
returns text
language plpgsql
as $function$
declare
  v_line text;
begin
  execute 'select ' || helper into v_line;
  perform pg_catalog.set_config(
    'tests.who',
    pg_catalog.concat_ws(
      ' of ', current_user,
      nullif(pg_catalog.current_setting('integrations.tenant_id', true), '')),
    true);
  perform pg_catalog.set_config('role', 'none', true);
  return v_line;
end;
$function$;

select check_test(
  pg_temp.line_of('tests.as_role(''integrations_tenant'', tests.tenant_a())'), true, 'as_role',
  'from here on integrations_tenant of tenant aaaaaaaa-0000-4000-8000-00000000000a');
select is(
  pg_catalog.current_setting('tests.who'), 'integrations_tenant of ' || tests.tenant_a(),
  'as_role becomes role and tenant');
select check_test(pg_temp.line_of('tests.as_tenant(tests.tenant_b())'), true, 'as_tenant');
select is(
  pg_catalog.current_setting('tests.who'), 'integrations_tenant of ' || tests.tenant_b(),
  'as_tenant is the application of the tenant');
select check_test(pg_temp.line_of('tests.as_service(tests.tenant_a())'), true, 'as_service');
select is(
  pg_catalog.current_setting('tests.who'), 'svc_integration of ' || tests.tenant_a(),
  'as_service is the service');
select check_test(pg_temp.line_of('tests.as_service(null)'), true, 'as_service without tenant');
select is(
  pg_catalog.current_setting('tests.who'), 'svc_integration', 'has no tenant');
select check_test(pg_temp.line_of('tests.as_admin()'), true, 'as_admin');
select is(
  pg_catalog.current_setting('tests.who'), 'integrations_admin', 'as_admin is an administrator');
select check_test(pg_temp.line_of('tests.as_auditor()'), true, 'as_auditor');
select is(
  pg_catalog.current_setting('tests.who'), 'integrations_auditor', 'as_auditor is an auditor');
select check_test(pg_temp.line_of('tests.as_owner(tests.tenant_a())'), true, 'as_owner');
select is(
  pg_catalog.current_setting('tests.who'), 'integrations_owner of ' || tests.tenant_a(),
  'as_owner is the owner, for the tenant');
select check_test(pg_temp.line_of('tests.as_keymaster()'), true, 'as_keymaster');
select is(
  pg_catalog.current_setting('tests.who'), 'integrations_keymaster',
  'as_keymaster is the keymaster');
select check_test(
  pg_temp.line_of('tests.as_superuser()'), true, 'as_superuser', 'from here on a superuser');

do $$
begin
  perform tests.remember();
end
$$;
select check_test(
  tests.unchanged('as it was'), true, 'unchanged', 'as it was');
update integrations.integration_instances set config = '{"a": 1}' where name = 'active';
select check_test(
  tests.unchanged('as it was'), false, 'unchanged after an update');
do $$
begin
  perform tests.remember();
  perform tests.a_key(tests.tenant_b());
end
$$;
select check_test(
  tests.unchanged('as it was'), false, 'unchanged after an insert');
do $$
begin
  perform tests.remember();
end
$$;
delete from integrations.integration_instances where name = 'pending';
select check_test(
  tests.unchanged('as it was'), false, 'unchanged after a delete');

select check_test(
  tests.executable_by('integrations.unlock(text, bytea)', array['svc_integration']), true,
  'executable_by', 'integrations.unlock(text,bytea) may be executed by svc_integration beside its '
  'owner');
select check_test(
  tests.executable_by('integrations.unlock(text, bytea)', array[]::name[]), false,
  'executable_by with one missing');
select check_test(
  tests.executable_by(
    'integrations.unlock(text, bytea)', array['integrations_admin', 'svc_integration']), false,
  'executable_by with one too many');
grant execute on function integrations.unlock(text, bytea) to public;
select check_test(
  tests.executable_by('integrations.unlock(text, bytea)', array['svc_integration']), false,
  'executable_by after a grant to PUBLIC');
create function pg_temp.new() returns integer language sql return 1;
select check_test(
  tests.executable_by('pg_temp.new()', array[]::name[]), false,
  'executable_by of a function that nobody took from PUBLIC');

select is(tests.error_of('select 1'), null, 'error_of what succeeds is NULL');
select is(
  tests.answer_about(
    'select integrations_private.require_usable(%L, ''revoked'')', tests.nobody())::jsonb
    ->> 'detail',
  'Instance ? is revoked.', 'answer_about leaves the id out');
select isnt(
  tests.answer_about('select %L::uuid, 1/0', tests.nobody()),
  tests.answer_about('select %L::uuid, ''x''::integer', tests.nobody()),
  'and nothing else');
select is(
  tests.error_of(
    $$
      do $do$
      begin
        raise exception 'm' using errcode = 'IN201', detail = 'd', hint = 'h';
      end
      $do$
    $$) - 'context',
  '{"sqlstate": "IN201", "message": "m", "detail": "d", "hint": "h"}'::jsonb,
  'error_of tells the fields of an error');

-- Fixtures are what they say, and leave tenant and keyring alone.
select is(
  (tests.instance(tests.tenant_a(), s)).status::text, s, 'an_instance can be ' || s)
from pg_catalog.unnest(array['active', 'error', 'disabled', 'revoked']) as s;
do $$
begin
  perform integrations.set_tenant(tests.tenant_b());
  perform pg_catalog.set_config('integrations.keyring', 'ring', true);
  perform tests.an_instance(tests.tenant_a(), 'last', 'active');
end
$$;
select is(integrations.current_tenant(), tests.tenant_b(), 'fixtures keep the tenant');
select is(
  pg_catalog.current_setting('integrations.keyring'), 'ring', 'and the keyring');
select is(
  tests.definition_id('Salesforce'),
  (tests.instance(tests.tenant_a(), 'last')).integration_id, 'definition_id finds a connector');
select is(
  tests.instance_id(tests.tenant_a(), 'last'),
  (tests.instance(tests.tenant_a(), 'last')).id, 'instance_id finds an installation');
create temporary table made on commit drop as
select tests.a_key(tests.tenant_a()) as id;
select is(
  (select m.id from made as m), (tests.active_key(tests.tenant_a())).id,
  'a_key makes the active key');
select is(
  (tests.active_key(tests.tenant_a())).check_value,
  integrations_private.data_key_check_value(
    (tests.active_key(tests.tenant_a())).id, tests.data_key(tests.tenant_a())),
  'data_key opens it');
select is(pg_catalog.octet_length(tests.kek(2)), 32, 'a kek has 32 bytes');
select isnt(tests.kek(1), tests.kek(2), 'and each number another one');
select isnt(
  (select pg_catalog.count(*) from tests.audited(tests.tenant_a(), 'instance_created')),
  0::bigint, 'audited finds entries');

select * from finish();
rollback;
