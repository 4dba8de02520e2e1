-- Tests tables/audit_log_default: a partition is a table in its own right.
begin;
select plan(16);

select is_partition_of(
  'integrations_private', 'audit_log_default', 'integrations_private', 'audit_log');
select is(
  (select pg_catalog.pg_get_expr(c.relpartbound, c.oid)
     from pg_catalog.pg_class as c
    where c.oid = 'integrations_private.audit_log_default'::regclass),
  'DEFAULT', 'it takes what no other partition takes');
select columns_are(
  'integrations_private', 'audit_log_default',
  array[
    'tenant_id', 'id', 'at', 'instance_id', 'event', 'actor', 'session_actor', 'application',
    'detail'
  ]);
select table_owner_is(
  'integrations_private', 'audit_log_default', 'integrations_owner', 'its owner');
select policies_are(
  'integrations_private', 'audit_log_default', array[]::name[],
  'no policy: nobody comes in but through the parent');
select triggers_are(
  'integrations_private', 'audit_log_default', array['_100_append_only', '_110_no_truncate']);

do $$
begin
  perform tests.an_instance(tests.tenant_a());
  perform tests.remember();
end
$$;
select tests.as_owner(tests.tenant_a());
select is_empty(
  'select * from integrations_private.audit_log_default',
  'directly, not even its owner sees an entry');
select isnt_empty(
  'select * from integrations_private.audit_log', 'through the parent the entries are there');
select throws_ok(
  $$
    insert into integrations_private.audit_log_default (tenant_id, event, actor, session_actor)
    values (tests.tenant_a(), 'forged', 'x', 'x')
  $$,
  '42501', null, 'directly, not even its owner writes');
select throws_ok(
  'truncate integrations_private.audit_log_default', '42501', 'the audit log is append-only',
  'nor empties it');
select tests.as_superuser();
select throws_ok(
  'truncate integrations_private.audit_log_default', '42501', 'the audit log is append-only',
  'a superuser does not empty it either');
select throws_ok(
  'delete from integrations_private.audit_log_default', '42501', 'the audit log is append-only',
  'nor deletes from it');
select throws_ok(
  $$ update integrations_private.audit_log_default set actor = 'nobody' $$, '42501',
  'the audit log is append-only', 'nor changes it');
select tests.unchanged('every entry is as it was');

select * from finish();
rollback;
