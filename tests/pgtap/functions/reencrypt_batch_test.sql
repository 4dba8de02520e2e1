-- Tests functions/reencrypt_batch.
begin;
select plan(49);

select has_function(
  'integrations', 'reencrypt_batch', array['integer']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.reencrypt_batch(integer)'::regprocedure
  ),
  'max_rows integer DEFAULT 100',
  'its parameters are called by these names'
);
select is(
  pg_catalog.pg_get_function_result(
    'integrations.reencrypt_batch(integer)'::regprocedure
  ),
  'TABLE(done integer, skipped integer, quarantined integer)',
  'it returns these columns'
);
select function_lang_is(
  'integrations', 'reencrypt_batch',
  array['integer'],
  'plpgsql'
);
select volatility_is(
  'integrations', 'reencrypt_batch',
  array['integer'],
  'volatile'
);
select is_definer(
  'integrations', 'reencrypt_batch',
  array['integer']
);
select function_owner_is(
  'integrations', 'reencrypt_batch',
  array['integer'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.reencrypt_batch(integer)',
  array['svc_integration']
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'one', 'active', '{"n": 1.50,  "token": "ta"}'),
          tests.an_instance(tests.tenant_a(), 'two', 'error'),
          tests.an_instance(tests.tenant_a(), 'three', 'disabled'),
          tests.an_instance(tests.tenant_a(), 'new'),
          tests.an_instance(tests.tenant_a(), 'gone', 'revoked'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active');
end
$$;
create temporary table before on commit drop as
select i.* from tests.tenant_a() as t
           cross join lateral pg_catalog.unnest(array['one', 'two', 'three', 'new', 'gone']) as n
           cross join lateral tests.instance(t, n) as i;
grant select on before to svc_integration;

select tests.as_service(tests.tenant_a());
select is(integrations.unlock('kek-1', tests.kek()), 1, 'the first key is opened');
do $$
begin
  perform tests.remember();
end
$$;

select results_eq(
  'select done, skipped, quarantined from integrations.reencrypt_batch(max_rows => 10)',
  'values (0, 0, 0)', 'with one key there is nothing to move');
select tests.unchanged('and nothing is written');
select ok(
  integrations.create_tenant_key('kek-2', tests.kek(2)) is not null, 'a second key, locked');
do $$
begin
  perform tests.remember();
end
$$;

select throws_ok(
  'select * from integrations.reencrypt_batch()', 'IN302', 'credentials are locked',
  'reencrypt_batch needs the new key open');
select tests.unchanged('and moves nothing without');
do $$
begin
  perform pg_catalog.set_config('integrations.keyring', '', true);
  perform integrations.unlock('kek-2', tests.kek(2));
end
$$;
select throws_ok(
  'select * from integrations.reencrypt_batch()', 'IN302', 'credentials are locked',
  'reencrypt_batch needs the former key open');
select tests.unchanged('and neither moves nor quarantines without');
select throws_ok(
  pg_catalog.format('select * from integrations.reencrypt_batch(%L)', n), '22023',
  'max_rows must be at least 1', 'reencrypt_batch refuses ' || coalesce(n::text, 'null'))
from (values (null::integer), (0), (-1)) as v (n);
select is(integrations.unlock('kek-1', tests.kek()), 1, 'both keys are open');
select results_eq(
  'select done, skipped, quarantined from integrations.reencrypt_batch(2)', 'values (2, 0, 0)',
  'a batch of two');
select results_eq(
  'select done, skipped, quarantined from integrations.reencrypt_batch()', 'values (1, 0, 0)',
  'the rest, a disabled one too');
select results_eq(
  'select done, skipped, quarantined from integrations.reencrypt_batch()', 'values (0, 0, 0)',
  'the end');
select is_empty(
  $$
    select b.name
      from pg_temp.before as b
           cross join lateral tests.instance(tests.tenant_a(), b.name) as i
     where (i.credentials_key_id is distinct from b.credentials_key_id)
           is distinct from (b.credentials is not null)
        or (i.credentials_key_id <> (tests.active_key(tests.tenant_a())).id)
  $$,
  'all that have credentials are on the new key');
select is_empty(
  $$
    select b.name
      from pg_temp.before as b
           cross join lateral tests.instance(tests.tenant_a(), b.name) as i
     where pg_catalog.to_jsonb(i) - array['credentials', 'credentials_key_id']
           <> pg_catalog.to_jsonb(b) - array['credentials', 'credentials_key_id']
  $$,
  'nothing else of them has changed: not version, status or times');
select results_eq(
  $$
    select instance_id, actor, detail
      from tests.audited(tests.tenant_a(), 'credentials_reencrypted')
  $$,
  $$
    select null::uuid, 'svc_integration',
           pg_catalog.jsonb_build_object(
             'key', (tests.active_key(tests.tenant_a())).id, 'count', n)
      from pg_catalog.unnest(array[2, 1]) as n
  $$,
  'each batch that moved something is audited');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a(), 'one')),
  '{"n": 1.50, "token": "ta"}'::jsonb, 'the credentials are the same');
