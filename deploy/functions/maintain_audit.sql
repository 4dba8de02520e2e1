-- Deploy integrations:functions/maintain_audit to pg
-- requires: grants/integrations_keymaster
-- requires: tables/audit_log_default
-- requires: functions/month_of
-- requires: functions/list_audit_partitions
-- requires: functions/list_audit_gaps
-- requires: functions/lock_audit_log
-- requires: functions/add_audit_partition
-- requires: functions/bound_audit_default
-- requires: functions/drop_audit_partition
-- requires: functions/write_audit

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- What takes time is done before the strong locks: it looks through the default partition, which
-- takes about as long as PostgreSQL will when that is given bounds, and does not begin if it takes
-- longer than lock_timeout. The tables belong to the owner, which sees one tenant's entries; this
-- runs as the keymaster, which sees the times of all. Its own entries come last: before, they could
-- fill the default partition again.
create function integrations.maintain_audit(keep interval default null)
returns table (
  action text,
  partition text
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set plpgsql.print_strict_params = off
set debug_print_plan = off
set debug_print_parse = off
set debug_print_rewritten = off
as $function$
declare
  -- Entries about the log itself are no tenant's.
  v_nobody constant uuid := '00000000-0000-0000-0000-000000000000'::uuid;
  v_started timestamptz;
  v_now timestamptz;
  v_patience interval;
  v_cutoff timestamptz;
  v_gap record;
  v_span record;
  v_spans integer := 0;
  v_first timestamptz;
  v_last timestamptz;
  v_room timestamptz;
  v_default_fits boolean;
  v_strong boolean;
  v_old regclass[];
  v_partition record;
  v_table regclass;
  v_since timestamptz;
  v_until timestamptz;
  v_events text[] := array[]::text[];
  v_details jsonb[] := array[]::jsonb[];
begin
  -- Also as it is subtracted: in a comparison a month has 30 days.
  v_started := pg_catalog.clock_timestamp();
  if keep < interval '1 day'
     or keep > interval '1000 years'
     or v_started at time zone 'UTC' - keep > v_started at time zone 'UTC' - interval '1 day'
  then
    raise exception 'keep must be between 1 day and 1000 years' using errcode = '22023';
  end if;
  -- An older snapshot would not show the partitions that somebody else made in the meantime.
  if pg_catalog.current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
    raise exception 'the audit log is maintained in a transaction of isolation READ COMMITTED only'
      using errcode = '25001', hint = 'BEGIN ISOLATION LEVEL READ COMMITTED, or set the default.';
  end if;

  v_patience := coalesce(
    nullif(pg_catalog.current_setting('lock_timeout'), '0')::interval, interval '2 seconds');
  perform integrations_private.lock_audit_log(false, array[]::regclass[], v_patience);

  -- Entries of these times are in the default partition. Through the log itself, and a gap at a
  -- time, so that the plan leaves the other partitions out, and is a small one.
  v_started := pg_catalog.clock_timestamp();
  for v_gap in
    select g.since, g.until
      from integrations_private.list_audit_gaps() as g
  loop
    select pg_catalog.min(a.at) as first, pg_catalog.max(a.at) as last
      into v_span
      from integrations_private.audit_log as a
     where a.at >= v_gap.since
       and a.at < v_gap.until;

    if v_span.first is not null then
      v_spans := v_spans + 1;
      v_first := least(v_first, v_span.first);
      v_last := greatest(v_last, v_span.last);
      v_room := v_gap.until;
    end if;
  end loop;

  v_now := pg_catalog.clock_timestamp();
  v_patience := v_patience - (v_now - v_started);
  v_cutoff := (v_now at time zone 'UTC' - keep) at time zone 'UTC';
  -- One span of time, without a gap that has its own partition; and not of a clock that ran ahead:
  -- it would take the coming months along.
  v_default_fits := v_spans = 1 and v_last < integrations_private.month_of(v_now, 1);
  v_old := array(
    select l.partition
      from integrations_private.list_audit_partitions() as l
     where l.until <= v_cutoff
     order by l.since);
  v_strong := v_default_fits or pg_catalog.cardinality(v_old) > 0;

  if v_strong or exists (
    select
      from pg_catalog.generate_series(0, 3) as n
     where not exists (
             select
               from integrations_private.list_audit_partitions() as l
              where l.since < integrations_private.month_of(v_now, n + 1)
                and l.until > integrations_private.month_of(v_now, n)))
  then
    if v_patience <= interval '0' then
      raise exception 'the default partition of the audit log cannot be read within lock_timeout'
        using errcode = '55P03',
              hint = 'Nothing has changed. Set lock_timeout to more than the time that'
                     ' credentials may be kept waiting while it is read.';
    end if;

    perform integrations_private.lock_audit_log(
      v_strong, 'integrations_private.audit_log_default'::regclass || v_old, v_patience);
    v_now := pg_catalog.clock_timestamp();
  end if;

  if v_default_fits then
    v_since := integrations_private.month_of(v_first);
    v_until := integrations_private.month_of(v_last, 1);
    -- The entries of this month, if they have been coming here until a moment ago.
    if v_room > v_now then
      v_until := greatest(v_until, integrations_private.month_of(v_now, 1));
    end if;

    v_table := integrations_private.bound_audit_default(v_since, v_until);
    action := 'bounded';
    partition := v_table::text;
    v_events := v_events || 'audit_partition_bounded'::text;
    v_details := v_details
      || pg_catalog.jsonb_build_object('partition', partition, 'since', v_since, 'until', v_until);
    return next;
  elsif v_spans > 0 then
    action := 'kept';
    partition := 'integrations_private.audit_log_default';
    return next;
  end if;

  for v_partition in
    select l.partition, l.since, l.until
      from integrations_private.list_audit_partitions() as l
     where l.until <= v_cutoff
     order by l.since
  loop
    action := 'dropped';
    partition := v_partition.partition::text;
    perform integrations_private.drop_audit_partition(v_partition.partition);
    v_events := v_events || 'audit_partition_dropped'::text;
    v_details := v_details
      || pg_catalog.jsonb_build_object(
           'partition', partition, 'since', v_partition.since, 'until', v_partition.until);
    return next;
  end loop;

  for n in 0..3 loop
    v_since := integrations_private.month_of(v_now, n);
    v_until := integrations_private.month_of(v_now, n + 1);

    -- What the default partition keeps has no room elsewhere.
    if not exists (
         select
           from integrations_private.list_audit_partitions() as l
          where l.since < v_until
            and l.until > v_since)
       and not exists (
         select
           from integrations_private.audit_log as a
          where a.at >= v_since
            and a.at < v_until)
    then
      v_table := integrations_private.add_audit_partition(v_since, v_until);
      action := 'created';
      partition := v_table::text;
      v_events := v_events || 'audit_partition_created'::text;
      v_details := v_details
        || pg_catalog.jsonb_build_object(
             'partition', partition, 'since', v_since, 'until', v_until);
      return next;
    end if;
  end loop;

  for n in 1..pg_catalog.cardinality(v_events) loop
    perform integrations_private.write_audit(v_nobody, null, v_events[n], v_details[n]);
  end loop;
end;
$function$;

-- Giving a function away needs CREATE on its schema for the new owner, for this moment only.
grant create on schema integrations to integrations_keymaster;
alter function integrations.maintain_audit(interval) owner to integrations_keymaster;
revoke create on schema integrations from integrations_keymaster;

comment on function integrations.maintain_audit(interval) is
$$Keeps the audit log in monthly partitions: creates those of this month and the next three, makes a
filled default partition one of whole months, and drops those older than keep (NULL: none). Returns
what it did: created, bounded, dropped; or kept, for a default partition whose entries fit into no
span of months. Keeps nobody waiting for longer than lock_timeout (2 seconds if that is 0), or gives
up and changes nothing.
Callable by integrations_admin. Errors: 22023 bad keep, 25001 another isolation than READ COMMITTED,
55P03 somebody uses the log, or the default partition is too large for lock_timeout.$$;

revoke all on function integrations.maintain_audit(interval) from public;
grant execute on function integrations.maintain_audit(interval) to integrations_admin;

commit;
