-- Tests triggers/audit_log_append_only.
begin;
select plan(22);

select has_function('integrations_private', 'tg_audit_log__append_only', array[]::name[]);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.tg_audit_log__append_only()'::regprocedure
  ),
  '',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'tg_audit_log__append_only',
  array[]::name[],
  'trigger'
);
select function_lang_is(
  'integrations_private', 'tg_audit_log__append_only',
  array[]::name[],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'tg_audit_log__append_only',
  array[]::name[],
  'volatile'
);
select isnt_definer('integrations_private', 'tg_audit_log__append_only', array[]::name[]);
select function_owner_is(
  'integrations_private', 'tg_audit_log__append_only',
  array[]::name[],
  'integrations_owner'
);
select tests.executable_by('integrations_private.tg_audit_log__append_only()', array[]::name[]);
select triggers_are(
  'integrations_private', 'audit_log', array['_100_append_only', '_110_no_truncate']);
select results_eq(
  $$
    select t.tgname::text collate "default", t.tgenabled::text, t.tgtype::integer, t.tgqual is null
      from pg_catalog.pg_trigger as t
     where t.tgrelid = 'integrations_private.audit_log'::regclass
       and not t.tgisinternal
     order by t.tgname
  $$,
  -- 27 = row, before, delete, update; 34 = before, truncate.
  $$ values ('_100_append_only', 'A', 27, true), ('_110_no_truncate', 'A', 34, true) $$,
  'they fire before every change, always, without condition');

do $$
begin
  perform tests.an_instance(tests.tenant_a());
  perform tests.remember();
end
$$;
select tests.as_owner(tests.tenant_a());
select throws_ok(
  $$ update integrations_private.audit_log set actor = 'nobody' $$, '42501',
  'the audit log is append-only', 'the owner does not change an entry');
select throws_ok(
  'delete from integrations_private.audit_log', '42501', 'the audit log is append-only',
  'the owner does not delete one');
select throws_ok(
  'truncate integrations_private.audit_log', '42501', 'the audit log is append-only',
  'the owner does not empty the log');
select tests.as_superuser();
select throws_ok(
  $$ update integrations_private.audit_log set detail = detail $$, '42501',
  'the audit log is append-only', 'a superuser does not even write what is there');
select throws_ok(
  'delete from integrations_private.audit_log', '42501', 'the audit log is append-only',
  'a superuser does not delete an entry');
select throws_ok(
  'truncate integrations_private.audit_log', '42501', 'the audit log is append-only',
  'a superuser does not empty the log');
select throws_ok(
  'truncate integrations.integration_definitions, integrations.integration_instances, '
    'integrations_private.refresh_leases, integrations_private.compiled_schemas', 'IN102',
  null,
  'nor by way of another table');
set local session_replication_role = replica;
select throws_ok(
  'delete from integrations_private.audit_log', '42501', 'the audit log is append-only',
  'a replica does not delete an entry');
select throws_ok(
  'truncate integrations_private.audit_log', '42501', 'the audit log is append-only',
  'a replica does not empty the log');
set local session_replication_role = origin;
select tests.unchanged('every entry is as it was');

select * from finish();
rollback;