select is(
  (tests.instance(tests.tenant_b())).credentials_key_id, (tests.active_key(tests.tenant_b())).id,
  'another tenant''s are on its own key');

-- What cannot be decrypted.
do $$
begin
  perform tests.a_key(tests.tenant_a());
end
$$;
select tests.as_superuser();
update integrations.integration_instances as i
   set credentials = i.credentials || '{"mac": ""}'
 where i.tenant_id = tests.tenant_a()
   and i.credentials is not null
   and i.name <> 'one';
select tests.as_service(tests.tenant_a());
select is(integrations.unlock('kek-1', tests.kek()), 2, 'the keys of the first KEK are open');
select results_eq(
  'select done, skipped, quarantined from integrations.reencrypt_batch()', 'values (1, 0, 2)',
  'two cannot be decrypted, and do not stop the third');
select results_eq(
  $$
    select i.status::text, i.status_reason, i.credentials_version
      from pg_catalog.unnest(array['two', 'three']) as n
           cross join lateral tests.instance(tests.tenant_a(), n) as i
  $$,
  $$
    values ('error', 'quarantined: the credentials cannot be decrypted', 1),
           ('error', 'quarantined: the credentials cannot be decrypted', 1)
  $$,
  'they are in quarantine');
select set_eq(
  $$
    select instance_id, detail from tests.audited(tests.tenant_a(), 'credentials_quarantined')
  $$,
  $$
    select i.id,
           pg_catalog.jsonb_build_object('version', 1, 'key', i.credentials_key_id)
      from pg_catalog.unnest(array['two', 'three']) as n
           cross join lateral tests.instance(tests.tenant_a(), n) as i
  $$,
  'which is audited');
do $$
begin
  perform tests.remember();
end
$$;

select results_eq(
  'select done, skipped, quarantined from integrations.reencrypt_batch()', 'values (0, 0, 0)',
  'they are not tried again');
select tests.unchanged('nor written again');
select is(
  integrations.put_credentials(tests.instance_id(tests.tenant_a(), 'two'), '{"n": 2}'), 2,
  'new credentials');
select results_eq(
  $$
    select status::text, status_reason, credentials_key_id
      from tests.instance(tests.tenant_a(), 'two')
  $$,
  $$ select 'active', null::text, (tests.active_key(tests.tenant_a())).id $$,
  'end the quarantine');

select tests.as_service(tests.nobody());
select throws_ok(
  'select * from integrations.reencrypt_batch()', 'IN307', null,
  'reencrypt_batch needs an active key');
select tests.as_service(null);
select throws_ok(
  'select * from integrations.reencrypt_batch()', 'IN001', null,
  'reencrypt_batch needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  'select * from integrations.reencrypt_batch()', '42501', null,
  'an application may not re-encrypt');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  'select * from integrations.reencrypt_batch()', '42501', null,
  'an administrator may not re-encrypt');
select tests.as_auditor();
select throws_ok(
  'select * from integrations.reencrypt_batch()', '42501', null, 'an auditor may not re-encrypt');

select * from finish();
rollback;
