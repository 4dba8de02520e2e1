-- Tests functions/drop_audit_partition.
begin;
select plan(16);

select has_function('integrations_private', 'drop_audit_partition', array['regclass']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.drop_audit_partition(regclass)'::regprocedure
  ),
  'partition regclass',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'drop_audit_partition',
  array['regclass'],
  'void'
);
select function_lang_is(
  'integrations_private', 'drop_audit_partition',
  array['regclass'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'drop_audit_partition',
  array['regclass'],
  'volatile'
);
select is_definer(
  'integrations_private', 'drop_audit_partition',
  array['regclass']
);
select function_owner_is(
  'integrations_private', 'drop_audit_partition',
  array['regclass'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.drop_audit_partition(regclass)',
  array['integrations_keymaster']
);


create table integrations_private.old partition of integrations_private.audit_log
for values from ('2020-01-01 00:00:00Z') to ('2020-02-01 00:00:00Z');
create table integrations_private.future partition of integrations_private.audit_log
for values from ('2100-01-01 00:00:00Z') to ('2100-02-01 00:00:00Z');
create table integrations_private.endless partition of integrations_private.audit_log
for values from ('2100-02-01 00:00:00Z') to (maxvalue);
alter table integrations_private.old owner to integrations_owner;

select tests.as_keymaster();
select throws_ok(
  pg_catalog.format('select integrations_private.drop_audit_partition(%L)', p), '22023',
  'only a partition whose last month is over is dropped', p || ' is not dropped')
from pg_catalog.unnest(array[
       'integrations_private.audit_log', 'integrations_private.audit_log_default',
       'integrations_private.future', 'integrations_private.endless',
       'integrations_private.tenant_keys'
     ]) as p;
-- Parsed again after it ran, where the profiler looks at what lives_ok() executes.
select lives_ok(
  $$ select integrations_private.drop_audit_partition(
       pg_catalog.to_regclass('integrations_private.old')) $$,
  'a month that is over is');
select hasnt_table('integrations_private', 'old', 'and is gone');

select * from finish();
rollback;
