-- Deploy integrations:functions/reencrypt_batch to pg
-- requires: functions/lock_active_key
-- requires: functions/opened_key
-- requires: functions/open_credentials
-- requires: functions/seal_credentials
-- requires: functions/move_instance
-- requires: functions/quarantine_reason
-- requires: functions/write_audit
-- requires: functions/require_tenant
-- requires: policies/integration_instances
-- requires: tables/refresh_leases
-- requires: policies/refresh_leases

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- Small batches that commit one by one, resumable because the state is in the rows. A row that
-- another transaction holds is skipped for this time; one that cannot be decrypted is put into
-- quarantine, so that it stops neither this batch nor every later one. credentials_version stays:
-- nobody wrote other credentials.
create function integrations.reencrypt_batch(max_rows integer default 100)
returns table (
  done integer,
  skipped integer,
  quarantined integer
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
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_active integrations_private.tenant_keys;
  v_active_key bytea;
  v_former_key_id uuid;
  v_former_key bytea;
  v_row record;
  v_instance integrations.integration_instances;
  v_envelope jsonb;
  v_ids uuid[] := array[]::uuid[];
  v_envelopes jsonb[] := array[]::jsonb[];
begin
  if max_rows is null or max_rows < 1 then
    raise exception 'max_rows must be at least 1' using errcode = '22023';
  end if;

  v_active := integrations_private.lock_active_key(v_tenant_id);
  v_active_key := integrations_private.opened_key(
    v_tenant_id, v_active.id, v_active.state, v_active.check_value);

  -- Whoever retires or destroys a former key waits for the end of this batch, or this batch for
  -- them: no row leaves a key that is destroyed.
  perform
     from integrations_private.tenant_keys as k
    where k.tenant_id = v_tenant_id
      and k.state = 'decrypt_only'
    order by k.version
      for key share;

  done := 0;
  quarantined := 0;

  for v_row in
    select i.id, i.status, i.credentials, i.credentials_version, i.credentials_key_id,
           k.state as key_state, k.check_value
      from integrations.integration_instances as i
           left join integrations_private.tenant_keys as k
             on k.tenant_id = i.tenant_id and k.id = i.credentials_key_id
     where i.tenant_id = v_tenant_id
       and i.credentials_key_id <> v_active.id
       and not (i.status = 'error'
                and i.status_reason is not distinct from integrations_private.quarantine_reason())
     order by i.id
     limit max_rows
       for no key update of i skip locked
  loop
    begin
      if v_former_key_id is distinct from v_row.credentials_key_id then
        v_former_key := integrations_private.opened_key(
          v_tenant_id, v_row.credentials_key_id, v_row.key_state, v_row.check_value);
        v_former_key_id := v_row.credentials_key_id;
      end if;
      v_envelope := integrations_private.seal_credentials(
        v_tenant_id, v_row.id, v_active.id, v_row.credentials_version, v_active_key,
        integrations_private.open_credentials(
          v_tenant_id, v_row.id, v_row.credentials_key_id, v_row.credentials_version,
          v_former_key, v_row.credentials));

      done := done + 1;
      v_ids[done] := v_row.id;
      v_envelopes[done] := v_envelope;
    exception when sqlstate 'IN304' or sqlstate 'IN307' then
      if v_row.status = 'error' then
        update integrations.integration_instances as i
           set status_reason = integrations_private.quarantine_reason()
         where i.tenant_id = v_tenant_id
           and i.id = v_row.id;
      else
        select i.* into v_instance
          from integrations.integration_instances as i
         where i.tenant_id = v_tenant_id
           and i.id = v_row.id;
        perform integrations_private.move_instance(
          v_instance, 'error', integrations_private.quarantine_reason());
      end if;

      -- What cannot be decrypted cannot be refreshed: a refresh that failed is not due again.
      update integrations_private.refresh_leases as l
         set retry_at = null
       where l.tenant_id = v_tenant_id
         and l.instance_id = v_row.id;

      perform integrations_private.write_audit(
        v_tenant_id, v_row.id, 'credentials_quarantined',
        pg_catalog.jsonb_build_object(
          'version', v_row.credentials_version, 'key', v_row.credentials_key_id));

      quarantined := quarantined + 1;
    end;
  end loop;

  -- Fewer than asked for: others hold the rest. Rows may have come or gone since the query.
  skipped := 0;
  if done + quarantined < max_rows then
    select greatest(pg_catalog.count(*) - done, 0)::integer into skipped
      from (
        select
          from integrations.integration_instances as i
         where i.tenant_id = v_tenant_id
           and i.credentials_key_id <> v_active.id
           and not (i.status = 'error'
                    and i.status_reason
                        is not distinct from integrations_private.quarantine_reason())
         limit max_rows - quarantined
      ) as w;
  end if;

  -- One statement for all: it costs a third of one for each row.
  update integrations.integration_instances as i
     set credentials = n.envelope
    from rows from (pg_catalog.unnest(v_ids), pg_catalog.unnest(v_envelopes)) as n (id, envelope)
   where i.tenant_id = v_tenant_id
     and i.id = n.id;

  if done > 0 then
    perform integrations_private.write_audit(
      v_tenant_id, null, 'credentials_reencrypted',
      pg_catalog.jsonb_build_object('key', v_active.id, 'count', done));
  end if;

  return next;
end;
$function$;

alter function integrations.reencrypt_batch(integer) owner to integrations_owner;

comment on function integrations.reencrypt_batch(integer) is
$$Moves up to max_rows credentials of the transaction's tenant from former keys to the active one,
all of them unlocked in this transaction, and returns one row: how many it moved, how many it
skipped because another transaction held them, and how many it put into quarantine (status error)
because they cannot be decrypted. Call it, in a transaction each, until it returns three zeros.
Callable by svc_integration. Errors: 22023 max_rows, IN001 no tenant, IN302 a key is locked, IN303
wrong key, IN307 no active key.$$;

revoke all on function integrations.reencrypt_batch(integer) from public;
grant execute on function integrations.reencrypt_batch(integer) to svc_integration;

commit;
