-- Deploy integrations:views/instance_overview to pg
-- requires: grants/svc_integration
-- requires: grants/integrations_tenant
-- requires: grants/integrations_auditor

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create view integrations.instance_overview
with (security_invoker = true, security_barrier = true) as
select i.tenant_id,
       i.id,
       i.integration_id,
       d.name as integration_name,
       d.type as integration_type,
       d.version as integration_version,
       i.name,
       i.status,
       i.status_reason,
       i.credentials_version,
       i.credentials_key_id is not null as has_credentials,
       i.credentials_expire_at,
       i.config,
       i.last_used_at,
       i.last_connected_at,
       i.created_at,
       i.updated_at
  from integrations.integration_instances as i
       join integrations.integration_definitions as d on d.id = i.integration_id;

alter view integrations.instance_overview owner to integrations_owner;

comment on view integrations.instance_overview is
$$The installations that the caller may see, each with its connector: those of the transaction's
tenant, or of all tenants for an auditor. Never the credentials.$$;
comment on column integrations.instance_overview.tenant_id is
$$The tenant that owns the installation.$$;
comment on column integrations.instance_overview.id is
$$Identifies the installation within its tenant.$$;
comment on column integrations.instance_overview.integration_id is
$$The definition that the installation is of.$$;
comment on column integrations.instance_overview.integration_name is
$$The connector.$$;
comment on column integrations.instance_overview.integration_type is
$$How the connector authenticates.$$;
comment on column integrations.instance_overview.integration_version is
$$The version of the definition.$$;
comment on column integrations.instance_overview.name is
$$The tenant's own name for the installation.$$;
comment on column integrations.instance_overview.status is
$$Where the installation is in its life.$$;
comment on column integrations.instance_overview.status_reason is
$$Why it is in error, disabled or revoked.$$;
comment on column integrations.instance_overview.credentials_version is
$$Counts the writes of credentials.$$;
comment on column integrations.instance_overview.has_credentials is
$$Whether credentials are stored.$$;
comment on column integrations.instance_overview.credentials_expire_at is
$$When the stored credentials expire, if they said so.$$;
comment on column integrations.instance_overview.config is
$$Plain configuration.$$;
comment on column integrations.instance_overview.last_used_at is
$$When the credentials were last read, to the minute.$$;
comment on column integrations.instance_overview.last_connected_at is
$$When the service last reported a good connection.$$;
comment on column integrations.instance_overview.created_at is
$$When the installation was created.$$;
comment on column integrations.instance_overview.updated_at is
$$When it last changed.$$;

revoke all on integrations.instance_overview from public;
grant select on integrations.instance_overview
to integrations_auditor, integrations_tenant, svc_integration;

commit;
