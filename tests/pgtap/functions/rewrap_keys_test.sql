-- Tests functions/rewrap_keys: another KEK for the same data keys.
begin;
select plan(51);

select has_function(
  'integrations', 'rewrap_keys', array['text', 'bytea', 'text', 'bytea', 'integer']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.rewrap_keys(text,bytea,text,bytea,integer)'::regprocedure
  ),
  'old_kek_id text, old_kek bytea, new_kek_id text, new_kek bytea, max_keys integer DEFAULT 1000',
  'its parameters are called by these names'
);
select function_returns(
  'integrations', 'rewrap_keys',
  array['text', 'bytea', 'text', 'bytea', 'integer'],
  'integer'
);
select function_lang_is(
  'integrations', 'rewrap_keys',
  array['text', 'bytea', 'text', 'bytea', 'integer'],
  'plpgsql'
);
select volatility_is(
  'integrations', 'rewrap_keys',
  array['text', 'bytea', 'text', 'bytea', 'integer'],
  'volatile'
);
select is_definer(
  'integrations', 'rewrap_keys',
  array['text', 'bytea', 'text', 'bytea', 'integer']
);
select function_owner_is(
  'integrations', 'rewrap_keys',
  array['text', 'bytea', 'text', 'bytea', 'integer'],
  'integrations_keymaster'
);
select tests.executable_by(
  'integrations.rewrap_keys(text,bytea,text,bytea,integer)',
  array['integrations_admin']
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active');
  perform tests.a_key(tests.tenant_a());
  perform tests.a_key(tests.tenant_b());
  perform tests.a_key(tests.tenant_b(), 3);
end
$$;
select tests.as_superuser();
insert into integrations_private.key_encryption_keys (kek_id, check_value) values ('kms', null);
create temporary table before on commit drop as
select k.* from integrations_private.tenant_keys as k;
do $$
begin
  perform tests.remember();
end
$$;

select tests.as_admin();
select throws_ok(
  pg_catalog.format(
    'select integrations.rewrap_keys(%L, %L, %L, %L, %L)',
    v.old_id, v.old_kek, v.new_id, v.new_kek, v.max_keys),
  v.sqlstate, v.message, 'rewrap_keys refuses ' || v.what)
from (
  values ('a wrong old KEK', 'kek-1', tests.kek(2), 'kek-2', tests.kek(2), 9, 'IN303',
          'wrong key-encryption key'),
         ('a wrong new KEK', 'kek-1', tests.kek(), 'kek-3', tests.kek(2), 9, 'IN303',
          'wrong key-encryption key'),
         ('an old KEK of a KMS', 'kms', tests.kek(), 'kek-2', tests.kek(2), 9, 'IN303',
          'wrong key-encryption key'),
         ('a new KEK of a KMS', 'kek-1', tests.kek(), 'kms', tests.kek(2), 9, 'IN303',
          'wrong key-encryption key'),
         ('an unknown old KEK', 'kek-9', tests.kek(), 'kek-2', tests.kek(2), 9, 'IN307',
          'key-encryption key is unknown'),
         ('one id for both', 'kek-1', tests.kek(), 'kek-1', tests.kek(2), 9, '22023',
          'the new KEK must have another kek_id'),
         ('a null old id', null, tests.kek(), 'kek-2', tests.kek(2), 9, '22023', null),
         ('a null new id', 'kek-1', tests.kek(), null, tests.kek(2), 9, '22023', null),
         ('a blank new id', 'kek-1', tests.kek(), ' ', tests.kek(2), 9, '22023', null),
         ('a null old KEK', 'kek-1', null, 'kek-2', tests.kek(2), 9, '22023',
          'kek must be 32 bytes'),
         ('a null new KEK', 'kek-1', tests.kek(), 'kek-2', null, 9, '22023',
          'kek must be 32 bytes'),
         ('a short new KEK', 'kek-1', tests.kek(), 'kek-2', '\x00', 9, '22023',
          'kek must be 32 bytes'),
         ('null keys', 'kek-1', tests.kek(), 'kek-2', tests.kek(2), null, '22023',
          'max_keys must be at least 1'),
         ('no keys', 'kek-1', tests.kek(), 'kek-2', tests.kek(2), 0, '22023',
          'max_keys must be at least 1')
) as v (what, old_id, old_kek, new_id, new_kek, max_keys, sqlstate, message);
select tests.as_service(tests.tenant_a());
select throws_ok(
  $$ select integrations.rewrap_keys('kek-1', tests.kek(), 'kek-2', tests.kek(2)) $$, '42501',
  null, 'the service may not change KEKs');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$ select integrations.rewrap_keys('kek-1', tests.kek(), 'kek-2', tests.kek(2)) $$, '42501',
  null, 'an application may not change KEKs');
