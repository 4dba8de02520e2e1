-- Tests functions/rename_instance.
begin;
select plan(26);

select has_function('integrations', 'rename_instance', array['uuid', 'text']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.rename_instance(uuid,text)'::regprocedure
  ),
  'instance_id uuid, name text',
  'its parameters are called by these names'
);
select function_returns('integrations', 'rename_instance', array['uuid', 'text'], 'void');
select function_lang_is('integrations', 'rename_instance', array['uuid', 'text'], 'plpgsql');
select volatility_is('integrations', 'rename_instance', array['uuid', 'text'], 'volatile');
select is_definer('integrations', 'rename_instance', array['uuid', 'text']);
select function_owner_is(
  'integrations', 'rename_instance',
  array['uuid', 'text'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.rename_instance(uuid,text)',
  array['integrations_tenant', 'svc_integration']
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm'),
          tests.an_instance(tests.tenant_a(), 'other'),
          tests.an_instance(tests.tenant_b(), 'theirs'),
          tests.an_instance(tests.tenant_a(), 'old', 'revoked');
end
$$;

select tests.as_tenant(tests.tenant_a());
select lives_ok(
  $$
    select integrations.rename_instance(
      instance_id => tests.instance_id(tests.tenant_a()), name => 'theirs')
  $$,
  'an instance takes a new name, also one that another tenant uses');
select results_eq(
  $$ select name::text, updated_at > created_at from tests.instance(tests.tenant_a(), 'theirs') $$,
  $$ values ('theirs', true) $$, 'it has it, and the change is dated');
select results_eq(
  $$ select instance_id, detail from tests.audited(tests.tenant_a(), 'instance_renamed') $$,
  $$ select tests.instance_id(tests.tenant_a(), 'theirs'), '{}'::jsonb $$,
  'the change is audited, without the names');
select lives_ok(
  $$ select integrations.rename_instance(tests.instance_id(tests.tenant_a(), 'old'), 'older') $$,
  'a revoked instance can be renamed, to free its name');

do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  pg_catalog.format(
    'select integrations.rename_instance(%L, %L)',
    tests.instance_id(tests.tenant_a(), 'theirs'), v.name),
  '22023', null, 'rename_instance refuses ' || v.what)
from (
  values ('null', null),
         ('an empty name', ''),
         ('a blank name', ' '),
         ('201 characters', pg_catalog.repeat('a', 201))
) as v (what, name);
select throws_ok(
  $$ select integrations.rename_instance(null, 'x') $$, '22023', null,
  'rename_instance refuses a null id');
select throws_ok(
  $$
    select integrations.rename_instance(tests.instance_id(tests.tenant_a(), 'theirs'), 'other')
  $$,
  '23505', null, 'rename_instance refuses a name that the tenant uses already');
select throws_ok(
  $$ select integrations.rename_instance(tests.nobody(), 'x') $$, 'IN201', null,
  'rename_instance does not find an unknown id');
select throws_ok(
  $$ select integrations.rename_instance(tests.instance_id(tests.tenant_b(), 'theirs'), 'x') $$,
  'IN201', null, 'rename_instance does not find another tenant''s');
select tests.as_tenant(null);
select throws_ok(
  $$ select integrations.rename_instance(tests.instance_id(tests.tenant_a(), 'other'), 'x') $$,
  'IN001', null, 'rename_instance needs a tenant');
select tests.as_auditor();
select throws_ok(
  $$ select integrations.rename_instance(tests.instance_id(tests.tenant_a(), 'other'), 'x') $$,
  '42501', null, 'an auditor may not rename');
select tests.unchanged('refused calls change nothing');

select * from finish();
rollback;
