-- Deploy integrations:functions/kek_check_value to pg
-- requires: functions/pgcrypto

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create function integrations_private.kek_check_value(kek_id text, kek bytea)
returns bytea
language sql
stable
parallel safe
return integrations_private.hmac(pg_catalog.convert_to('kek|v1|' || kek_id, 'UTF8'), kek);

alter function integrations_private.kek_check_value(text, bytea) owner to integrations_owner;

comment on function integrations_private.kek_check_value(text, bytea) is
$$HMAC of the name of a KEK under the KEK.$$;

revoke all on function integrations_private.kek_check_value(text, bytea) from public;
grant execute on function integrations_private.kek_check_value(text, bytea)
to integrations_keymaster;

commit;