select tests.as_auditor();
select throws_ok(
  $$ select integrations.rewrap_keys('kek-1', tests.kek(), 'kek-2', tests.kek(2)) $$, '42501',
  null, 'an auditor may not change KEKs');
select tests.unchanged('nothing has changed by any of this');

select tests.as_admin();
select is(
  integrations.rewrap_keys(
    old_kek_id => 'kek-1', old_kek => tests.kek(), new_kek_id => 'kek-2',
    new_kek => tests.kek(2), max_keys => 1),
  1, 'one key');
select tests.as_service(tests.tenant_a());
select is(integrations.unlock('kek-1', tests.kek()), 1, 'the old KEK opens what it wraps still');
select is(integrations.unlock('kek-2', tests.kek(2)), 1, 'the new one what it wraps already');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a())), '{"token": "t0"}'::jsonb,
  'and credentials are read meanwhile');
select tests.as_admin();
select is(
  integrations.rewrap_keys('kek-1', tests.kek(), 'kek-2', tests.kek(2)), 2,
  'the rest, of all tenants');
select is(
  integrations.rewrap_keys('kek-1', tests.kek(), 'kek-2', tests.kek(2)), 0, 'the end');
select tests.as_superuser();
select results_eq(
  $$
    select k.tenant_id, k.version, k.kek_id, k.wrapped = b.wrapped
      from integrations_private.tenant_keys as k
           join pg_temp.before as b using (tenant_id, id)
     where k.check_value = b.check_value
       and k.state = b.state
     order by k.tenant_id, k.version
  $$,
  $$
    values (tests.tenant_a(), 1, 'kek-2', false),
           (tests.tenant_a(), 2, 'kek-2', false),
           (tests.tenant_b(), 1, 'kek-2', false),
           (tests.tenant_b(), 2, 'kek-3', true)
  $$,
  'those under the old KEK are wrapped anew; states stay, and so do keys of other KEKs');
select set_eq(
  $$
    select tenant_id, detail from integrations_private.audit_log
     where event = 'tenant_key_rewrapped'
  $$,
  $$
    select b.tenant_id,
           pg_catalog.jsonb_build_object('key', b.id, 'from', 'kek-1', 'to', 'kek-2')
      from pg_temp.before as b
     where b.kek_id = 'kek-1'
  $$,
  'each is audited with its tenant');
select tests.as_service(tests.tenant_a());
select throws_ok(
  $$ select integrations.unlock('kek-1', tests.kek()) $$, 'IN307', null,
  'the old KEK opens nothing any more');
do $$
begin
  perform pg_catalog.set_config('integrations.keyring', '', true);
end
$$;
select is(integrations.unlock('kek-2', tests.kek(2)), 2, 'the new KEK opens all');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a())), '{"token": "t0"}'::jsonb,
  'and credentials that nobody touched are read');

select tests.as_superuser();
update integrations_private.tenant_keys as k
   set wrapped = pg_catalog.set_byte(k.wrapped, 40, pg_catalog.get_byte(k.wrapped, 40) # 1)
 where k.tenant_id = tests.tenant_b() and k.version = 1;
do $$
begin
  perform tests.remember();
end
$$;

select tests.as_admin();
select throws_ok(
  $$ select integrations.rewrap_keys('kek-2', tests.kek(2), 'kek-4', tests.kek(4)) $$, 'IN304',
  'integrity check failed', 'rewrap_keys stops at a key that was altered');
select tests.unchanged('and leaves all as they were, the new KEK unknown');

select * from finish();
rollback;
