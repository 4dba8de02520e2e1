-- Deploy integrations:functions/register_kek to pg
-- requires: functions/check_kek
-- requires: functions/kek_check_value
-- requires: tables/key_encryption_keys

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

create function integrations_private.register_kek(kek_id text, kek bytea)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_known boolean;
  v_check_value bytea;
begin
  v_known := integrations_private.check_kek(register_kek.kek_id, kek);

  if not v_known then
    v_check_value := integrations_private.kek_check_value(register_kek.kek_id, kek);
    insert into integrations_private.key_encryption_keys (kek_id, check_value)
    values (register_kek.kek_id, v_check_value)
    on conflict do nothing;
    -- Another transaction may have named another key so in the meantime.
    v_known := integrations_private.check_kek(register_kek.kek_id, kek);
  end if;

  return v_known;
end;
$function$;

alter function integrations_private.register_kek(text, bytea) owner to integrations_owner;

comment on function integrations_private.register_kek(text, bytea) is
$$Makes sure that a kek_id names this KEK, from now on for ever, and returns true. Errors: 22023,
IN303.$$;

revoke all on function integrations_private.register_kek(text, bytea) from public;
grant execute on function integrations_private.register_kek(text, bytea) to integrations_keymaster;

commit;
