-- Deploy integrations:views/key_overview to pg
-- requires: functions/list_keys

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create view integrations.key_overview
with (security_invoker = true, security_barrier = true) as
select k.tenant_id,
       k.key_id,
       k.version,
       k.kek_id,
       k.state,
       k.instance_count,
       k.created_at
  from integrations_private.list_keys() as k;

alter view integrations.key_overview owner to integrations_owner;

comment on view integrations.key_overview is
$$The data keys of all tenants and how many instances need each. Never key material.$$;
comment on column integrations.key_overview.tenant_id is
$$The tenant whose credentials the key encrypts.$$;
comment on column integrations.key_overview.key_id is
$$Identifies the key.$$;
comment on column integrations.key_overview.version is
$$Counts the keys of the tenant.$$;
comment on column integrations.key_overview.kek_id is
$$Names the key-encryption key that wraps it.$$;
comment on column integrations.key_overview.state is
$$active, decrypt_only, retired or destroyed.$$;
comment on column integrations.key_overview.instance_count is
$$How many instances have credentials under this key.$$;
comment on column integrations.key_overview.created_at is
$$When the key was made.$$;

revoke all on integrations.key_overview from public;
grant select on integrations.key_overview to integrations_admin;

commit;
