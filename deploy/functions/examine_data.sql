-- Deploy integrations:functions/examine_data to pg
-- requires: grants/integrations_keymaster
-- requires: functions/list_audit_partitions
-- requires: functions/list_audit_gaps
-- requires: functions/month_of
-- requires: tables/key_encryption_keys
-- requires: tables/tenant_keys
-- requires: tables/integration_instances

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Counts and names of keys, never a tenant's data. The mark of quarantine is not for this role's
-- eyes: it sees that an instance is in error under a former key. What counts as forgotten comes as
-- an argument, so that a test can say it.
create function integrations_private.examine_data(forgotten interval)
returns table (
  check_name text,
  status text,
  detail text
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_gap record;
  v_strays boolean := false;
begin
  -- A gap at a time, so that the plan leaves all partitions out but the default one.
  for v_gap in
    select g.since, g.until
      from integrations_private.list_audit_gaps() as g
  loop
    v_strays := v_strays or exists (
      select
        from integrations_private.audit_log as a
       where a.at >= v_gap.since
         and a.at < v_gap.until);
  end loop;

  return query
    select c.check_name, case when c.found is null then 'ok' else c.status end,
           coalesce(c.advice || ' Found: ' || c.found || '.', c.fine)
      from (values
        ('keys_never_rotated', 'warn',
         (select nullif(pg_catalog.count(*), 0) || ' active data keys'
            from integrations_private.tenant_keys as k
           where k.state = 'active'
             and k.created_at < pg_catalog.now() - interval '1 year'),
         'Data keys are older than a year. Rotate them: create_tenant_key, reencrypt_batch,'
         ' retire_key.',
         'No active data key is older than a year.'),
        ('keks_never_rotated', 'warn',
         (select pg_catalog.string_agg(e.kek_id, ', ' order by e.kek_id)
            from integrations_private.key_encryption_keys as e
           where e.created_at < pg_catalog.now() - interval '1 year'
             -- One in a key management service is turned there, under its name.
             and e.check_value is not null
             and exists (select from integrations_private.tenant_keys as k
                          where k.kek_id = e.kek_id and k.wrapped is not null)),
         'Key-encryption keys are older than a year, and still wrap data keys. Use a new one:'
         ' rewrap_keys.',
         'No key-encryption key in use is older than a year.'),
        ('quarantine', 'warn',
         (select nullif(pg_catalog.count(*), 0) || ' instances'
            from integrations.integration_instances as i
                 join integrations_private.tenant_keys as k
                   on k.tenant_id = i.tenant_id and k.id = i.credentials_key_id
           where i.status = 'error'
             and k.state <> 'active'),
         'Instances in error are encrypted under a former key: reencrypt_batch has not come to'
         ' them, or has put them into quarantine (status_reason in instance_overview). Find out'
         ' who altered those; store their credentials anew.',
         'No instance in error is left under a former key.'),
        ('audit_partitions', 'warn',
         (select pg_catalog.string_agg(
                   pg_catalog.to_char(m.since at time zone 'UTC', 'YYYY-MM'), ', ' order by m.since)
            from (
              select integrations_private.month_of(pg_catalog.now(), n) as since,
                     integrations_private.month_of(pg_catalog.now(), n + 1) as until
                from pg_catalog.generate_series(0, 1) as n
            ) as m
           where not exists (
                   select
                     from integrations_private.list_audit_partitions() as l
                    where l.since < m.until
                      and l.until > m.since)),
         'Months of the audit log have no partition of their own: their entries go into the'
         ' default one. Let a scheduler call maintain_audit once a day.',
         'This month and the next have their partitions.'),
        ('audit_default_partition', 'warn',
         case when v_strays then 'entries' end,
         'The default partition of the audit log has entries. maintain_audit gives it bounds; it'
         ' says kept where it cannot.',
         'The default partition of the audit log is empty.'),
        ('prepared_transactions', 'warn',
         (select pg_catalog.count(*) || ', the oldest of '
                 || pg_catalog.to_char(
                      pg_catalog.min(p.prepared) at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
            from pg_catalog.pg_prepared_xacts as p
           where p.database = pg_catalog.current_database()
             and p.prepared <= pg_catalog.clock_timestamp() - examine_data.forgotten
          having pg_catalog.count(*) > 0),
         'Prepared transactions that nobody has ended: they keep instances locked against refresh'
         ' and rotation, and maintain_audit from its work, over a restart, too. See'
         ' pg_prepared_xacts; COMMIT PREPARED or ROLLBACK PREPARED.',
         'No prepared transaction was forgotten.'),
        -- In a transaction of one statement set_tenant has not been called before.
        ('tenant_setting', 'fail',
         (select pg_catalog.string_agg(o.place, ', ' order by o.place)
            from (
              select 'this session'
               where pg_catalog.transaction_timestamp() = pg_catalog.statement_timestamp()
                 and coalesce(pg_catalog.current_setting('integrations.tenant_id', true),
                              '') <> ''
              union all
              select 'this session, keys'
               where pg_catalog.transaction_timestamp() = pg_catalog.statement_timestamp()
                 and coalesce(pg_catalog.current_setting('integrations.keyring', true), '') <> ''
              union all
              select pg_catalog.concat_ws(
                       ' in ', nullif(s.setrole, 0)::regrole::text,
                       (select 'database ' || d.datname from pg_catalog.pg_database as d
                         where d.oid = s.setdatabase))
                from pg_catalog.pg_db_role_setting as s
                     cross join lateral pg_catalog.unnest(s.setconfig) as c (setting)
               where c.setting ~* '^integrations[.]'
            ) as o (place)),
         'A tenant or a key outlives the transaction, and behind a connection pool another client'
         ' gets it. Only set_tenant and unlock may set them, never SET or ALTER ROLE or DATABASE.',
         'No tenant and no key outlives a transaction, as far as this session can tell.')
      ) as c (check_name, status, found, advice, fine);
end;
$function$;

alter function integrations_private.examine_data(interval) owner to integrations_owner;

comment on function integrations_private.examine_data(interval) is
$$Tells which keys, instances and audit entries want care, and whether tenants outlive transactions,
or prepared transactions their purpose. Called through doctor.$$;

revoke all on function integrations_private.examine_data(interval) from public;
grant execute on function integrations_private.examine_data(interval)
to integrations_keymaster;

commit;
