-- Tests functions/maintain_audit.
begin;
select plan(35);

select has_function('integrations', 'maintain_audit', array['interval']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.maintain_audit(interval)'::regprocedure
  ),
  'keep interval DEFAULT NULL::interval',
  'its parameters are called by these names'
);
select function_returns(
  'integrations', 'maintain_audit',
  array['interval'],
  'setof record'
);
select function_lang_is(
  'integrations', 'maintain_audit',
  array['interval'],
  'plpgsql'
);
select volatility_is(
  'integrations', 'maintain_audit',
  array['interval'],
  'volatile'
);
select is_definer(
  'integrations', 'maintain_audit',
  array['interval']
);
select function_owner_is(
  'integrations', 'maintain_audit',
  array['interval'],
  'integrations_keymaster'
);
select tests.executable_by(
  'integrations.maintain_audit(interval)',
  array['integrations_admin']
);


do $$
begin
  perform tests.an_instance(tests.tenant_a());
end
$$;
insert into integrations_private.audit_log (tenant_id, at, event, actor, session_actor)
values (tests.tenant_a(), '2020-03-15 00:00:00Z', 'an_old_one', '', '');
create function pg_temp.month(shift integer)
returns text
language sql
as $$
select pg_catalog.to_char(
         integrations_private.month_of(pg_catalog.now(), shift) at time zone 'UTC', 'YYYY_MM')
$$;

select tests.as_admin();
do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  pg_catalog.format('select * from integrations.maintain_audit(%L)', keep), '22023',
  'keep must be between 1 day and 1000 years', 'maintain_audit refuses to keep ' || keep)
from pg_catalog.unnest(array['-1 month', '0', '23:59', '1001 years']) as keep;
select tests.as_service(tests.tenant_a());
select throws_ok(
  'select * from integrations.maintain_audit()', '42501', null, 'the service may not call it');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  'select * from integrations.maintain_audit()', '42501', null, 'nor an application');
select tests.as_auditor();
select throws_ok(
  'select * from integrations.maintain_audit()', '42501', null, 'nor an auditor');
select tests.unchanged('no entry has changed by any of this');

select tests.as_admin();
create temporary table told on commit drop as
select m.action, m.partition from integrations.maintain_audit() as m;
select tests.as_superuser();
select set_eq(
  'select action, partition from pg_temp.told',
  $$
    select 'bounded' as action,
           'integrations_private.audit_log_2020_03_to_' || pg_temp.month(0) as partition
    union all
    select 'created', 'integrations_private.audit_log_' || pg_temp.month(n)
      from pg_catalog.generate_series(1, 3) as n
  $$,
  'the filled default partition gets its bounds, and the coming months are created');
select is_empty(
  'select * from integrations_private.audit_log_default', 'the default partition is empty');
select results_eq(
  $$
    select a.event, a.detail ->> 'partition', a.actor, a.instance_id
      from integrations_private.audit_log as a
     where a.tenant_id = '00000000-0000-0000-0000-000000000000'
     order by a.at
  $$,
  $$
    select 'audit_partition_' || action, partition, 'integrations_admin', null::uuid
      from pg_temp.told
  $$,
  'each of it is audited, as nobody''s');
select tests.as_admin();
select is_empty('select * from integrations.maintain_audit()', 'then there is nothing to do');

-- The default partition takes what comes before the first one.
select tests.as_superuser();
insert into integrations_private.audit_log (tenant_id, at, event, actor, session_actor)
values (tests.tenant_a(), '2019-12-31 23:59:59Z', 'an_older_one', '', '');
select tests.as_admin();
select results_eq(
  $$ select action, partition from integrations.maintain_audit(keep => '5 years') $$,
  $$
    values ('bounded', 'integrations_private.audit_log_2019_12'),
           ('dropped', 'integrations_private.audit_log_2019_12')
  $$,
  'a month that is older than keep is dropped');
select tests.as_superuser();
select is_empty(
  $$ select * from integrations_private.audit_log where event = 'an_older_one' $$,
  'with its entries');
select isnt_empty(
  $$ select * from integrations_private.audit_log where event = 'an_old_one' $$,
  'and no others');

-- A year of a clock that ran ahead, and one before the first partition: no bounds fit both.
insert into integrations_private.audit_log (tenant_id, at, event, actor, session_actor)
values (tests.tenant_a(), '2010-01-01 00:00:00Z', 'an_old_one', '', ''),
       (tests.tenant_a(), '2999-01-01 00:00:00Z', 'a_future_one', '', '');
select tests.as_admin();
select results_eq(
  'select action, partition from integrations.maintain_audit()',
  $$ values ('kept', 'integrations_private.audit_log_default') $$,
  'a default partition whose entries fit into no months is kept');

select * from finish();
rollback;
