-- Revert integrations:tables/audit_log_default from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Maintenance has split off the other partitions from this one.
do $revert$
declare
  v_partition regclass;
begin
  for v_partition in
    select i.inhrelid
      from pg_catalog.pg_inherits as i
     where i.inhparent = 'integrations_private.audit_log'::regclass
     order by i.inhrelid
  loop
    execute pg_catalog.format('drop table %s', v_partition);
  end loop;
end
$revert$;

commit;
