-- Deploy integrations:tables/integration_definitions to pg
-- requires: schemas/integrations
-- requires: types/integration_definition_status

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table integrations.integration_definitions (
  id uuid not null default pg_catalog.gen_random_uuid(),
  name varchar not null,
  type varchar not null,
  version varchar not null,
  status integrations.integration_definition_status not null default 'draft',
  docs_url varchar,
  description text,
  credentials_schema jsonb not null default '{}',
  config_schema jsonb not null default '{}',
  created_at timestamptz not null default pg_catalog.now(),
  updated_at timestamptz not null default pg_catalog.now(),

  constraint integration_definitions_pkey primary key (id),
  constraint integration_definitions_name_version_key unique (name, version),
  constraint integration_definitions_name_is_valid
    check (name ~ '[^[:space:]]' and pg_catalog.char_length(name) <= 200),
  constraint integration_definitions_type_is_valid
    check (type ~ '^[a-z][a-z0-9_]{0,62}$'),
  -- The grammar of semver.org 2.0.0, in its three parts: core, pre-release, build.
  constraint integration_definitions_version_is_semver
    check (
      version ~ (
        '^(0|[1-9][0-9]*)[.](0|[1-9][0-9]*)[.](0|[1-9][0-9]*)'
        || '(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)'
        || '([.](0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?'
        || '([+][0-9a-zA-Z-]+([.][0-9a-zA-Z-]+)*)?$')
      and pg_catalog.char_length(version) <= 100),
  constraint integration_definitions_docs_url_is_http
    check (docs_url ~ '^https?://[^[:space:]]+$' and pg_catalog.char_length(docs_url) <= 2000),
  constraint integration_definitions_schemas_are_schemas
    check (
      pg_catalog.jsonb_typeof(credentials_schema) in ('object', 'boolean')
      and pg_catalog.jsonb_typeof(config_schema) in ('object', 'boolean'))
);

alter table integrations.integration_definitions owner to integrations_owner;
revoke all on integrations.integration_definitions from public;

comment on table integrations.integration_definitions is
$$Connectors to outside services, one row per connector and version. A row is immutable from its
registration on: only status moves, forward. It holds no tenant data.$$;
comment on column integrations.integration_definitions.id is
$$Identifies the definition.$$;
comment on column integrations.integration_definitions.name is
$$The connector, as people know it: Salesforce, Xero.$$;
comment on column integrations.integration_definitions.type is
$$How the connector authenticates: oauth2, api_key, basic and so on.$$;
comment on column integrations.integration_definitions.version is
$$The version of the definition, a semantic version. A change of the metadata is a new version, in a
new row.$$;
comment on column integrations.integration_definitions.status is
$$Where the definition is in its life: draft, published, deprecated, retired.$$;
comment on column integrations.integration_definitions.docs_url is
$$Where the connector is documented, an http or https address.$$;
comment on column integrations.integration_definitions.description is
$$What the connector does, for people.$$;
comment on column integrations.integration_definitions.credentials_schema is
$$JSON Schema of the credentials that an instance needs. {} accepts every JSON object.$$;
comment on column integrations.integration_definitions.config_schema is
$$JSON Schema of the configuration of an instance. {} accepts every JSON object.$$;
comment on column integrations.integration_definitions.created_at is
$$When the definition was registered.$$;
comment on column integrations.integration_definitions.updated_at is
$$When its status last moved.$$;
comment on constraint integration_definitions_name_version_key
on integrations.integration_definitions is
$$A connector has each version once.$$;
comment on constraint integration_definitions_name_is_valid
on integrations.integration_definitions is
$$Not blank, at most 200 characters.$$;
comment on constraint integration_definitions_type_is_valid
on integrations.integration_definitions is
$$A lower-case identifier of at most 63 characters.$$;
comment on constraint integration_definitions_version_is_semver
on integrations.integration_definitions is
$$A semantic version as semver.org 2.0.0 defines it.$$;
comment on constraint integration_definitions_docs_url_is_http
on integrations.integration_definitions is
$$An http or https address of at most 2000 characters.$$;
comment on constraint integration_definitions_schemas_are_schemas
on integrations.integration_definitions is
$$A JSON Schema is an object or a boolean.$$;

commit;
