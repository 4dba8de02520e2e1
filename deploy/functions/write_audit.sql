-- Deploy integrations:functions/write_audit to pg
-- requires: tables/audit_log
-- requires: policies/audit_log

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- By whom, and when, say the table's defaults.
create function integrations_private.write_audit(
  tenant_id uuid,
  instance_id uuid,
  event text,
  detail jsonb default '{}'
)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $function$
begin
  insert into integrations_private.audit_log
    (tenant_id, instance_id, event, detail)
  values
    (write_audit.tenant_id, write_audit.instance_id, write_audit.event, write_audit.detail);
end;
$function$;

alter function integrations_private.write_audit(uuid, uuid, text, jsonb)
owner to integrations_owner;

comment on function integrations_private.write_audit(uuid, uuid, text, jsonb) is
$$Appends an entry to the audit log. detail holds ids, versions and states, never a value.$$;

revoke all on function integrations_private.write_audit(uuid, uuid, text, jsonb) from public;
grant execute on function integrations_private.write_audit(uuid, uuid, text, jsonb)
to integrations_keymaster;

commit;
