-- Deploy integrations:functions/drop_audit_partition to pg
-- requires: functions/list_audit_partitions

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- The one way in which entries ever go: whole months that are over.
create function integrations_private.drop_audit_partition(partition regclass)
returns void
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
  -- The name, while there is something that has it.
  v_table constant text := partition::text;
begin
  if not exists (
    select
      from integrations_private.list_audit_partitions() as l
     where l.partition = drop_audit_partition.partition
       and l.until <= pg_catalog.clock_timestamp() - interval '1 day')
  then
    raise exception 'only a partition whose last month is over is dropped'
      using errcode = '22023', detail = pg_catalog.format('Partition %s.', v_table);
  end if;

  execute pg_catalog.format(
    'alter table integrations_private.audit_log detach partition %s', v_table);
  execute pg_catalog.format('drop table %s', v_table);
end;
$function$;

alter function integrations_private.drop_audit_partition(regclass) owner to integrations_owner;

comment on function integrations_private.drop_audit_partition(regclass) is
$$Detaches and drops a partition of the audit log whose last month has been over for a day. Errors:
22023 it is not, or is no such partition.$$;

revoke all on function integrations_private.drop_audit_partition(regclass) from public;
grant execute on function integrations_private.drop_audit_partition(regclass)
to integrations_keymaster;

commit;
