-- All that the plan builds in an empty database: the roles, then the schemas with owners,
-- privileges and comments. `make schema` writes it, with pg_dumpall and pg_dump of the
-- embedded PostgreSQL 18; a test says when it is stale.
--
-- It is here to be read and compared. Deploy with `make deploy`: this file leaves no record of what
-- was deployed. Monthly partitions of the audit log are left out; `maintain_audit()` makes them.

--
-- PostgreSQL database cluster dump
--


SET default_transaction_read_only = off;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

--
-- Roles
--

CREATE ROLE integrations_admin;
ALTER ROLE integrations_admin WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;
COMMENT ON ROLE integrations_admin IS 'Manages integration definitions and the life of keys.
Created by integrations-db.';
CREATE ROLE integrations_auditor;
ALTER ROLE integrations_auditor WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;
COMMENT ON ROLE integrations_auditor IS 'Reads the audit trail and the non-secret metadata of all tenants.
Created by integrations-db.';
CREATE ROLE integrations_keymaster;
ALTER ROLE integrations_keymaster WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;
COMMENT ON ROLE integrations_keymaster IS 'Owns the cross-tenant maintenance functions of the Integrations component; never reads
credentials.
Created by integrations-db.';
CREATE ROLE integrations_owner;
ALTER ROLE integrations_owner WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;
COMMENT ON ROLE integrations_owner IS 'Owns every object of the Integrations component, and the definer functions of the tenant path.
Created by integrations-db.';
CREATE ROLE integrations_tenant;
ALTER ROLE integrations_tenant WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;
COMMENT ON ROLE integrations_tenant IS 'The application''s tenant path: an installation''s metadata, never its credentials, never keys.
Created by integrations-db.';
CREATE ROLE svc_integration;
ALTER ROLE svc_integration WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS;
COMMENT ON ROLE svc_integration IS 'The integration service: the only role that may read stored credentials.
Created by integrations-db.';

--
-- User Configurations
--







--
-- PostgreSQL database cluster dump complete
--

--
-- PostgreSQL database dump
--



SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: integrations; Type: SCHEMA; Schema: -; Owner: integrations_owner
--

CREATE SCHEMA integrations;


ALTER SCHEMA integrations OWNER TO integrations_owner;

--
-- Name: SCHEMA integrations; Type: COMMENT; Schema: -; Owner: integrations_owner
--

COMMENT ON SCHEMA integrations IS 'Connectors to outside services and the installations of them: the tables, and the functions that
applications call.';


--
-- Name: integrations_private; Type: SCHEMA; Schema: -; Owner: integrations_owner
--

CREATE SCHEMA integrations_private;


ALTER SCHEMA integrations_private OWNER TO integrations_owner;

--
-- Name: SCHEMA integrations_private; Type: COMMENT; Schema: -; Owner: integrations_owner
--

COMMENT ON SCHEMA integrations_private IS 'Internals of the Integrations component: keys, the audit log and helper functions. No application
role may use it.';


--
-- Name: pgcrypto; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA pgcrypto;


ALTER SCHEMA pgcrypto OWNER TO postgres;

--
-- Name: SCHEMA pgcrypto; Type: COMMENT; Schema: -; Owner: postgres
--

COMMENT ON SCHEMA pgcrypto IS 'The cryptographic functions of the extension pgcrypto.
Created by integrations-db.';


--
-- Name: pgcrypto; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA pgcrypto;


--
-- Name: EXTENSION pgcrypto; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION pgcrypto IS 'cryptographic functions
Created by integrations-db.';


--
-- Name: integration_definition_status; Type: TYPE; Schema: integrations; Owner: integrations_owner
--

CREATE TYPE integrations.integration_definition_status AS ENUM (
    'draft',
    'published',
    'deprecated',
    'retired'
);


ALTER TYPE integrations.integration_definition_status OWNER TO integrations_owner;

--
-- Name: TYPE integration_definition_status; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON TYPE integrations.integration_definition_status IS 'The life of an integration definition. It moves forward only; steps may be skipped. Only a
published one can be installed.';


--
-- Name: integration_instance_status; Type: TYPE; Schema: integrations; Owner: integrations_owner
--

CREATE TYPE integrations.integration_instance_status AS ENUM (
    'pending',
    'active',
    'error',
    'disabled',
    'revoked'
);


ALTER TYPE integrations.integration_instance_status OWNER TO integrations_owner;

--
-- Name: TYPE integration_instance_status; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON TYPE integrations.integration_instance_status IS 'The life of an integration instance: pending until its first credentials; active; error after a
failed connection; disabled by its users; revoked, which is final and without credentials.';


--
-- Name: tenant_key_state; Type: TYPE; Schema: integrations_private; Owner: integrations_owner
--

CREATE TYPE integrations_private.tenant_key_state AS ENUM (
    'active',
    'decrypt_only',
    'retired',
    'destroyed'
);


ALTER TYPE integrations_private.tenant_key_state OWNER TO integrations_owner;

--
-- Name: TYPE tenant_key_state; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON TYPE integrations_private.tenant_key_state IS 'The life of a tenant''s data key: active encrypts and decrypts; decrypt_only decrypts what it once
encrypted; retired is out of use; destroyed has lost its key material for ever.';


--
-- Name: add_tenant_key(text, bytea, bytea); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.add_tenant_key(kek_id text, data_key bytea, wrapped bytea) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_id constant uuid := pg_catalog.gen_random_uuid();
  v_check_value bytea;
begin
  perform integrations_private.check_name(add_tenant_key.kek_id, 'kek_id');
  if add_tenant_key.data_key is null or pg_catalog.octet_length(add_tenant_key.data_key) <> 32 then
    raise exception 'data_key must be 32 bytes' using errcode = '22023';
  end if;
  if add_tenant_key.wrapped is null
     or pg_catalog.octet_length(add_tenant_key.wrapped) not between 1 and 16384
     or add_tenant_key.wrapped = add_tenant_key.data_key
  then
    raise exception 'wrapped must be the wrapped key, of at most 16 KiB' using errcode = '22023';
  end if;

  insert into integrations_private.key_encryption_keys (kek_id, check_value)
  values (add_tenant_key.kek_id, null)
  on conflict do nothing;

  perform
    from integrations_private.key_encryption_keys as k
   where k.kek_id = add_tenant_key.kek_id
     and k.check_value is not null;

  if found then
    raise exception 'wrong key-encryption key'
      using errcode = 'IN303',
            detail = pg_catalog.format('KEK %s.', add_tenant_key.kek_id),
            hint = 'This kek_id names a KEK that is brought to the database. Use another id.';
  end if;

  v_check_value := integrations_private.data_key_check_value(v_id, add_tenant_key.data_key);
  perform integrations_private.store_tenant_key(
    v_tenant_id, v_id, add_tenant_key.kek_id, add_tenant_key.wrapped, v_check_value);

  return v_id;
end;
$$;


ALTER FUNCTION integrations.add_tenant_key(kek_id text, data_key bytea, wrapped bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION add_tenant_key(kek_id text, data_key bytea, wrapped bytea); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.add_tenant_key(kek_id text, data_key bytea, wrapped bytea) IS 'Makes a data key (32 bytes) that the service generated and wrapped outside the new active key of
the transaction''s tenant, and returns its id. The former key only decrypts from now on. The new
key is not unlocked.
Callable by svc_integration. Errors: 22023 bad argument, IN001 no tenant, IN303 the kek_id names a
KEK of the other kind.';


--
-- Name: claim_refresh(uuid, text, interval); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.claim_refresh(instance_id uuid, holder text, ttl interval DEFAULT '00:01:00'::interval) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_lease constant uuid := pg_catalog.gen_random_uuid();
  v_seconds constant numeric := extract(epoch from claim_refresh.ttl);
  v_now timestamptz;
  v_instance integrations.integration_instances;
  v_former integrations_private.refresh_leases;
begin
  perform integrations_private.check_name(claim_refresh.holder, 'holder');
  if v_seconds is null or v_seconds <= 0 or v_seconds > 3600 then
    raise exception 'ttl must be more than nothing and at most one hour' using errcode = '22023';
  end if;

  v_instance := integrations_private.lock_instance(claim_refresh.instance_id);
  perform integrations_private.require_usable(v_instance.id, v_instance.status);
  v_now := pg_catalog.clock_timestamp();

  select l.* into v_former
    from integrations_private.refresh_leases as l
   where l.tenant_id = v_instance.tenant_id
     and l.instance_id = v_instance.id;

  if v_former.leased_until > v_now then
    raise exception 'refresh lease is held by another'
      using errcode = 'IN401',
            detail = pg_catalog.format('Instance %s, until %s.',
                                       v_instance.id, v_former.leased_until),
            hint = 'Somebody is refreshing it. Read the credentials again in a moment.';
  end if;

  -- Whoever comes this late has decided by a list, or by credentials, that are out of date: one
  -- refresh serves all that wait for it.
  if v_former.refreshed_at > v_now - interval '1 minute'
     and v_former.holder <> claim_refresh.holder
     and v_former.credentials_version = v_instance.credentials_version
     and (v_instance.credentials_expire_at <= v_now + interval '5 minutes') is not true
  then
    raise exception 'credentials were refreshed by another a moment ago'
      using errcode = 'IN401',
            detail = pg_catalog.format('Instance %s, at %s.',
                                       v_instance.id, v_former.refreshed_at),
            hint = 'Read the credentials again. If they are refused, claim a minute later.';
  end if;

  insert into integrations_private.refresh_leases as l
    (tenant_id, instance_id, lease, holder, credentials_version, claimed_at, leased_until)
  values
    (v_instance.tenant_id, v_instance.id, v_lease, claim_refresh.holder,
     v_instance.credentials_version, v_now, v_now + pg_catalog.make_interval(secs => v_seconds))
  on conflict on constraint refresh_leases_pkey do update
     set lease = excluded.lease,
         holder = excluded.holder,
         credentials_version = excluded.credentials_version,
         claimed_at = excluded.claimed_at,
         leased_until = excluded.leased_until,
         failures = case
           when l.credentials_version = excluded.credentials_version then l.failures else 0
         end,
         retry_at = case
           when l.credentials_version = excluded.credentials_version then l.retry_at
         end;

  perform integrations_private.write_audit(
    v_instance.tenant_id, v_instance.id, 'refresh_claimed',
    pg_catalog.jsonb_build_object('version', v_instance.credentials_version));

  return v_lease;
end;
$$;


ALTER FUNCTION integrations.claim_refresh(instance_id uuid, holder text, ttl interval) OWNER TO integrations_owner;

--
-- Name: FUNCTION claim_refresh(instance_id uuid, holder text, ttl interval); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.claim_refresh(instance_id uuid, holder text, ttl interval) IS 'Leases the refresh of an instance''s credentials to one worker, due or not, for ttl (at most one
hour), and returns the lease. Commit before you call the outside service. holder names the worker,
in up to 200 characters. What another holder refreshed less than a minute ago is not leased, unless
it is due again.
Callable by svc_integration. Errors: 22023 null or out of range, IN001 no tenant, IN201 not found,
IN202 disabled or revoked, IN401 leased, or just refreshed by another.';


--
-- Name: complete_refresh(uuid, text, integer); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.complete_refresh(lease uuid, credentials text, expected_version integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_instance integrations.integration_instances;
  v_version integer;
  v_now timestamptz;
begin
  -- Only a refresh that knows what it replaces cannot undo what somebody stored in the meantime.
  if complete_refresh.expected_version is null then
    raise exception 'expected_version must not be null' using errcode = '22023';
  end if;

  v_instance := integrations_private.lock_refresh_lease(complete_refresh.lease);
  v_version := integrations.put_credentials(
    v_instance.id, complete_refresh.credentials, complete_refresh.expected_version);

  v_now := pg_catalog.clock_timestamp();
  update integrations_private.refresh_leases as l
     set lease = null,
         leased_until = null,
         credentials_version = v_version,
         failures = 0,
         retry_at = null,
         refreshed_at = v_now
   where l.tenant_id = v_instance.tenant_id
     and l.instance_id = v_instance.id;

  perform integrations_private.write_audit(
    v_instance.tenant_id, v_instance.id, 'refresh_completed',
    pg_catalog.jsonb_build_object('version', v_version));

  return v_version;
end;
$$;


ALTER FUNCTION integrations.complete_refresh(lease uuid, credentials text, expected_version integer) OWNER TO integrations_owner;

--
-- Name: FUNCTION complete_refresh(lease uuid, credentials text, expected_version integer); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.complete_refresh(lease uuid, credentials text, expected_version integer) IS 'Stores what a refresh brought, as put_credentials does, ends the lease and returns the version.
An instance in error becomes active. When somebody stored credentials since they were read (IN306),
the lease stays until it expires or fail_refresh ends it.
Callable by svc_integration. Errors: 22023 null, IN001 no tenant, IN202 disabled or revoked, IN204
they do not fit the definition''s schema, IN302 locked, IN303 wrong key, IN305 not a JSON object or
over 64 KiB, IN306 another version, IN307 no active key, IN402 lease lost, used or expired.';


--
-- Name: create_instance(uuid, text, jsonb); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.create_instance(integration_id uuid, name text, config jsonb DEFAULT '{}'::jsonb) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_status integrations.integration_definition_status;
  v_violation text;
  v_id uuid;
begin
  if create_instance.integration_id is null then
    raise exception 'integration_id must not be null' using errcode = '22023';
  end if;
  perform integrations_private.check_name(create_instance.name);
  perform integrations_private.check_config(create_instance.config);

  select d.status into v_status
    from integrations.integration_definitions as d
   where d.id = create_instance.integration_id;

  if not found then
    raise exception 'integration definition not found'
      using errcode = 'IN101',
            detail = pg_catalog.format('Definition %s.', create_instance.integration_id);
  end if;

  if v_status <> 'published' then
    raise exception 'integration definition is not published'
      using errcode = 'IN103',
            detail = pg_catalog.format('Definition %s is %s.',
                                       create_instance.integration_id, v_status),
            hint = 'Only a published definition can be installed.';
  end if;

  v_violation := integrations_private.schema_violation(
    create_instance.integration_id, 'config', create_instance.config);
  if v_violation is not null then
    raise exception 'config does not fit the schema of the definition'
      using errcode = 'IN203', detail = v_violation,
            hint = 'The schema is config_schema of the definition.';
  end if;

  insert into integrations.integration_instances (tenant_id, integration_id, name, config)
  values (v_tenant_id, create_instance.integration_id, create_instance.name, create_instance.config)
  returning id into v_id;

  perform integrations_private.write_audit(
    v_tenant_id, v_id, 'instance_created',
    pg_catalog.jsonb_build_object('integration_id', create_instance.integration_id));

  return v_id;
end;
$$;


ALTER FUNCTION integrations.create_instance(integration_id uuid, name text, config jsonb) OWNER TO integrations_owner;

--
-- Name: FUNCTION create_instance(integration_id uuid, name text, config jsonb); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.create_instance(integration_id uuid, name text, config jsonb) IS 'Installs a published connector for the transaction''s tenant and returns the instance''s id.
Callable by integrations_tenant, svc_integration. Errors: 22023 bad argument, 23505 the tenant
uses the name already, IN001 no tenant, IN101 definition not found, IN103 not published, IN203
config does not fit.';


--
-- Name: create_tenant_key(text, bytea); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.create_tenant_key(kek_id text, kek bytea) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_id constant uuid := pg_catalog.gen_random_uuid();
  v_known boolean;
  v_data_key bytea;
  v_wrapped bytea;
  v_check_value bytea;
begin
  v_known := integrations_private.register_kek(create_tenant_key.kek_id, kek);

  v_data_key := integrations_private.random_bytes(32);
  v_check_value := integrations_private.data_key_check_value(v_id, v_data_key);
  v_wrapped := integrations_private.encrypt_bytes(
    v_data_key, integrations_private.wrapping_passphrase(v_tenant_id, v_id, kek));

  perform integrations_private.store_tenant_key(
    v_tenant_id, v_id, create_tenant_key.kek_id, v_wrapped, v_check_value);

  return v_id;
end;
$$;


ALTER FUNCTION integrations.create_tenant_key(kek_id text, kek bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION create_tenant_key(kek_id text, kek bytea); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.create_tenant_key(kek_id text, kek bytea) IS 'Makes a new active data key for the transaction''s tenant, wrapped by the KEK (32 bytes), and
returns its id. The former key only decrypts from now on. The new key is not unlocked.
Callable by svc_integration, integrations_admin. Errors: 22023 bad argument, IN001 no tenant,
IN303 another KEK under this kek_id.';


--
-- Name: current_tenant(); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (NULLIF(current_setting('integrations.tenant_id'::text, true), ''::text))::uuid;


ALTER FUNCTION integrations.current_tenant() OWNER TO integrations_owner;

--
-- Name: FUNCTION current_tenant(); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.current_tenant() IS 'Returns the tenant that set_tenant chose for this transaction, or NULL when none is set.
Callable by integrations_tenant, svc_integration, integrations_admin. Errors: none.';


--
-- Name: delete_instance(uuid); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.delete_instance(instance_id uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_instance integrations.integration_instances;
begin
  v_instance := integrations_private.lock_instance(delete_instance.instance_id);

  delete from integrations.integration_instances as i
   where i.tenant_id = v_instance.tenant_id
     and i.id = v_instance.id;

  perform integrations_private.write_audit(v_instance.tenant_id, v_instance.id, 'instance_deleted');
end;
$$;


ALTER FUNCTION integrations.delete_instance(instance_id uuid) OWNER TO integrations_owner;

--
-- Name: FUNCTION delete_instance(instance_id uuid); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.delete_instance(instance_id uuid) IS 'Deletes an instance with its credentials. Its audit entries stay.
Callable by integrations_tenant, svc_integration. Errors: 22023 null, IN001 no tenant, IN201 not
found.';


--
-- Name: destroy_key(uuid, text); Type: FUNCTION; Schema: integrations; Owner: integrations_keymaster
--

CREATE FUNCTION integrations.destroy_key(key_id uuid, confirm text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_key record;
  v_count bigint;
begin
  if destroy_key.key_id is null
     or destroy_key.confirm is distinct from destroy_key.key_id::text
  then
    raise exception 'confirm must be the key id' using errcode = '22023';
  end if;

  select k.tenant_id, k.state into v_key
    from integrations_private.tenant_keys as k
   where k.id = destroy_key.key_id
     for update;

  if not found or v_key.state = 'destroyed' then
    raise exception 'tenant key is destroyed, retired or unknown'
      using errcode = 'IN307', detail = pg_catalog.format('Key %s.', destroy_key.key_id);
  end if;

  select pg_catalog.count(*) into v_count
    from integrations.integration_instances as i
   where i.tenant_id = v_key.tenant_id
     and i.credentials_key_id = destroy_key.key_id;

  update integrations_private.tenant_keys as k
     set state = 'destroyed', wrapped = null, updated_at = v_now
   where k.tenant_id = v_key.tenant_id
     and k.id = destroy_key.key_id;

  perform integrations_private.write_audit(
    v_key.tenant_id, null, 'tenant_key_destroyed',
    pg_catalog.jsonb_build_object('key', destroy_key.key_id, 'rows', v_count));
end;
$$;


ALTER FUNCTION integrations.destroy_key(key_id uuid, confirm text) OWNER TO integrations_keymaster;

--
-- Name: FUNCTION destroy_key(key_id uuid, confirm text); Type: COMMENT; Schema: integrations; Owner: integrations_keymaster
--

COMMENT ON FUNCTION integrations.destroy_key(key_id uuid, confirm text) IS 'Destroys the material of a data key, of any tenant and in any state: what it encrypted cannot be
read again. confirm repeats the key id as text.
Callable by integrations_admin. Errors: 22023 confirm is not the key id, IN307 key destroyed or
unknown.';


--
-- Name: discard_draft(uuid); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.discard_draft(definition_id uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
begin
  if definition_id is null then
    raise exception 'definition_id must not be null' using errcode = '22023';
  end if;

  delete from integrations.integration_definitions as d
   where d.id = definition_id;

  if not found then
    raise exception 'integration definition not found'
      using errcode = 'IN101', detail = pg_catalog.format('Definition %s.', definition_id);
  end if;
end;
$$;


ALTER FUNCTION integrations.discard_draft(definition_id uuid) OWNER TO integrations_owner;

--
-- Name: FUNCTION discard_draft(definition_id uuid); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.discard_draft(definition_id uuid) IS 'Deletes a definition that is still a draft.
Callable by integrations_admin. Errors: 22023 null, IN101 not found, IN102 not a draft any more.';


--
-- Name: doctor(); Type: FUNCTION; Schema: integrations; Owner: integrations_keymaster
--

CREATE FUNCTION integrations.doctor() RETURNS TABLE(check_name text, status text, detail text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
begin
  return query
    select e.check_name, e.status, e.detail
      from integrations_private.examine_settings() as e;
  return query
    select e.check_name, e.status, e.detail
      from integrations_private.examine_connections(
             pg_catalog.current_setting('ssl')::boolean,
             pg_catalog.current_setting('listen_addresses')) as e;
  return query
    select e.check_name, e.status, e.detail
      from integrations_private.examine_roles() as e;
  return query
    select e.check_name, e.status, e.detail
      from integrations_private.examine_objects() as e;
  return query
    select e.check_name, e.status, e.detail
      from integrations_private.examine_data(interval '1 hour') as e;
end;
$$;


ALTER FUNCTION integrations.doctor() OWNER TO integrations_keymaster;

--
-- Name: FUNCTION doctor(); Type: COMMENT; Schema: integrations; Owner: integrations_keymaster
--

COMMENT ON FUNCTION integrations.doctor() IS 'Examines this deployment for known hazards, and returns a row for each: its status (ok, warn,
fail) and, in detail, what to do. Changes nothing. Says warn where it may not look.
Callable by integrations_admin. Errors: none.';


--
-- Name: fail_refresh(uuid, text, interval); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.fail_refresh(lease uuid, reason text, retry_after interval DEFAULT '00:05:00'::interval) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  -- In a comparison a month has 30 days, in a sum it may have 31, and many add up.
  v_seconds constant numeric := extract(epoch from fail_refresh.retry_after);
  v_now timestamptz;
  v_instance integrations.integration_instances;
  v_lease integrations_private.refresh_leases;
  v_quarantined boolean;
  v_failures integer := 0;
  v_retry_at timestamptz;
begin
  if fail_refresh.reason is null then
    raise exception 'reason must not be null' using errcode = '22023';
  end if;
  if fail_refresh.reason = integrations_private.quarantine_reason() then
    raise exception 'reason is reserved' using errcode = '22023';
  end if;
  if v_seconds is null or v_seconds < 0 or v_seconds > 30 * 86400 then
    raise exception 'retry_after must be 0 to 30 days' using errcode = '22023';
  end if;

  v_instance := integrations_private.lock_refresh_lease(fail_refresh.lease);
  perform integrations_private.require_usable(v_instance.id, v_instance.status);
  v_now := pg_catalog.clock_timestamp();
  v_quarantined := v_instance.status = 'error'
    and v_instance.status_reason is not distinct from integrations_private.quarantine_reason();

  select l.* into v_lease
    from integrations_private.refresh_leases as l
   where l.tenant_id = v_instance.tenant_id
     and l.instance_id = v_instance.id;

  -- A failure says something of the credentials that it was claimed for, not of newer ones.
  if v_lease.credentials_version = v_instance.credentials_version then
    v_failures := v_lease.failures + 1;

    if v_failures < 10 and not v_quarantined then
      v_retry_at := v_now + pg_catalog.make_interval(
        secs => least(v_seconds * 2 ^ v_lease.failures, greatest(v_seconds, 86400)));
    end if;

    -- Quarantine has a reason of its own, which keeps the row out of rotation.
    if v_instance.status = 'active' then
      perform integrations_private.move_instance(v_instance, 'error', fail_refresh.reason);
    elsif v_instance.status = 'error' and not v_quarantined then
      update integrations.integration_instances as i
         set status_reason = pg_catalog.left(fail_refresh.reason, 1000)
       where i.tenant_id = v_instance.tenant_id
         and i.id = v_instance.id;
    end if;
  end if;

  update integrations_private.refresh_leases as l
     set lease = null,
         leased_until = null,
         failures = v_failures,
         retry_at = v_retry_at
   where l.tenant_id = v_instance.tenant_id
     and l.instance_id = v_instance.id;

  perform integrations_private.write_audit(
    v_instance.tenant_id, v_instance.id, 'refresh_failed',
    pg_catalog.jsonb_build_object(
      'version', v_lease.credentials_version, 'failures', v_failures));
end;
$$;


ALTER FUNCTION integrations.fail_refresh(lease uuid, reason text, retry_after interval) OWNER TO integrations_owner;

--
-- Name: FUNCTION fail_refresh(lease uuid, reason text, retry_after interval); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.fail_refresh(lease uuid, reason text, retry_after interval) IS 'Records that a refresh failed, and ends its lease: an active instance goes to error, with a reason
(cut to 1000 characters, never a secret), and is due again after retry_after (at most 30 days). That
doubles with each failure in a row, up to a day; after the tenth it is not due any more. If somebody
stored credentials since the claim, or in quarantine, only the lease ends.
Callable by svc_integration. Errors: 22023 null, out of range or a reserved reason, IN001 no tenant,
IN202 disabled or revoked, IN402 lease lost, used or expired.';


--
-- Name: get_credentials(uuid); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.get_credentials(instance_id uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_tenant_id uuid := integrations.current_tenant();
  v_status integrations.integration_instance_status;
  v_envelope jsonb;
  v_version integer;
  v_key_id uuid;
  v_last_used_at timestamptz;
  v_key_state integrations_private.tenant_key_state;
  v_check_value bytea;
  v_credentials jsonb;
  v_stamped boolean;
begin
  select i.status, i.credentials, i.credentials_version, i.credentials_key_id, i.last_used_at,
         k.state, k.check_value
    into v_status, v_envelope, v_version, v_key_id, v_last_used_at, v_key_state, v_check_value
    from integrations.integration_instances as i
         left join integrations_private.tenant_keys as k
           on k.tenant_id = i.tenant_id and k.id = i.credentials_key_id
   where i.tenant_id = v_tenant_id
     and i.id = get_credentials.instance_id;

  if not found then
    v_tenant_id := integrations_private.require_tenant();
    if get_credentials.instance_id is null then
      raise exception 'instance_id must not be null' using errcode = '22023';
    end if;

    raise exception 'integration instance not found'
      using errcode = 'IN201',
            detail = pg_catalog.format('Instance %s.', get_credentials.instance_id),
            hint = 'Check the instance id and the tenant of the transaction.';
  end if;

  if v_status in ('disabled', 'revoked') then
    perform integrations_private.require_usable(get_credentials.instance_id, v_status);
  end if;

  if v_envelope is null then
    raise exception 'no credentials are stored'
      using errcode = 'IN301', detail = pg_catalog.format('Instance %s.', instance_id);
  end if;

  -- The foreign key forbids it: with its guard off, somebody moved the envelope of another tenant.
  if v_key_state is null then
    raise exception 'integrity check failed'
      using errcode = 'IN304',
            detail = pg_catalog.format('Instance %s, key %s.', instance_id, v_key_id),
            hint = 'The stored envelope was altered or moved. Store the credentials anew.';
  end if;

  v_credentials := integrations_private.open_credentials(
    v_tenant_id, get_credentials.instance_id, v_key_id, v_version,
    integrations_private.opened_key(v_tenant_id, v_key_id, v_key_state, v_check_value),
    v_envelope)::jsonb;

  -- As write_audit does, which would cost a query more.
  insert into integrations_private.audit_log (tenant_id, instance_id, event, detail)
  values
    (v_tenant_id, get_credentials.instance_id, 'credentials_read',
     pg_catalog.jsonb_build_object('version', v_version, 'key', v_key_id));

  if v_last_used_at <= pg_catalog.clock_timestamp() - interval '1 minute' is not false then
    v_stamped := integrations_private.stamp_last_used(v_tenant_id, get_credentials.instance_id);
  end if;

  raise log 'integrations: credentials_read tenant=% instance=% version=% session_user=%',
    v_tenant_id, instance_id, v_version, session_user;

  return v_credentials;
end;
$$;


ALTER FUNCTION integrations.get_credentials(instance_id uuid) OWNER TO integrations_owner;

--
-- Name: FUNCTION get_credentials(instance_id uuid); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.get_credentials(instance_id uuid) IS 'Returns the credentials of an instance. Leaves an audit entry and a line in the server''s log, and
stamps last_used_at at most once a minute, never waiting for another transaction.
Callable by svc_integration. Errors: 22023 null, 25006 read-only transaction, IN001 no tenant,
IN201 not found, IN202 disabled or revoked, IN301 none stored, IN302 locked, IN303 wrong key,
IN304 integrity check failed, IN307 key destroyed, retired or unknown.';


--
-- Name: list_refresh_due(integer); Type: FUNCTION; Schema: integrations; Owner: integrations_keymaster
--

CREATE FUNCTION integrations.list_refresh_due(max_rows integer DEFAULT 100) RETURNS TABLE(tenant_id uuid, instance_id uuid, expires_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_due constant timestamptz := v_now + interval '5 minutes';
  v_recently constant timestamptz := v_now - interval '1 minute';
  v_rows integer;
begin
  if list_refresh_due.max_rows is null or list_refresh_due.max_rows < 1 then
    raise exception 'max_rows must be at least 1' using errcode = '22023';
  end if;

  return query
    select d.tenant_id, d.id, d.expire_at
      from (
        (select i.tenant_id, i.id, i.credentials_expire_at as expire_at
           from integrations.integration_instances as i
          where i.status = 'active'
            and i.credentials_expire_at <= v_due
            and (
              select l.leased_until > v_now
                     or (l.credentials_version = i.credentials_version
                         and (l.retry_at > v_now
                              or l.refreshed_at > v_recently))
                from integrations_private.refresh_leases as l
               where l.tenant_id = i.tenant_id
                 and l.instance_id = i.id
            ) is not true
          order by i.credentials_expire_at
          limit list_refresh_due.max_rows)
        union all
        (select r.tenant_id, r.instance_id, r.expire_at
           from (
             select l.tenant_id, l.instance_id,
                    (select i.credentials_expire_at
                       from integrations.integration_instances as i
                      where i.tenant_id = l.tenant_id
                        and i.id = l.instance_id
                        and i.status = 'error'
                        and i.credentials_version = l.credentials_version) as expire_at
               from integrations_private.refresh_leases as l
              where l.retry_at <= v_now
                and (l.leased_until <= v_now) is not false
           ) as r
          where r.expire_at <= v_due
          order by r.expire_at
          limit list_refresh_due.max_rows)
      ) as d
     order by d.expire_at
     limit list_refresh_due.max_rows;

  get diagnostics v_rows = row_count;
  return query
    select i.tenant_id, i.id, i.credentials_expire_at
      from integrations.integration_instances as i
     where i.status = 'active'
       and i.credentials_expire_at <= v_due
       and (
         select l.credentials_version = i.credentials_version
                and l.refreshed_at > v_recently
                and (l.leased_until > v_now or l.retry_at > v_now) is not true
           from integrations_private.refresh_leases as l
          where l.tenant_id = i.tenant_id
            and l.instance_id = i.id
       )
     order by i.credentials_expire_at
     limit list_refresh_due.max_rows - v_rows;
end;
$$;


ALTER FUNCTION integrations.list_refresh_due(max_rows integer) OWNER TO integrations_keymaster;

--
-- Name: FUNCTION list_refresh_due(max_rows integer); Type: COMMENT; Schema: integrations; Owner: integrations_keymaster
--

COMMENT ON FUNCTION integrations.list_refresh_due(max_rows integer) IS 'Lists up to max_rows instances, of all tenants, whose credentials expire within five minutes, the
earliest first, but last what was refreshed less than a minute ago: active ones, and those whose
refresh failed and is due again. Not those with a live lease, nor those that back off. It leases
nothing: claim_refresh does.
Callable by svc_integration. Errors: 22023 max_rows.';


--
-- Name: maintain_audit(interval); Type: FUNCTION; Schema: integrations; Owner: integrations_keymaster
--

CREATE FUNCTION integrations.maintain_audit(keep interval DEFAULT NULL::interval) RETURNS TABLE(action text, partition text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
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
$$;


ALTER FUNCTION integrations.maintain_audit(keep interval) OWNER TO integrations_keymaster;

--
-- Name: FUNCTION maintain_audit(keep interval); Type: COMMENT; Schema: integrations; Owner: integrations_keymaster
--

COMMENT ON FUNCTION integrations.maintain_audit(keep interval) IS 'Keeps the audit log in monthly partitions: creates those of this month and the next three, makes a
filled default partition one of whole months, and drops those older than keep (NULL: none). Returns
what it did: created, bounded, dropped; or kept, for a default partition whose entries fit into no
span of months. Keeps nobody waiting for longer than lock_timeout (2 seconds if that is 0), or gives
up and changes nothing.
Callable by integrations_admin. Errors: 22023 bad keep, 25001 another isolation than READ COMMITTED,
55P03 somebody uses the log, or the default partition is too large for lock_timeout.';


--
-- Name: open_read_lease(uuid, text); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.open_read_lease(instance_id uuid, reason text) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_lease_id constant uuid := pg_catalog.gen_random_uuid();
  v_instance record;
begin
  if open_read_lease.instance_id is null then
    raise exception 'instance_id must not be null' using errcode = '22023';
  end if;
  if reason is null or reason !~ '[^[:space:]]' or pg_catalog.char_length(reason) > 1000 then
    raise exception 'reason must be 1 to 1000 characters, not all blank' using errcode = '22023';
  end if;

  select i.id, i.status, i.credentials_version into v_instance
    from integrations.integration_instances as i
   where i.tenant_id = v_tenant_id
     and i.id = open_read_lease.instance_id;

  if not found then
    raise exception 'integration instance not found'
      using errcode = 'IN201',
            detail = pg_catalog.format('Instance %s.', open_read_lease.instance_id),
            hint = 'Check the instance id and the tenant of the transaction.';
  end if;

  perform integrations_private.require_usable(v_instance.id, v_instance.status);

  -- Not the envelope, which need not be fetched for this: only put_credentials activates.
  if v_instance.credentials_version = 0 then
    raise exception 'no credentials are stored'
      using errcode = 'IN301', detail = pg_catalog.format('Instance %s.', v_instance.id);
  end if;

  -- The leases that nobody used: each call takes away more than it adds, waits for nobody, and does
  -- not mind if somebody else has taken them away since an old snapshot.
  begin
    delete from integrations_private.read_leases as l
     where l.tenant_id = v_tenant_id
       and l.id in (
             select o.id
               from integrations_private.read_leases as o
              where o.tenant_id = v_tenant_id
                and o.expires_at <= v_now
              order by o.expires_at
              limit 100
                for update skip locked);
  exception when serialization_failure then
    null;
  end;

  insert into integrations_private.read_leases
    (tenant_id, id, instance_id, session_actor, opened_by, opened_at, expires_at)
  values
    (v_tenant_id, v_lease_id, v_instance.id, session_user, pg_catalog.pg_current_xact_id(), v_now,
     v_now + interval '1 minute');

  perform integrations_private.write_audit(
    v_tenant_id, v_instance.id, 'read_lease_opened',
    pg_catalog.jsonb_build_object(
      'lease', v_lease_id, 'version', v_instance.credentials_version, 'reason', reason));

  return v_lease_id;
end;
$$;


ALTER FUNCTION integrations.open_read_lease(instance_id uuid, reason text) OWNER TO integrations_owner;

--
-- Name: FUNCTION open_read_lease(instance_id uuid, reason text); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.open_read_lease(instance_id uuid, reason text) IS 'Opens a lease for one read of an instance''s credentials with read_with_lease, in a later
transaction, within a minute. Leaves an audit entry with the reason, which must not hold a secret.
Callable by svc_integration. Errors: 22023 bad argument, IN001 no tenant, IN201 not found, IN202
disabled or revoked, IN301 none stored.';


--
-- Name: put_credentials(uuid, text, integer); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.put_credentials(instance_id uuid, credentials text, expected_version integer DEFAULT NULL::integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_instance integrations.integration_instances;
  v_key integrations_private.tenant_keys;
  v_data_key bytea;
  v_document jsonb;
  v_expire_at timestamptz;
  v_violation text;
  v_version integer;
  v_envelope jsonb;
begin
  v_document := integrations_private.parse_credentials(put_credentials.credentials);
  v_expire_at := integrations_private.credentials_expire_at(v_document);

  v_instance := integrations_private.lock_instance(put_credentials.instance_id);
  perform integrations_private.require_usable(v_instance.id, v_instance.status);

  if expected_version <> v_instance.credentials_version then
    raise exception 'credentials have another version'
      using errcode = 'IN306',
            detail = pg_catalog.format('Instance %s has version %s.',
                                       v_instance.id, v_instance.credentials_version),
            hint = 'Somebody stored credentials in the meantime. Read them again.';
  end if;

  v_violation := integrations_private.schema_violation(
    v_instance.integration_id, 'credentials', v_document);
  if v_violation is not null then
    raise exception 'credentials do not fit the schema of the definition'
      using errcode = 'IN204', detail = v_violation,
            hint = 'The schema is credentials_schema of the definition.';
  end if;

  v_key := integrations_private.lock_active_key(v_instance.tenant_id);
  if v_key.id is null
     and pg_catalog.left(pg_catalog.current_setting('integrations.keyring', true), 36)
         is distinct from v_instance.tenant_id::text
  then
    raise exception 'credentials are locked'
      using errcode = 'IN302',
            hint = 'Call integrations.unlock(...) in this transaction, after set_tenant.';
  end if;
  v_data_key := integrations_private.opened_key(
    v_instance.tenant_id, v_key.id, v_key.state, v_key.check_value);

  v_version := v_instance.credentials_version + 1;
  v_envelope := integrations_private.seal_credentials(
    v_instance.tenant_id, v_instance.id, v_key.id, v_version, v_data_key,
    put_credentials.credentials);

  update integrations.integration_instances as i
     set credentials = v_envelope,
         credentials_version = v_version,
         credentials_expire_at = v_expire_at,
         status = 'active',
         status_reason = null,
         updated_at = v_now
   where i.tenant_id = v_instance.tenant_id
     and i.id = v_instance.id;

  perform integrations_private.write_audit(
    v_instance.tenant_id, v_instance.id, 'credentials_stored',
    pg_catalog.jsonb_build_object('version', v_version, 'key', v_key.id));

  return v_version;
end;
$$;


ALTER FUNCTION integrations.put_credentials(instance_id uuid, credentials text, expected_version integer) OWNER TO integrations_owner;

--
-- Name: FUNCTION put_credentials(instance_id uuid, credentials text, expected_version integer); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.put_credentials(instance_id uuid, credentials text, expected_version integer) IS 'Stores the credentials of an instance, a JSON object as text, encrypted under the tenant''s active
key, and returns their version. A pending instance, or one in error, becomes active. With
expected_version it refuses to overwrite any other version.
Callable by svc_integration. Errors: 22023 null, IN001 no tenant, IN201 not found, IN202 disabled
or revoked, IN204 they do not fit the definition''s schema, IN302 locked, IN303 wrong key, IN305 not
a JSON object or over 64 KiB, IN306 another version, IN307 no active key.';


--
-- Name: read_with_lease(uuid); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.read_with_lease(lease uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_instance_id uuid;
  v_expires_at timestamptz;
  v_credentials jsonb;
begin
  if lease is null then
    raise exception 'lease must not be null' using errcode = '22023';
  end if;

  -- Of two readers at once, one waits here, and then finds nothing. A lease from the future is of a
  -- clock that was set back.
  delete from integrations_private.read_leases as l
   where l.tenant_id = v_tenant_id
     and l.id = lease
     and l.session_actor = session_user
     and l.opened_by <> pg_catalog.pg_current_xact_id()
     and l.opened_at <= pg_catalog.clock_timestamp()
  returning l.instance_id, l.expires_at into v_instance_id, v_expires_at;

  -- Compared here, because the wait may have been long. One answer for every cause.
  if v_expires_at is null or v_expires_at <= pg_catalog.clock_timestamp() then
    raise exception 'read lease is unknown, used, expired, or opened in this transaction'
      using errcode = 'IN402',
            detail = pg_catalog.format('Lease %s.', lease),
            hint = 'Open a lease, commit, and read once within a minute, as the same login and'
                   ' tenant.';
  end if;

  v_credentials := integrations.get_credentials(v_instance_id);

  perform integrations_private.write_audit(
    v_tenant_id, v_instance_id, 'read_lease_used',
    pg_catalog.jsonb_build_object('lease', lease));

  raise log 'integrations: read_lease_used tenant=% instance=% lease=% session_user=%',
    v_tenant_id, v_instance_id, lease, session_user;

  return v_credentials;
end;
$$;


ALTER FUNCTION integrations.read_with_lease(lease uuid) OWNER TO integrations_owner;

--
-- Name: FUNCTION read_with_lease(lease uuid); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.read_with_lease(lease uuid) IS 'Returns the credentials that a lease was opened for, in another transaction of the same login and
tenant, at most a minute ago, and uses the lease up. Audits, logs and stamps as get_credentials.
Callable by svc_integration. Errors: 22023 null, 25006 read-only transaction, IN001 no tenant,
IN201 not found, IN202 disabled or revoked, IN301 none stored, IN302 locked, IN303 wrong key,
IN304 integrity check failed, IN307 key destroyed, retired or unknown, IN402 no such lease.';


--
-- Name: record_connection(uuid, boolean, text); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.record_connection(instance_id uuid, ok boolean, reason text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_instance integrations.integration_instances;
begin
  if record_connection.ok is null then
    raise exception 'ok must not be null' using errcode = '22023';
  end if;
  if record_connection.reason = integrations_private.quarantine_reason() then
    raise exception 'reason is reserved' using errcode = '22023';
  end if;

  v_instance := integrations_private.lock_instance(record_connection.instance_id);
  perform integrations_private.require_usable(v_instance.id, v_instance.status);

  if record_connection.ok then
    if v_instance.status = 'error' then
      perform integrations_private.move_instance(v_instance, 'active', null);
    end if;

    update integrations.integration_instances as i
       set last_connected_at = v_now
     where i.tenant_id = v_instance.tenant_id
       and i.id = v_instance.id;
  elsif v_instance.status = 'error' then
    -- Quarantine has a reason of its own, which keeps the row out of rotation.
    update integrations.integration_instances as i
       set status_reason = pg_catalog.left(record_connection.reason, 1000)
     where i.tenant_id = v_instance.tenant_id
       and i.id = v_instance.id
       and i.status_reason is distinct from integrations_private.quarantine_reason();
  else
    perform integrations_private.move_instance(v_instance, 'error', record_connection.reason);
  end if;
end;
$$;


ALTER FUNCTION integrations.record_connection(instance_id uuid, ok boolean, reason text) OWNER TO integrations_owner;

--
-- Name: FUNCTION record_connection(instance_id uuid, ok boolean, reason text); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.record_connection(instance_id uuid, ok boolean, reason text) IS 'Records how a connection to the outside service went. A good one stamps last_connected_at and ends
an error; a failed one moves an active instance to error, with a reason cut to 1000 characters. The
reason of quarantine stays.
Callable by svc_integration. Errors: 22023 null or a reserved reason, IN001 no tenant, IN104
failure of a pending instance, IN201 not found, IN202 disabled or revoked.';


--
-- Name: reencrypt_batch(integer); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.reencrypt_batch(max_rows integer DEFAULT 100) RETURNS TABLE(done integer, skipped integer, quarantined integer)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
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
$$;


ALTER FUNCTION integrations.reencrypt_batch(max_rows integer) OWNER TO integrations_owner;

--
-- Name: FUNCTION reencrypt_batch(max_rows integer); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.reencrypt_batch(max_rows integer) IS 'Moves up to max_rows credentials of the transaction''s tenant from former keys to the active one,
all of them unlocked in this transaction, and returns one row: how many it moved, how many it
skipped because another transaction held them, and how many it put into quarantine (status error)
because they cannot be decrypted. Call it, in a transaction each, until it returns three zeros.
Callable by svc_integration. Errors: 22023 max_rows, IN001 no tenant, IN302 a key is locked, IN303
wrong key, IN307 no active key.';


--
-- Name: register_definition(text, text, text, text, text, jsonb, jsonb); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.register_definition(name text, type text, version text, docs_url text DEFAULT NULL::text, description text DEFAULT NULL::text, credentials_schema jsonb DEFAULT '{}'::jsonb, config_schema jsonb DEFAULT '{}'::jsonb) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_id uuid;
begin
  if register_definition.name is null or register_definition.type is null
     or register_definition.version is null or register_definition.credentials_schema is null
     or register_definition.config_schema is null
  then
    raise exception 'name, type, version and the schemas must not be null' using errcode = '22023';
  end if;

  -- Before the table's own check, which would not say what is wrong.
  perform integrations_private.compile_schema(s.schema, s.name)
     from (
       values ('credentials_schema', register_definition.credentials_schema),
              ('config_schema', register_definition.config_schema)
     ) as s (name, schema)
    where pg_catalog.jsonb_typeof(s.schema) not in ('object', 'boolean');

  insert into integrations.integration_definitions
    (name, type, version, docs_url, description, credentials_schema, config_schema)
  values
    (register_definition.name, register_definition.type, register_definition.version,
     register_definition.docs_url, register_definition.description,
     register_definition.credentials_schema, register_definition.config_schema)
  returning id into v_id;

  -- {} takes every document.
  insert into integrations_private.compiled_schemas (definition_id, kind, schema)
  select v_id, s.kind, s.schema
    from (
      values ('credentials', register_definition.credentials_schema),
             ('config', register_definition.config_schema)
    ) as s (kind, schema)
   where s.schema <> '{}';

  return v_id;
exception when check_violation then
  raise exception 'name, type, version or docs_url is not valid'
    using errcode = '22023',
          hint = 'name: 1 to 200 characters; type: a lower-case identifier such as oauth2;'
                 ' version: semantic, such as 1.0.0; docs_url: an http or https address.';
end;
$$;


ALTER FUNCTION integrations.register_definition(name text, type text, version text, docs_url text, description text, credentials_schema jsonb, config_schema jsonb) OWNER TO integrations_owner;

--
-- Name: FUNCTION register_definition(name text, type text, version text, docs_url text, description text, credentials_schema jsonb, config_schema jsonb); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.register_definition(name text, type text, version text, docs_url text, description text, credentials_schema jsonb, config_schema jsonb) IS 'Registers a connector as a draft and returns its id. From here on only its status changes. The
schemas are JSON Schema, draft 2020-12, as docs/schemas.md tells.
Callable by integrations_admin. Errors: 22023 bad argument, 23505 name and version exist, IN105 a
schema is invalid or not supported.';


--
-- Name: rename_instance(uuid, text); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.rename_instance(instance_id uuid, name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_instance integrations.integration_instances;
begin
  perform integrations_private.check_name(rename_instance.name);
  v_instance := integrations_private.lock_instance(rename_instance.instance_id);

  update integrations.integration_instances as i
     set name = rename_instance.name, updated_at = v_now
   where i.tenant_id = v_instance.tenant_id
     and i.id = v_instance.id;

  perform integrations_private.write_audit(v_instance.tenant_id, v_instance.id, 'instance_renamed');
end;
$$;


ALTER FUNCTION integrations.rename_instance(instance_id uuid, name text) OWNER TO integrations_owner;

--
-- Name: FUNCTION rename_instance(instance_id uuid, name text); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.rename_instance(instance_id uuid, name text) IS 'Renames an instance.
Callable by integrations_tenant, svc_integration. Errors: 22023 bad name, 23505 the tenant uses
the name already, IN001 no tenant, IN201 not found.';


--
-- Name: retire_key(uuid); Type: FUNCTION; Schema: integrations; Owner: integrations_keymaster
--

CREATE FUNCTION integrations.retire_key(key_id uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_key record;
  v_count bigint;
begin
  if retire_key.key_id is null then
    raise exception 'key_id must not be null' using errcode = '22023';
  end if;
  -- Writers only lock the key: an older snapshot would not show what they stored in the meantime.
  if pg_catalog.current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
    raise exception 'a key is retired in a transaction of isolation READ COMMITTED only'
      using errcode = '25001', hint = 'BEGIN ISOLATION LEVEL READ COMMITTED, or set the default.';
  end if;

  select k.tenant_id, k.state into v_key
    from integrations_private.tenant_keys as k
   where k.id = retire_key.key_id
     for update;

  if not found or v_key.state in ('retired', 'destroyed') then
    raise exception 'tenant key is destroyed, retired or unknown'
      using errcode = 'IN307', detail = pg_catalog.format('Key %s.', retire_key.key_id);
  end if;

  select pg_catalog.count(*) into v_count
    from integrations.integration_instances as i
   where i.tenant_id = v_key.tenant_id
     and i.credentials_key_id = retire_key.key_id;

  if v_count > 0 then
    raise exception 'tenant key is still needed'
      using errcode = 'IN308',
            detail = pg_catalog.format('Key %s, rows: %s.', retire_key.key_id, v_count),
            hint = 'Move them with reencrypt_batch. Those in quarantine need new credentials.';
  end if;

  update integrations_private.tenant_keys as k
     set state = 'retired', updated_at = v_now
   where k.tenant_id = v_key.tenant_id
     and k.id = retire_key.key_id;

  perform integrations_private.write_audit(
    v_key.tenant_id, null, 'tenant_key_retired',
    pg_catalog.jsonb_build_object('key', retire_key.key_id));
end;
$$;


ALTER FUNCTION integrations.retire_key(key_id uuid) OWNER TO integrations_keymaster;

--
-- Name: FUNCTION retire_key(key_id uuid); Type: COMMENT; Schema: integrations; Owner: integrations_keymaster
--

COMMENT ON FUNCTION integrations.retire_key(key_id uuid) IS 'Takes a data key, of any tenant, out of use. No row may need it any more. It can still be
destroyed.
Callable by integrations_admin. Errors: 22023 null, 25001 another isolation than READ COMMITTED,
IN307 key destroyed, retired or unknown, IN308 still needed.';


--
-- Name: revoke_credentials(uuid); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.revoke_credentials(instance_id uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_instance integrations.integration_instances;
begin
  v_instance := integrations_private.lock_instance(revoke_credentials.instance_id);
  if v_instance.status = 'revoked' then
    perform integrations_private.require_usable(v_instance.id, v_instance.status);
  end if;

  perform integrations_private.move_instance(v_instance, 'revoked', null);
end;
$$;


ALTER FUNCTION integrations.revoke_credentials(instance_id uuid) OWNER TO integrations_owner;

--
-- Name: FUNCTION revoke_credentials(instance_id uuid); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.revoke_credentials(instance_id uuid) IS 'Revokes an instance: erases its credentials and ends its life. credentials_version stays.
Callable by svc_integration. Errors: 22023 null, IN001 no tenant, IN201 not found, IN202 revoked
already.';


--
-- Name: rewrap_keys(text, bytea, text, bytea, integer); Type: FUNCTION; Schema: integrations; Owner: integrations_keymaster
--

CREATE FUNCTION integrations.rewrap_keys(old_kek_id text, old_kek bytea, new_kek_id text, new_kek bytea, max_keys integer DEFAULT 1000) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_known boolean;
  v_key record;
  v_data_key bytea;
  v_wrapped bytea;
  v_count integer := 0;
begin
  if max_keys is null or max_keys < 1 then
    raise exception 'max_keys must be at least 1' using errcode = '22023';
  end if;
  if old_kek_id = new_kek_id then
    raise exception 'the new KEK must have another kek_id' using errcode = '22023';
  end if;

  v_known := integrations_private.check_kek(old_kek_id, old_kek);
  if not v_known then
    raise exception 'key-encryption key is unknown'
      using errcode = 'IN307', detail = pg_catalog.format('KEK %s.', old_kek_id);
  end if;
  v_known := integrations_private.register_kek(new_kek_id, new_kek);

  for v_key in
    select k.tenant_id, k.id, k.wrapped, k.check_value
      from integrations_private.tenant_keys as k
     where k.kek_id = old_kek_id
       and k.wrapped is not null
     order by k.tenant_id, k.version
     limit max_keys
       for no key update
  loop
    v_data_key := integrations_private.unwrap_key(
      v_key.tenant_id, v_key.id, old_kek, v_key.wrapped, v_key.check_value);
    v_wrapped := integrations_private.encrypt_bytes(
      v_data_key, integrations_private.wrapping_passphrase(v_key.tenant_id, v_key.id, new_kek));

    update integrations_private.tenant_keys as k
       set kek_id = new_kek_id, wrapped = v_wrapped, updated_at = v_now
     where k.tenant_id = v_key.tenant_id
       and k.id = v_key.id;

    perform integrations_private.write_audit(
      v_key.tenant_id, null, 'tenant_key_rewrapped',
      pg_catalog.jsonb_build_object('key', v_key.id, 'from', old_kek_id, 'to', new_kek_id));

    v_count := v_count + 1;
  end loop;

  return v_count;
end;
$$;


ALTER FUNCTION integrations.rewrap_keys(old_kek_id text, old_kek bytea, new_kek_id text, new_kek bytea, max_keys integer) OWNER TO integrations_keymaster;

--
-- Name: FUNCTION rewrap_keys(old_kek_id text, old_kek bytea, new_kek_id text, new_kek bytea, max_keys integer); Type: COMMENT; Schema: integrations; Owner: integrations_keymaster
--

COMMENT ON FUNCTION integrations.rewrap_keys(old_kek_id text, old_kek bytea, new_kek_id text, new_kek bytea, max_keys integer) IS 'Wraps up to max_keys data keys, of all tenants, under a new KEK (32 bytes) instead of the old one,
and returns how many. Call it, in a transaction each, until it returns 0; the service can use both
KEKs meanwhile.
Callable by integrations_admin. Errors: 22023 bad argument, IN303 another KEK under one of the
ids, IN304 a stored key was altered, IN307 the old kek_id is unknown.';


--
-- Name: set_definition_status(uuid, integrations.integration_definition_status); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.set_definition_status(definition_id uuid, status integrations.integration_definition_status) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_status integrations.integration_definition_status;
begin
  if definition_id is null or set_definition_status.status is null then
    raise exception 'definition_id and status must not be null' using errcode = '22023';
  end if;

  select d.status into v_status
    from integrations.integration_definitions as d
   where d.id = definition_id
     for no key update;

  if not found then
    raise exception 'integration definition not found'
      using errcode = 'IN101', detail = pg_catalog.format('Definition %s.', definition_id);
  end if;

  if set_definition_status.status <= v_status then
    raise exception 'status cannot move that way'
      using errcode = 'IN104',
            detail = pg_catalog.format('Definition %s is %s.', definition_id, v_status),
            hint = 'A definition moves forward only: draft, published, deprecated, retired.';
  end if;

  update integrations.integration_definitions as d
     set status = set_definition_status.status, updated_at = v_now
   where d.id = definition_id;
end;
$$;


ALTER FUNCTION integrations.set_definition_status(definition_id uuid, status integrations.integration_definition_status) OWNER TO integrations_owner;

--
-- Name: FUNCTION set_definition_status(definition_id uuid, status integrations.integration_definition_status); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.set_definition_status(definition_id uuid, status integrations.integration_definition_status) IS 'Moves a definition forward in its life; steps may be skipped.
Callable by integrations_admin. Errors: 22023 null, IN101 not found, IN104 not forward.';


--
-- Name: set_instance_status(uuid, integrations.integration_instance_status, text); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.set_instance_status(instance_id uuid, status integrations.integration_instance_status, reason text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_instance integrations.integration_instances;
begin
  if set_instance_status.status is null then
    raise exception 'status must not be null' using errcode = '22023';
  end if;
  -- The mark of quarantine keeps a row out of rotation: nobody may write it by hand.
  if set_instance_status.reason = integrations_private.quarantine_reason() then
    raise exception 'reason is reserved' using errcode = '22023';
  end if;

  v_instance := integrations_private.lock_instance(set_instance_status.instance_id);
  perform integrations_private.move_instance(
    v_instance, set_instance_status.status, set_instance_status.reason);
end;
$$;


ALTER FUNCTION integrations.set_instance_status(instance_id uuid, status integrations.integration_instance_status, reason text) OWNER TO integrations_owner;

--
-- Name: FUNCTION set_instance_status(instance_id uuid, status integrations.integration_instance_status, reason text); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.set_instance_status(instance_id uuid, status integrations.integration_instance_status, reason text) IS 'Moves an instance through its life: between active, error and disabled, and from anywhere to
revoked, which is final and erases the credentials. The reason is cut to 1000 characters.
Callable by integrations_tenant, svc_integration. Errors: 22023 null or a reserved reason, IN001
no tenant, IN104 no such move, IN201 not found.';


--
-- Name: set_tenant(uuid); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.set_tenant(tenant_id uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if set_tenant.tenant_id is null then
    raise exception 'tenant_id must not be null'
      using errcode = '22023', hint = 'To leave a tenant, end the transaction.';
  end if;

  execute pg_catalog.format('set local integrations.tenant_id = %L', set_tenant.tenant_id);
end;
$$;


ALTER FUNCTION integrations.set_tenant(tenant_id uuid) OWNER TO integrations_owner;

--
-- Name: FUNCTION set_tenant(tenant_id uuid); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.set_tenant(tenant_id uuid) IS 'Chooses the tenant for the rest of the transaction. Keys unlocked for another tenant become
unusable.
Callable by integrations_tenant, svc_integration, integrations_admin. Errors: 22023 tenant_id is
null.';


--
-- Name: unlock(text, bytea); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.unlock(kek_id text, kek bytea) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_tenant_id uuid := integrations.current_tenant();
  v_known boolean;
  v_kek_check_value bytea;
  v_key_id uuid;
  v_wrapped bytea;
  v_check_value bytea;
  v_keyring text := pg_catalog.current_setting('integrations.keyring', true);
  v_count integer := 0;
begin
  for v_kek_check_value, v_key_id, v_wrapped, v_check_value in
    select e.check_value, k.id, k.wrapped, k.check_value
      from integrations_private.tenant_keys as k
           join integrations_private.key_encryption_keys as e on e.kek_id = k.kek_id
     where k.tenant_id = v_tenant_id
       and k.kek_id = unlock.kek_id
       and k.state in ('active', 'decrypt_only')
  loop
    exit when pg_catalog.octet_length(kek) is distinct from 32
           or integrations_private.kek_check_value(unlock.kek_id, kek)
              is distinct from v_kek_check_value;
    v_keyring := integrations_private.add_to_keyring(
      v_keyring, v_tenant_id, v_key_id,
      integrations_private.unwrap_key(v_tenant_id, v_key_id, kek, v_wrapped, v_check_value));
    v_count := v_count + 1;
  end loop;

  if v_count = 0 then
    v_tenant_id := integrations_private.require_tenant();
    -- Says what is wrong with the KEK, if it is the KEK.
    v_known := integrations_private.check_kek(unlock.kek_id, kek);
    raise exception 'no usable tenant key under this KEK'
      using errcode = 'IN307',
            detail = pg_catalog.format('KEK %s.', unlock.kek_id),
            hint = 'Make one with integrations.create_tenant_key(...).';
  end if;

  v_keyring := pg_catalog.set_config('integrations.keyring', v_keyring, true);
  return v_count;
end;
$$;


ALTER FUNCTION integrations.unlock(kek_id text, kek bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION unlock(kek_id text, kek bytea); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.unlock(kek_id text, kek bytea) IS 'Opens the data keys of the transaction''s tenant that this KEK (32 bytes) wraps, for this
transaction only, and returns how many.
Callable by svc_integration. Errors: 22023 bad argument, IN001 no tenant, IN303 wrong KEK, IN304 a
stored key was altered, IN307 no key under this KEK.';


--
-- Name: unlock_key(uuid, bytea); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.unlock_key(key_id uuid, data_key bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_state integrations_private.tenant_key_state;
  v_check_value bytea;
  v_keyring text;
begin
  if unlock_key.key_id is null then
    raise exception 'key_id must not be null' using errcode = '22023';
  end if;
  if unlock_key.data_key is null or pg_catalog.octet_length(unlock_key.data_key) <> 32 then
    raise exception 'data_key must be 32 bytes' using errcode = '22023';
  end if;

  select k.state, k.check_value into v_state, v_check_value
    from integrations_private.tenant_keys as k
   where k.tenant_id = v_tenant_id
     and k.id = unlock_key.key_id;

  if not found or v_state in ('retired', 'destroyed') then
    raise exception 'tenant key is destroyed, retired or unknown'
      using errcode = 'IN307', detail = pg_catalog.format('Key %s.', unlock_key.key_id);
  end if;

  if integrations_private.data_key_check_value(unlock_key.key_id, unlock_key.data_key)
     <> v_check_value
  then
    raise exception 'wrong tenant key'
      using errcode = 'IN303',
            detail = pg_catalog.format('Key %s.', unlock_key.key_id),
            hint = 'Unwrap what wrapped_keys() returns for this key.';
  end if;

  v_keyring := integrations_private.add_to_keyring(
    pg_catalog.current_setting('integrations.keyring', true), v_tenant_id, unlock_key.key_id,
    unlock_key.data_key);
  v_keyring := pg_catalog.set_config('integrations.keyring', v_keyring, true);
end;
$$;


ALTER FUNCTION integrations.unlock_key(key_id uuid, data_key bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION unlock_key(key_id uuid, data_key bytea); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.unlock_key(key_id uuid, data_key bytea) IS 'Opens one data key (32 bytes) of the transaction''s tenant, for this transaction only. For a
service whose KEK never leaves its key management service.
Callable by svc_integration. Errors: 22023 bad argument, IN001 no tenant, IN303 wrong key, IN307
key destroyed, retired or unknown.';


--
-- Name: update_config(uuid, jsonb); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.update_config(instance_id uuid, config jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_instance integrations.integration_instances;
  v_violation text;
begin
  perform integrations_private.check_config(update_config.config);
  v_instance := integrations_private.lock_instance(update_config.instance_id);
  perform integrations_private.require_usable(v_instance.id, v_instance.status);

  v_violation := integrations_private.schema_violation(
    v_instance.integration_id, 'config', update_config.config);
  if v_violation is not null then
    raise exception 'config does not fit the schema of the definition'
      using errcode = 'IN203', detail = v_violation,
            hint = 'The schema is config_schema of the definition.';
  end if;

  update integrations.integration_instances as i
     set config = update_config.config, updated_at = v_now
   where i.tenant_id = v_instance.tenant_id
     and i.id = v_instance.id;

  perform integrations_private.write_audit(v_instance.tenant_id, v_instance.id, 'config_updated');
end;
$$;


ALTER FUNCTION integrations.update_config(instance_id uuid, config jsonb) OWNER TO integrations_owner;

--
-- Name: FUNCTION update_config(instance_id uuid, config jsonb); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.update_config(instance_id uuid, config jsonb) IS 'Replaces the configuration of an instance.
Callable by integrations_tenant, svc_integration. Errors: 22023 not a JSON object of at most 64
KiB, IN001 no tenant, IN201 not found, IN202 disabled or revoked, IN203 it does not fit.';


--
-- Name: upgrade_instance(uuid, uuid); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.upgrade_instance(instance_id uuid, integration_id uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_instance integrations.integration_instances;
  v_former integrations.integration_definitions;
  v_next integrations.integration_definitions;
  v_key integrations_private.tenant_keys;
  v_violation text;
begin
  if upgrade_instance.integration_id is null then
    raise exception 'integration_id must not be null' using errcode = '22023';
  end if;
  v_instance := integrations_private.lock_instance(upgrade_instance.instance_id);
  perform integrations_private.require_usable(v_instance.id, v_instance.status);

  -- Whoever asks again after a lost answer gets the same one.
  if v_instance.integration_id = upgrade_instance.integration_id then
    return;
  end if;

  select d.* into v_former
    from integrations.integration_definitions as d
   where d.id = v_instance.integration_id;
  select d.* into v_next
    from integrations.integration_definitions as d
   where d.id = upgrade_instance.integration_id;

  if not found then
    raise exception 'integration definition not found'
      using errcode = 'IN101',
            detail = pg_catalog.format('Definition %s.', upgrade_instance.integration_id);
  end if;

  if v_next.name <> v_former.name then
    raise exception 'integration_id must be a version of the same connector'
      using errcode = '22023',
            detail = pg_catalog.format('Definition %s is of another name than %s.',
                                       v_next.id, v_former.id),
            hint = 'An installation of another connector is a new instance.';
  end if;

  if v_next.status <> 'published' then
    raise exception 'integration definition is not published'
      using errcode = 'IN103',
            detail = pg_catalog.format('Definition %s is %s.', v_next.id, v_next.status),
            hint = 'Only a published definition can be installed.';
  end if;

  v_violation := integrations_private.schema_violation(v_next.id, 'config', v_instance.config);
  if v_violation is not null then
    raise exception 'config does not fit the schema of the definition'
      using errcode = 'IN203', detail = v_violation,
            hint = 'The schema is config_schema of the definition.';
  end if;

  -- What fitted the former schema fits the same one again, and {} takes everything.
  if v_instance.credentials is not null
     and v_next.credentials_schema not in ('{}', v_former.credentials_schema)
  then
    select k.* into v_key
      from integrations_private.tenant_keys as k
     where k.tenant_id = v_instance.tenant_id
       and k.id = v_instance.credentials_key_id;
    v_violation := integrations_private.schema_violation(
      v_next.id, 'credentials',
      integrations_private.open_credentials(
        v_instance.tenant_id, v_instance.id, v_key.id, v_instance.credentials_version,
        integrations_private.opened_key(
          v_instance.tenant_id, v_key.id, v_key.state, v_key.check_value),
        v_instance.credentials)::jsonb);
    if v_violation is not null then
      raise exception 'credentials do not fit the schema of the definition'
        using errcode = 'IN204', detail = v_violation,
              hint = 'The schema is credentials_schema of the definition.';
    end if;
  end if;

  update integrations.integration_instances as i
     set integration_id = v_next.id, updated_at = v_now
   where i.tenant_id = v_instance.tenant_id
     and i.id = v_instance.id;

  perform integrations_private.write_audit(
    v_instance.tenant_id, v_instance.id, 'instance_upgraded',
    pg_catalog.jsonb_build_object('from', v_former.id, 'to', v_next.id));
end;
$$;


ALTER FUNCTION integrations.upgrade_instance(instance_id uuid, integration_id uuid) OWNER TO integrations_owner;

--
-- Name: FUNCTION upgrade_instance(instance_id uuid, integration_id uuid); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.upgrade_instance(instance_id uuid, integration_id uuid) IS 'Moves an instance to another published version of its connector, whose schemas its config and
its stored credentials must fit. Where credentials have to be checked, they must be unlocked. To
the version that it has already it is no move, and no error.
Callable by integrations_tenant, svc_integration. Errors: 22023 null, or another connector,
IN001 no tenant, IN101 definition not found, IN103 not published, IN201 not found, IN202
disabled or revoked, IN203 config does not fit, IN204 credentials do not fit, IN302 locked,
IN303 wrong key, IN304 integrity check failed, IN307 no key.';


--
-- Name: wrapped_keys(); Type: FUNCTION; Schema: integrations; Owner: integrations_owner
--

CREATE FUNCTION integrations.wrapped_keys() RETURNS TABLE(key_id uuid, kek_id text, state text, wrapped bytea)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_tenant_id constant uuid := integrations_private.require_tenant();
begin
  return query
    select k.id, k.kek_id, k.state::text, k.wrapped
      from integrations_private.tenant_keys as k
     where k.tenant_id = v_tenant_id
       and k.wrapped is not null
     order by k.version desc;
end;
$$;


ALTER FUNCTION integrations.wrapped_keys() OWNER TO integrations_owner;

--
-- Name: FUNCTION wrapped_keys(); Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations.wrapped_keys() IS 'Returns the data keys of the transaction''s tenant that are not destroyed, still wrapped, the
newest first.
Callable by svc_integration. Errors: IN001 no tenant.';


--
-- Name: add_audit_partition(timestamp with time zone, timestamp with time zone); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.add_audit_partition(since timestamp with time zone, until timestamp with time zone) RETURNS regclass
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_name constant text :=
    'audit_log_' || coalesce(pg_catalog.to_char(since at time zone 'UTC', 'YYYY_MM'), 'default');
  v_table constant text := pg_catalog.format('integrations_private.%I', v_name);
  v_grantee text;
  -- Whatever the session's way to write and read times.
  v_format constant text := 'YYYY-MM-DD HH24:MI:SS"Z"';
begin
  execute pg_catalog.format(
    'create table %s (like integrations_private.audit_log'
    ' including comments including constraints including defaults)', v_table);
  execute pg_catalog.format('alter table %s enable row level security', v_table);
  execute pg_catalog.format('alter table %s force row level security', v_table);
  execute pg_catalog.format(
    'comment on table %s is %L', v_table,
    case
      when since is null
      then 'Entries of the audit log of months without a partition of their own.'
      else 'Entries of the audit log of one month, in UTC.'
    end);

  -- Default privileges of the owner would give it to others. PUBLIC is no role that is found.
  for v_grantee in
    select distinct coalesce(r.rolname, 'public')::text
      from pg_catalog.pg_class as c
           cross join lateral pg_catalog.aclexplode(c.relacl) as a
           left join pg_catalog.pg_roles as r on r.oid = a.grantee
     where c.oid = v_table::regclass
       and a.grantee <> c.relowner
  loop
    execute pg_catalog.format('revoke all on %s from %I', v_table, v_grantee);
  end loop;

  execute pg_catalog.format(
    'create trigger _110_no_truncate before truncate on %s'
    ' for each statement execute function integrations_private.tg_audit_log__append_only()',
    v_table);
  execute pg_catalog.format(
    'comment on trigger _110_no_truncate on %s is %L', v_table, 'Refuses to empty the partition.');
  execute pg_catalog.format('alter table %s enable always trigger _110_no_truncate', v_table);

  if since is null then
    execute pg_catalog.format(
      'alter table integrations_private.audit_log attach partition %s default', v_table);
  else
    execute pg_catalog.format(
      'alter table integrations_private.audit_log attach partition %s'
      ' for values from (%L) to (%L)',
      v_table,
      pg_catalog.to_char(since at time zone 'UTC', v_format),
      pg_catalog.to_char(until at time zone 'UTC', v_format));
  end if;

  return v_table::regclass;
end;
$$;


ALTER FUNCTION integrations_private.add_audit_partition(since timestamp with time zone, until timestamp with time zone) OWNER TO integrations_owner;

--
-- Name: FUNCTION add_audit_partition(since timestamp with time zone, until timestamp with time zone); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.add_audit_partition(since timestamp with time zone, until timestamp with time zone) IS 'Adds a month''s partition to the audit log, or the default one (NULL), guarded like every other,
and returns it.';


--
-- Name: add_to_keyring(text, uuid, uuid, bytea); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.add_to_keyring(keyring text, tenant_id uuid, key_id uuid, data_key bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_at integer;
begin
  if pg_catalog.left(keyring, 36) is distinct from add_to_keyring.tenant_id::text then
    keyring := add_to_keyring.tenant_id::text;
  else
    -- The same key again takes the place of its former entry, or of what a caller put there.
    loop
      v_at := pg_catalog.strpos(keyring, pg_catalog.format('|%s=', add_to_keyring.key_id));
      exit when v_at = 0;
      keyring := overlay(keyring placing '' from v_at for 102);
    end loop;
  end if;

  return pg_catalog.format(
    '%s|%s=%s', keyring, add_to_keyring.key_id, pg_catalog.encode(data_key, 'hex'));
end;
$$;


ALTER FUNCTION integrations_private.add_to_keyring(keyring text, tenant_id uuid, key_id uuid, data_key bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION add_to_keyring(keyring text, tenant_id uuid, key_id uuid, data_key bytea); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.add_to_keyring(keyring text, tenant_id uuid, key_id uuid, data_key bytea) IS 'Returns the keyring with a data key of the tenant added.';


--
-- Name: bound_audit_default(timestamp with time zone, timestamp with time zone); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.bound_audit_default(since timestamp with time zone, until timestamp with time zone) RETURNS regclass
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_table constant regclass := 'integrations_private.audit_log_default'::regclass;
  v_first constant text := pg_catalog.to_char(since at time zone 'UTC', 'YYYY_MM');
  v_last constant text := pg_catalog.to_char(
    integrations_private.month_of(until, -1) at time zone 'UTC', 'YYYY_MM');
  v_name constant text :=
    'audit_log_' || v_first || case when v_first <> v_last then '_to_' || v_last else '' end;
  v_index record;
  -- Whatever the session's way to write and read times.
  v_format constant text := 'YYYY-MM-DD HH24:MI:SS"Z"';
begin
  alter table integrations_private.audit_log
    detach partition integrations_private.audit_log_default;

  for v_index in
    select i.indexrelid::regclass as index, c.relname
      from pg_catalog.pg_index as i
           join pg_catalog.pg_class as c on c.oid = i.indexrelid
     where i.indrelid = v_table
  loop
    execute pg_catalog.format(
      'alter index %s rename to %I', v_index.index,
      pg_catalog.replace(v_index.relname, 'audit_log_default', v_name));
  end loop;
  execute pg_catalog.format('alter table %s rename to %I', v_table, v_name);
  execute pg_catalog.format(
    'comment on table %s is %L', v_table, 'Entries of the audit log of whole months, in UTC.');

  perform integrations_private.add_audit_partition(null, null);

  execute pg_catalog.format(
    'alter table integrations_private.audit_log attach partition %s for values from (%L) to (%L)',
    v_table,
    pg_catalog.to_char(since at time zone 'UTC', v_format),
    pg_catalog.to_char(until at time zone 'UTC', v_format));

  return v_table;
end;
$$;


ALTER FUNCTION integrations_private.bound_audit_default(since timestamp with time zone, until timestamp with time zone) OWNER TO integrations_owner;

--
-- Name: FUNCTION bound_audit_default(since timestamp with time zone, until timestamp with time zone); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.bound_audit_default(since timestamp with time zone, until timestamp with time zone) IS 'Makes the default partition of the audit log one of whole months, with an empty default one in its
place, and returns it. Fails if it has entries of other months.';


--
-- Name: check_config(jsonb); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.check_config(config jsonb) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
begin
  if pg_catalog.jsonb_typeof(check_config.config) is distinct from 'object'
     -- Of so many bytes none has a short text, and to look into millions of values takes long.
     or pg_catalog.pg_column_size(check_config.config) > 524288
     -- Many a reader of JSON fails at deep nesting, and with it a list of all tenants' rows.
     or check_config.config @? '$.**{101}'
     or not integrations_private.numbers_are_short(check_config.config)
     or pg_catalog.octet_length(check_config.config::text) > 65536
  then
    raise exception 'config must be a JSON object of at most 64 KiB'
      using errcode = '22023',
            hint = 'Not nested over 100 levels; numbers count as written out.';
  end if;
end;
$_$;


ALTER FUNCTION integrations_private.check_config(config jsonb) OWNER TO integrations_owner;

--
-- Name: FUNCTION check_config(config jsonb); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.check_config(config jsonb) IS 'Refuses a configuration that is not a JSON object, too large, or nested over 100 levels. Errors:
22023.';


--
-- Name: check_kek(text, bytea); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.check_kek(kek_id text, kek bytea) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_stored bytea;
begin
  perform integrations_private.check_name(check_kek.kek_id, 'kek_id');
  if kek is null or pg_catalog.octet_length(kek) <> 32 then
    raise exception 'kek must be 32 bytes' using errcode = '22023';
  end if;

  select k.check_value into v_stored
    from integrations_private.key_encryption_keys as k
   where k.kek_id = check_kek.kek_id;

  -- Without a check value the name is that of a KEK that never comes to the database.
  if found
     and v_stored is distinct from integrations_private.kek_check_value(check_kek.kek_id, kek)
  then
    raise exception 'wrong key-encryption key'
      using errcode = 'IN303',
            detail = pg_catalog.format('KEK %s.', check_kek.kek_id),
            hint = 'A kek_id names one key for ever. Check which key the service holds under it.';
  end if;

  return v_stored is not null;
end;
$$;


ALTER FUNCTION integrations_private.check_kek(kek_id text, kek bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION check_kek(kek_id text, kek bytea); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.check_kek(kek_id text, kek bytea) IS 'Refuses a KEK that is malformed, or other than the one known by its name; returns whether the name
is known. Errors: 22023, IN303.';


--
-- Name: check_name(text, text); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.check_name(name text, what text DEFAULT 'name'::text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if check_name.name !~ '[^[:space:]]' or pg_catalog.char_length(check_name.name) > 200
     or check_name.name is null
  then
    raise exception '% must have 1 to 200 characters, not all blank', what using errcode = '22023';
  end if;
end;
$$;


ALTER FUNCTION integrations_private.check_name(name text, what text) OWNER TO integrations_owner;

--
-- Name: FUNCTION check_name(name text, what text); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.check_name(name text, what text) IS 'Refuses a name that an instance, a KEK or a worker cannot have. Errors: 22023.';


--
-- Name: compile_schema(jsonb, text); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.compile_schema(schema jsonb, name text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  -- Keywords whose value is a schema, an array of schemas, or an object of schemas.
  v_one constant text[] := array[
    'not', 'if', 'then', 'else', 'items', 'contains', 'additionalProperties', 'propertyNames',
    'contentSchema'];
  v_many constant text[] := array['allOf', 'anyOf', 'oneOf', 'prefixItems'];
  v_named constant text[] := array[
    'properties', 'patternProperties', 'dependentSchemas', '$defs', 'definitions'];
  -- Those whose schemas look at the same value as the keyword.
  v_in_place constant text[] := array[
    '$ref', 'allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else', 'dependentSchemas'];
  v_too_complex constant text := 'the patterns up to here are too complex together';

  v_schemas jsonb[] := array[schema];        -- compiled, or yet to be
  v_pointers text[] := array[''];            -- where each of them stands
  v_origins text[] := array['false'];        -- under which keyword it was found
  -- The numbers of those that a reference found before the schemas around them were read.
  v_referred jsonb := pg_catalog.jsonb_build_object();
  v_rules jsonb[] := array[]::jsonb[];
  v_edges jsonb[] := array[]::jsonb[];       -- for each, those that look at the same value
  v_n integer := 0;
  v_rule jsonb;
  v_targets integer[];                       -- of the schema at hand
  v_entries jsonb[];                         -- of the keyword at hand
  v_keyword text;
  v_content jsonb;
  v_compiled jsonb;
  v_group text;
  v_reference record;
  v_pointer text;
  v_target jsonb;
  v_pattern record;
  v_reading integer := 0;                    -- what the engine needs to read the patterns, in steps
  v_sub record;
  v_place integer;
  v_at text := '';
  v_problem text;
begin
  if not integrations_private.numbers_are_short(schema)
     or pg_catalog.octet_length(schema::text) > 65536
  then
    v_problem := 'it has more than 64 KiB';
  elsif schema @? '$.**{101}' then
    v_problem := 'it is nested over 100 levels';
  end if;

  <<schemas>>
  while v_problem is null and v_n < pg_catalog.cardinality(v_schemas) loop
    v_n := v_n + 1;
    v_at := v_pointers[v_n];
    v_rule := '{}';
    v_targets := array[]::integer[];

    if v_schemas[v_n] = 'false' then
      v_rule := pg_catalog.jsonb_build_object('false', v_origins[v_n]);
    elsif pg_catalog.jsonb_typeof(v_schemas[v_n]) not in ('object', 'boolean') then
      v_problem := 'a schema must be an object, true or false';
      exit schemas;
    end if;

    for v_keyword, v_content in
      select e.key, e.value
        from pg_catalog.jsonb_each(
               case pg_catalog.jsonb_typeof(v_schemas[v_n])
                 when 'object' then v_schemas[v_n]
               end) as e
    loop
      v_at := v_pointers[v_n] || integrations_private.pointer_token(v_keyword);
      v_problem := integrations_private.keyword_problem(v_keyword, v_content, v_n = 1);
      exit schemas when v_problem is not null;

      v_pointer := null;
      v_compiled := v_content;
      if v_keyword = '$ref' then
        v_reference := integrations_private.find_reference(v_content #>> '{}', schema);
        v_problem := v_reference.refusal;
        v_pointer := v_reference.pointer;
        v_target := v_reference.target;
      elsif v_keyword = 'pattern' then
        v_pattern := integrations_private.translate_pattern(v_content #>> '{}');
        v_reading := v_reading + v_pattern.start_cost;
        v_problem := case when v_reading > 100000 then v_too_complex else v_pattern.refusal end;
        v_compiled := pg_catalog.jsonb_build_array(
          v_pattern.translated, v_pattern.start_cost, v_pattern.length_cost);
      elsif v_keyword = 'type' and pg_catalog.jsonb_typeof(v_content) = 'string' then
        v_compiled := pg_catalog.jsonb_build_array(v_content);
      elsif v_keyword = 'dependentRequired' then
        select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(e.key, e.value)), '[]')
          into v_compiled
          from pg_catalog.jsonb_each(v_content) as e;
      end if;
      exit schemas when v_problem is not null;

      if v_keyword = '$ref' or v_keyword = any (v_one || v_many || v_named) then
        v_entries := array[]::jsonb[];
        for v_sub in
          select null as name, '' as token, v_pointer as pointer, v_target as schema
           where v_pointer is not null
          union all
          select null, '', v_at, v_content
           where v_keyword = any (v_one)
          union all
          select null, '', v_at || '/' || (e.position - 1), e.schema
            from pg_catalog.jsonb_array_elements(
                   case when v_keyword = any (v_many) then v_content end)
                 with ordinality as e (schema, position)
          union all
          select e.name, t.token, v_at || t.token, e.schema
            from pg_catalog.jsonb_each(case when v_keyword = any (v_named) then v_content end)
                   as e (name, schema)
                 cross join integrations_private.pointer_token(e.name) as t (token)
        loop
          v_place := (v_referred ->> v_sub.pointer)::integer;
          if v_place is null and v_keyword = '$ref' then
            v_place := pg_catalog.array_position(v_pointers, v_sub.pointer) - 1;
          end if;
          if v_place is null then
            v_place := pg_catalog.cardinality(v_schemas);
            v_schemas[v_place + 1] := v_sub.schema;
            v_pointers[v_place + 1] := v_sub.pointer;
            v_origins[v_place + 1] := v_keyword;
            if v_keyword = '$ref' then
              v_referred := v_referred || pg_catalog.jsonb_build_object(v_sub.pointer, v_place);
            end if;
          end if;

          if v_keyword = any (v_in_place) then
            v_targets[pg_catalog.cardinality(v_targets) + 1] := v_place;
          end if;

          if v_keyword = 'patternProperties' then
            v_at := v_sub.pointer;
            v_pattern := integrations_private.translate_pattern(v_sub.name);
            v_reading := v_reading + v_pattern.start_cost;
            v_problem := case when v_reading > 100000 then v_too_complex else v_pattern.refusal end;
            exit schemas when v_problem is not null;
            v_entries[pg_catalog.cardinality(v_entries) + 1] := pg_catalog.jsonb_build_array(
              v_pattern.translated, v_pattern.start_cost, v_pattern.length_cost, v_place);
          elsif v_sub.name is not null then
            v_entries[pg_catalog.cardinality(v_entries) + 1] :=
              pg_catalog.jsonb_build_array(v_sub.name, v_sub.token, v_place);
          else
            v_entries[pg_catalog.cardinality(v_entries) + 1] := pg_catalog.to_jsonb(v_place);
          end if;
        end loop;

        v_compiled := case
          when v_keyword = any (v_many || v_named) then pg_catalog.to_jsonb(v_entries)
          else v_entries[1]
        end;
      end if;

      -- What a keyword is about: a type by the name that jsonb_typeof has for it, or any value.
      v_group := case
        when v_keyword in ('type', 'enum', 'const') then 'itself'
        when v_keyword in ('minLength', 'maxLength', 'pattern') then 'string'
        when v_keyword in ('multipleOf', 'minimum', 'maximum', 'exclusiveMinimum',
                           'exclusiveMaximum') then 'number'
        when v_keyword in ('items', 'prefixItems', 'contains', 'minContains', 'maxContains',
                           'minItems', 'maxItems', 'uniqueItems') then 'array'
        when v_keyword in ('properties', 'patternProperties', 'additionalProperties',
                           'propertyNames', 'required', 'dependentRequired', 'dependentSchemas',
                           'minProperties', 'maxProperties') then 'object'
        when v_keyword in ('$ref', 'allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else')
          then 'logic'
      end;
      if v_group = 'itself' then
        v_rule := v_rule || pg_catalog.jsonb_build_object(v_keyword, v_compiled);
      elsif v_group is not null then
        v_rule := v_rule || pg_catalog.jsonb_build_object(
          v_group,
          coalesce(v_rule -> v_group, '{}')
          || pg_catalog.jsonb_build_object(v_keyword, v_compiled)
          || case
               when v_keyword = 'additionalProperties' then
                 pg_catalog.jsonb_build_object(
                   'named',
                   array(
                     select pg_catalog.jsonb_object_keys(v_schemas[v_n] -> 'properties'))::text)
               else '{}'
             end);
      end if;
    end loop;

    v_rules[v_n] := v_rule;
    v_edges[v_n] := pg_catalog.to_jsonb(v_targets);
  end loop;

  if v_problem is null then
    v_place := integrations_private.find_loop(v_edges);
    if v_place is not null then
      v_at := v_pointers[v_place];
      v_problem := 'it refers to itself without end';
    end if;
  end if;

  if v_problem is not null then
    raise exception 'schema is invalid or not supported'
      using errcode = 'IN105',
            detail = pg_catalog.format(
              '%s, pointer %s: %s.', compile_schema.name, pg_catalog.to_json(v_at), v_problem),
            hint = 'JSON Schema, draft 2020-12, with the keywords and limits of docs/schemas.md.';
  end if;

  return pg_catalog.to_jsonb(v_rules);
end;
$_$;


ALTER FUNCTION integrations_private.compile_schema(schema jsonb, name text) OWNER TO integrations_owner;

--
-- Name: FUNCTION compile_schema(schema jsonb, name text); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.compile_schema(schema jsonb, name text) IS 'The form of a JSON Schema that evaluate_schema reads: an array of rules, the whole schema
first. name says in errors which schema it is. Errors: IN105 invalid or not supported, with its
path.';


--
-- Name: credentials_expire_at(jsonb); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.credentials_expire_at(credentials jsonb) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  v_at constant text := credentials ->> 'expires_at';
  v_in constant text := credentials ->> 'expires_in';
  v_now constant timestamptz := pg_catalog.clock_timestamp();
begin
  if v_at ~ (
       '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?'
       || '([Zz]|[+-][0-9]{2}:[0-9]{2})$')
  then
    if v_at::timestamptz between timestamptz '0001-01-03 00:00:00Z'
                             and timestamptz '9999-12-30 00:00:00Z'
    then
      return v_at::timestamptz;
    end if;
  elsif v_at ~ '^[0-9]{1,11}([.][0-9]+)?$' then
    return pg_catalog.to_timestamp(v_at::double precision);
  elsif v_at is null and v_in ~ '^[0-9]{1,11}([.][0-9]+)?$' then
    return v_now + pg_catalog.make_interval(secs => v_in::double precision);
  end if;

  return null;
exception when others then
  return null;
end;
$_$;


ALTER FUNCTION integrations_private.credentials_expire_at(credentials jsonb) OWNER TO integrations_owner;

--
-- Name: FUNCTION credentials_expire_at(credentials jsonb); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.credentials_expire_at(credentials jsonb) IS 'When credentials expire: expires_at (RFC 3339 or epoch seconds), else now plus expires_in seconds,
else NULL; NULL for a bad value.';


--
-- Name: hmac(bytea, bytea); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.hmac(data bytea, key bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN pgcrypto.hmac(data, key, 'sha256'::text);


ALTER FUNCTION integrations_private.hmac(data bytea, key bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION hmac(data bytea, key bytea); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.hmac(data bytea, key bytea) IS 'HMAC-SHA-256 of data under key.';


--
-- Name: credentials_subkey(text, uuid, uuid, uuid, integer, bytea); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.credentials_subkey(purpose text, tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN integrations_private.hmac(convert_to(format('%s|v1|%s|%s|%s|%s'::text, purpose, tenant_id, instance_id, key_id, version), 'UTF8'::name), data_key);


ALTER FUNCTION integrations_private.credentials_subkey(purpose text, tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION credentials_subkey(purpose text, tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.credentials_subkey(purpose text, tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea) IS 'The subkey for one purpose (''enc'' or ''mac'') of one version of one instance''s credentials.';


--
-- Name: data_key_check_value(uuid, bytea); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.data_key_check_value(key_id uuid, data_key bytea) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN substr(integrations_private.hmac(convert_to(('check|v1|'::text || (key_id)::text), 'UTF8'::name), data_key), 1, 16);


ALTER FUNCTION integrations_private.data_key_check_value(key_id uuid, data_key bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION data_key_check_value(key_id uuid, data_key bytea); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.data_key_check_value(key_id uuid, data_key bytea) IS 'The first 16 bytes of the HMAC of the id of a data key under the key.';


--
-- Name: decrypt_bytes(bytea, text); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.decrypt_bytes(ciphertext bytea, passphrase text) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN pgcrypto.pgp_sym_decrypt_bytea(ciphertext, passphrase);


ALTER FUNCTION integrations_private.decrypt_bytes(ciphertext bytea, passphrase text) OWNER TO integrations_owner;

--
-- Name: FUNCTION decrypt_bytes(ciphertext bytea, passphrase text); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.decrypt_bytes(ciphertext bytea, passphrase text) IS 'The bytes of an OpenPGP message. Check them: OpenPGP alone does not protect its integrity.';


--
-- Name: decrypt_text(bytea, text); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.decrypt_text(ciphertext bytea, passphrase text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN pgcrypto.pgp_sym_decrypt(ciphertext, passphrase);


ALTER FUNCTION integrations_private.decrypt_text(ciphertext bytea, passphrase text) OWNER TO integrations_owner;

--
-- Name: FUNCTION decrypt_text(ciphertext bytea, passphrase text); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.decrypt_text(ciphertext bytea, passphrase text) IS 'The text of an OpenPGP message. Check its MAC first: OpenPGP alone does not protect its
integrity.';


--
-- Name: drop_audit_partition(regclass); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.drop_audit_partition(partition regclass) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
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
$$;


ALTER FUNCTION integrations_private.drop_audit_partition(partition regclass) OWNER TO integrations_owner;

--
-- Name: FUNCTION drop_audit_partition(partition regclass); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.drop_audit_partition(partition regclass) IS 'Detaches and drops a partition of the audit log whose last month has been over for a day. Errors:
22023 it is not, or is no such partition.';


--
-- Name: encrypt_bytes(bytea, text); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.encrypt_bytes(plaintext bytea, passphrase text) RETURNS bytea
    LANGUAGE sql PARALLEL SAFE
    RETURN pgcrypto.pgp_sym_encrypt_bytea(plaintext, passphrase, 'cipher-algo=aes256,s2k-mode=1,compress-algo=0'::text);


ALTER FUNCTION integrations_private.encrypt_bytes(plaintext bytea, passphrase text) OWNER TO integrations_owner;

--
-- Name: FUNCTION encrypt_bytes(plaintext bytea, passphrase text); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.encrypt_bytes(plaintext bytea, passphrase text) IS 'OpenPGP message of bytes. The passphrase must carry 256 bits of entropy: it is not stretched.';


--
-- Name: encrypt_text(text, text); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.encrypt_text(plaintext text, passphrase text) RETURNS bytea
    LANGUAGE sql PARALLEL SAFE
    RETURN pgcrypto.pgp_sym_encrypt(plaintext, passphrase, 'cipher-algo=aes256,s2k-mode=1,compress-algo=0'::text);


ALTER FUNCTION integrations_private.encrypt_text(plaintext text, passphrase text) OWNER TO integrations_owner;

--
-- Name: FUNCTION encrypt_text(plaintext text, passphrase text); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.encrypt_text(plaintext text, passphrase text) IS 'OpenPGP message of a text. The passphrase must carry 256 bits of entropy: it is not stretched.';


--
-- Name: envelope_key_id(jsonb); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.envelope_key_id(envelope jsonb) RETURNS uuid
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
begin
  return
    case
      when envelope @> '{"v": 1}'
           and envelope - array['v', 'key', 'version', 'ct', 'mac'] = '{}'
           and pg_catalog.jsonb_typeof(envelope -> 'version') = 'number'
           and pg_catalog.jsonb_typeof(envelope -> 'ct') = 'string'
           and pg_catalog.jsonb_typeof(envelope -> 'mac') = 'string'
           and pg_catalog.octet_length(envelope ->> 'ct') <= 131072
           and envelope ->> 'key' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
        then (envelope ->> 'key')::uuid
    end;
end;
$_$;


ALTER FUNCTION integrations_private.envelope_key_id(envelope jsonb) OWNER TO integrations_owner;

--
-- Name: FUNCTION envelope_key_id(envelope jsonb); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.envelope_key_id(envelope jsonb) IS 'Returns the tenant key that an encrypted envelope of format 1 names; NULL for whatever else.';


--
-- Name: evaluate_schema(jsonb, integer, jsonb, integer, integer); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.evaluate_schema(rules jsonb, rule integer, document jsonb, depth integer, INOUT steps integer, OUT pointer text, OUT keyword text, OUT missing text) RETURNS record
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  -- Whatever must hold of a part of the document, in the order in which it came up. Below a name
  -- that the schema does not have, the pointer stays where it is.
  v_numbers integer[] := array[rule];
  v_values jsonb[] := array[document];
  v_places integer[] := array[1];            -- which of the values, so that none is there twice
  v_pointers text[] := array[''];
  v_are_named boolean[] := array[true];
  v_known integer := 1;
  v_done integer := 0;

  v_rule jsonb;
  v_value jsonb;
  v_type text;
  v_is_named boolean;
  v_rules jsonb;
  v_list jsonb;
  v_entry jsonb;
  v_part jsonb;
  v_keys jsonb;
  v_matched text[];                          -- names that met a pattern; NULL for the others
  v_text text;
  v_number numeric;
  v_count integer;
  v_matches integer;
  v_probe record;
begin
  if depth > 200 then
    raise exception 'conditions of the schema nest too deeply for this document'
      using errcode = 'program_limit_exceeded';
  end if;

  loop
    -- Here, and not where a rule is done: a condition that fails leaves before that, and a thousand
    -- of them would cost nothing.
    if steps < 0 then
      raise exception 'validation takes too many steps' using errcode = 'program_limit_exceeded';
    end if;
    exit when v_done = v_known;
    v_done := v_done + 1;
    v_rule := rules -> v_numbers[v_done];
    v_value := v_values[v_places[v_done]];
    steps := steps - 1
             - (pg_catalog.pg_column_size(v_rule) + pg_catalog.pg_column_size(v_value)) / 128;
    v_type := pg_catalog.jsonb_typeof(v_value);
    v_is_named := v_are_named[v_done];
    pointer := v_pointers[v_done];

    if v_rule ? 'false' then
      keyword := v_rule ->> 'false';
      return;
    end if;

    v_list := v_rule -> 'type';
    if v_list is not null and not v_list ? v_type then
      v_number := case when v_type = 'number' and v_list ? 'integer' then v_value::numeric end;
      if v_number <> pg_catalog.trunc(v_number) is not false then
        keyword := 'type';
        return;
      end if;
    end if;

    if v_rule ? 'const' and v_rule -> 'const' <> v_value then
      keyword := 'const';
      return;
    end if;

    v_list := v_rule -> 'enum';
    if v_list is not null then
      keyword := 'enum';
      if v_type not in ('object', 'array') then
        keyword := case when v_list @> v_value then null else keyword end;
      else
        for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
          if v_list -> v_i = v_value then
            keyword := null;
            exit;
          end if;
        end loop;
      end if;
      if keyword is not null then
        return;
      end if;
    end if;

    -- What a keyword says of a number or an array, it does not say of a string.
    v_rules := v_rule -> v_type;
    if v_rules is null then
      null;

    elsif v_type = 'string' then
      v_text := v_value #>> '{}';
      v_count := pg_catalog.char_length(v_text);
      v_entry := v_rules -> 'pattern';
      if v_count < (v_rules -> 'minLength')::integer then
        keyword := 'minLength';
      elsif v_count > (v_rules -> 'maxLength')::integer then
        keyword := 'maxLength';
      elsif v_entry is not null then
        steps := steps - (v_entry -> 1)::integer - v_count * (v_entry -> 2)::integer / 1000;
        if v_count > 8192 then
          raise exception 'a string of over 8192 characters meets a pattern'
            using errcode = 'program_limit_exceeded';
        elsif v_text !~ ((v_entry ->> 0) collate pg_catalog."C") then
          keyword := 'pattern';
        end if;
      end if;

    elsif v_type = 'number' then
      v_number := v_value::numeric;
      keyword := case
        when v_number < (v_rules -> 'minimum')::numeric then 'minimum'
        when v_number > (v_rules -> 'maximum')::numeric then 'maximum'
        when v_number <= (v_rules -> 'exclusiveMinimum')::numeric then 'exclusiveMinimum'
        when v_number >= (v_rules -> 'exclusiveMaximum')::numeric then 'exclusiveMaximum'
      end;
      if keyword is null and v_rules ? 'multipleOf' then
        if pg_catalog.abs(v_number) >= 1e1000 or pg_catalog.scale(v_number) > 1000 then
          raise exception 'a number of over 1000 digits meets multipleOf'
            using errcode = 'program_limit_exceeded';
        elsif v_number % (v_rules -> 'multipleOf')::numeric <> 0 then
          keyword := 'multipleOf';
        end if;
      end if;

    elsif v_type = 'array' then
      v_count := pg_catalog.jsonb_array_length(v_value);
      if v_count < (v_rules -> 'minItems')::integer then
        keyword := 'minItems';
      elsif v_count > (v_rules -> 'maxItems')::integer then
        keyword := 'maxItems';
      elsif v_rules -> 'uniqueItems' = 'true' then
        steps := steps - v_count;
        if not integrations_private.items_are_unique(v_value) then
          keyword := 'uniqueItems';
        end if;
      end if;

      if keyword is null and v_rules ? 'contains' then
        v_matches := 0;
        for v_i in 0 .. v_count - 1 loop
          v_probe := integrations_private.evaluate_schema(
            rules, (v_rules -> 'contains')::integer, v_value -> v_i, depth + 1, steps);
          steps := v_probe.steps;
          v_matches := v_matches + (v_probe.keyword is null)::integer;
        end loop;
        keyword := case
          when v_matches < (v_rules -> 'minContains')::integer then 'minContains'
          when v_matches = 0 and not v_rules ? 'minContains' then 'contains'
          when v_matches > (v_rules -> 'maxContains')::integer then 'maxContains'
        end;
      end if;

      if keyword is null and v_rules ?| array['prefixItems', 'items'] then
        v_list := coalesce(v_rules -> 'prefixItems', '[]');
        v_matches := pg_catalog.jsonb_array_length(v_list);
        if v_count > v_matches and rules -> (v_rules -> 'items')::integer ? 'false' then
          keyword := 'items';
          return;
        end if;
        for v_i in 0 .. v_count - 1 loop
          v_entry := case when v_i < v_matches then v_list -> v_i else v_rules -> 'items' end;
          exit when v_entry is null;
          v_known := v_known + 1;
          v_numbers[v_known] := v_entry::integer;
          v_values[v_known] := v_value -> v_i;
          v_places[v_known] := v_known;
          v_pointers[v_known] := case when v_is_named then pointer || '/' || v_i else pointer end;
          v_are_named[v_known] := v_is_named;
        end loop;
      end if;

    else
      v_list := coalesce(v_rules -> 'required', '[]');
      for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
        if not v_value ? (v_list ->> v_i) then
          keyword := 'required';
          missing := v_list ->> v_i;
          return;
        end if;
      end loop;

      if v_rules ?| array['minProperties', 'maxProperties', 'propertyNames', 'patternProperties']
      then
        v_keys := pg_catalog.jsonb_path_query_array(v_value, '$.keyvalue().key');
        v_count := pg_catalog.jsonb_array_length(v_keys);
        if v_count < (v_rules -> 'minProperties')::integer then
          keyword := 'minProperties';
        elsif v_count > (v_rules -> 'maxProperties')::integer then
          keyword := 'maxProperties';
        elsif v_rules ? 'propertyNames' then
          for v_i in 0 .. v_count - 1 loop
            v_probe := integrations_private.evaluate_schema(
              rules, (v_rules -> 'propertyNames')::integer, v_keys -> v_i, depth + 1, steps);
            steps := v_probe.steps;
            if v_probe.keyword is not null then
              keyword := 'propertyNames';
              exit;
            end if;
          end loop;
        end if;
        if keyword is not null then
          return;
        end if;
      end if;

      v_list := coalesce(v_rules -> 'dependentRequired', '[]');
      for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
        if v_value ? (v_list -> v_i ->> 0) then
          v_entry := v_list -> v_i -> 1;
          for v_j in 0 .. pg_catalog.jsonb_array_length(v_entry) - 1 loop
            if not v_value ? (v_entry ->> v_j) then
              keyword := 'dependentRequired';
              missing := v_entry ->> v_j;
              return;
            end if;
          end loop;
        end if;
      end loop;

      v_list := coalesce(v_rules -> 'properties', '[]');
      for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
        v_entry := v_list -> v_i;
        v_part := v_value -> (v_entry ->> 0);
        if v_part is not null then
          v_known := v_known + 1;
          v_numbers[v_known] := (v_entry -> 2)::integer;
          v_values[v_known] := v_part;
          v_places[v_known] := v_known;
          v_pointers[v_known] :=
            case when v_is_named then pointer || (v_entry ->> 1) else pointer end;
          v_are_named[v_known] := v_is_named;
        end if;
      end loop;

      -- What is left over in the end are additional properties.
      v_part := v_value - (v_rules ->> 'named')::text[];

      v_list := coalesce(v_rules -> 'patternProperties', '[]');
      if v_list <> '[]' then
        v_matched := array[]::text[];
        for v_i in 0 .. pg_catalog.jsonb_array_length(v_keys) - 1 loop
          v_text := v_keys ->> v_i;
          v_count := pg_catalog.char_length(v_text);
          if v_count > 8192 then
            raise exception 'a name of over 8192 characters meets a pattern'
              using errcode = 'program_limit_exceeded';
          end if;
          for v_j in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
            v_entry := v_list -> v_j;
            steps := steps - (v_entry -> 1)::integer - v_count * (v_entry -> 2)::integer / 1000;
            exit when steps < 0;
            if v_text ~ ((v_entry ->> 0) collate pg_catalog."C") then
              v_matched[v_i + 1] := v_text;
              v_known := v_known + 1;
              v_numbers[v_known] := (v_entry -> 3)::integer;
              v_values[v_known] := v_value -> v_text;
              steps := steps - pg_catalog.pg_column_size(v_values[v_known]) / 128;
              v_places[v_known] := v_known;
              v_pointers[v_known] := pointer;
              v_are_named[v_known] := false;
            end if;
          end loop;
          exit when steps < 0;
        end loop;
        -- At once: one by one, each would copy what is left.
        v_part := v_part - v_matched;
      end if;

      if v_part <> '{}' then
        v_keys := pg_catalog.jsonb_path_query_array(v_part, '$.keyvalue().key');
        for v_i in 0 .. pg_catalog.jsonb_array_length(v_keys) - 1 loop
          v_known := v_known + 1;
          v_numbers[v_known] := (v_rules -> 'additionalProperties')::integer;
          v_values[v_known] := v_part -> (v_keys ->> v_i);
          v_places[v_known] := v_known;
          v_pointers[v_known] := pointer;
          v_are_named[v_known] := false;
        end loop;
      end if;

      v_list := coalesce(v_rules -> 'dependentSchemas', '[]');
      for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
        v_entry := v_list -> v_i;
        if v_value ? (v_entry ->> 0) then
          v_known := v_known + 1;
          v_numbers[v_known] := (v_entry -> 2)::integer;
          v_places[v_known] := v_places[v_done];
          v_pointers[v_known] := pointer;
          v_are_named[v_known] := v_is_named;
        end if;
      end loop;
    end if;

    if keyword is not null then
      return;
    end if;

    v_rules := v_rule -> 'logic';
    if v_rules is not null then
      if v_rules ? 'not' then
        v_probe := integrations_private.evaluate_schema(
          rules, (v_rules -> 'not')::integer, v_value, depth + 1, steps);
        steps := v_probe.steps;
        if v_probe.keyword is null then
          keyword := 'not';
          return;
        end if;
      end if;

      if v_rules ? 'anyOf' then
        v_list := v_rules -> 'anyOf';
        for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
          v_probe := integrations_private.evaluate_schema(
            rules, (v_list -> v_i)::integer, v_value, depth + 1, steps);
          steps := v_probe.steps;
          exit when v_probe.keyword is null;
        end loop;
        if v_probe.keyword is not null then
          keyword := 'anyOf';
          return;
        end if;
      end if;

      if v_rules ? 'oneOf' then
        v_list := v_rules -> 'oneOf';
        v_matches := 0;
        for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
          v_probe := integrations_private.evaluate_schema(
            rules, (v_list -> v_i)::integer, v_value, depth + 1, steps);
          steps := v_probe.steps;
          v_matches := v_matches + (v_probe.keyword is null)::integer;
        end loop;
        if v_matches <> 1 then
          keyword := 'oneOf';
          return;
        end if;
      end if;

      v_list := coalesce(v_rules -> 'allOf', '[]');
      if v_rules ? '$ref' then
        v_list := v_list || (v_rules -> '$ref');
      end if;
      if v_rules ?| array['then', 'else'] and v_rules ? 'if' then
        v_probe := integrations_private.evaluate_schema(
          rules, (v_rules -> 'if')::integer, v_value, depth + 1, steps);
        steps := v_probe.steps;
        v_entry := v_rules -> case when v_probe.keyword is null then 'then' else 'else' end;
        v_list := v_list || coalesce(v_entry, '[]');
      end if;
      for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
        v_known := v_known + 1;
        v_numbers[v_known] := (v_list -> v_i)::integer;
        v_places[v_known] := v_places[v_done];
        v_pointers[v_known] := pointer;
        v_are_named[v_known] := v_is_named;
      end loop;
    end if;
  end loop;

  pointer := null;
end;
$_$;


ALTER FUNCTION integrations_private.evaluate_schema(rules jsonb, rule integer, document jsonb, depth integer, INOUT steps integer, OUT pointer text, OUT keyword text, OUT missing text) OWNER TO integrations_owner;

--
-- Name: FUNCTION evaluate_schema(rules jsonb, rule integer, document jsonb, depth integer, INOUT steps integer, OUT pointer text, OUT keyword text, OUT missing text); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.evaluate_schema(rules jsonb, rule integer, document jsonb, depth integer, INOUT steps integer, OUT pointer text, OUT keyword text, OUT missing text) IS 'The first violation of a compiled JSON Schema: where, which keyword, and the property that is
missing if it is that; a NULL keyword when the document fits. steps counts down. Errors: 54000
beyond a limit.';


--
-- Name: examine_connections(boolean, text); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.examine_connections(ssl boolean, listen_addresses text) RETURNS TABLE(check_name text, status text, detail text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  v_status text := 'fail';
  v_found text;
  v_advice text :=
    'Keys and credentials travel in plaintext. Set ssl to on, and use hostssl in pg_hba.conf.';
  v_fine text := 'Clients on other machines come in by TLS only.';
begin
  if not exists (
    select
      from pg_catalog.string_to_table(examine_connections.listen_addresses, ',') as a (address)
     where pg_catalog.btrim(a.address) not in ('', 'localhost', '127.0.0.1', '::1'))
  then
    v_fine := 'The server listens on this machine only.';
  elsif not ssl then
    v_found := 'ssl = off, listen_addresses = ' || listen_addresses;
  elsif not (pg_catalog.has_table_privilege('pg_catalog.pg_hba_file_rules', 'select')
             and pg_catalog.has_function_privilege('pg_catalog.pg_hba_file_rules()', 'execute'))
  then
    v_status := 'warn';
    v_advice := 'Whether TLS is required cannot be seen by this role. Ask a DBA whether'
                ' pg_hba.conf has host or hostnossl lines for others than this machine; they should'
                ' be hostssl.';
    v_found := 'no privilege on pg_hba_file_rules';
  else
    v_status := 'warn';
    v_advice := 'pg_hba.conf lets clients in without TLS. Make these lines hostssl.';
    v_found := (
      select pg_catalog.string_agg('line ' || h.line_number, ', ' order by h.line_number)
        from pg_catalog.pg_hba_file_rules as h
       where h.type in ('host', 'hostnossl', 'hostnogssenc')
         and h.auth_method <> 'reject'
         and h.database <> array['replication']
         and h.address !~ '^(127[.].*|::1|localhost|samehost)$');
  end if;

  return query
    select c.check_name, case when c.found is null then 'ok' else c.status end,
           coalesce(c.advice || ' Found: ' || c.found || '.', c.fine)
      from (values ('tls', v_status, v_found, v_advice, v_fine))
           as c (check_name, status, found, advice, fine);
end;
$_$;


ALTER FUNCTION integrations_private.examine_connections(ssl boolean, listen_addresses text) OWNER TO integrations_owner;

--
-- Name: FUNCTION examine_connections(ssl boolean, listen_addresses text); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.examine_connections(ssl boolean, listen_addresses text) IS 'Tells whether keys and credentials may travel without TLS. Called through doctor.';


--
-- Name: examine_data(interval); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.examine_data(forgotten interval) RETURNS TABLE(check_name text, status text, detail text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_gap record;
  v_strays boolean := false;
begin
  -- A gap at a time, so that the plan leaves all partitions out but the default one.
  for v_gap in
    select g.since, g.until
      from integrations_private.list_audit_gaps() as g
  loop
    v_strays := v_strays or exists (
      select
        from integrations_private.audit_log as a
       where a.at >= v_gap.since
         and a.at < v_gap.until);
  end loop;

  return query
    select c.check_name, case when c.found is null then 'ok' else c.status end,
           coalesce(c.advice || ' Found: ' || c.found || '.', c.fine)
      from (values
        ('keys_never_rotated', 'warn',
         (select nullif(pg_catalog.count(*), 0) || ' active data keys'
            from integrations_private.tenant_keys as k
           where k.state = 'active'
             and k.created_at < pg_catalog.now() - interval '1 year'),
         'Data keys are older than a year. Rotate them: create_tenant_key, reencrypt_batch,'
         ' retire_key.',
         'No active data key is older than a year.'),
        ('keks_never_rotated', 'warn',
         (select pg_catalog.string_agg(e.kek_id, ', ' order by e.kek_id)
            from integrations_private.key_encryption_keys as e
           where e.created_at < pg_catalog.now() - interval '1 year'
             -- One in a key management service is turned there, under its name.
             and e.check_value is not null
             and exists (select from integrations_private.tenant_keys as k
                          where k.kek_id = e.kek_id and k.wrapped is not null)),
         'Key-encryption keys are older than a year, and still wrap data keys. Use a new one:'
         ' rewrap_keys.',
         'No key-encryption key in use is older than a year.'),
        ('quarantine', 'warn',
         (select nullif(pg_catalog.count(*), 0) || ' instances'
            from integrations.integration_instances as i
                 join integrations_private.tenant_keys as k
                   on k.tenant_id = i.tenant_id and k.id = i.credentials_key_id
           where i.status = 'error'
             and k.state <> 'active'),
         'Instances in error are encrypted under a former key: reencrypt_batch has not come to'
         ' them, or has put them into quarantine (status_reason in instance_overview). Find out'
         ' who altered those; store their credentials anew.',
         'No instance in error is left under a former key.'),
        ('audit_partitions', 'warn',
         (select pg_catalog.string_agg(
                   pg_catalog.to_char(m.since at time zone 'UTC', 'YYYY-MM'), ', ' order by m.since)
            from (
              select integrations_private.month_of(pg_catalog.now(), n) as since,
                     integrations_private.month_of(pg_catalog.now(), n + 1) as until
                from pg_catalog.generate_series(0, 1) as n
            ) as m
           where not exists (
                   select
                     from integrations_private.list_audit_partitions() as l
                    where l.since < m.until
                      and l.until > m.since)),
         'Months of the audit log have no partition of their own: their entries go into the'
         ' default one. Let a scheduler call maintain_audit once a day.',
         'This month and the next have their partitions.'),
        ('audit_default_partition', 'warn',
         case when v_strays then 'entries' end,
         'The default partition of the audit log has entries. maintain_audit gives it bounds; it'
         ' says kept where it cannot.',
         'The default partition of the audit log is empty.'),
        ('prepared_transactions', 'warn',
         (select pg_catalog.count(*) || ', the oldest of '
                 || pg_catalog.to_char(
                      pg_catalog.min(p.prepared) at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
            from pg_catalog.pg_prepared_xacts as p
           where p.database = pg_catalog.current_database()
             and p.prepared <= pg_catalog.clock_timestamp() - examine_data.forgotten
          having pg_catalog.count(*) > 0),
         'Prepared transactions that nobody has ended: they keep instances locked against refresh'
         ' and rotation, and maintain_audit from its work, over a restart, too. See'
         ' pg_prepared_xacts; COMMIT PREPARED or ROLLBACK PREPARED.',
         'No prepared transaction was forgotten.'),
        -- In a transaction of one statement set_tenant has not been called before.
        ('tenant_setting', 'fail',
         (select pg_catalog.string_agg(o.place, ', ' order by o.place)
            from (
              select 'this session'
               where pg_catalog.transaction_timestamp() = pg_catalog.statement_timestamp()
                 and coalesce(pg_catalog.current_setting('integrations.tenant_id', true),
                              '') <> ''
              union all
              select 'this session, keys'
               where pg_catalog.transaction_timestamp() = pg_catalog.statement_timestamp()
                 and coalesce(pg_catalog.current_setting('integrations.keyring', true), '') <> ''
              union all
              select pg_catalog.concat_ws(
                       ' in ', nullif(s.setrole, 0)::regrole::text,
                       (select 'database ' || d.datname from pg_catalog.pg_database as d
                         where d.oid = s.setdatabase))
                from pg_catalog.pg_db_role_setting as s
                     cross join lateral pg_catalog.unnest(s.setconfig) as c (setting)
               where c.setting ~* '^integrations[.]'
            ) as o (place)),
         'A tenant or a key outlives the transaction, and behind a connection pool another client'
         ' gets it. Only set_tenant and unlock may set them, never SET or ALTER ROLE or DATABASE.',
         'No tenant and no key outlives a transaction, as far as this session can tell.')
      ) as c (check_name, status, found, advice, fine);
end;
$$;


ALTER FUNCTION integrations_private.examine_data(forgotten interval) OWNER TO integrations_owner;

--
-- Name: FUNCTION examine_data(forgotten interval); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.examine_data(forgotten interval) IS 'Tells which keys, instances and audit entries want care, and whether tenants outlive transactions,
or prepared transactions their purpose. Called through doctor.';


--
-- Name: examine_objects(); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.examine_objects() RETURNS TABLE(check_name text, status text, detail text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    AS $$
begin
  return query
    with function as (
      select p.*
        from pg_catalog.pg_proc as p
       where p.pronamespace in (pg_catalog.to_regnamespace('integrations'),
                                pg_catalog.to_regnamespace('integrations_private'))
    ),
    relation as (
      select c.*
        from pg_catalog.pg_class as c
       where c.relnamespace in (pg_catalog.to_regnamespace('integrations'),
                                pg_catalog.to_regnamespace('integrations_private'))
    )
    select c.check_name, case when c.found is null then 'ok' else c.status end,
           coalesce(c.advice || ' Found: ' || c.found || '.', c.fine)
      from (values
        ('definer_functions', 'fail',
         (select pg_catalog.string_agg(f.oid::regprocedure::text, ', ' order by f.proname)
            from function as f
           where f.prosecdef
             and (f.proconfig is distinct from array[
                    'search_path=pg_catalog, pg_temp', 'row_security=on',
                    'plpgsql.print_strict_params=off', 'debug_print_plan=off',
                    'debug_print_parse=off', 'debug_print_rewritten=off']
                  or f.proowner::regrole::text not in (
                       'integrations_owner', 'integrations_keymaster'))),
         'Functions that run as their owner have lost their settings or their owner: a caller may'
         ' lead them astray. Deploy them again.',
         'Every function that runs as its owner has its settings.'),
        ('search_path', 'fail',
         (select pg_catalog.string_agg(f.oid::regprocedure::text, ', ' order by f.proname)
            from function as f
           where f.prosqlbody is null
             and not coalesce('search_path=pg_catalog, pg_temp' = any (f.proconfig), false)),
         'Functions look names up where their caller says. Deploy them again.',
         'Every function looks names up where nobody else can put any.'),
        ('public_functions', 'fail',
         (select pg_catalog.string_agg(
                   f.oid::regprocedure::text || ' to '
                   || case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end,
                   ', ' order by f.proname, a.grantee)
            from function as f
                 cross join lateral pg_catalog.aclexplode(
                   coalesce(f.proacl, pg_catalog.acldefault('f', f.proowner))) as a
           where a.grantee not in ('integrations_owner'::regrole, 'integrations_keymaster'::regrole)
             and (case
                    when a.grantee = 0 then false
                    when f.pronamespace = pg_catalog.to_regnamespace('integrations_private')
                      then a.grantee = 'integrations_admin'::regrole and f.proname = 'list_keys'
                    when a.grantee = 'svc_integration'::regrole
                      then f.proname not in (
                             'destroy_key', 'discard_draft', 'doctor', 'maintain_audit',
                             'register_definition', 'retire_key', 'rewrap_keys',
                             'set_definition_status')
                    when a.grantee = 'integrations_tenant'::regrole
                      then f.proname in (
                             'create_instance', 'current_tenant', 'delete_instance',
                             'rename_instance', 'set_instance_status', 'set_tenant',
                             'update_config', 'upgrade_instance')
                    when a.grantee = 'integrations_admin'::regrole
                      then f.proname in (
                             'create_tenant_key', 'current_tenant', 'destroy_key', 'discard_draft',
                             'doctor', 'maintain_audit', 'register_definition', 'retire_key',
                             'rewrap_keys', 'set_definition_status', 'set_tenant')
                  end) is not true),
         'Others may call these than they are meant for. REVOKE ALL ON FUNCTION ... FROM ...; a'
         ' login gets in as a member of the package''s roles.',
         'Nobody may call a function but those that it is meant for.'),
        ('row_security', 'fail',
         (select pg_catalog.string_agg(r.oid::regclass::text, ', ' order by r.relname)
            from relation as r
                 join pg_catalog.pg_attribute as t
                   on t.attrelid = r.oid and t.attname = 'tenant_id'
           where (r.relkind in ('r', 'p') and not (r.relrowsecurity and r.relforcerowsecurity))
              or (r.relkind = 'v'
                  and not coalesce('security_invoker=true' = any (r.reloptions), false))
              or r.relkind = 'm'),
         'Tenants are not kept apart there. Enable and force row-level security on tables; views'
         ' must be security_invoker.',
         'Row-level security is enabled and forced on every table with a tenant.'),
        -- Any other may let rows out; what auditor and keymaster may do is up to privileges.
        ('policies', 'fail',
         (select pg_catalog.string_agg(
                   p.polrelid::regclass || '.' || p.polname, ', ' order by p.polname)
            from pg_catalog.pg_policy as p
                 join relation as r on r.oid = p.polrelid
           where not coalesce(
                   p.polname = 'auditor_select'
                   and p.polroles = array['integrations_auditor'::regrole::oid]
                   or p.polname in ('keymaster_select', 'keymaster_all')
                   and p.polroles = array['integrations_keymaster'::regrole::oid]
                   or p.polname = 'tenant_all'
                   and p.polroles <@ array[
                         'integrations_owner'::regrole::oid, 'integrations_tenant'::regrole::oid,
                         'svc_integration'::regrole::oid]
                   and pg_catalog.pg_get_expr(p.polqual, p.polrelid)
                       = '(tenant_id = integrations.current_tenant())'
                   and pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
                       = '(tenant_id = integrations.current_tenant())',
                   false)),
         'Policies were added or changed: permissive ones add up, so that one is enough to show a'
         ' tenant the rows of others. DROP POLICY, or deploy it again.',
         'Every policy is as it was deployed.'),
        ('table_privileges', 'fail',
         (select pg_catalog.string_agg(distinct
                   p.relation || ' to '
                   || case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end,
                   ', ')
            from (
              select r.oid::regclass::text as relation, r.relacl as acl, r.relnamespace
                from relation as r
              union all
              select r.oid::regclass::text, t.attacl, r.relnamespace
                from relation as r
                     join pg_catalog.pg_attribute as t on t.attrelid = r.oid
            ) as p
            cross join lateral pg_catalog.aclexplode(p.acl) as a
           where a.grantee not in ('integrations_owner'::regrole, 'integrations_keymaster'::regrole)
             and (a.privilege_type in (
                    'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER')
                  or (a.grantee in (
                        0::oid, 'svc_integration'::regrole, 'integrations_tenant'::regrole,
                        'integrations_admin'::regrole, 'integrations_auditor'::regrole)
                      and p.relnamespace = pg_catalog.to_regnamespace('integrations_private')
                      and (a.grantee, p.relation) is distinct from (
                            'integrations_auditor'::regrole::oid,
                            'integrations_private.audit_log')))),
         'Rows change through functions only, which check and audit, and keys and leases are read'
         ' by them alone. REVOKE these privileges.',
         'Nobody writes a table, or reads an internal one, but through functions.'),
        ('foreign_code', 'warn',
         (select pg_catalog.string_agg(f.name, ', ' order by f.name)
            from (
              select t.tgrelid::regclass || '.' || t.tgname
                from pg_catalog.pg_trigger as t
                     join relation as r on r.oid = t.tgrelid
               where not t.tgisinternal
                 and not exists (select from function as f where f.oid = t.tgfoid)
              union all
              select r.oid::regclass || '.' || w.rulename
                from pg_catalog.pg_rewrite as w
                     join relation as r on r.oid = w.ev_class
               where r.relkind in ('r', 'p')
            ) as f (name)),
         'Triggers or rules of others act on the package''s tables: they can copy rows, or keep'
         ' audit entries from being written. Drop those that nobody needs.',
         'No trigger or rule of others acts on a table.'),
        ('statistics', 'warn',
         (select pg_catalog.string_agg(
                   t.attrelid::regclass || '.' || t.attname, ', ' order by t.attname)
            from pg_catalog.pg_attribute as t
                 join relation as r on r.oid = t.attrelid and r.relkind = 'r'
           where t.attname in ('credentials', 'wrapped', 'check_value')
             and r.relname in ('integration_instances', 'tenant_keys')
             and t.attstattarget is distinct from 0),
         'ANALYZE copies ciphertext into pg_statistic, where it outlasts revocation and destroyed'
         ' keys. ALTER TABLE ... ALTER COLUMN ... SET STATISTICS 0, then ANALYZE.',
         'ANALYZE keeps no ciphertext.'),
        ('append_only', 'fail',
         (select pg_catalog.string_agg(i.relid::regclass::text, ', ' order by i.relid::text)
            from pg_catalog.pg_partition_tree('integrations_private.audit_log') as i
           where (select pg_catalog.count(*)
                    from pg_catalog.pg_trigger as t
                   where t.tgrelid = i.relid
                     and t.tgenabled = 'A'
                     and t.tgfoid::regproc::text = 'integrations_private.tg_audit_log__append_only')
                 <> 2),
         'Audit entries can be changed or deleted: a trigger is missing, or not enabled always.'
         ' Deploy it again, and compare with a copy of the log.',
         'Every partition of the audit log is append-only.'),
        ('triggers', 'fail',
         (select pg_catalog.string_agg(
                   t.tgrelid::regclass || '.' || t.tgname, ', ' order by t.tgname)
            from pg_catalog.pg_trigger as t
                 join relation as r on r.oid = t.tgrelid
           where not t.tgisinternal
             and t.tgenabled <> 'A'),
         'These triggers do not fire always. ALTER TABLE ... ENABLE ALWAYS TRIGGER.',
         'Every trigger fires always.'),
        ('credentials_readers', 'fail',
         (select pg_catalog.string_agg(distinct
                   case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end, ', ')
            from (
              select r.relacl
                from relation as r
               where r.oid = 'integrations.integration_instances'::regclass
              union all
              select t.attacl
                from relation as r
                     join pg_catalog.pg_attribute as t on t.attrelid = r.oid
               where r.oid = 'integrations.integration_instances'::regclass
                 and t.attname = 'credentials'
            ) as p
            cross join lateral pg_catalog.aclexplode(p.relacl) as a
           where a.privilege_type = 'SELECT'
             and a.grantee not in ('integrations_owner'::regrole, 'svc_integration'::regrole)),
         'Others than svc_integration may read the ciphertext. REVOKE SELECT.',
         'Only svc_integration may read the ciphertext.'),
        ('pgcrypto_schema', 'fail',
         (select pg_catalog.string_agg(distinct
                   n.nspname || ' by '
                   || case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end,
                   ', ')
            from pg_catalog.pg_extension as e
                 join pg_catalog.pg_namespace as n
                   on n.oid = e.extnamespace
                      or n.nspname in ('integrations', 'integrations_private')
                 cross join lateral pg_catalog.aclexplode(n.nspacl) as a
           where e.extname = 'pgcrypto'
             and a.privilege_type = 'CREATE'
             and a.grantee <> case
                   when n.oid = e.extnamespace then n.nspowner
                   else 'integrations_owner'::regrole::oid
                 end),
         'Others can put functions beside those of pgcrypto or of the package, to be called in'
         ' their place, as the owner. REVOKE CREATE ON SCHEMA.',
         'Nobody can put functions beside those of pgcrypto or of the package.'),
        ('default_privileges', 'fail',
         (select pg_catalog.string_agg(distinct d.defaclrole::regrole::text, ', ')
            from pg_catalog.pg_default_acl as d
           where d.defaclrole in (pg_catalog.to_regrole('integrations_owner'),
                                  pg_catalog.to_regrole('integrations_keymaster'))
              or d.defaclnamespace in (pg_catalog.to_regnamespace('integrations'),
                                       pg_catalog.to_regnamespace('integrations_private'))),
         'New objects of these roles are given to others at once. ALTER DEFAULT PRIVILEGES ...'
         ' REVOKE.',
         'New objects are given to nobody.')
      ) as c (check_name, status, found, advice, fine);
end;
$$;


ALTER FUNCTION integrations_private.examine_objects() OWNER TO integrations_owner;

--
-- Name: FUNCTION examine_objects(); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.examine_objects() IS 'Tells which objects of the package are not as they were deployed, as far as tenants and secrets
are in danger. Called through doctor.';


--
-- Name: examine_roles(); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.examine_roles() RETURNS TABLE(check_name text, status text, detail text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
    with recursive package as (
      select r.oid, r.rolname
        from pg_catalog.pg_roles as r
       where r.rolname in (
               'integrations_admin', 'integrations_auditor', 'integrations_keymaster',
               'integrations_owner', 'integrations_tenant', 'svc_integration')
    ),
    -- Since 16 whoever makes a role is a member that can neither use it nor become it.
    grants as (
      select m.roleid, m.member
        from pg_catalog.pg_auth_members as m
       where coalesce((pg_catalog.to_jsonb(m) ->> 'inherit_option')::boolean, true)
          or coalesce((pg_catalog.to_jsonb(m) ->> 'set_option')::boolean, true)
    ),
    -- A package's role that may log in is one of its logins, too.
    member as (
      select p.oid as role, p.oid as member
        from package as p
      union
      select o.role, g.member
        from member as o
             join grants as g on g.roleid = o.member
    ),
    -- Who may give a role away makes himself a member of it; so does who can become him.
    admin as (
      select m.member
        from pg_catalog.pg_auth_members as m
       where m.admin_option
         and (m.roleid in (select p.oid from package as p)
              or m.roleid in (select o.member from member as o))
      union
      select g.member
        from admin as a
             join grants as g on g.roleid = a.member
    ),
    -- What a role may do by an attribute, its members may do by SET ROLE.
    power as (
      select r.oid as role, r.oid as member
        from pg_catalog.pg_roles as r
       where r.rolsuper or r.rolbypassrls or r.rolcreaterole
      union
      select o.role, m.member
        from power as o
             join pg_catalog.pg_auth_members as m on m.roleid = o.member
       where coalesce((pg_catalog.to_jsonb(m) ->> 'set_option')::boolean, true)
    ),
    person as (
      select r.oid, r.rolname, r.rolsuper,
             pg_catalog.array_agg(p.rolname::text order by p.rolname)
               filter (where p.oid is not null) as roles
        from pg_catalog.pg_roles as r
             left join member as m on m.member = r.oid
             left join package as p on p.oid = m.role
       where r.rolcanlogin
       group by r.oid, r.rolname, r.rolsuper
    )
    select c.check_name, case when c.found is null then 'ok' else c.status end,
           coalesce(c.advice || ' Found: ' || c.found || '.', c.fine)
      from (values
        ('package_roles', 'fail',
         (select pg_catalog.string_agg(r.rolname, ', ' order by r.rolname)
            from pg_catalog.pg_roles as r
                 join package as p on p.oid = r.oid
           where r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb
              or r.rolreplication),
         'Roles of the package are too powerful: row-level security does not hold them, or they'
         ' can become others. Take that away with ALTER ROLE.',
         'No role of the package is superuser, or has BYPASSRLS, CREATEROLE, CREATEDB or'
         ' REPLICATION.'),
        ('bypass_row_security', 'fail',
         (select pg_catalog.string_agg(p.rolname, ', ' order by p.rolname)
            from person as p
           where p.roles && array['svc_integration', 'integrations_tenant', 'integrations_admin',
                                  'integrations_auditor']
             and exists (
                   select
                     from power as o
                          join pg_catalog.pg_roles as r on r.oid = o.role
                    where o.member = p.oid
                      and (r.rolsuper or r.rolbypassrls))),
         'Logins of applications are not held by row-level security, or can become a role that is'
         ' not: they see every tenant. ALTER ROLE ... NOSUPERUSER NOBYPASSRLS, or revoke that'
         ' membership.',
         'Row-level security holds for every login of an application.'),
        ('owner_members', 'warn',
         (select pg_catalog.string_agg(p.rolname, ', ' order by p.rolname)
            from person as p
           where p.roles && array['integrations_owner', 'integrations_keymaster']),
         'These logins can replace every function and drop the audit log. The one that deploys'
         ' has to; keep it as safe as a superuser, and revoke the membership of others.',
         'Nobody can log in as a member of the owners.'),
        ('service_and_auditor', 'fail',
         (select pg_catalog.string_agg(p.rolname, ', ' order by p.rolname)
            from person as p
           where p.roles @> array['svc_integration', 'integrations_auditor']),
         'Policies add up: these logins read the ciphertext of all tenants. Use two logins.',
         'No login is both service and auditor.'),
        ('createrole', 'warn',
         (select pg_catalog.string_agg(p.rolname, ', ' order by p.rolname)
            from person as p
           where not p.rolsuper
             and exists (
                   select
                     from power as o
                          join pg_catalog.pg_roles as r on r.oid = o.role
                    where o.member = p.oid
                      and r.rolcreaterole)
             and pg_catalog.current_setting('server_version_num')::integer < 160000),
         'Before PostgreSQL 16 a login with CREATEROLE can make itself a member of every role, the'
         ' service and the owner included. Take it away when it is not needed.',
         'Nobody can become a member of the package''s roles by CREATEROLE alone.'),
        ('role_admins', 'warn',
         (select pg_catalog.string_agg(p.rolname, ', ' order by p.rolname)
            from person as p
           where p.oid in (select a.member from admin as a)
             and not p.rolsuper),
         'These logins can make anybody a member of the package''s roles, or of members of them,'
         ' themselves too. The one that deployed can, where it made the roles; revoke ADMIN OPTION'
         ' from others.',
         'No login may grant the package''s roles, but for superusers.'),
        ('predefined_roles', 'warn',
         (select pg_catalog.string_agg(p.rolname || ' in ' || r.rolname, ', '
                                       order by p.rolname, r.rolname)
            from person as p
                 join pg_catalog.pg_roles as r
                   on r.rolname in ('pg_write_all_data', 'pg_read_server_files',
                                    'pg_write_server_files', 'pg_execute_server_program')
           where not p.rolsuper
             and pg_catalog.pg_has_role(p.oid, r.oid, 'member')),
         'These logins can add definitions and overwrite check values of keys (pg_write_all_data),'
         ' or read and write the server''s files, and so become superuser. Revoke what is not'
         ' needed.',
         'No login writes all data, or reaches the server''s files.'),
        ('public_temp', 'warn',
         (select d.datname::text
            from pg_catalog.pg_database as d
           where d.datname = pg_catalog.current_database()
             and exists (
                   select
                     from pg_catalog.aclexplode(
                            coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) as a
                    where a.grantee = 0 and a.privilege_type = 'TEMPORARY')),
         'Everybody may make temporary tables, which can stand in for others in a careless query.'
         ' REVOKE TEMPORARY ON DATABASE ... FROM PUBLIC.',
         'Not everybody may make temporary tables.'),
        ('public_create', 'fail',
         (select pg_catalog.string_agg(o.name, ', ' order by o.name)
            from (
              select 'database ' || d.datname
                from pg_catalog.pg_database as d
                     cross join lateral pg_catalog.aclexplode(d.datacl) as a
               where d.datname = pg_catalog.current_database()
                 and a.grantee = 0 and a.privilege_type = 'CREATE'
              union all
              select 'schema ' || n.nspname
                from pg_catalog.pg_namespace as n
                     cross join lateral pg_catalog.aclexplode(n.nspacl) as a
               where a.grantee = 0 and a.privilege_type = 'CREATE'
            ) as o (name)),
         'Everybody may make objects there, and so plant functions and operators that others run.'
         ' REVOKE CREATE ON ... FROM PUBLIC.',
         'Not everybody may make schemas, or objects in one.'),
        ('logical_backup', 'warn',
         (select pg_catalog.string_agg(r.rolname, ', ' order by r.rolname)
            from pg_catalog.pg_roles as r
           where r.rolcanlogin
             and not r.rolsuper
             and not r.rolbypassrls
             and (pg_catalog.pg_has_role(r.oid, 'pg_read_all_data', 'member')
                  or exists (select from member as m
                                         join package as p on p.oid = m.role
                              where m.member = r.oid
                                and p.rolname = 'integrations_owner'))),
         'pg_dump as these stops at the first table, because row-level security is forced; with'
         ' --enable-row-security it would leave the rows out. Dump as a superuser or with'
         ' BYPASSRLS.',
         'No login looks as if it were to dump and could not.')
      ) as c (check_name, status, found, advice, fine);
end;
$$;


ALTER FUNCTION integrations_private.examine_roles() OWNER TO integrations_owner;

--
-- Name: FUNCTION examine_roles(); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.examine_roles() IS 'Tells which roles have, or can get, more power than they should. Called through doctor.';


--
-- Name: examine_settings(); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.examine_settings() RETURNS TABLE(check_name text, status text, detail text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  -- Since 16 whoever makes a role is a member that can neither use it nor become it.
  v_membership constant text :=
    case when pg_catalog.current_setting('server_version_num')::integer >= 160000
         then 'usage, set'
         else 'member'
    end;
begin
  return query
    with login as (
      select r.oid, r.rolname
        from pg_catalog.pg_roles as r
       where r.rolcanlogin
         and not r.rolsuper
         and (pg_catalog.pg_has_role(r.oid, 'svc_integration', v_membership)
              or pg_catalog.pg_has_role(r.oid, 'integrations_admin', v_membership))
    ),
    given as (
      select s.setrole, s.setdatabase,
             pg_catalog.lower(pg_catalog.split_part(c.setting, '=', 1)) as name,
             pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1) as value
        from pg_catalog.pg_db_role_setting as s
             cross join lateral pg_catalog.unnest(s.setconfig) as c (setting)
       where s.setdatabase in (0, (select d.oid from pg_catalog.pg_database as d
                                    where d.datname = pg_catalog.current_database()))
    ),
    known as (
      select pg_catalog.lower(s.name) as name,
             -- doctor itself has switched these off.
             case when s.name ~ '^debug_print' then s.reset_val else s.setting end as setting,
             -- What a session of somebody else begins with, as far as this one can tell.
             case when exists (select from given as g
                                where g.name = pg_catalog.lower(s.name)
                                  and g.setrole = pg_catalog.to_regrole(
                                        pg_catalog.quote_ident(session_user)))
                  then s.boot_val
                  else s.reset_val
             end as initial
        from pg_catalog.pg_settings as s
      union all
      -- Of modules that are not loaded here, and may be in other sessions.
      select m.name, m.value, m.value
        from pg_catalog.unnest(array[
               'auto_explain.log_min_duration', 'auto_explain.log_parameter_max_length',
               'auto_explain.log_verbose', 'auto_explain.log_nested_statements',
               'pgaudit.log_parameter'
             ]) as n (name)
             cross join lateral (
               select n.name, pg_catalog.current_setting(n.name, true)) as m (name, value)
       where m.value <> ''
         and not exists (select from pg_catalog.pg_settings as s where s.name = m.name)
    ),
    session as (
      select 'this session' as who, pg_catalog.jsonb_object_agg(k.name, k.setting) as value
        from known as k
      union all
      select l.rolname,
             (select pg_catalog.jsonb_object_agg(n.name, coalesce(o.value, k.initial))
                from (select k.name from known as k union select g.name from given as g) as n
                     left join known as k on k.name = n.name
                     left join lateral (
                       select g.value
                         from given as g
                        where g.name = n.name
                          and g.setrole in (0, l.oid)
                        order by g.setrole = 0, g.setdatabase = 0
                        limit 1
                     ) as o on true)
        from login as l
    ),
    examined as (
      select s.who, s.value,
             -- The settings of a module that is not loaded may be any text, so nothing is cast.
             '^(of|off|f.*|n.*|0+)$' as off,
             coalesce(s.value ->> 'log_parameter_max_length', '-1') !~ '^0+[^0-9]*$' as prints,
             coalesce(s.value ->> 'auto_explain.log_min_duration', '-1') !~ '^-' as explains
        from session as s
    )
    select h.check_name, case when pg_catalog.bool_or(h.bad) then h.status else 'ok' end,
           case
             when pg_catalog.bool_or(h.bad)
             then h.advice || ' Found: '
                  || pg_catalog.string_agg(h.who, ', ' order by h.who) filter (where h.bad) || '.'
             when h.check_name = 'synchronous_commit' then 'Audit entries outlast a crash.'
             else 'No secret is printed by it.'
           end
      from examined as e
           cross join lateral (values
             (1, 'log_statement', e.who,
              e.prints and pg_catalog.lower(e.value ->> 'log_statement') in ('mod', 'all'), 'fail',
              'Statements are logged with their parameters, secrets among them.'
              ' Set it to none or ddl, or log_parameter_max_length to 0.'),
             (2, 'log_min_duration_statement', e.who,
              e.prints and e.value ->> 'log_min_duration_statement' !~ '^-', 'fail',
              'Slow statements are logged with their parameters, secrets among them.'
              ' Set log_parameter_max_length to 0.'),
             (3, 'log_min_duration_sample', e.who,
              e.prints and e.value ->> 'log_min_duration_sample' !~ '^-'
                and e.value ->> 'log_statement_sample_rate' !~ '^[0.]*$', 'fail',
              'Some statements are logged with their parameters, secrets among them.'
              ' Set log_parameter_max_length to 0.'),
             (4, 'log_transaction_sample_rate', e.who,
              e.prints and e.value ->> 'log_transaction_sample_rate' !~ '^[0.]*$', 'fail',
              'Some transactions are logged with their parameters, secrets among them.'
              ' Set log_parameter_max_length to 0.'),
             (5, 'log_parameter_max_length_on_error', e.who,
              e.value ->> 'log_parameter_max_length_on_error' !~ '^0+[^0-9]*$', 'fail',
              'An error prints the parameters to log and client, secrets among them.'
              ' Set it to 0.'),
             (6, 'debug_print', e.who,
              e.value ->> 'debug_print_parse' !~* e.off
                or e.value ->> 'debug_print_rewritten' !~* e.off
                or e.value ->> 'debug_print_plan' !~* e.off, 'fail',
              'Plans are logged, with the parameters in them. Switch debug_print_parse,'
              ' debug_print_rewritten and debug_print_plan off.'),
             -- PostgreSQL 15 does not print parameters there.
             (7, 'auto_explain.log_parameter_max_length', e.who,
              e.explains
                and pg_catalog.current_setting('server_version_num')::integer >= 160000
                and coalesce(e.value ->> 'auto_explain.log_parameter_max_length', '-1')
                    !~ '^0+[^0-9]*$', 'fail',
              'auto_explain logs the parameters of slow statements, secrets among them.'
              ' Set it to 0.'),
             (8, 'auto_explain.log_verbose', e.who,
              e.explains
                and (coalesce(e.value ->> 'auto_explain.log_verbose', 'off') !~* e.off
                     or coalesce(e.value ->> 'auto_explain.log_nested_statements', 'off')
                        !~* e.off),
              'warn',
              'auto_explain logs values that functions work with. Switch'
              ' auto_explain.log_verbose and auto_explain.log_nested_statements off.'),
             (9, 'pgaudit.log_parameter', e.who,
              coalesce(e.value ->> 'pgaudit.log_parameter', 'off') !~* e.off, 'fail',
              'pgAudit logs parameters, secrets among them. Switch it off.'),
             (10, 'synchronous_commit', e.who,
              e.value ->> 'synchronous_commit' ~* e.off, 'warn',
              'A crash can lose the last audit entries. Set it to on.')
           ) as h (place, check_name, who, bad, status, advice)
     group by h.place, h.check_name, h.status, h.advice
     order by h.place;
end;
$_$;


ALTER FUNCTION integrations_private.examine_settings() OWNER TO integrations_owner;

--
-- Name: FUNCTION examine_settings(); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.examine_settings() IS 'Tells which settings would print secrets, or lose audit entries, in this session or in those of
the logins that pass secrets. Called through doctor.';


--
-- Name: find_loop(jsonb[]); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.find_loop(edges jsonb[]) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_states integer[] := pg_catalog.array_fill(0, array[pg_catalog.cardinality(edges)]);
  v_path integer[] := array[]::integer[];
  v_next integer[] := array[]::integer[];    -- of each node of the path, the edge to follow
  v_depth integer;
  v_node integer;
begin
  for v_start in 1 .. pg_catalog.cardinality(edges) loop
    continue when v_states[v_start] <> 0;
    v_depth := 1;
    v_path[1] := v_start;
    v_next[1] := 0;
    v_states[v_start] := 1;                  -- 1 is on the path, 2 is done
    while v_depth > 0 loop
      v_node := (edges[v_path[v_depth]] -> v_next[v_depth])::integer + 1;
      v_next[v_depth] := v_next[v_depth] + 1;
      if v_node is null then
        v_states[v_path[v_depth]] := 2;
        v_depth := v_depth - 1;
      elsif v_states[v_node] = 1 then
        return v_node;
      elsif v_states[v_node] = 0 then
        v_states[v_node] := 1;
        v_depth := v_depth + 1;
        v_path[v_depth] := v_node;
        v_next[v_depth] := 0;
      end if;
    end loop;
  end loop;

  return null;
end;
$$;


ALTER FUNCTION integrations_private.find_loop(edges jsonb[]) OWNER TO integrations_owner;

--
-- Name: FUNCTION find_loop(edges jsonb[]); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.find_loop(edges jsonb[]) IS 'A member, counted from 1, of a loop in a graph; NULL where there is none. Each element has the
numbers, counted from 0, that an edge leads to.';


--
-- Name: find_reference(text, jsonb); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.find_reference(reference text, schema jsonb, OUT pointer text, OUT target jsonb, OUT refusal text) RETURNS record
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  v_token text;
begin
  if reference !~ '^#' then
    refusal := 'only references within the schema (#/...) are supported';
    return;
  end if;

  -- A fragment of an address: %25 stands for %.
  begin
    select pg_catalog.convert_from(
             coalesce(
               pg_catalog.string_agg(
                 case
                   when pg_catalog.length(m.piece[1]) = 3
                     then pg_catalog.decode(pg_catalog.substr(m.piece[1], 2), 'hex')
                   else pg_catalog.convert_to(m.piece[1], 'UTF8')
                 end,
                 '' order by m.position),
               ''),
             'UTF8')
      into pointer
      from pg_catalog.regexp_matches(pg_catalog.substr(reference, 2), '%[0-9a-fA-F]{2}|.', 'g')
           with ordinality as m (piece, position);
  exception when character_not_in_repertoire or untranslatable_character then
    pointer := null;
  end;

  if pointer !~ '^(?:/(?:[^~/]|~[01])*)*$' or pointer is null then
    pointer := null;
    refusal := 'the fragment of a reference must be a JSON pointer';
    return;
  end if;

  target := schema;
  foreach v_token in array (pg_catalog.string_to_array(pointer, '/'))[2:] loop
    v_token := pg_catalog.replace(pg_catalog.replace(v_token, '~1', '/'), '~0', '~');
    target := case
      when pg_catalog.jsonb_typeof(target) = 'object' then target -> v_token
      when pg_catalog.jsonb_typeof(target) = 'array' and v_token ~ '^(?:0|[1-9][0-9]{0,5})$'
        then target -> v_token::integer
    end;
  end loop;

  if target is null then
    refusal := 'the reference leads nowhere';
  end if;
end;
$_$;


ALTER FUNCTION integrations_private.find_reference(reference text, schema jsonb, OUT pointer text, OUT target jsonb, OUT refusal text) OWNER TO integrations_owner;

--
-- Name: FUNCTION find_reference(reference text, schema jsonb, OUT pointer text, OUT target jsonb, OUT refusal text); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.find_reference(reference text, schema jsonb, OUT pointer text, OUT target jsonb, OUT refusal text) IS 'Where a $ref leads within its schema, as a JSON pointer, and what is there; or why it is
refused.';


--
-- Name: instance_may_move(integrations.integration_instance_status, integrations.integration_instance_status); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.instance_may_move(old_status integrations.integration_instance_status, new_status integrations.integration_instance_status) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE old_status WHEN 'pending'::integrations.integration_instance_status THEN (new_status = 'revoked'::integrations.integration_instance_status) WHEN 'active'::integrations.integration_instance_status THEN (new_status = ANY (ARRAY['error'::integrations.integration_instance_status, 'disabled'::integrations.integration_instance_status, 'revoked'::integrations.integration_instance_status])) WHEN 'error'::integrations.integration_instance_status THEN (new_status = ANY (ARRAY['active'::integrations.integration_instance_status, 'disabled'::integrations.integration_instance_status, 'revoked'::integrations.integration_instance_status])) WHEN 'disabled'::integrations.integration_instance_status THEN (new_status = ANY (ARRAY['active'::integrations.integration_instance_status, 'error'::integrations.integration_instance_status, 'revoked'::integrations.integration_instance_status])) ELSE false END;


ALTER FUNCTION integrations_private.instance_may_move(old_status integrations.integration_instance_status, new_status integrations.integration_instance_status) OWNER TO integrations_owner;

--
-- Name: FUNCTION instance_may_move(old_status integrations.integration_instance_status, new_status integrations.integration_instance_status); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.instance_may_move(old_status integrations.integration_instance_status, new_status integrations.integration_instance_status) IS 'Tells whether an instance may move from one status to another. Revoked is final.';


--
-- Name: items_are_unique(jsonb); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.items_are_unique(items jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_count constant integer := pg_catalog.jsonb_array_length(items);
  v_hashes text[] := array[]::text[];
  v_places text[] := array[]::text[];
  v_last jsonb;
  v_other integer;
  v_passed integer := 0;
begin
  for v_i in 0 .. v_count - 1 loop
    v_hashes[v_i + 1] := pg_catalog.jsonb_hash_extended(items -> v_i, 0)::text;
    v_places[v_i + 1] := v_i::text;
  end loop;

  -- For each hash, where it stands last: of equal keys jsonb_object keeps the last one.
  v_last := pg_catalog.jsonb_object(v_hashes, v_places);

  for v_i in 0 .. v_count - 1 loop
    v_other := (v_last ->> v_hashes[v_i + 1])::integer;
    while v_other > v_i loop
      if items -> v_i = items -> v_other then
        return false;
      end if;

      -- The hash of different values. Nobody has them but who looks for them, so the way to the
      -- next one of that hash counts, too.
      loop
        v_other := v_other - 1;
        v_passed := v_passed + 1;
        if v_passed > 1000 then
          raise exception 'too many items of an array have the same hash'
            using errcode = 'program_limit_exceeded';
        end if;
        exit when v_other = v_i or v_hashes[v_other + 1] = v_hashes[v_i + 1];
      end loop;
    end loop;
  end loop;

  return true;
end;
$$;


ALTER FUNCTION integrations_private.items_are_unique(items jsonb) OWNER TO integrations_owner;

--
-- Name: FUNCTION items_are_unique(items jsonb); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.items_are_unique(items jsonb) IS 'Whether a JSON array has no item twice. Errors: 54000 too many items of one hash.';


--
-- Name: kek_check_value(text, bytea); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.kek_check_value(kek_id text, kek bytea) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN integrations_private.hmac(convert_to(('kek|v1|'::text || kek_id), 'UTF8'::name), kek);


ALTER FUNCTION integrations_private.kek_check_value(kek_id text, kek bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION kek_check_value(kek_id text, kek bytea); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.kek_check_value(kek_id text, kek bytea) IS 'HMAC of the name of a KEK under the KEK.';


--
-- Name: keyword_problem(text, jsonb, boolean); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.keyword_problem(keyword text, value jsonb, is_root boolean) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  v_type constant text := pg_catalog.jsonb_typeof(value);
begin
  case
    when keyword in ('title', 'description', 'format', 'pattern', '$comment', '$ref',
                     'contentEncoding', 'contentMediaType') then
      return case when v_type <> 'string' then 'it must be a string' end;

    when keyword in ('deprecated', 'readOnly', 'writeOnly', 'uniqueItems') then
      return case when v_type <> 'boolean' then 'it must be true or false' end;

    when keyword in ('multipleOf', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum')
    then
      return case
        when v_type <> 'number' then 'it must be a number'
        when pg_catalog.octet_length(value::text) > 1000 then
          'it must be a number of at most 1000 digits'
        when keyword = 'multipleOf' and value::numeric <= 0 then 'it must be greater than 0'
      end;

    when keyword in ('minLength', 'maxLength', 'minItems', 'maxItems', 'minContains',
                     'maxContains', 'minProperties', 'maxProperties') then
      return case
        when v_type <> 'number' then 'it must be an integer from 0 to 2147483647'
        when value::numeric <> pg_catalog.trunc(value::numeric)
             or value::numeric not between 0 and 2147483647
          then 'it must be an integer from 0 to 2147483647'
      end;

    when keyword = 'type' then
      return case
        when v_type not in ('string', 'array') or value = '[]'
             or not value <@ '["array", "boolean", "integer", "null", "number", "object", "string"]'
          then 'it must be array, boolean, integer, null, number, object or string, or several'
        when v_type = 'array' then integrations_private.keyword_problem('required', value, false)
      end;

    when keyword in ('enum', 'examples') then
      return case when v_type <> 'array' then 'it must be an array' end;

    when keyword in ('allOf', 'anyOf', 'oneOf', 'prefixItems') then
      return case
        when v_type <> 'array' or value = '[]' then 'it must be an array of at least one schema'
      end;

    when keyword in ('properties', 'patternProperties', 'dependentSchemas', '$defs', 'definitions')
    then
      return case when v_type <> 'object' then 'it must be an object of schemas' end;

    when keyword = 'required' then
      return case
        when v_type <> 'array' or value @? 'strict $[*] ? (@.type() != "string")'
          then 'it must be an array of strings'
        when not integrations_private.items_are_unique(value) then 'it has a string twice'
      end;

    when keyword = 'dependentRequired' then
      return case
        when v_type <> 'object' then 'it must be an object of arrays of strings'
        else (
          select pg_catalog.min(p.problem)
            from pg_catalog.jsonb_each(value) as e
                 cross join integrations_private.keyword_problem('required', e.value, false)
                   as p (problem))
      end;

    when keyword = '$schema' then
      return case
        when not is_root then 'it belongs to the root of a schema'
        when value not in ('"https://json-schema.org/draft/2020-12/schema"',
                           '"https://json-schema.org/draft/2020-12/schema#"')
          then 'the dialect must be https://json-schema.org/draft/2020-12/schema'
      end;

    when keyword = '$id' then
      return case
        when v_type <> 'string' or value #>> '{}' ~ '#.' then
          'it must be an address without a fragment'
        when not is_root then 'it is supported only at the root of a schema'
      end;

    when keyword = '$anchor' then
      return 'anchors are not supported; refer by JSON pointer';

    when keyword in ('$dynamicRef', '$dynamicAnchor', '$recursiveRef', '$recursiveAnchor',
                     '$vocabulary', 'unevaluatedItems', 'unevaluatedProperties') then
      return 'the keyword is not supported';

    when keyword = 'dependencies' then
      return 'earlier drafts had it; write dependentRequired or dependentSchemas';

    when keyword = 'additionalItems' then
      return 'earlier drafts had it; write prefixItems and items';

    else
      return null;
  end case;
end;
$_$;


ALTER FUNCTION integrations_private.keyword_problem(keyword text, value jsonb, is_root boolean) OWNER TO integrations_owner;

--
-- Name: FUNCTION keyword_problem(keyword text, value jsonb, is_root boolean); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.keyword_problem(keyword text, value jsonb, is_root boolean) IS 'What is wrong with the value of a keyword of a JSON Schema; NULL when nothing is. Schemas
within it are not looked at.';


--
-- Name: list_audit_gaps(); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.list_audit_gaps() RETURNS TABLE(since timestamp with time zone, until timestamp with time zone)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
    select g.since, g.until
      from (
        select coalesce(pg_catalog.lag(l.until) over (order by l.since), '-infinity') as since,
               l.since as until
          from integrations_private.list_audit_partitions() as l
         where l.since is not null
        union all
        select coalesce(pg_catalog.max(l.until), '-infinity'), 'infinity'
          from integrations_private.list_audit_partitions() as l
      ) as g
     where g.since < g.until
     order by g.since;
end;
$$;


ALTER FUNCTION integrations_private.list_audit_gaps() OWNER TO integrations_owner;

--
-- Name: FUNCTION list_audit_gaps(); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.list_audit_gaps() IS 'Returns the spans of time for which the audit log has no partition but the default one, the oldest
first.';


--
-- Name: list_audit_partitions(); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.list_audit_partitions() RETURNS TABLE(partition regclass, since timestamp with time zone, until timestamp with time zone)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO, YMD'
    AS $_$
begin
  return query
    select i.inhrelid::pg_catalog.regclass,
           case when b.bound <> 'DEFAULT' then coalesce(b.ends[1]::timestamptz, '-infinity') end,
           case when b.bound <> 'DEFAULT' then coalesce(b.ends[2]::timestamptz, 'infinity') end
      from pg_catalog.pg_inherits as i
           join pg_catalog.pg_class as c on c.oid = i.inhrelid
           cross join lateral (
             select p.bound,
                    pg_catalog.regexp_match(
                      p.bound, $$FROM \((?:'(.*)'|MINVALUE)\) TO \((?:'(.*)'|MAXVALUE)\)$$) as ends
               from (select pg_catalog.pg_get_expr(c.relpartbound, c.oid)) as p (bound)
           ) as b
     where i.inhparent = 'integrations_private.audit_log'::pg_catalog.regclass
     order by 2, 3;
end;
$_$;


ALTER FUNCTION integrations_private.list_audit_partitions() OWNER TO integrations_owner;

--
-- Name: FUNCTION list_audit_partitions(); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.list_audit_partitions() IS 'Returns the partitions of the audit log with their bounds, the oldest first; the default one,
which has none, comes last.';


--
-- Name: list_keys(); Type: FUNCTION; Schema: integrations_private; Owner: integrations_keymaster
--

CREATE FUNCTION integrations_private.list_keys() RETURNS TABLE(tenant_id uuid, key_id uuid, version integer, kek_id text, state text, instance_count bigint, created_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
begin
  return query
    select k.tenant_id, k.id, k.version, k.kek_id, k.state::text, pg_catalog.count(i.id),
           k.created_at
      from integrations_private.tenant_keys as k
           left join integrations.integration_instances as i
             on i.tenant_id = k.tenant_id and i.credentials_key_id = k.id
     group by k.tenant_id, k.id;
end;
$$;


ALTER FUNCTION integrations_private.list_keys() OWNER TO integrations_keymaster;

--
-- Name: FUNCTION list_keys(); Type: COMMENT; Schema: integrations_private; Owner: integrations_keymaster
--

COMMENT ON FUNCTION integrations_private.list_keys() IS 'Returns the data keys of all tenants with the number of instances that need each; never key
material. Called through the view key_overview.';


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: tenant_keys; Type: TABLE; Schema: integrations_private; Owner: integrations_owner
--

CREATE TABLE integrations_private.tenant_keys (
    tenant_id uuid NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    version integer NOT NULL,
    kek_id text NOT NULL,
    wrapped bytea,
    check_value bytea NOT NULL,
    state integrations_private.tenant_key_state DEFAULT 'active'::integrations_private.tenant_key_state NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenant_keys_check_value_is_mac CHECK ((octet_length(check_value) = 16)),
    CONSTRAINT tenant_keys_destroyed_has_no_key CHECK (((state = 'destroyed'::integrations_private.tenant_key_state) = (wrapped IS NULL))),
    CONSTRAINT tenant_keys_version_is_positive CHECK ((version > 0))
)
WITH (fillfactor='25');
ALTER TABLE ONLY integrations_private.tenant_keys ALTER COLUMN wrapped SET STATISTICS 0;
ALTER TABLE ONLY integrations_private.tenant_keys ALTER COLUMN check_value SET STATISTICS 0;

ALTER TABLE ONLY integrations_private.tenant_keys FORCE ROW LEVEL SECURITY;


ALTER TABLE integrations_private.tenant_keys OWNER TO integrations_owner;

--
-- Name: TABLE tenant_keys; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON TABLE integrations_private.tenant_keys IS 'The data keys of the tenants, each wrapped by a key-encryption key that the database never
stores.';


--
-- Name: COLUMN tenant_keys.tenant_id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.tenant_keys.tenant_id IS 'The tenant whose credentials the key encrypts.';


--
-- Name: COLUMN tenant_keys.id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.tenant_keys.id IS 'Identifies the key; it stands in every envelope that the key made.';


--
-- Name: COLUMN tenant_keys.version; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.tenant_keys.version IS 'Counts the keys of the tenant, from 1.';


--
-- Name: COLUMN tenant_keys.kek_id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.tenant_keys.kek_id IS 'Names the key-encryption key that wraps it.';


--
-- Name: COLUMN tenant_keys.wrapped; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.tenant_keys.wrapped IS 'The data key, encrypted under a subkey that only this KEK, tenant and key id derive. NULL once
destroyed.';


--
-- Name: COLUMN tenant_keys.check_value; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.tenant_keys.check_value IS 'HMAC of the key id under the data key: proves at each use that the key at hand is this one.';


--
-- Name: COLUMN tenant_keys.state; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.tenant_keys.state IS 'Where the key is in its life.';


--
-- Name: COLUMN tenant_keys.created_at; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.tenant_keys.created_at IS 'When the key was made.';


--
-- Name: COLUMN tenant_keys.updated_at; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.tenant_keys.updated_at IS 'When its state or its wrapping last changed.';


--
-- Name: CONSTRAINT tenant_keys_check_value_is_mac ON tenant_keys; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT tenant_keys_check_value_is_mac ON integrations_private.tenant_keys IS 'The first 16 bytes of an HMAC-SHA-256.';


--
-- Name: CONSTRAINT tenant_keys_destroyed_has_no_key ON tenant_keys; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT tenant_keys_destroyed_has_no_key ON integrations_private.tenant_keys IS 'A key is destroyed exactly when its material is gone.';


--
-- Name: CONSTRAINT tenant_keys_version_is_positive ON tenant_keys; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT tenant_keys_version_is_positive ON integrations_private.tenant_keys IS 'Versions count from 1.';


--
-- Name: lock_active_key(uuid); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.lock_active_key(tenant_id uuid) RETURNS integrations_private.tenant_keys
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_key integrations_private.tenant_keys;
begin
  for v_try in 1..10 loop
    select k.* into v_key
      from integrations_private.tenant_keys as k
     where k.tenant_id = lock_active_key.tenant_id
       and k.state = 'active'
       for share;
    exit when found;
  end loop;

  return v_key;
end;
$$;


ALTER FUNCTION integrations_private.lock_active_key(tenant_id uuid) OWNER TO integrations_owner;

--
-- Name: FUNCTION lock_active_key(tenant_id uuid); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.lock_active_key(tenant_id uuid) IS 'Returns the tenant''s active key, held against retirement, or NULLs when there is none.';


--
-- Name: lock_audit_log(boolean, regclass[], interval); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.lock_audit_log(exclusive boolean, partitions regclass[], patience interval) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "plpgsql.print_strict_params" TO 'off'
    SET debug_print_plan TO 'off'
    SET debug_print_parse TO 'off'
    SET debug_print_rewritten TO 'off'
    AS $$
declare
  v_former constant text := pg_catalog.current_setting('lock_timeout');
  v_until constant timestamptz := pg_catalog.clock_timestamp() + patience;
  v_milliseconds integer := greatest(1, extract(epoch from patience) * 1000)::integer;
  v_partition regclass;
begin
  perform pg_catalog.set_config('lock_timeout', v_milliseconds::text, true);
  if exclusive then
    lock table only integrations_private.audit_log in access exclusive mode;
  else
    lock table only integrations_private.audit_log in share update exclusive mode;
  end if;

  foreach v_partition in array partitions loop
    v_milliseconds :=
      greatest(1, extract(epoch from v_until - pg_catalog.clock_timestamp()) * 1000)::integer;
    perform pg_catalog.set_config('lock_timeout', v_milliseconds::text, true);
    execute pg_catalog.format('lock table %s in access exclusive mode', v_partition);
  end loop;

  perform pg_catalog.set_config('lock_timeout', v_former, true);
end;
$$;


ALTER FUNCTION integrations_private.lock_audit_log(exclusive boolean, partitions regclass[], patience interval) OWNER TO integrations_owner;

--
-- Name: FUNCTION lock_audit_log(exclusive boolean, partitions regclass[], patience interval); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.lock_audit_log(exclusive boolean, partitions regclass[], patience interval) IS 'Locks the audit log, against everybody or only against other maintenance, and these of its
partitions against everybody. Waits no longer than the patience in all; then 55P03.';


--
-- Name: integration_instances; Type: TABLE; Schema: integrations; Owner: integrations_owner
--

CREATE TABLE integrations.integration_instances (
    tenant_id uuid NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    integration_id uuid NOT NULL,
    name character varying NOT NULL,
    status integrations.integration_instance_status DEFAULT 'pending'::integrations.integration_instance_status NOT NULL,
    status_reason text,
    credentials jsonb,
    credentials_version integer DEFAULT 0 NOT NULL,
    credentials_key_id uuid GENERATED ALWAYS AS (integrations_private.envelope_key_id(credentials)) STORED,
    credentials_expire_at timestamp with time zone,
    config jsonb DEFAULT '{}'::jsonb NOT NULL,
    last_used_at timestamp with time zone,
    last_connected_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT integration_instances_config_is_object CHECK ((jsonb_typeof(config) = 'object'::text)),
    CONSTRAINT integration_instances_credentials_is_envelope CHECK (((credentials IS NULL) OR (credentials_key_id IS NOT NULL))),
    CONSTRAINT integration_instances_credentials_version_is_count CHECK (((credentials_version >= 0) AND ((credentials IS NULL) OR (credentials_version > 0)))),
    CONSTRAINT integration_instances_name_is_valid CHECK ((((name)::text ~ '[^[:space:]]'::text) AND (char_length((name)::text) <= 200))),
    CONSTRAINT integration_instances_revoked_has_no_credentials CHECK (((status <> 'revoked'::integrations.integration_instance_status) OR ((credentials IS NULL) AND (credentials_expire_at IS NULL)))),
    CONSTRAINT integration_instances_status_reason_is_short CHECK ((char_length(status_reason) <= 1000))
)
WITH (fillfactor='90');
ALTER TABLE ONLY integrations.integration_instances ALTER COLUMN credentials SET STATISTICS 0;

ALTER TABLE ONLY integrations.integration_instances FORCE ROW LEVEL SECURITY;


ALTER TABLE integrations.integration_instances OWNER TO integrations_owner;

--
-- Name: TABLE integration_instances; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON TABLE integrations.integration_instances IS 'Installations of connectors, each with the encrypted credentials and the configuration of one
tenant. A tenant sees only its own.';


--
-- Name: COLUMN integration_instances.tenant_id; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.tenant_id IS 'The tenant that owns the installation. It leads every key, so that no tenant learns of another
through one.';


--
-- Name: COLUMN integration_instances.id; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.id IS 'Identifies the installation within its tenant.';


--
-- Name: COLUMN integration_instances.integration_id; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.integration_id IS 'The definition that the installation is of.';


--
-- Name: COLUMN integration_instances.name; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.name IS 'The tenant''s own name for the installation.';


--
-- Name: COLUMN integration_instances.status; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.status IS 'Where the installation is in its life: pending, active, error, disabled, revoked.';


--
-- Name: COLUMN integration_instances.status_reason; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.status_reason IS 'Why it is in error, disabled or revoked; for people, never a secret.';


--
-- Name: COLUMN integration_instances.credentials; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.credentials IS 'The encrypted envelope: v, key (the tenant key), version, ct (OpenPGP ciphertext) and mac (HMAC),
the last two in base64. Never plaintext.';


--
-- Name: COLUMN integration_instances.credentials_version; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.credentials_version IS 'Counts the writes of credentials: 0 means never stored. It survives revocation and never goes
back.';


--
-- Name: COLUMN integration_instances.credentials_key_id; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.credentials_key_id IS 'The tenant key of the envelope, for foreign key and rotation.';


--
-- Name: COLUMN integration_instances.credentials_expire_at; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.credentials_expire_at IS 'When the stored credentials expire, as they said themselves when they were stored.';


--
-- Name: COLUMN integration_instances.config; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.config IS 'Plain configuration, a JSON object. No place for secrets.';


--
-- Name: COLUMN integration_instances.last_used_at; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.last_used_at IS 'When the credentials were last read, to the minute.';


--
-- Name: COLUMN integration_instances.last_connected_at; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.last_connected_at IS 'When the service last reported a good connection.';


--
-- Name: COLUMN integration_instances.created_at; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.created_at IS 'When the installation was created.';


--
-- Name: COLUMN integration_instances.updated_at; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_instances.updated_at IS 'When name, config, status or credentials last changed; not when they were used.';


--
-- Name: CONSTRAINT integration_instances_config_is_object ON integration_instances; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_instances_config_is_object ON integrations.integration_instances IS 'Configuration is a JSON object.';


--
-- Name: CONSTRAINT integration_instances_credentials_is_envelope ON integration_instances; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_instances_credentials_is_envelope ON integrations.integration_instances IS 'Either nothing or an encrypted envelope of format 1; plaintext credentials do not fit.';


--
-- Name: CONSTRAINT integration_instances_credentials_version_is_count ON integration_instances; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_instances_credentials_version_is_count ON integrations.integration_instances IS 'Stored credentials have a version from 1.';


--
-- Name: CONSTRAINT integration_instances_name_is_valid ON integration_instances; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_instances_name_is_valid ON integrations.integration_instances IS 'Not blank, at most 200 characters.';


--
-- Name: CONSTRAINT integration_instances_revoked_has_no_credentials ON integration_instances; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_instances_revoked_has_no_credentials ON integrations.integration_instances IS 'Revocation erases.';


--
-- Name: CONSTRAINT integration_instances_status_reason_is_short ON integration_instances; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_instances_status_reason_is_short ON integrations.integration_instances IS 'At most 1000 characters.';


--
-- Name: lock_instance(uuid); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.lock_instance(instance_id uuid) RETURNS integrations.integration_instances
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_instance integrations.integration_instances;
begin
  if lock_instance.instance_id is null then
    raise exception 'instance_id must not be null' using errcode = '22023';
  end if;

  select i.* into v_instance
    from integrations.integration_instances as i
   where i.tenant_id = v_tenant_id
     and i.id = lock_instance.instance_id
     for no key update;

  if not found then
    raise exception 'integration instance not found'
      using errcode = 'IN201',
            detail = pg_catalog.format('Instance %s.', lock_instance.instance_id),
            hint = 'Check the instance id and the tenant of the transaction.';
  end if;

  return v_instance;
end;
$$;


ALTER FUNCTION integrations_private.lock_instance(instance_id uuid) OWNER TO integrations_owner;

--
-- Name: FUNCTION lock_instance(instance_id uuid); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.lock_instance(instance_id uuid) IS 'Returns one instance of the transaction''s tenant, locked against other writers. Errors: 22023,
IN001, IN201.';


--
-- Name: lock_refresh_lease(uuid); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.lock_refresh_lease(lease uuid) RETURNS integrations.integration_instances
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_instance integrations.integration_instances;
begin
  if lock_refresh_lease.lease is null then
    raise exception 'lease must not be null' using errcode = '22023';
  end if;

  select i.* into v_instance
    from integrations_private.refresh_leases as l
         join integrations.integration_instances as i
           on i.tenant_id = l.tenant_id and i.id = l.instance_id
   where l.tenant_id = v_tenant_id
     and l.lease = lock_refresh_lease.lease
     for no key update of i;

  if not exists (
    select
      from integrations_private.refresh_leases as l
     where l.tenant_id = v_tenant_id
       and l.instance_id = v_instance.id
       and l.lease = lock_refresh_lease.lease
       and l.leased_until > pg_catalog.clock_timestamp()
  ) then
    raise exception 'refresh lease is lost'
      using errcode = 'IN402',
            detail = pg_catalog.format('Lease %s.', lock_refresh_lease.lease),
            hint = 'It has expired, was used, or is not of this tenant. New credentials that must'
                   ' not be lost: put_credentials, with expected_version.';
  end if;

  return v_instance;
end;
$$;


ALTER FUNCTION integrations_private.lock_refresh_lease(lease uuid) OWNER TO integrations_owner;

--
-- Name: FUNCTION lock_refresh_lease(lease uuid); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.lock_refresh_lease(lease uuid) IS 'Returns the instance that a live lease of the transaction''s tenant is about, locked against other
writers. Errors: 22023, IN001, IN402.';


--
-- Name: month_of(timestamp with time zone, integer); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.month_of(at timestamp with time zone, shift integer DEFAULT 0) RETURNS timestamp with time zone
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN ((date_trunc('month'::text, (at AT TIME ZONE 'UTC'::text)) + ((shift)::double precision * '1 mon'::interval)) AT TIME ZONE 'UTC'::text);


ALTER FUNCTION integrations_private.month_of(at timestamp with time zone, shift integer) OWNER TO integrations_owner;

--
-- Name: FUNCTION month_of(at timestamp with time zone, shift integer); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.month_of(at timestamp with time zone, shift integer) IS 'The beginning, in UTC, of the month in which a time lies, or of a month before or after it.';


--
-- Name: move_instance(integrations.integration_instances, integrations.integration_instance_status, text); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.move_instance(instance integrations.integration_instances, status integrations.integration_instance_status, reason text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
begin
  if not integrations_private.instance_may_move(instance.status, move_instance.status) then
    raise exception 'status cannot move that way'
      using errcode = 'IN104',
            detail = pg_catalog.format('Instance %s is %s.', instance.id, instance.status),
            hint = 'pending becomes active by its first credentials; revoked is final.';
  end if;

  update integrations.integration_instances as i
     set status = move_instance.status,
         status_reason =
           case when move_instance.status <> 'active' then pg_catalog.left(reason, 1000) end,
         credentials = case when move_instance.status <> 'revoked' then i.credentials end,
         credentials_expire_at =
           case when move_instance.status <> 'revoked' then i.credentials_expire_at end,
         updated_at = v_now
   where i.tenant_id = instance.tenant_id
     and i.id = instance.id;

  perform integrations_private.write_audit(
    instance.tenant_id, instance.id,
    case when move_instance.status = 'revoked' then 'credentials_revoked' else 'status_changed' end,
    pg_catalog.jsonb_build_object(
      'from', instance.status, 'to', move_instance.status,
      'version', instance.credentials_version));
end;
$$;


ALTER FUNCTION integrations_private.move_instance(instance integrations.integration_instances, status integrations.integration_instance_status, reason text) OWNER TO integrations_owner;

--
-- Name: FUNCTION move_instance(instance integrations.integration_instances, status integrations.integration_instance_status, reason text); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.move_instance(instance integrations.integration_instances, status integrations.integration_instance_status, reason text) IS 'Moves a locked instance to another status, with a reason cut to 1000 characters (none for active),
and audits it. Revocation erases the credentials. Errors: IN104.';


--
-- Name: numbers_are_short(jsonb); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.numbers_are_short(document jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  v_numbers jsonb;
  v_length integer := 0;
begin
  -- Strict, or what stands in an array would be counted twice.
  v_numbers := pg_catalog.jsonb_path_query_array(
    document, 'strict $.** ? (@.type() == "number")');

  for n in 0..coalesce(pg_catalog.jsonb_array_length(v_numbers), 0) - 1 loop
    v_length := v_length + pg_catalog.octet_length(v_numbers ->> n);
    if v_length > 65536 then
      return false;
    end if;
  end loop;

  return true;
end;
$_$;


ALTER FUNCTION integrations_private.numbers_are_short(document jsonb) OWNER TO integrations_owner;

--
-- Name: FUNCTION numbers_are_short(document jsonb); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.numbers_are_short(document jsonb) IS 'Tells whether the numbers of a document, written with all of their digits, take at most 64 KiB
together.';


--
-- Name: open_credentials(uuid, uuid, uuid, integer, bytea, jsonb); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.open_credentials(tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea, envelope jsonb) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_ciphertext bytea;
  v_mac bytea;
  v_credentials text;
begin
  begin
    v_ciphertext := pg_catalog.decode(envelope ->> 'ct', 'base64');
    v_mac := integrations_private.hmac(
      v_ciphertext,
      integrations_private.credentials_subkey(
        'mac', tenant_id, instance_id, key_id, open_credentials.version, data_key));

    -- The whole envelope, as seal_credentials writes it: decode() takes more than one text for the
    -- same bytes.
    if envelope::text
       = pg_catalog.format(
           '{"v": 1, "ct": "%s", "key": "%s", "mac": "%s", "version": %s}',
           pg_catalog.replace(pg_catalog.encode(v_ciphertext, 'base64'), E'\n', ''),
           open_credentials.key_id, pg_catalog.encode(v_mac, 'base64'), open_credentials.version)
    then
      v_credentials := integrations_private.decrypt_text(
        v_ciphertext,
        pg_catalog.encode(
          integrations_private.credentials_subkey(
            'enc', tenant_id, instance_id, key_id, open_credentials.version, data_key),
          'hex'));
      -- Here, where an error does not quote it: the caller casts it.
      v_credentials :=
        case when pg_catalog.jsonb_typeof(v_credentials::jsonb) = 'object' then v_credentials end;
    end if;
  exception
    when insufficient_resources or program_limit_exceeded then
      raise;                                 -- the server's trouble, not damage
    when others then
      v_credentials := null;
  end;

  if v_credentials is null then
    raise exception 'integrity check failed'
      using errcode = 'IN304',
            detail = pg_catalog.format('Instance %s, key %s.', instance_id, key_id),
            hint = 'The stored envelope was altered or moved. Store the credentials anew.';
  end if;

  return v_credentials;
end;
$$;


ALTER FUNCTION integrations_private.open_credentials(tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea, envelope jsonb) OWNER TO integrations_owner;

--
-- Name: FUNCTION open_credentials(tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea, envelope jsonb); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.open_credentials(tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea, envelope jsonb) IS 'Returns the credentials in an envelope, as they were stored. Errors: IN304 altered, moved, or not
of this version.';


--
-- Name: opened_key(uuid, uuid, integrations_private.tenant_key_state, bytea); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.opened_key(tenant_id uuid, key_id uuid, state integrations_private.tenant_key_state, check_value bytea) RETURNS bytea
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  v_keyring constant text := pg_catalog.current_setting('integrations.keyring', true);
  v_hex text;
  v_data_key bytea;
begin
  if opened_key.state is null or opened_key.state in ('retired', 'destroyed') then
    raise exception 'tenant key is destroyed, retired or unknown'
      using errcode = 'IN307', detail = pg_catalog.format('Key %s.', opened_key.key_id);
  end if;

  v_hex := pg_catalog.split_part(
    pg_catalog.split_part(v_keyring, pg_catalog.format('|%s=', opened_key.key_id), 2), '|', 1);

  -- No pattern: one that counts to 64 costs five times as much as proving the key.
  if pg_catalog.left(v_keyring, 36) is distinct from opened_key.tenant_id::text
     or pg_catalog.length(v_hex) <> 64
     or v_hex !~ '^[0-9a-f]*$'
  then
    raise exception 'credentials are locked'
      using errcode = 'IN302',
            detail = pg_catalog.format('Key %s is not open.', opened_key.key_id),
            hint = 'Call integrations.unlock(...) in this transaction, after set_tenant;'
                   ' again if the tenant has a new key since.';
  end if;

  v_data_key := pg_catalog.decode(v_hex, 'hex');

  if integrations_private.data_key_check_value(opened_key.key_id, v_data_key)
     is distinct from opened_key.check_value
  then
    raise exception 'wrong tenant key'
      using errcode = 'IN303',
            detail = pg_catalog.format('Key %s.', opened_key.key_id),
            hint = 'Open keys with integrations.unlock(...), never by a setting.';
  end if;

  return v_data_key;
end;
$_$;


ALTER FUNCTION integrations_private.opened_key(tenant_id uuid, key_id uuid, state integrations_private.tenant_key_state, check_value bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION opened_key(tenant_id uuid, key_id uuid, state integrations_private.tenant_key_state, check_value bytea); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.opened_key(tenant_id uuid, key_id uuid, state integrations_private.tenant_key_state, check_value bytea) IS 'Returns a data key from the keyring of this transaction, once it has proved itself. Errors: IN302
locked, IN303 wrong key, IN307 key destroyed, retired or unknown.';


--
-- Name: parse_credentials(text); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.parse_credentials(credentials text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  v_credentials jsonb;
begin
  if parse_credentials.credentials is null then
    raise exception 'credentials must not be null' using errcode = '22023';
  end if;

  if pg_catalog.octet_length(parse_credentials.credentials) <= 65536 then
    begin
      v_credentials := parse_credentials.credentials::jsonb;
      -- What nests near the limit of this session's stack could not be read back in a deeper one.
      if v_credentials @? '$.**{101}' then
        v_credentials := null;
      -- Nothing else makes it longer than it came. Most have no exponent of two digits.
      elsif parse_credentials.credentials ~ '[0-9][eE][-+]?[0-9]{2}'
            and not integrations_private.numbers_are_short(v_credentials)
      then
        v_credentials := null;
      end if;
    exception when others then
      v_credentials := null;
    end;
  end if;

  if pg_catalog.jsonb_typeof(v_credentials) is distinct from 'object' then
    raise exception 'credentials must be a JSON object of at most 64 KiB'
      using errcode = 'IN305',
            hint = 'Text in JSON form, without U+0000, not nested over 100 levels; numbers count as'
                   ' written out.';
  end if;

  return v_credentials;
end;
$_$;


ALTER FUNCTION integrations_private.parse_credentials(credentials text) OWNER TO integrations_owner;

--
-- Name: FUNCTION parse_credentials(credentials text); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.parse_credentials(credentials text) IS 'Returns credentials as JSON. Errors: 22023 null, IN305 not a JSON object, over 64 KiB, or nested
over 100 levels.';


--
-- Name: pointer_token(text); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.pointer_token(name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ('/'::text || replace(replace(name, '~'::text, '~0'::text), '/'::text, '~1'::text));


ALTER FUNCTION integrations_private.pointer_token(name text) OWNER TO integrations_owner;

--
-- Name: FUNCTION pointer_token(name text); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.pointer_token(name text) IS 'The name of a property as a token of a JSON pointer, with the slash before it.';


--
-- Name: quarantine_reason(); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.quarantine_reason() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 'quarantined: the credentials cannot be decrypted'::text;


ALTER FUNCTION integrations_private.quarantine_reason() OWNER TO integrations_owner;

--
-- Name: FUNCTION quarantine_reason(); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.quarantine_reason() IS 'The status_reason of an instance whose credentials cannot be decrypted any more.';


--
-- Name: random_bytes(integer); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.random_bytes(length integer) RETURNS bytea
    LANGUAGE sql PARALLEL SAFE
    RETURN pgcrypto.gen_random_bytes(length);


ALTER FUNCTION integrations_private.random_bytes(length integer) OWNER TO integrations_owner;

--
-- Name: FUNCTION random_bytes(length integer); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.random_bytes(length integer) IS 'Random bytes from the cryptographic generator.';


--
-- Name: register_kek(text, bytea); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.register_kek(kek_id text, kek bytea) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;


ALTER FUNCTION integrations_private.register_kek(kek_id text, kek bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION register_kek(kek_id text, kek bytea); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.register_kek(kek_id text, kek bytea) IS 'Makes sure that a kek_id names this KEK, from now on for ever, and returns true. Errors: 22023,
IN303.';


--
-- Name: require_tenant(); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.require_tenant() RETURNS uuid
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_tenant_id constant uuid := integrations.current_tenant();
begin
  if v_tenant_id is null then
    raise exception 'tenant is not set'
      using errcode = 'IN001',
            hint = 'BEGIN, then call integrations.set_tenant(...): it lasts one transaction.';
  end if;

  return v_tenant_id;
end;
$$;


ALTER FUNCTION integrations_private.require_tenant() OWNER TO integrations_owner;

--
-- Name: FUNCTION require_tenant(); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.require_tenant() IS 'Returns the tenant of this transaction. Errors: IN001 tenant not set.';


--
-- Name: require_usable(uuid, integrations.integration_instance_status); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.require_usable(instance_id uuid, status integrations.integration_instance_status) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if require_usable.status in ('disabled', 'revoked') then
    raise exception 'integration instance is disabled or revoked'
      using errcode = 'IN202',
            detail = pg_catalog.format('Instance %s is %s.', instance_id, status),
            hint = 'Enable a disabled instance with set_instance_status; a revoked one is final.';
  end if;
end;
$$;


ALTER FUNCTION integrations_private.require_usable(instance_id uuid, status integrations.integration_instance_status) OWNER TO integrations_owner;

--
-- Name: FUNCTION require_usable(instance_id uuid, status integrations.integration_instance_status); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.require_usable(instance_id uuid, status integrations.integration_instance_status) IS 'Refuses an instance that is disabled or revoked. Errors: IN202.';


--
-- Name: schema_violation(uuid, text, jsonb); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.schema_violation(integration_id uuid, kind text, document jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_schema jsonb;
  v_rules jsonb;
  v_found record;
begin
  -- The empty path takes the value out of its compression, once and not at each use.
  select s.schema, c.rules #> '{}'
    into v_schema, v_rules
    from integrations.integration_definitions as d
         cross join lateral (
           select case schema_violation.kind
                    when 'credentials' then d.credentials_schema
                    else d.config_schema
                  end
         ) as s (schema)
         left join integrations_private.compiled_schemas as c
           on c.definition_id = d.id and c.kind = schema_violation.kind and c.schema = s.schema
   where d.id = schema_violation.integration_id;

  if v_schema = '{}' then
    return null;
  end if;

  begin
    if v_rules is null then
      v_rules := integrations_private.compile_schema(v_schema, schema_violation.kind || '_schema');
    end if;
    v_found := integrations_private.evaluate_schema(
      v_rules, 0, schema_violation.document, 0, 100000);
  exception
    when sqlstate 'IN105' or program_limit_exceeded or invalid_regular_expression then
      return pg_catalog.format('It could not be checked: %s.', sqlerrm);
  end;

  if v_found.keyword is null then
    return null;
  end if;

  return pg_catalog.format(
           'Pointer %s, keyword %s',
           pg_catalog.to_json(v_found.pointer), pg_catalog.to_json(v_found.keyword))
         || coalesce(': ' || pg_catalog.to_json(v_found.missing) || ' is missing', '') || '.';
end;
$$;


ALTER FUNCTION integrations_private.schema_violation(integration_id uuid, kind text, document jsonb) OWNER TO integrations_owner;

--
-- Name: FUNCTION schema_violation(integration_id uuid, kind text, document jsonb); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.schema_violation(integration_id uuid, kind text, document jsonb) IS 'How a document violates a schema of a definition, for the detail of an error: pointer and keyword,
or the limit that it is beyond, and never a value; NULL when it fits. kind is credentials or
config.';


--
-- Name: seal_credentials(uuid, uuid, uuid, integer, bytea, text); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.seal_credentials(tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea, credentials text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_ciphertext bytea;
  v_mac bytea;
begin
  v_ciphertext := integrations_private.encrypt_text(
    credentials,
    pg_catalog.encode(
      integrations_private.credentials_subkey(
        'enc', tenant_id, instance_id, key_id, version, data_key),
      'hex'));
  v_mac := integrations_private.hmac(
    v_ciphertext,
    integrations_private.credentials_subkey(
      'mac', tenant_id, instance_id, key_id, version, data_key));

  -- encode() breaks base64 into lines; an envelope has none.
  return pg_catalog.jsonb_build_object(
    'v', 1,
    'key', key_id,
    'version', version,
    'ct', pg_catalog.replace(pg_catalog.encode(v_ciphertext, 'base64'), E'\n', ''),
    'mac', pg_catalog.encode(v_mac, 'base64'));
end;
$$;


ALTER FUNCTION integrations_private.seal_credentials(tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea, credentials text) OWNER TO integrations_owner;

--
-- Name: FUNCTION seal_credentials(tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea, credentials text); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.seal_credentials(tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea, credentials text) IS 'Returns the envelope of credentials, bound to tenant, instance, key and version.';


--
-- Name: stamp_last_used(uuid, uuid); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.stamp_last_used(tenant_id uuid, instance_id uuid) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
begin
  lock table integrations.integration_instances in row exclusive mode nowait;

  update integrations.integration_instances as i
     set last_used_at = v_now
   where i.tenant_id = stamp_last_used.tenant_id
     and i.ctid = (
           select l.ctid
             from integrations.integration_instances as l
            where l.tenant_id = stamp_last_used.tenant_id
              and l.id = stamp_last_used.instance_id
              and (l.last_used_at is null or l.last_used_at <= v_now - interval '1 minute')
              for no key update skip locked
         );

  return found;
exception when lock_not_available or serialization_failure then
  return false;
end;
$$;


ALTER FUNCTION integrations_private.stamp_last_used(tenant_id uuid, instance_id uuid) OWNER TO integrations_owner;

--
-- Name: FUNCTION stamp_last_used(tenant_id uuid, instance_id uuid); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.stamp_last_used(tenant_id uuid, instance_id uuid) IS 'Writes last_used_at, at most once a minute, unless that would wait for another transaction, and
returns whether it did.';


--
-- Name: store_tenant_key(uuid, uuid, text, bytea, bytea); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.store_tenant_key(tenant_id uuid, key_id uuid, kek_id text, wrapped bytea, check_value bytea) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_version integer;
begin
  for v_try in 1..10 loop
    begin
      perform
        from integrations_private.tenant_keys as k
       where k.tenant_id = store_tenant_key.tenant_id
         and k.version = 1
         for no key update;

      -- Who does not hold the first key may only try to be the first: with more than that in hand,
      -- two callers could wait for each other.
      v_version := 1;
      if found then
        update integrations_private.tenant_keys as k
           set state = 'decrypt_only', updated_at = v_now
         where k.tenant_id = store_tenant_key.tenant_id
           and k.state = 'active';

        select coalesce(pg_catalog.max(k.version), 0) + 1 into v_version
          from integrations_private.tenant_keys as k
         where k.tenant_id = store_tenant_key.tenant_id;
      end if;

      insert into integrations_private.tenant_keys
        (tenant_id, id, version, kek_id, wrapped, check_value)
      values
        (store_tenant_key.tenant_id, store_tenant_key.key_id, v_version, store_tenant_key.kek_id,
         store_tenant_key.wrapped, store_tenant_key.check_value);
      exit;
    exception when unique_violation then
      -- An old snapshot does not show it, however often one looks.
      if v_try = 10 then
        raise exception 'another key of the tenant was made at the same time'
          using errcode = 'serialization_failure', hint = 'Try the transaction again.';
      end if;
    end;
  end loop;

  perform integrations_private.write_audit(
    store_tenant_key.tenant_id, null, 'tenant_key_created',
    pg_catalog.jsonb_build_object(
      'key', store_tenant_key.key_id, 'version', v_version, 'kek_id', store_tenant_key.kek_id));
end;
$$;


ALTER FUNCTION integrations_private.store_tenant_key(tenant_id uuid, key_id uuid, kek_id text, wrapped bytea, check_value bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION store_tenant_key(tenant_id uuid, key_id uuid, kek_id text, wrapped bytea, check_value bytea); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.store_tenant_key(tenant_id uuid, key_id uuid, kek_id text, wrapped bytea, check_value bytea) IS 'Stores a wrapped data key as the active one of a tenant; the former one only decrypts from now on.
Errors: 40001 another key was made at the same time.';


--
-- Name: tg_audit_log__append_only(); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.tg_audit_log__append_only() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  raise exception 'the audit log is append-only'
    using errcode = 'insufficient_privilege',
          hint = 'Old months are dropped as whole partitions.';
end;
$$;


ALTER FUNCTION integrations_private.tg_audit_log__append_only() OWNER TO integrations_owner;

--
-- Name: FUNCTION tg_audit_log__append_only(); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.tg_audit_log__append_only() IS 'Refuses UPDATE, DELETE and TRUNCATE. Errors: 42501 the audit log is append-only.';


--
-- Name: tg_integration_definitions__immutable(); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.tg_integration_definitions__immutable() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_expected integrations.integration_definitions;
begin
  if TG_OP = 'UPDATE' then
    v_expected := NEW;
    v_expected.status := OLD.status;
    v_expected.updated_at := OLD.updated_at;

    if v_expected *<> OLD then
      raise exception 'integration definition is immutable'
        using errcode = 'IN102',
              detail = pg_catalog.format('Definition %s.', OLD.id),
              hint = 'Register a new version of the connector instead.';
    end if;

    if NEW.status < OLD.status then
      raise exception 'status cannot move that way'
        using errcode = 'IN104',
              detail = pg_catalog.format('Definition %s is %s.', OLD.id, OLD.status),
              hint = 'A definition moves forward only: draft, published, deprecated, retired.';
    end if;

    return NEW;
  end if;

  if TG_OP = 'DELETE' and OLD.status = 'draft' then
    return OLD;
  end if;

  raise exception 'integration definition is immutable'
    using errcode = 'IN102',
          hint = 'Only a draft can be deleted. Set the status to retired instead.';
end;
$$;


ALTER FUNCTION integrations_private.tg_integration_definitions__immutable() OWNER TO integrations_owner;

--
-- Name: FUNCTION tg_integration_definitions__immutable(); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.tg_integration_definitions__immutable() IS 'Keeps definitions immutable: only status (forward) and updated_at change, only drafts are deleted.
Errors: IN102 definition is immutable, IN104 status cannot move that way.';


--
-- Name: translate_pattern(text); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.translate_pattern(pattern text, OUT translated text, OUT start_cost integer, OUT length_cost integer, OUT refusal text) RETURNS record
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  -- E, because the session that compiles this may have standard_conforming_strings off.
  v_space constant text :=
    E'\\u0009-\\u000d\\u0020\\u00a0\\u1680\\u2000-\\u200a'
    || E'\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff';
  v_not_space constant text :=
    E'\\u0001-\\u0008\\u000e-\\u001f\\u0021-\\u009f\\u00a1-\\u167f'
    || E'\\u1681-\\u1fff\\u200b-\\u2027\\u202a-\\u202e'
    || E'\\u2030-\\u205e\\u2060-\\u2fff\\u3001-\\ufefe\\uff00-\\U0010ffff';
  v_escape constant text :=
    E'\\\\u[dD][89abAB]..\\\\u[dD][c-fC-F]..|\\\\u\\{[^}]*\\}|\\\\u....|\\\\x..|\\\\c.|\\\\.';
  v_rest text := pattern;
  v_token text;
  v_hex text[];
  v_code integer;                            -- the character that the token stands for, if one
  v_set text;                                -- the set that it stands for, such as \d, if one
  v_piece text;
  v_sizes integer[] := array[0];             -- how many states each open group has so far
  v_looks boolean[] := array[false];         -- whether each of them is a look-ahead
  v_depth integer := 1;
  v_tangles integer := 0;                    -- what may be left out, and copies of groups
  v_atom integer := 0;                       -- states that a quantifier here would repeat
  v_wides integer[] := array[0];             -- how many classes are among the states of each group
  v_wide integer := 0;                       -- and among those that a quantifier would repeat
  v_seen integer[] := array[]::integer[];    -- different characters
  v_arcs bigint;
  v_is_group boolean;
  v_is_head boolean := true;                 -- only ^ and look-aheads so far
  v_in_class boolean := false;
  v_last integer;                            -- in a class, what could begin a range
  v_first integer;                           -- in a class, what has begun one
  v_least integer;
  v_most integer;
  v_copies integer;                          -- what a quantifier adds to the size
  v_ways integer;
begin
  if pg_catalog.char_length(pattern) > 1000 then
    refusal := 'it has more than 1000 characters';
    return;
  end if;

  translated := '';
  while v_rest <> '' loop
    v_token := pg_catalog.substring(
      v_rest,
      case
        when v_in_class then '^(?:' || v_escape || '|.)'
        else '^(?:' || v_escape || E'|\\(\\?<?.?|\\{[0-9]+(?:,[0-9]*)?\\}\\??|\\[\\^?|[*+?]\\??|.)'
      end);
    v_rest := pg_catalog.substr(v_rest, pg_catalog.char_length(v_token) + 1);

    v_code := null;
    v_set := null;
    if v_token = E'\\' then
      refusal := 'it ends in a backslash';
    elsif v_token ~ E'^\\\\[uxc].' then
      v_hex := pg_catalog.regexp_match(
        v_token,
        E'^\\\\(?:u\\{([0-9a-fA-F]{1,6})\\}|u([0-9a-fA-F]{4})(?:\\\\u([0-9a-fA-F]{4}))?'
        || '|x([0-9a-fA-F]{2})|c([a-zA-Z]))$');
      v_code := case
        when v_hex[5] is not null then pg_catalog.ascii(v_hex[5]) & 31
        when v_hex[3] is not null then
          65536 + ((('x0000' || v_hex[2])::bit(32)::integer & 1023) << 10)
          + (('x0000' || v_hex[3])::bit(32)::integer & 1023)
        else
          ('x' || pg_catalog.lpad(coalesce(v_hex[1], v_hex[2], v_hex[4]), 8, '0'))
          ::bit(32)::integer
      end;
      if v_code is null or v_code > 1114111 or v_code between 55296 and 57343 then
        refusal := pg_catalog.format('%s is not a character', v_token);
      end if;
    elsif v_token ~ E'^\\\\[tnvfr0]$' or (v_token = E'\\b' and v_in_class) then
      v_code := (array[9, 10, 11, 12, 13, 0, 8])[
        pg_catalog.strpos('tnvfr0b', pg_catalog.right(v_token, 1))];
      if v_code = 0 and v_rest ~ '^[0-9]' then
        refusal := 'octal escapes are not supported';
      end if;
    elsif v_token in (E'\\d', E'\\D', E'\\w', E'\\W') then
      v_set := v_token;
    elsif v_token = E'\\s' then
      v_set := v_space;
    elsif v_token = E'\\S' then
      v_set := v_not_space;
    elsif v_token ~ E'^\\\\[1-9k]$' then
      refusal := 'back-references are not supported';
    elsif v_token ~ E'^\\\\[pP]$' then
      refusal := 'Unicode properties are not supported';
    elsif v_token ~ E'^\\\\[a-zA-Z]$' then
      if v_in_class or v_token not in (E'\\b', E'\\B') then
        refusal := pg_catalog.format('%s is not supported', v_token);
      end if;
    elsif v_token ~ E'^\\\\' then
      v_code := pg_catalog.ascii(pg_catalog.right(v_token, 1));
    elsif pg_catalog.char_length(v_token) = 1
          and pg_catalog.strpos(case when v_in_class then ']-' else '.^$|()[*+?' end, v_token) = 0
    then
      v_code := pg_catalog.ascii(v_token);
    end if;

    v_piece := case
      when v_code between 48 and 57 or v_code between 65 and 90 or v_code between 97 and 122
        then pg_catalog.chr(v_code)
      when v_code between 32 and 126 then E'\\' || pg_catalog.chr(v_code)
      else E'\\U' || pg_catalog.lpad(pg_catalog.to_hex(v_code), 8, '0')
    end;

    if v_in_class then
      if v_token = ']' then
        v_piece := ']';
        v_in_class := false;
        v_is_group := false;
        v_atom := 1;
        v_wide := 1;
        v_sizes[v_depth] := v_sizes[v_depth] + 1;
        v_wides[v_depth] := v_wides[v_depth] + 1;
      elsif v_token = '-' and v_last is not null and v_first is null and v_rest !~ E'^\\]' then
        v_piece := '';
        v_first := v_last;
      else
        if v_token = '-' then
          v_code := 45;
          v_piece := E'\\-';
        end if;
        if v_code < v_first then
          refusal := 'a range of characters ends before it begins';
        end if;
        -- Before a set, as in [a-\d], it is a hyphen.
        v_piece := case when v_first is null then ''
                        when v_set is null then '-'
                        else E'\\-' end
                   || coalesce(v_set, v_piece);
        v_last := case when v_first is null then v_code end;
        v_first := null;
      end if;
    elsif v_token in ('[', '[^') then
      v_piece := v_token;
      v_in_class := true;
      v_last := null;
      if v_rest ~ E'^\\]' then
        refusal := 'an empty class is not supported';
      end if;
    elsif v_token ~ E'^\\(' then
      v_piece := case when v_token = '(' then '(?:' else v_token end;
      if v_piece in ('(?=', '(?!') and (not v_is_head or v_depth > 1 or translated = '') then
        refusal := 'look-ahead is supported only at the beginning, directly after ^';
      elsif v_piece not in ('(?:', '(?=', '(?!') then
        refusal := pg_catalog.format('groups that begin with %s are not supported', v_token);
      elsif v_depth > 20 then
        refusal := 'groups are nested over 20 levels';
      end if;
      v_depth := v_depth + 1;
      v_sizes[v_depth] := 0;
      v_wides[v_depth] := 0;
      v_looks[v_depth] := v_piece <> '(?:';
      v_atom := 0;
    elsif v_token = ')' then
      if v_depth = 1 then
        refusal := 'a parenthesis closes nothing';
      else
        v_piece := ')';
        v_depth := v_depth - 1;
        v_is_group := true;
        -- Nothing repeats a look-ahead.
        v_atom := case when v_looks[v_depth + 1] then 0 else v_sizes[v_depth + 1] + 1 end;
        v_sizes[v_depth] := v_sizes[v_depth] + v_sizes[v_depth + 1] + 1;
        v_wide := v_wides[v_depth + 1];
        v_wides[v_depth] := v_wides[v_depth] + v_wide;
      end if;
    elsif v_token ~ E'^(?:[*+?]|\\{.)' then
      v_least := pg_catalog.substring(v_token, '([0-9]{1,5})')::integer;
      v_most := pg_catalog.substring(v_token, ',([0-9]{1,5})')::integer;
      if v_atom = 0 then
        refusal := pg_catalog.format('%s repeats nothing', v_token);
      elsif greatest(v_least, v_most) > 255 then
        refusal := 'a count is over 255';
      elsif v_most < v_least then
        refusal := pg_catalog.format('%s ends before it begins', v_token);
      end if;
      -- A shy quantifier finds other matches, but neither more nor fewer.
      v_piece := pg_catalog.regexp_replace(v_token, E'(.)\\?$', E'\\1');
      v_copies := v_atom * (greatest(v_least, v_most, 1) - 1);
      v_ways := case when v_token ~ '^[*?]|,' then 3 else 0 end;
      v_sizes[v_depth] := v_sizes[v_depth] + v_copies + v_ways;
      v_wides[v_depth] := v_wides[v_depth] + v_wide * (greatest(v_least, v_most, 1) - 1);
      v_tangles := v_tangles + v_ways + case when v_is_group then v_copies else 0 end;
      v_atom := 0;
    elsif v_token in ('^', '$', '|', E'\\b', E'\\B') then
      v_piece := case v_token when E'\\b' then E'\\y' when E'\\B' then E'\\Y' else v_token end;
      v_atom := 0;
    else
      v_piece := case
        when v_token = '.' then E'[^\\n\\r\\u2028\\u2029]'
        when v_set is not null then '[' || v_set || ']'
        else v_piece
      end;
      v_is_group := false;
      v_atom := 1;
      v_wide := (v_token = '.' or v_set is not null)::integer;
      v_sizes[v_depth] := v_sizes[v_depth] + 1;
      v_wides[v_depth] := v_wides[v_depth] + v_wide;
    end if;

    if v_code is not null and v_code <> all (v_seen) then
      v_seen[pg_catalog.cardinality(v_seen) + 1] := v_code;
    end if;

    if refusal is null and (v_sizes[v_depth] > 1000 or v_tangles > 250) then
      refusal := 'it is too complex';
    end if;
    if refusal is not null then
      translated := null;
      return;
    end if;

    translated := translated || v_piece;
    v_is_head := v_is_head and (translated = '^' or v_looks[2] and (v_depth > 1 or v_token = ')'));
  end loop;

  -- A class has an arc for each character that the pattern tells apart from others, and what may be
  -- left out copies them: [^a]? seventy times before 500 characters takes a minute.
  v_arcs := v_wides[1]::bigint * (v_tangles + 4) * (pg_catalog.cardinality(v_seen) + 6);
  start_cost :=
    v_sizes[1] / 20 + v_tangles * v_tangles / 10 + (greatest(v_arcs - 10000, 0) / 200)::integer + 1;
  length_cost := v_sizes[1] + 1;
  refusal := case when v_in_class then 'a class does not end'
                  when v_depth > 1 then 'a group does not end'
                  when v_arcs > 100000 then 'it is too complex' end;

  -- The engine has the last word.
  begin
    if refusal is null and '' ~ (translated collate pg_catalog."C") then
      null;
    end if;
  exception when invalid_regular_expression then
    refusal := 'PostgreSQL cannot read it';
  end;
  if refusal is not null then
    translated := null;
    start_cost := null;
    length_cost := null;
  end if;
end;
$_$;


ALTER FUNCTION integrations_private.translate_pattern(pattern text, OUT translated text, OUT start_cost integer, OUT length_cost integer, OUT refusal text) OWNER TO integrations_owner;

--
-- Name: FUNCTION translate_pattern(pattern text, OUT translated text, OUT start_cost integer, OUT length_cost integer, OUT refusal text); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.translate_pattern(pattern text, OUT translated text, OUT start_cost integer, OUT length_cost integer, OUT refusal text) IS 'The PostgreSQL form of a pattern of JSON Schema, and what it costs, in steps of a check; or
why it is refused.';


--
-- Name: unwrap_key(uuid, uuid, bytea, bytea, bytea); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.unwrap_key(tenant_id uuid, key_id uuid, kek bytea, wrapped bytea, check_value bytea) RETURNS bytea
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  v_data_key bytea;
begin
  begin
    v_data_key := integrations_private.decrypt_bytes(
      unwrap_key.wrapped,
      integrations_private.wrapping_passphrase(unwrap_key.tenant_id, unwrap_key.key_id, kek));
  exception
    when insufficient_resources or program_limit_exceeded then
      raise;                                 -- the server's trouble, not damage
    when others then
      v_data_key := null;
  end;

  if v_data_key is null
     or integrations_private.data_key_check_value(unwrap_key.key_id, v_data_key)
        is distinct from unwrap_key.check_value
  then
    raise exception 'integrity check failed'
      using errcode = 'IN304',
            detail = pg_catalog.format('Key %s.', unwrap_key.key_id),
            hint = 'The stored key was altered or moved. Restore it from a backup.';
  end if;

  return v_data_key;
end;
$$;


ALTER FUNCTION integrations_private.unwrap_key(tenant_id uuid, key_id uuid, kek bytea, wrapped bytea, check_value bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION unwrap_key(tenant_id uuid, key_id uuid, kek bytea, wrapped bytea, check_value bytea); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.unwrap_key(tenant_id uuid, key_id uuid, kek bytea, wrapped bytea, check_value bytea) IS 'Returns a data key of a tenant, unwrapped by its KEK. Errors: IN304 the stored key was altered or
moved.';


--
-- Name: wrapping_passphrase(uuid, uuid, bytea); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.wrapping_passphrase(tenant_id uuid, key_id uuid, kek bytea) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN encode(integrations_private.hmac(convert_to(format('wrap|v1|%s|%s'::text, tenant_id, key_id), 'UTF8'::name), kek), 'hex'::text);


ALTER FUNCTION integrations_private.wrapping_passphrase(tenant_id uuid, key_id uuid, kek bytea) OWNER TO integrations_owner;

--
-- Name: FUNCTION wrapping_passphrase(tenant_id uuid, key_id uuid, kek bytea); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.wrapping_passphrase(tenant_id uuid, key_id uuid, kek bytea) IS 'The passphrase, in hex, under which a KEK wraps one data key of one tenant.';


--
-- Name: write_audit(uuid, uuid, text, jsonb); Type: FUNCTION; Schema: integrations_private; Owner: integrations_owner
--

CREATE FUNCTION integrations_private.write_audit(tenant_id uuid, instance_id uuid, event text, detail jsonb DEFAULT '{}'::jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into integrations_private.audit_log
    (tenant_id, instance_id, event, detail)
  values
    (write_audit.tenant_id, write_audit.instance_id, write_audit.event, write_audit.detail);
end;
$$;


ALTER FUNCTION integrations_private.write_audit(tenant_id uuid, instance_id uuid, event text, detail jsonb) OWNER TO integrations_owner;

--
-- Name: FUNCTION write_audit(tenant_id uuid, instance_id uuid, event text, detail jsonb); Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON FUNCTION integrations_private.write_audit(tenant_id uuid, instance_id uuid, event text, detail jsonb) IS 'Appends an entry to the audit log. detail holds ids, versions and states, never a value.';


--
-- Name: audit_log; Type: TABLE; Schema: integrations_private; Owner: integrations_owner
--

CREATE TABLE integrations_private.audit_log (
    tenant_id uuid NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    instance_id uuid,
    event text NOT NULL,
    actor text DEFAULT COALESCE(NULLIF(current_setting('role'::text), 'none'::text), (SESSION_USER)::text) NOT NULL,
    session_actor text DEFAULT SESSION_USER NOT NULL,
    application text DEFAULT NULLIF(current_setting('application_name'::text), ''::text),
    detail jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT audit_log_detail_is_object CHECK ((jsonb_typeof(detail) = 'object'::text)),
    CONSTRAINT audit_log_event_is_valid CHECK (((event ~ '^[a-z][a-z_]*$'::text) AND (length(event) <= 63)))
)
PARTITION BY RANGE (at);

ALTER TABLE ONLY integrations_private.audit_log FORCE ROW LEVEL SECURITY;


ALTER TABLE integrations_private.audit_log OWNER TO integrations_owner;

--
-- Name: TABLE audit_log; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON TABLE integrations_private.audit_log IS 'What was done to tenants'' installations and keys, by whom. Append-only: for every role, a
superuser too, until a trigger is disabled.';


--
-- Name: COLUMN audit_log.tenant_id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log.tenant_id IS 'The tenant whose data was touched.';


--
-- Name: COLUMN audit_log.id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log.id IS 'Identifies the entry.';


--
-- Name: COLUMN audit_log.at; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log.at IS 'When it happened.';


--
-- Name: COLUMN audit_log.instance_id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log.instance_id IS 'The installation that was touched, which may be gone by now; NULL where it is about a key.';


--
-- Name: COLUMN audit_log.event; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log.event IS 'What happened: credentials_read, credentials_stored, status_changed and so on.';


--
-- Name: COLUMN audit_log.actor; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log.actor IS 'The role that acted, as SET ROLE or the login chose it.';


--
-- Name: COLUMN audit_log.session_actor; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log.session_actor IS 'The login of the session.';


--
-- Name: COLUMN audit_log.application; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log.application IS 'The application_name of the session, which the client chooses.';


--
-- Name: COLUMN audit_log.detail; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log.detail IS 'Ids, versions and states that tell more. Never a value, never a secret.';


--
-- Name: CONSTRAINT audit_log_detail_is_object ON audit_log; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT audit_log_detail_is_object ON integrations_private.audit_log IS 'A JSON object.';


--
-- Name: CONSTRAINT audit_log_event_is_valid ON audit_log; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT audit_log_event_is_valid ON integrations_private.audit_log IS 'A lower-case identifier of at most 63 characters.';


--
-- Name: audit_trail; Type: VIEW; Schema: integrations; Owner: integrations_owner
--

CREATE VIEW integrations.audit_trail WITH (security_invoker='true', security_barrier='true') AS
 SELECT tenant_id,
    at,
    id,
    event,
    instance_id,
    actor,
    session_actor,
    application,
    detail
   FROM integrations_private.audit_log a;


ALTER VIEW integrations.audit_trail OWNER TO integrations_owner;

--
-- Name: VIEW audit_trail; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON VIEW integrations.audit_trail IS 'What was done to installations and keys, of all tenants. Ask for a tenant or a span of at.';


--
-- Name: COLUMN audit_trail.tenant_id; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.audit_trail.tenant_id IS 'The tenant whose data was touched.';


--
-- Name: COLUMN audit_trail.at; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.audit_trail.at IS 'When it happened.';


--
-- Name: COLUMN audit_trail.id; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.audit_trail.id IS 'Identifies the entry.';


--
-- Name: COLUMN audit_trail.event; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.audit_trail.event IS 'What happened.';


--
-- Name: COLUMN audit_trail.instance_id; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.audit_trail.instance_id IS 'The installation that was touched, which may be gone by now; NULL where it is about a key.';


--
-- Name: COLUMN audit_trail.actor; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.audit_trail.actor IS 'The role that acted.';


--
-- Name: COLUMN audit_trail.session_actor; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.audit_trail.session_actor IS 'The login of the session.';


--
-- Name: COLUMN audit_trail.application; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.audit_trail.application IS 'The application_name of the session, which the client chooses.';


--
-- Name: COLUMN audit_trail.detail; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.audit_trail.detail IS 'Ids, versions and states that tell more; never a value.';


--
-- Name: integration_definitions; Type: TABLE; Schema: integrations; Owner: integrations_owner
--

CREATE TABLE integrations.integration_definitions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name character varying NOT NULL,
    type character varying NOT NULL,
    version character varying NOT NULL,
    status integrations.integration_definition_status DEFAULT 'draft'::integrations.integration_definition_status NOT NULL,
    docs_url character varying,
    description text,
    credentials_schema jsonb DEFAULT '{}'::jsonb NOT NULL,
    config_schema jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT integration_definitions_docs_url_is_http CHECK ((((docs_url)::text ~ '^https?://[^[:space:]]+$'::text) AND (char_length((docs_url)::text) <= 2000))),
    CONSTRAINT integration_definitions_name_is_valid CHECK ((((name)::text ~ '[^[:space:]]'::text) AND (char_length((name)::text) <= 200))),
    CONSTRAINT integration_definitions_schemas_are_schemas CHECK (((jsonb_typeof(credentials_schema) = ANY (ARRAY['object'::text, 'boolean'::text])) AND (jsonb_typeof(config_schema) = ANY (ARRAY['object'::text, 'boolean'::text])))),
    CONSTRAINT integration_definitions_type_is_valid CHECK (((type)::text ~ '^[a-z][a-z0-9_]{0,62}$'::text)),
    CONSTRAINT integration_definitions_version_is_semver CHECK ((((version)::text ~ ((('^(0|[1-9][0-9]*)[.](0|[1-9][0-9]*)[.](0|[1-9][0-9]*)'::text || '(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)'::text) || '([.](0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?'::text) || '([+][0-9a-zA-Z-]+([.][0-9a-zA-Z-]+)*)?$'::text)) AND (char_length((version)::text) <= 100)))
);


ALTER TABLE integrations.integration_definitions OWNER TO integrations_owner;

--
-- Name: TABLE integration_definitions; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON TABLE integrations.integration_definitions IS 'Connectors to outside services, one row per connector and version. A row is immutable from its
registration on: only status moves, forward. It holds no tenant data.';


--
-- Name: COLUMN integration_definitions.id; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_definitions.id IS 'Identifies the definition.';


--
-- Name: COLUMN integration_definitions.name; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_definitions.name IS 'The connector, as people know it: Salesforce, Xero.';


--
-- Name: COLUMN integration_definitions.type; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_definitions.type IS 'How the connector authenticates: oauth2, api_key, basic and so on.';


--
-- Name: COLUMN integration_definitions.version; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_definitions.version IS 'The version of the definition, a semantic version. A change of the metadata is a new version, in a
new row.';


--
-- Name: COLUMN integration_definitions.status; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_definitions.status IS 'Where the definition is in its life: draft, published, deprecated, retired.';


--
-- Name: COLUMN integration_definitions.docs_url; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_definitions.docs_url IS 'Where the connector is documented, an http or https address.';


--
-- Name: COLUMN integration_definitions.description; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_definitions.description IS 'What the connector does, for people.';


--
-- Name: COLUMN integration_definitions.credentials_schema; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_definitions.credentials_schema IS 'JSON Schema of the credentials that an instance needs. {} accepts every JSON object.';


--
-- Name: COLUMN integration_definitions.config_schema; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_definitions.config_schema IS 'JSON Schema of the configuration of an instance. {} accepts every JSON object.';


--
-- Name: COLUMN integration_definitions.created_at; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_definitions.created_at IS 'When the definition was registered.';


--
-- Name: COLUMN integration_definitions.updated_at; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.integration_definitions.updated_at IS 'When its status last moved.';


--
-- Name: CONSTRAINT integration_definitions_docs_url_is_http ON integration_definitions; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_definitions_docs_url_is_http ON integrations.integration_definitions IS 'An http or https address of at most 2000 characters.';


--
-- Name: CONSTRAINT integration_definitions_name_is_valid ON integration_definitions; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_definitions_name_is_valid ON integrations.integration_definitions IS 'Not blank, at most 200 characters.';


--
-- Name: CONSTRAINT integration_definitions_schemas_are_schemas ON integration_definitions; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_definitions_schemas_are_schemas ON integrations.integration_definitions IS 'A JSON Schema is an object or a boolean.';


--
-- Name: CONSTRAINT integration_definitions_type_is_valid ON integration_definitions; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_definitions_type_is_valid ON integrations.integration_definitions IS 'A lower-case identifier of at most 63 characters.';


--
-- Name: CONSTRAINT integration_definitions_version_is_semver ON integration_definitions; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_definitions_version_is_semver ON integrations.integration_definitions IS 'A semantic version as semver.org 2.0.0 defines it.';


--
-- Name: instance_overview; Type: VIEW; Schema: integrations; Owner: integrations_owner
--

CREATE VIEW integrations.instance_overview WITH (security_invoker='true', security_barrier='true') AS
 SELECT i.tenant_id,
    i.id,
    i.integration_id,
    d.name AS integration_name,
    d.type AS integration_type,
    d.version AS integration_version,
    i.name,
    i.status,
    i.status_reason,
    i.credentials_version,
    (i.credentials_key_id IS NOT NULL) AS has_credentials,
    i.credentials_expire_at,
    i.config,
    i.last_used_at,
    i.last_connected_at,
    i.created_at,
    i.updated_at
   FROM (integrations.integration_instances i
     JOIN integrations.integration_definitions d ON ((d.id = i.integration_id)));


ALTER VIEW integrations.instance_overview OWNER TO integrations_owner;

--
-- Name: VIEW instance_overview; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON VIEW integrations.instance_overview IS 'The installations that the caller may see, each with its connector: those of the transaction''s
tenant, or of all tenants for an auditor. Never the credentials.';


--
-- Name: COLUMN instance_overview.tenant_id; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.tenant_id IS 'The tenant that owns the installation.';


--
-- Name: COLUMN instance_overview.id; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.id IS 'Identifies the installation within its tenant.';


--
-- Name: COLUMN instance_overview.integration_id; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.integration_id IS 'The definition that the installation is of.';


--
-- Name: COLUMN instance_overview.integration_name; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.integration_name IS 'The connector.';


--
-- Name: COLUMN instance_overview.integration_type; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.integration_type IS 'How the connector authenticates.';


--
-- Name: COLUMN instance_overview.integration_version; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.integration_version IS 'The version of the definition.';


--
-- Name: COLUMN instance_overview.name; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.name IS 'The tenant''s own name for the installation.';


--
-- Name: COLUMN instance_overview.status; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.status IS 'Where the installation is in its life.';


--
-- Name: COLUMN instance_overview.status_reason; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.status_reason IS 'Why it is in error, disabled or revoked.';


--
-- Name: COLUMN instance_overview.credentials_version; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.credentials_version IS 'Counts the writes of credentials.';


--
-- Name: COLUMN instance_overview.has_credentials; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.has_credentials IS 'Whether credentials are stored.';


--
-- Name: COLUMN instance_overview.credentials_expire_at; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.credentials_expire_at IS 'When the stored credentials expire, if they said so.';


--
-- Name: COLUMN instance_overview.config; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.config IS 'Plain configuration.';


--
-- Name: COLUMN instance_overview.last_used_at; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.last_used_at IS 'When the credentials were last read, to the minute.';


--
-- Name: COLUMN instance_overview.last_connected_at; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.last_connected_at IS 'When the service last reported a good connection.';


--
-- Name: COLUMN instance_overview.created_at; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.created_at IS 'When the installation was created.';


--
-- Name: COLUMN instance_overview.updated_at; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.instance_overview.updated_at IS 'When it last changed.';


--
-- Name: key_overview; Type: VIEW; Schema: integrations; Owner: integrations_owner
--

CREATE VIEW integrations.key_overview WITH (security_invoker='true', security_barrier='true') AS
 SELECT tenant_id,
    key_id,
    version,
    kek_id,
    state,
    instance_count,
    created_at
   FROM integrations_private.list_keys() k(tenant_id, key_id, version, kek_id, state, instance_count, created_at);


ALTER VIEW integrations.key_overview OWNER TO integrations_owner;

--
-- Name: VIEW key_overview; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON VIEW integrations.key_overview IS 'The data keys of all tenants and how many instances need each. Never key material.';


--
-- Name: COLUMN key_overview.tenant_id; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.key_overview.tenant_id IS 'The tenant whose credentials the key encrypts.';


--
-- Name: COLUMN key_overview.key_id; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.key_overview.key_id IS 'Identifies the key.';


--
-- Name: COLUMN key_overview.version; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.key_overview.version IS 'Counts the keys of the tenant.';


--
-- Name: COLUMN key_overview.kek_id; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.key_overview.kek_id IS 'Names the key-encryption key that wraps it.';


--
-- Name: COLUMN key_overview.state; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.key_overview.state IS 'active, decrypt_only, retired or destroyed.';


--
-- Name: COLUMN key_overview.instance_count; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.key_overview.instance_count IS 'How many instances have credentials under this key.';


--
-- Name: COLUMN key_overview.created_at; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON COLUMN integrations.key_overview.created_at IS 'When the key was made.';


--
-- Name: audit_log_default; Type: TABLE; Schema: integrations_private; Owner: integrations_owner
--

CREATE TABLE integrations_private.audit_log_default (
    tenant_id uuid CONSTRAINT audit_log_tenant_id_not_null NOT NULL,
    id uuid DEFAULT gen_random_uuid() CONSTRAINT audit_log_id_not_null NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT audit_log_at_not_null NOT NULL,
    instance_id uuid,
    event text CONSTRAINT audit_log_event_not_null NOT NULL,
    actor text DEFAULT COALESCE(NULLIF(current_setting('role'::text), 'none'::text), (SESSION_USER)::text) CONSTRAINT audit_log_actor_not_null NOT NULL,
    session_actor text DEFAULT SESSION_USER CONSTRAINT audit_log_session_actor_not_null NOT NULL,
    application text DEFAULT NULLIF(current_setting('application_name'::text), ''::text),
    detail jsonb DEFAULT '{}'::jsonb CONSTRAINT audit_log_detail_not_null NOT NULL,
    CONSTRAINT audit_log_detail_is_object CHECK ((jsonb_typeof(detail) = 'object'::text)),
    CONSTRAINT audit_log_event_is_valid CHECK (((event ~ '^[a-z][a-z_]*$'::text) AND (length(event) <= 63)))
);

ALTER TABLE ONLY integrations_private.audit_log_default FORCE ROW LEVEL SECURITY;


ALTER TABLE integrations_private.audit_log_default OWNER TO integrations_owner;

--
-- Name: TABLE audit_log_default; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON TABLE integrations_private.audit_log_default IS 'Entries of the audit log of months without a partition of their own.';


--
-- Name: COLUMN audit_log_default.tenant_id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log_default.tenant_id IS 'The tenant whose data was touched.';


--
-- Name: COLUMN audit_log_default.id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log_default.id IS 'Identifies the entry.';


--
-- Name: COLUMN audit_log_default.at; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log_default.at IS 'When it happened.';


--
-- Name: COLUMN audit_log_default.instance_id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log_default.instance_id IS 'The installation that was touched, which may be gone by now; NULL where it is about a key.';


--
-- Name: COLUMN audit_log_default.event; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log_default.event IS 'What happened: credentials_read, credentials_stored, status_changed and so on.';


--
-- Name: COLUMN audit_log_default.actor; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log_default.actor IS 'The role that acted, as SET ROLE or the login chose it.';


--
-- Name: COLUMN audit_log_default.session_actor; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log_default.session_actor IS 'The login of the session.';


--
-- Name: COLUMN audit_log_default.application; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log_default.application IS 'The application_name of the session, which the client chooses.';


--
-- Name: COLUMN audit_log_default.detail; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.audit_log_default.detail IS 'Ids, versions and states that tell more. Never a value, never a secret.';


--
-- Name: compiled_schemas; Type: TABLE; Schema: integrations_private; Owner: integrations_owner
--

CREATE TABLE integrations_private.compiled_schemas (
    definition_id uuid NOT NULL,
    kind text NOT NULL,
    schema jsonb NOT NULL,
    rules jsonb GENERATED ALWAYS AS (integrations_private.compile_schema(schema, (kind || '_schema'::text))) STORED NOT NULL,
    CONSTRAINT compiled_schemas_kind_is_known CHECK ((kind = ANY (ARRAY['credentials'::text, 'config'::text])))
);


ALTER TABLE integrations_private.compiled_schemas OWNER TO integrations_owner;

--
-- Name: TABLE compiled_schemas; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON TABLE integrations_private.compiled_schemas IS 'The schemas of definitions in the form that documents are checked with. A definition without a row
takes every document, or is compiled when it is used.';


--
-- Name: COLUMN compiled_schemas.definition_id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.compiled_schemas.definition_id IS 'The definition.';


--
-- Name: COLUMN compiled_schemas.kind; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.compiled_schemas.kind IS 'Which of its schemas: credentials or config.';


--
-- Name: COLUMN compiled_schemas.schema; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.compiled_schemas.schema IS 'The schema that was compiled, the definition''s own.';


--
-- Name: COLUMN compiled_schemas.rules; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.compiled_schemas.rules IS 'What compile_schema makes of it.';


--
-- Name: CONSTRAINT compiled_schemas_kind_is_known ON compiled_schemas; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT compiled_schemas_kind_is_known ON integrations_private.compiled_schemas IS 'A definition has two schemas.';


--
-- Name: key_encryption_keys; Type: TABLE; Schema: integrations_private; Owner: integrations_owner
--

CREATE TABLE integrations_private.key_encryption_keys (
    kek_id text NOT NULL,
    check_value bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT key_encryption_keys_check_value_is_mac CHECK ((octet_length(check_value) = 32)),
    CONSTRAINT key_encryption_keys_kek_id_is_valid CHECK (((kek_id ~ '[^[:space:]]'::text) AND (char_length(kek_id) <= 200)))
);


ALTER TABLE integrations_private.key_encryption_keys OWNER TO integrations_owner;

--
-- Name: TABLE key_encryption_keys; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON TABLE integrations_private.key_encryption_keys IS 'The key-encryption keys (KEKs) that were ever used. Never the keys themselves: those live outside
the database. A kek_id names one KEK for ever.';


--
-- Name: COLUMN key_encryption_keys.kek_id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.key_encryption_keys.kek_id IS 'The name that the service gives to the KEK.';


--
-- Name: COLUMN key_encryption_keys.check_value; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.key_encryption_keys.check_value IS 'HMAC of kek_id under the KEK: tells whether other bytes come under the same name. It reveals
nothing of a random KEK. NULL where the KEK stays in a key management service.';


--
-- Name: COLUMN key_encryption_keys.created_at; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.key_encryption_keys.created_at IS 'When the KEK was first used.';


--
-- Name: CONSTRAINT key_encryption_keys_check_value_is_mac ON key_encryption_keys; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT key_encryption_keys_check_value_is_mac ON integrations_private.key_encryption_keys IS 'A whole HMAC-SHA-256.';


--
-- Name: CONSTRAINT key_encryption_keys_kek_id_is_valid ON key_encryption_keys; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT key_encryption_keys_kek_id_is_valid ON integrations_private.key_encryption_keys IS 'Not blank, at most 200 characters.';


--
-- Name: read_leases; Type: TABLE; Schema: integrations_private; Owner: integrations_owner
--

CREATE TABLE integrations_private.read_leases (
    tenant_id uuid NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    instance_id uuid NOT NULL,
    session_actor text NOT NULL,
    opened_by xid8 NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT read_leases_ends_after_it_begins CHECK ((expires_at > opened_at))
);

ALTER TABLE ONLY integrations_private.read_leases FORCE ROW LEVEL SECURITY;


ALTER TABLE integrations_private.read_leases OWNER TO integrations_owner;

--
-- Name: TABLE read_leases; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON TABLE integrations_private.read_leases IS 'Permissions to read credentials once, whose opening is audited and committed before.';


--
-- Name: COLUMN read_leases.tenant_id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.read_leases.tenant_id IS 'The tenant whose credentials may be read.';


--
-- Name: COLUMN read_leases.id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.read_leases.id IS 'The lease, as its holder knows it.';


--
-- Name: COLUMN read_leases.instance_id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.read_leases.instance_id IS 'The installation whose credentials may be read.';


--
-- Name: COLUMN read_leases.session_actor; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.read_leases.session_actor IS 'The login that opened it; nobody else can use it.';


--
-- Name: COLUMN read_leases.opened_by; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.read_leases.opened_by IS 'The transaction that opened it, in which it cannot be used.';


--
-- Name: COLUMN read_leases.opened_at; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.read_leases.opened_at IS 'When it was opened.';


--
-- Name: COLUMN read_leases.expires_at; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.read_leases.expires_at IS 'When it ends, used or not.';


--
-- Name: CONSTRAINT read_leases_ends_after_it_begins ON read_leases; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT read_leases_ends_after_it_begins ON integrations_private.read_leases IS 'A lease lasts for some time.';


--
-- Name: refresh_leases; Type: TABLE; Schema: integrations_private; Owner: integrations_owner
--

CREATE TABLE integrations_private.refresh_leases (
    tenant_id uuid NOT NULL,
    instance_id uuid NOT NULL,
    lease uuid,
    holder text NOT NULL,
    credentials_version integer NOT NULL,
    claimed_at timestamp with time zone NOT NULL,
    leased_until timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone,
    refreshed_at timestamp with time zone,
    CONSTRAINT refresh_leases_failures_is_count CHECK (((failures >= 0) AND ((retry_at IS NULL) OR (failures > 0)))),
    CONSTRAINT refresh_leases_holder_is_valid CHECK (((holder ~ '[^[:space:]]'::text) AND (char_length(holder) <= 200))),
    CONSTRAINT refresh_leases_lease_has_end CHECK (((lease IS NULL) = (leased_until IS NULL)))
)
WITH (fillfactor='90');

ALTER TABLE ONLY integrations_private.refresh_leases FORCE ROW LEVEL SECURITY;


ALTER TABLE integrations_private.refresh_leases OWNER TO integrations_owner;

--
-- Name: TABLE refresh_leases; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON TABLE integrations_private.refresh_leases IS 'Who refreshes the credentials of an installation, and how the last refreshes went. One row for
each installation that was ever claimed.';


--
-- Name: COLUMN refresh_leases.tenant_id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.refresh_leases.tenant_id IS 'The tenant of the installation.';


--
-- Name: COLUMN refresh_leases.instance_id; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.refresh_leases.instance_id IS 'The installation.';


--
-- Name: COLUMN refresh_leases.lease; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.refresh_leases.lease IS 'Identifies the lease, for whoever may end it; NULL once it has ended. After leased_until it is
worth nothing.';


--
-- Name: COLUMN refresh_leases.holder; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.refresh_leases.holder IS 'The name that the worker who claimed last gave itself.';


--
-- Name: COLUMN refresh_leases.credentials_version; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.refresh_leases.credentials_version IS 'The credentials that the lease, the failures and the refresh are about. Other credentials make all
of them void.';


--
-- Name: COLUMN refresh_leases.claimed_at; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.refresh_leases.claimed_at IS 'When it was claimed last.';


--
-- Name: COLUMN refresh_leases.leased_until; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.refresh_leases.leased_until IS 'When the lease expires, so that another may claim: nobody has to notice that a worker died.';


--
-- Name: COLUMN refresh_leases.failures; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.refresh_leases.failures IS 'How many refreshes of these credentials have failed, one after the other.';


--
-- Name: COLUMN refresh_leases.retry_at; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.refresh_leases.retry_at IS 'When a refresh that failed is due again. NULL after a success, or after too many failures.';


--
-- Name: COLUMN refresh_leases.refreshed_at; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON COLUMN integrations_private.refresh_leases.refreshed_at IS 'When a refresh last stored credentials.';


--
-- Name: CONSTRAINT refresh_leases_failures_is_count ON refresh_leases; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT refresh_leases_failures_is_count ON integrations_private.refresh_leases IS 'Only what has failed backs off.';


--
-- Name: CONSTRAINT refresh_leases_holder_is_valid ON refresh_leases; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT refresh_leases_holder_is_valid ON integrations_private.refresh_leases IS 'Not blank, at most 200 characters.';


--
-- Name: CONSTRAINT refresh_leases_lease_has_end ON refresh_leases; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT refresh_leases_lease_has_end ON integrations_private.refresh_leases IS 'Every lease expires.';


--
-- Name: audit_log_default; Type: TABLE ATTACH; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE ONLY integrations_private.audit_log ATTACH PARTITION integrations_private.audit_log_default DEFAULT;


--
-- Name: integration_definitions integration_definitions_name_version_key; Type: CONSTRAINT; Schema: integrations; Owner: integrations_owner
--

ALTER TABLE ONLY integrations.integration_definitions
    ADD CONSTRAINT integration_definitions_name_version_key UNIQUE (name, version);


--
-- Name: CONSTRAINT integration_definitions_name_version_key ON integration_definitions; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_definitions_name_version_key ON integrations.integration_definitions IS 'A connector has each version once.';


--
-- Name: integration_definitions integration_definitions_pkey; Type: CONSTRAINT; Schema: integrations; Owner: integrations_owner
--

ALTER TABLE ONLY integrations.integration_definitions
    ADD CONSTRAINT integration_definitions_pkey PRIMARY KEY (id);


--
-- Name: integration_instances integration_instances_pkey; Type: CONSTRAINT; Schema: integrations; Owner: integrations_owner
--

ALTER TABLE ONLY integrations.integration_instances
    ADD CONSTRAINT integration_instances_pkey PRIMARY KEY (tenant_id, id);


--
-- Name: integration_instances integration_instances_tenant_id_name_key; Type: CONSTRAINT; Schema: integrations; Owner: integrations_owner
--

ALTER TABLE ONLY integrations.integration_instances
    ADD CONSTRAINT integration_instances_tenant_id_name_key UNIQUE (tenant_id, name);


--
-- Name: CONSTRAINT integration_instances_tenant_id_name_key ON integration_instances; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_instances_tenant_id_name_key ON integrations.integration_instances IS 'A name is unique within its tenant only: other tenants never collide with it.';


--
-- Name: audit_log audit_log_pkey; Type: CONSTRAINT; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE ONLY integrations_private.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (tenant_id, at, id);


--
-- Name: audit_log_default audit_log_default_pkey; Type: CONSTRAINT; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE ONLY integrations_private.audit_log_default
    ADD CONSTRAINT audit_log_default_pkey PRIMARY KEY (tenant_id, at, id);


--
-- Name: compiled_schemas compiled_schemas_pkey; Type: CONSTRAINT; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE ONLY integrations_private.compiled_schemas
    ADD CONSTRAINT compiled_schemas_pkey PRIMARY KEY (definition_id, kind);


--
-- Name: key_encryption_keys key_encryption_keys_pkey; Type: CONSTRAINT; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE ONLY integrations_private.key_encryption_keys
    ADD CONSTRAINT key_encryption_keys_pkey PRIMARY KEY (kek_id);


--
-- Name: read_leases read_leases_pkey; Type: CONSTRAINT; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE ONLY integrations_private.read_leases
    ADD CONSTRAINT read_leases_pkey PRIMARY KEY (tenant_id, id);


--
-- Name: refresh_leases refresh_leases_pkey; Type: CONSTRAINT; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE ONLY integrations_private.refresh_leases
    ADD CONSTRAINT refresh_leases_pkey PRIMARY KEY (tenant_id, instance_id);


--
-- Name: refresh_leases refresh_leases_tenant_id_lease_key; Type: CONSTRAINT; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE ONLY integrations_private.refresh_leases
    ADD CONSTRAINT refresh_leases_tenant_id_lease_key UNIQUE (tenant_id, lease);


--
-- Name: CONSTRAINT refresh_leases_tenant_id_lease_key ON refresh_leases; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT refresh_leases_tenant_id_lease_key ON integrations_private.refresh_leases IS 'A lease is of one installation.';


--
-- Name: tenant_keys tenant_keys_pkey; Type: CONSTRAINT; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE ONLY integrations_private.tenant_keys
    ADD CONSTRAINT tenant_keys_pkey PRIMARY KEY (tenant_id, id);


--
-- Name: tenant_keys tenant_keys_tenant_id_version_key; Type: CONSTRAINT; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE ONLY integrations_private.tenant_keys
    ADD CONSTRAINT tenant_keys_tenant_id_version_key UNIQUE (tenant_id, version);


--
-- Name: CONSTRAINT tenant_keys_tenant_id_version_key ON tenant_keys; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT tenant_keys_tenant_id_version_key ON integrations_private.tenant_keys IS 'The keys of a tenant are counted without repetition.';


--
-- Name: integration_instances_credentials_expire_at_idx; Type: INDEX; Schema: integrations; Owner: integrations_owner
--

CREATE INDEX integration_instances_credentials_expire_at_idx ON integrations.integration_instances USING btree (credentials_expire_at) WHERE (status = 'active'::integrations.integration_instance_status);


--
-- Name: INDEX integration_instances_credentials_expire_at_idx; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON INDEX integrations.integration_instances_credentials_expire_at_idx IS 'Finds, across tenants, the credentials that expire soonest.';


--
-- Name: integration_instances_integration_id_idx; Type: INDEX; Schema: integrations; Owner: integrations_owner
--

CREATE INDEX integration_instances_integration_id_idx ON integrations.integration_instances USING btree (integration_id);


--
-- Name: INDEX integration_instances_integration_id_idx; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON INDEX integrations.integration_instances_integration_id_idx IS 'Finds the installations of a definition; serves its foreign key.';


--
-- Name: integration_instances_tenant_id_created_at_idx; Type: INDEX; Schema: integrations; Owner: integrations_owner
--

CREATE INDEX integration_instances_tenant_id_created_at_idx ON integrations.integration_instances USING btree (tenant_id, created_at DESC);


--
-- Name: INDEX integration_instances_tenant_id_created_at_idx; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON INDEX integrations.integration_instances_tenant_id_created_at_idx IS 'Lists a tenant''s newest installations first.';


--
-- Name: integration_instances_tenant_id_credentials_key_id_idx; Type: INDEX; Schema: integrations; Owner: integrations_owner
--

CREATE INDEX integration_instances_tenant_id_credentials_key_id_idx ON integrations.integration_instances USING btree (tenant_id, credentials_key_id);


--
-- Name: INDEX integration_instances_tenant_id_credentials_key_id_idx; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON INDEX integrations.integration_instances_tenant_id_credentials_key_id_idx IS 'Finds the rows that a key still encrypts; serves its foreign key.';


--
-- Name: audit_log_at_idx; Type: INDEX; Schema: integrations_private; Owner: integrations_owner
--

CREATE INDEX audit_log_at_idx ON ONLY integrations_private.audit_log USING brin (at);


--
-- Name: INDEX audit_log_at_idx; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON INDEX integrations_private.audit_log_at_idx IS 'Finds the entries of a span of time, of all tenants.';


--
-- Name: audit_log_default_at_idx; Type: INDEX; Schema: integrations_private; Owner: integrations_owner
--

CREATE INDEX audit_log_default_at_idx ON integrations_private.audit_log_default USING brin (at);


--
-- Name: read_leases_tenant_id_expires_at_idx; Type: INDEX; Schema: integrations_private; Owner: integrations_owner
--

CREATE INDEX read_leases_tenant_id_expires_at_idx ON integrations_private.read_leases USING btree (tenant_id, expires_at);


--
-- Name: INDEX read_leases_tenant_id_expires_at_idx; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON INDEX integrations_private.read_leases_tenant_id_expires_at_idx IS 'Finds the leases that are over, to remove them.';


--
-- Name: refresh_leases_retry_at_idx; Type: INDEX; Schema: integrations_private; Owner: integrations_owner
--

CREATE INDEX refresh_leases_retry_at_idx ON integrations_private.refresh_leases USING btree (retry_at) WHERE (retry_at IS NOT NULL);


--
-- Name: INDEX refresh_leases_retry_at_idx; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON INDEX integrations_private.refresh_leases_retry_at_idx IS 'Finds, across tenants, the failed refreshes that are due again.';


--
-- Name: tenant_keys_kek_id_idx; Type: INDEX; Schema: integrations_private; Owner: integrations_owner
--

CREATE INDEX tenant_keys_kek_id_idx ON integrations_private.tenant_keys USING btree (kek_id);


--
-- Name: INDEX tenant_keys_kek_id_idx; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON INDEX integrations_private.tenant_keys_kek_id_idx IS 'Finds the keys that a KEK wraps, to wrap them anew.';


--
-- Name: tenant_keys_tenant_id_active_idx; Type: INDEX; Schema: integrations_private; Owner: integrations_owner
--

CREATE UNIQUE INDEX tenant_keys_tenant_id_active_idx ON integrations_private.tenant_keys USING btree (tenant_id) WHERE (state = 'active'::integrations_private.tenant_key_state);


--
-- Name: INDEX tenant_keys_tenant_id_active_idx; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON INDEX integrations_private.tenant_keys_tenant_id_active_idx IS 'A tenant has at most one active key.';


--
-- Name: audit_log_default_at_idx; Type: INDEX ATTACH; Schema: integrations_private; Owner: integrations_owner
--

ALTER INDEX integrations_private.audit_log_at_idx ATTACH PARTITION integrations_private.audit_log_default_at_idx;


--
-- Name: audit_log_default_pkey; Type: INDEX ATTACH; Schema: integrations_private; Owner: integrations_owner
--

ALTER INDEX integrations_private.audit_log_pkey ATTACH PARTITION integrations_private.audit_log_default_pkey;


--
-- Name: integration_definitions _100_immutable; Type: TRIGGER; Schema: integrations; Owner: integrations_owner
--

CREATE TRIGGER _100_immutable BEFORE DELETE OR UPDATE ON integrations.integration_definitions FOR EACH ROW EXECUTE FUNCTION integrations_private.tg_integration_definitions__immutable();

ALTER TABLE integrations.integration_definitions ENABLE ALWAYS TRIGGER _100_immutable;


--
-- Name: TRIGGER _100_immutable ON integration_definitions; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON TRIGGER _100_immutable ON integrations.integration_definitions IS 'Refuses a change of a definition''s metadata, a step back in its life, and the deletion of
anything but a draft.';


--
-- Name: integration_definitions _110_no_truncate; Type: TRIGGER; Schema: integrations; Owner: integrations_owner
--

CREATE TRIGGER _110_no_truncate BEFORE TRUNCATE ON integrations.integration_definitions FOR EACH STATEMENT EXECUTE FUNCTION integrations_private.tg_integration_definitions__immutable();

ALTER TABLE integrations.integration_definitions ENABLE ALWAYS TRIGGER _110_no_truncate;


--
-- Name: TRIGGER _110_no_truncate ON integration_definitions; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON TRIGGER _110_no_truncate ON integrations.integration_definitions IS 'Refuses to empty the catalogue.';


--
-- Name: audit_log _100_append_only; Type: TRIGGER; Schema: integrations_private; Owner: integrations_owner
--

CREATE TRIGGER _100_append_only BEFORE DELETE OR UPDATE ON integrations_private.audit_log FOR EACH ROW EXECUTE FUNCTION integrations_private.tg_audit_log__append_only();

ALTER TABLE integrations_private.audit_log ENABLE ALWAYS TRIGGER _100_append_only;


--
-- Name: TRIGGER _100_append_only ON audit_log; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON TRIGGER _100_append_only ON integrations_private.audit_log IS 'Refuses to change or delete an entry. Every partition inherits it.';


--
-- Name: audit_log _110_no_truncate; Type: TRIGGER; Schema: integrations_private; Owner: integrations_owner
--

CREATE TRIGGER _110_no_truncate BEFORE TRUNCATE ON integrations_private.audit_log FOR EACH STATEMENT EXECUTE FUNCTION integrations_private.tg_audit_log__append_only();

ALTER TABLE integrations_private.audit_log ENABLE ALWAYS TRIGGER _110_no_truncate;


--
-- Name: TRIGGER _110_no_truncate ON audit_log; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON TRIGGER _110_no_truncate ON integrations_private.audit_log IS 'Refuses to empty the log. A partition does not inherit it and needs its own.';


--
-- Name: audit_log_default _110_no_truncate; Type: TRIGGER; Schema: integrations_private; Owner: integrations_owner
--

CREATE TRIGGER _110_no_truncate BEFORE TRUNCATE ON integrations_private.audit_log_default FOR EACH STATEMENT EXECUTE FUNCTION integrations_private.tg_audit_log__append_only();

ALTER TABLE integrations_private.audit_log_default ENABLE ALWAYS TRIGGER _110_no_truncate;


--
-- Name: TRIGGER _110_no_truncate ON audit_log_default; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON TRIGGER _110_no_truncate ON integrations_private.audit_log_default IS 'Refuses to empty the partition.';


--
-- Name: integration_instances integration_instances_credentials_key_id_fkey; Type: FK CONSTRAINT; Schema: integrations; Owner: integrations_owner
--

ALTER TABLE ONLY integrations.integration_instances
    ADD CONSTRAINT integration_instances_credentials_key_id_fkey FOREIGN KEY (tenant_id, credentials_key_id) REFERENCES integrations_private.tenant_keys(tenant_id, id);


--
-- Name: CONSTRAINT integration_instances_credentials_key_id_fkey ON integration_instances; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_instances_credentials_key_id_fkey ON integrations.integration_instances IS 'The key exists and is the same tenant''s.';


--
-- Name: integration_instances integration_instances_integration_id_fkey; Type: FK CONSTRAINT; Schema: integrations; Owner: integrations_owner
--

ALTER TABLE ONLY integrations.integration_instances
    ADD CONSTRAINT integration_instances_integration_id_fkey FOREIGN KEY (integration_id) REFERENCES integrations.integration_definitions(id);


--
-- Name: CONSTRAINT integration_instances_integration_id_fkey ON integration_instances; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON CONSTRAINT integration_instances_integration_id_fkey ON integrations.integration_instances IS 'The definition exists.';


--
-- Name: compiled_schemas compiled_schemas_definition_id_fkey; Type: FK CONSTRAINT; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE ONLY integrations_private.compiled_schemas
    ADD CONSTRAINT compiled_schemas_definition_id_fkey FOREIGN KEY (definition_id) REFERENCES integrations.integration_definitions(id) ON DELETE CASCADE;


--
-- Name: CONSTRAINT compiled_schemas_definition_id_fkey ON compiled_schemas; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT compiled_schemas_definition_id_fkey ON integrations_private.compiled_schemas IS 'The rules of a draft go with it.';


--
-- Name: refresh_leases refresh_leases_instance_id_fkey; Type: FK CONSTRAINT; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE ONLY integrations_private.refresh_leases
    ADD CONSTRAINT refresh_leases_instance_id_fkey FOREIGN KEY (tenant_id, instance_id) REFERENCES integrations.integration_instances(tenant_id, id) ON DELETE CASCADE;


--
-- Name: CONSTRAINT refresh_leases_instance_id_fkey ON refresh_leases; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT refresh_leases_instance_id_fkey ON integrations_private.refresh_leases IS 'The installation exists; its lease goes with it.';


--
-- Name: tenant_keys tenant_keys_kek_id_fkey; Type: FK CONSTRAINT; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE ONLY integrations_private.tenant_keys
    ADD CONSTRAINT tenant_keys_kek_id_fkey FOREIGN KEY (kek_id) REFERENCES integrations_private.key_encryption_keys(kek_id);


--
-- Name: CONSTRAINT tenant_keys_kek_id_fkey ON tenant_keys; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON CONSTRAINT tenant_keys_kek_id_fkey ON integrations_private.tenant_keys IS 'The KEK has been named before.';


--
-- Name: integration_instances auditor_select; Type: POLICY; Schema: integrations; Owner: integrations_owner
--

CREATE POLICY auditor_select ON integrations.integration_instances FOR SELECT TO integrations_auditor USING (true);


--
-- Name: POLICY auditor_select ON integration_instances; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON POLICY auditor_select ON integrations.integration_instances IS 'An auditor sees the non-secret metadata of all tenants.';


--
-- Name: integration_instances; Type: ROW SECURITY; Schema: integrations; Owner: integrations_owner
--

ALTER TABLE integrations.integration_instances ENABLE ROW LEVEL SECURITY;

--
-- Name: integration_instances keymaster_select; Type: POLICY; Schema: integrations; Owner: integrations_owner
--

CREATE POLICY keymaster_select ON integrations.integration_instances FOR SELECT TO integrations_keymaster USING (true);


--
-- Name: POLICY keymaster_select ON integration_instances; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON POLICY keymaster_select ON integrations.integration_instances IS 'Key maintenance counts, across tenants, the rows that need a key.';


--
-- Name: integration_instances tenant_all; Type: POLICY; Schema: integrations; Owner: integrations_owner
--

CREATE POLICY tenant_all ON integrations.integration_instances TO integrations_owner, svc_integration, integrations_tenant USING ((tenant_id = integrations.current_tenant())) WITH CHECK ((tenant_id = integrations.current_tenant()));


--
-- Name: POLICY tenant_all ON integration_instances; Type: COMMENT; Schema: integrations; Owner: integrations_owner
--

COMMENT ON POLICY tenant_all ON integrations.integration_instances IS 'A tenant''s installations are there for that tenant only.';


--
-- Name: audit_log; Type: ROW SECURITY; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE integrations_private.audit_log ENABLE ROW LEVEL SECURITY;

--
-- Name: audit_log_default; Type: ROW SECURITY; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE integrations_private.audit_log_default ENABLE ROW LEVEL SECURITY;

--
-- Name: audit_log auditor_select; Type: POLICY; Schema: integrations_private; Owner: integrations_owner
--

CREATE POLICY auditor_select ON integrations_private.audit_log FOR SELECT TO integrations_auditor USING (true);


--
-- Name: POLICY auditor_select ON audit_log; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON POLICY auditor_select ON integrations_private.audit_log IS 'An auditor sees the entries of all tenants.';


--
-- Name: audit_log keymaster_all; Type: POLICY; Schema: integrations_private; Owner: integrations_owner
--

CREATE POLICY keymaster_all ON integrations_private.audit_log TO integrations_keymaster USING (true) WITH CHECK (true);


--
-- Name: POLICY keymaster_all ON audit_log; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON POLICY keymaster_all ON integrations_private.audit_log IS 'Key maintenance leaves entries for the tenants whose keys it changes, and the care of partitions
sees the times of all.';


--
-- Name: tenant_keys keymaster_all; Type: POLICY; Schema: integrations_private; Owner: integrations_owner
--

CREATE POLICY keymaster_all ON integrations_private.tenant_keys TO integrations_keymaster USING (true) WITH CHECK (true);


--
-- Name: POLICY keymaster_all ON tenant_keys; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON POLICY keymaster_all ON integrations_private.tenant_keys IS 'Key maintenance works across tenants.';


--
-- Name: refresh_leases keymaster_select; Type: POLICY; Schema: integrations_private; Owner: integrations_owner
--

CREATE POLICY keymaster_select ON integrations_private.refresh_leases FOR SELECT TO integrations_keymaster USING (true);


--
-- Name: POLICY keymaster_select ON refresh_leases; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON POLICY keymaster_select ON integrations_private.refresh_leases IS 'The list of due refreshes is made across tenants.';


--
-- Name: read_leases; Type: ROW SECURITY; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE integrations_private.read_leases ENABLE ROW LEVEL SECURITY;

--
-- Name: refresh_leases; Type: ROW SECURITY; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE integrations_private.refresh_leases ENABLE ROW LEVEL SECURITY;

--
-- Name: audit_log tenant_all; Type: POLICY; Schema: integrations_private; Owner: integrations_owner
--

CREATE POLICY tenant_all ON integrations_private.audit_log TO integrations_owner, svc_integration, integrations_tenant USING ((tenant_id = integrations.current_tenant())) WITH CHECK ((tenant_id = integrations.current_tenant()));


--
-- Name: POLICY tenant_all ON audit_log; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON POLICY tenant_all ON integrations_private.audit_log IS 'Entries are written for the tenant of the transaction only. Only the owner has a privilege to use
it.';


--
-- Name: read_leases tenant_all; Type: POLICY; Schema: integrations_private; Owner: integrations_owner
--

CREATE POLICY tenant_all ON integrations_private.read_leases TO integrations_owner, svc_integration, integrations_tenant USING ((tenant_id = integrations.current_tenant())) WITH CHECK ((tenant_id = integrations.current_tenant()));


--
-- Name: POLICY tenant_all ON read_leases; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON POLICY tenant_all ON integrations_private.read_leases IS 'A tenant''s leases are there for that tenant only. Only the owner has a privilege to use it.';


--
-- Name: refresh_leases tenant_all; Type: POLICY; Schema: integrations_private; Owner: integrations_owner
--

CREATE POLICY tenant_all ON integrations_private.refresh_leases TO integrations_owner, svc_integration, integrations_tenant USING ((tenant_id = integrations.current_tenant())) WITH CHECK ((tenant_id = integrations.current_tenant()));


--
-- Name: POLICY tenant_all ON refresh_leases; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON POLICY tenant_all ON integrations_private.refresh_leases IS 'A tenant''s leases are there for that tenant only. Only the owner has a privilege to use it.';


--
-- Name: tenant_keys tenant_all; Type: POLICY; Schema: integrations_private; Owner: integrations_owner
--

CREATE POLICY tenant_all ON integrations_private.tenant_keys TO integrations_owner, svc_integration, integrations_tenant USING ((tenant_id = integrations.current_tenant())) WITH CHECK ((tenant_id = integrations.current_tenant()));


--
-- Name: POLICY tenant_all ON tenant_keys; Type: COMMENT; Schema: integrations_private; Owner: integrations_owner
--

COMMENT ON POLICY tenant_all ON integrations_private.tenant_keys IS 'A tenant''s keys are there for that tenant only. Only the owner has a privilege to use it.';


--
-- Name: tenant_keys; Type: ROW SECURITY; Schema: integrations_private; Owner: integrations_owner
--

ALTER TABLE integrations_private.tenant_keys ENABLE ROW LEVEL SECURITY;

--
-- Name: SCHEMA integrations; Type: ACL; Schema: -; Owner: integrations_owner
--

GRANT USAGE ON SCHEMA integrations TO integrations_admin;
GRANT USAGE ON SCHEMA integrations TO integrations_auditor;
GRANT USAGE ON SCHEMA integrations TO integrations_keymaster;
GRANT USAGE ON SCHEMA integrations TO integrations_tenant;
GRANT USAGE ON SCHEMA integrations TO svc_integration;


--
-- Name: SCHEMA integrations_private; Type: ACL; Schema: -; Owner: integrations_owner
--

GRANT USAGE ON SCHEMA integrations_private TO integrations_keymaster;


--
-- Name: SCHEMA pgcrypto; Type: ACL; Schema: -; Owner: postgres
--

GRANT USAGE ON SCHEMA pgcrypto TO integrations_owner;
GRANT USAGE ON SCHEMA pgcrypto TO integrations_keymaster;


--
-- Name: FUNCTION add_tenant_key(kek_id text, data_key bytea, wrapped bytea); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.add_tenant_key(kek_id text, data_key bytea, wrapped bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.add_tenant_key(kek_id text, data_key bytea, wrapped bytea) TO svc_integration;


--
-- Name: FUNCTION claim_refresh(instance_id uuid, holder text, ttl interval); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.claim_refresh(instance_id uuid, holder text, ttl interval) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.claim_refresh(instance_id uuid, holder text, ttl interval) TO svc_integration;


--
-- Name: FUNCTION complete_refresh(lease uuid, credentials text, expected_version integer); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.complete_refresh(lease uuid, credentials text, expected_version integer) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.complete_refresh(lease uuid, credentials text, expected_version integer) TO svc_integration;


--
-- Name: FUNCTION create_instance(integration_id uuid, name text, config jsonb); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.create_instance(integration_id uuid, name text, config jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.create_instance(integration_id uuid, name text, config jsonb) TO integrations_tenant;
GRANT ALL ON FUNCTION integrations.create_instance(integration_id uuid, name text, config jsonb) TO svc_integration;


--
-- Name: FUNCTION create_tenant_key(kek_id text, kek bytea); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.create_tenant_key(kek_id text, kek bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.create_tenant_key(kek_id text, kek bytea) TO integrations_admin;
GRANT ALL ON FUNCTION integrations.create_tenant_key(kek_id text, kek bytea) TO svc_integration;


--
-- Name: FUNCTION current_tenant(); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.current_tenant() FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.current_tenant() TO integrations_admin;
GRANT ALL ON FUNCTION integrations.current_tenant() TO integrations_tenant;
GRANT ALL ON FUNCTION integrations.current_tenant() TO svc_integration;


--
-- Name: FUNCTION delete_instance(instance_id uuid); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.delete_instance(instance_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.delete_instance(instance_id uuid) TO integrations_tenant;
GRANT ALL ON FUNCTION integrations.delete_instance(instance_id uuid) TO svc_integration;


--
-- Name: FUNCTION destroy_key(key_id uuid, confirm text); Type: ACL; Schema: integrations; Owner: integrations_keymaster
--

REVOKE ALL ON FUNCTION integrations.destroy_key(key_id uuid, confirm text) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.destroy_key(key_id uuid, confirm text) TO integrations_admin;


--
-- Name: FUNCTION discard_draft(definition_id uuid); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.discard_draft(definition_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.discard_draft(definition_id uuid) TO integrations_admin;


--
-- Name: FUNCTION doctor(); Type: ACL; Schema: integrations; Owner: integrations_keymaster
--

REVOKE ALL ON FUNCTION integrations.doctor() FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.doctor() TO integrations_admin;


--
-- Name: FUNCTION fail_refresh(lease uuid, reason text, retry_after interval); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.fail_refresh(lease uuid, reason text, retry_after interval) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.fail_refresh(lease uuid, reason text, retry_after interval) TO svc_integration;


--
-- Name: FUNCTION get_credentials(instance_id uuid); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.get_credentials(instance_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.get_credentials(instance_id uuid) TO svc_integration;


--
-- Name: FUNCTION list_refresh_due(max_rows integer); Type: ACL; Schema: integrations; Owner: integrations_keymaster
--

REVOKE ALL ON FUNCTION integrations.list_refresh_due(max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.list_refresh_due(max_rows integer) TO svc_integration;


--
-- Name: FUNCTION maintain_audit(keep interval); Type: ACL; Schema: integrations; Owner: integrations_keymaster
--

REVOKE ALL ON FUNCTION integrations.maintain_audit(keep interval) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.maintain_audit(keep interval) TO integrations_admin;


--
-- Name: FUNCTION open_read_lease(instance_id uuid, reason text); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.open_read_lease(instance_id uuid, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.open_read_lease(instance_id uuid, reason text) TO svc_integration;


--
-- Name: FUNCTION put_credentials(instance_id uuid, credentials text, expected_version integer); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.put_credentials(instance_id uuid, credentials text, expected_version integer) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.put_credentials(instance_id uuid, credentials text, expected_version integer) TO svc_integration;


--
-- Name: FUNCTION read_with_lease(lease uuid); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.read_with_lease(lease uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.read_with_lease(lease uuid) TO svc_integration;


--
-- Name: FUNCTION record_connection(instance_id uuid, ok boolean, reason text); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.record_connection(instance_id uuid, ok boolean, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.record_connection(instance_id uuid, ok boolean, reason text) TO svc_integration;


--
-- Name: FUNCTION reencrypt_batch(max_rows integer); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.reencrypt_batch(max_rows integer) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.reencrypt_batch(max_rows integer) TO svc_integration;


--
-- Name: FUNCTION register_definition(name text, type text, version text, docs_url text, description text, credentials_schema jsonb, config_schema jsonb); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.register_definition(name text, type text, version text, docs_url text, description text, credentials_schema jsonb, config_schema jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.register_definition(name text, type text, version text, docs_url text, description text, credentials_schema jsonb, config_schema jsonb) TO integrations_admin;


--
-- Name: FUNCTION rename_instance(instance_id uuid, name text); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.rename_instance(instance_id uuid, name text) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.rename_instance(instance_id uuid, name text) TO integrations_tenant;
GRANT ALL ON FUNCTION integrations.rename_instance(instance_id uuid, name text) TO svc_integration;


--
-- Name: FUNCTION retire_key(key_id uuid); Type: ACL; Schema: integrations; Owner: integrations_keymaster
--

REVOKE ALL ON FUNCTION integrations.retire_key(key_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.retire_key(key_id uuid) TO integrations_admin;


--
-- Name: FUNCTION revoke_credentials(instance_id uuid); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.revoke_credentials(instance_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.revoke_credentials(instance_id uuid) TO svc_integration;


--
-- Name: FUNCTION rewrap_keys(old_kek_id text, old_kek bytea, new_kek_id text, new_kek bytea, max_keys integer); Type: ACL; Schema: integrations; Owner: integrations_keymaster
--

REVOKE ALL ON FUNCTION integrations.rewrap_keys(old_kek_id text, old_kek bytea, new_kek_id text, new_kek bytea, max_keys integer) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.rewrap_keys(old_kek_id text, old_kek bytea, new_kek_id text, new_kek bytea, max_keys integer) TO integrations_admin;


--
-- Name: FUNCTION set_definition_status(definition_id uuid, status integrations.integration_definition_status); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.set_definition_status(definition_id uuid, status integrations.integration_definition_status) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.set_definition_status(definition_id uuid, status integrations.integration_definition_status) TO integrations_admin;


--
-- Name: FUNCTION set_instance_status(instance_id uuid, status integrations.integration_instance_status, reason text); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.set_instance_status(instance_id uuid, status integrations.integration_instance_status, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.set_instance_status(instance_id uuid, status integrations.integration_instance_status, reason text) TO integrations_tenant;
GRANT ALL ON FUNCTION integrations.set_instance_status(instance_id uuid, status integrations.integration_instance_status, reason text) TO svc_integration;


--
-- Name: FUNCTION set_tenant(tenant_id uuid); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.set_tenant(tenant_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.set_tenant(tenant_id uuid) TO integrations_admin;
GRANT ALL ON FUNCTION integrations.set_tenant(tenant_id uuid) TO integrations_tenant;
GRANT ALL ON FUNCTION integrations.set_tenant(tenant_id uuid) TO svc_integration;


--
-- Name: FUNCTION unlock(kek_id text, kek bytea); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.unlock(kek_id text, kek bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.unlock(kek_id text, kek bytea) TO svc_integration;


--
-- Name: FUNCTION unlock_key(key_id uuid, data_key bytea); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.unlock_key(key_id uuid, data_key bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.unlock_key(key_id uuid, data_key bytea) TO svc_integration;


--
-- Name: FUNCTION update_config(instance_id uuid, config jsonb); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.update_config(instance_id uuid, config jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.update_config(instance_id uuid, config jsonb) TO integrations_tenant;
GRANT ALL ON FUNCTION integrations.update_config(instance_id uuid, config jsonb) TO svc_integration;


--
-- Name: FUNCTION upgrade_instance(instance_id uuid, integration_id uuid); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.upgrade_instance(instance_id uuid, integration_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.upgrade_instance(instance_id uuid, integration_id uuid) TO integrations_tenant;
GRANT ALL ON FUNCTION integrations.upgrade_instance(instance_id uuid, integration_id uuid) TO svc_integration;


--
-- Name: FUNCTION wrapped_keys(); Type: ACL; Schema: integrations; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations.wrapped_keys() FROM PUBLIC;
GRANT ALL ON FUNCTION integrations.wrapped_keys() TO svc_integration;


--
-- Name: FUNCTION add_audit_partition(since timestamp with time zone, until timestamp with time zone); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.add_audit_partition(since timestamp with time zone, until timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.add_audit_partition(since timestamp with time zone, until timestamp with time zone) TO integrations_keymaster;


--
-- Name: FUNCTION add_to_keyring(keyring text, tenant_id uuid, key_id uuid, data_key bytea); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.add_to_keyring(keyring text, tenant_id uuid, key_id uuid, data_key bytea) FROM PUBLIC;


--
-- Name: FUNCTION bound_audit_default(since timestamp with time zone, until timestamp with time zone); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.bound_audit_default(since timestamp with time zone, until timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.bound_audit_default(since timestamp with time zone, until timestamp with time zone) TO integrations_keymaster;


--
-- Name: FUNCTION check_config(config jsonb); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.check_config(config jsonb) FROM PUBLIC;


--
-- Name: FUNCTION check_kek(kek_id text, kek bytea); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.check_kek(kek_id text, kek bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.check_kek(kek_id text, kek bytea) TO integrations_keymaster;


--
-- Name: FUNCTION check_name(name text, what text); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.check_name(name text, what text) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.check_name(name text, what text) TO integrations_keymaster;


--
-- Name: FUNCTION compile_schema(schema jsonb, name text); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.compile_schema(schema jsonb, name text) FROM PUBLIC;


--
-- Name: FUNCTION credentials_expire_at(credentials jsonb); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.credentials_expire_at(credentials jsonb) FROM PUBLIC;


--
-- Name: FUNCTION hmac(data bytea, key bytea); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.hmac(data bytea, key bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.hmac(data bytea, key bytea) TO integrations_keymaster;


--
-- Name: FUNCTION credentials_subkey(purpose text, tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.credentials_subkey(purpose text, tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea) FROM PUBLIC;


--
-- Name: FUNCTION data_key_check_value(key_id uuid, data_key bytea); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.data_key_check_value(key_id uuid, data_key bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.data_key_check_value(key_id uuid, data_key bytea) TO integrations_keymaster;


--
-- Name: FUNCTION decrypt_bytes(ciphertext bytea, passphrase text); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.decrypt_bytes(ciphertext bytea, passphrase text) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.decrypt_bytes(ciphertext bytea, passphrase text) TO integrations_keymaster;


--
-- Name: FUNCTION decrypt_text(ciphertext bytea, passphrase text); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.decrypt_text(ciphertext bytea, passphrase text) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.decrypt_text(ciphertext bytea, passphrase text) TO integrations_keymaster;


--
-- Name: FUNCTION drop_audit_partition(partition regclass); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.drop_audit_partition(partition regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.drop_audit_partition(partition regclass) TO integrations_keymaster;


--
-- Name: FUNCTION encrypt_bytes(plaintext bytea, passphrase text); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.encrypt_bytes(plaintext bytea, passphrase text) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.encrypt_bytes(plaintext bytea, passphrase text) TO integrations_keymaster;


--
-- Name: FUNCTION encrypt_text(plaintext text, passphrase text); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.encrypt_text(plaintext text, passphrase text) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.encrypt_text(plaintext text, passphrase text) TO integrations_keymaster;


--
-- Name: FUNCTION envelope_key_id(envelope jsonb); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.envelope_key_id(envelope jsonb) FROM PUBLIC;


--
-- Name: FUNCTION evaluate_schema(rules jsonb, rule integer, document jsonb, depth integer, INOUT steps integer, OUT pointer text, OUT keyword text, OUT missing text); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.evaluate_schema(rules jsonb, rule integer, document jsonb, depth integer, INOUT steps integer, OUT pointer text, OUT keyword text, OUT missing text) FROM PUBLIC;


--
-- Name: FUNCTION examine_connections(ssl boolean, listen_addresses text); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.examine_connections(ssl boolean, listen_addresses text) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.examine_connections(ssl boolean, listen_addresses text) TO integrations_keymaster;


--
-- Name: FUNCTION examine_data(forgotten interval); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.examine_data(forgotten interval) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.examine_data(forgotten interval) TO integrations_keymaster;


--
-- Name: FUNCTION examine_objects(); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.examine_objects() FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.examine_objects() TO integrations_keymaster;


--
-- Name: FUNCTION examine_roles(); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.examine_roles() FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.examine_roles() TO integrations_keymaster;


--
-- Name: FUNCTION examine_settings(); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.examine_settings() FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.examine_settings() TO integrations_keymaster;


--
-- Name: FUNCTION find_loop(edges jsonb[]); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.find_loop(edges jsonb[]) FROM PUBLIC;


--
-- Name: FUNCTION find_reference(reference text, schema jsonb, OUT pointer text, OUT target jsonb, OUT refusal text); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.find_reference(reference text, schema jsonb, OUT pointer text, OUT target jsonb, OUT refusal text) FROM PUBLIC;


--
-- Name: FUNCTION instance_may_move(old_status integrations.integration_instance_status, new_status integrations.integration_instance_status); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.instance_may_move(old_status integrations.integration_instance_status, new_status integrations.integration_instance_status) FROM PUBLIC;


--
-- Name: FUNCTION items_are_unique(items jsonb); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.items_are_unique(items jsonb) FROM PUBLIC;


--
-- Name: FUNCTION kek_check_value(kek_id text, kek bytea); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.kek_check_value(kek_id text, kek bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.kek_check_value(kek_id text, kek bytea) TO integrations_keymaster;


--
-- Name: FUNCTION keyword_problem(keyword text, value jsonb, is_root boolean); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.keyword_problem(keyword text, value jsonb, is_root boolean) FROM PUBLIC;


--
-- Name: FUNCTION list_audit_gaps(); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.list_audit_gaps() FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.list_audit_gaps() TO integrations_keymaster;


--
-- Name: FUNCTION list_audit_partitions(); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.list_audit_partitions() FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.list_audit_partitions() TO integrations_keymaster;


--
-- Name: FUNCTION list_keys(); Type: ACL; Schema: integrations_private; Owner: integrations_keymaster
--

REVOKE ALL ON FUNCTION integrations_private.list_keys() FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.list_keys() TO integrations_admin;


--
-- Name: TABLE tenant_keys; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT ON TABLE integrations_private.tenant_keys TO integrations_keymaster;


--
-- Name: COLUMN tenant_keys.kek_id; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT UPDATE(kek_id) ON TABLE integrations_private.tenant_keys TO integrations_keymaster;


--
-- Name: COLUMN tenant_keys.wrapped; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT UPDATE(wrapped) ON TABLE integrations_private.tenant_keys TO integrations_keymaster;


--
-- Name: COLUMN tenant_keys.state; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT UPDATE(state) ON TABLE integrations_private.tenant_keys TO integrations_keymaster;


--
-- Name: COLUMN tenant_keys.updated_at; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT UPDATE(updated_at) ON TABLE integrations_private.tenant_keys TO integrations_keymaster;


--
-- Name: FUNCTION lock_active_key(tenant_id uuid); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.lock_active_key(tenant_id uuid) FROM PUBLIC;


--
-- Name: FUNCTION lock_audit_log(exclusive boolean, partitions regclass[], patience interval); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.lock_audit_log(exclusive boolean, partitions regclass[], patience interval) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.lock_audit_log(exclusive boolean, partitions regclass[], patience interval) TO integrations_keymaster;


--
-- Name: COLUMN integration_instances.tenant_id; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(tenant_id) ON TABLE integrations.integration_instances TO svc_integration;
GRANT SELECT(tenant_id) ON TABLE integrations.integration_instances TO integrations_tenant;
GRANT SELECT(tenant_id) ON TABLE integrations.integration_instances TO integrations_auditor;
GRANT SELECT(tenant_id) ON TABLE integrations.integration_instances TO integrations_keymaster;


--
-- Name: COLUMN integration_instances.id; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(id) ON TABLE integrations.integration_instances TO svc_integration;
GRANT SELECT(id) ON TABLE integrations.integration_instances TO integrations_tenant;
GRANT SELECT(id) ON TABLE integrations.integration_instances TO integrations_auditor;
GRANT SELECT(id) ON TABLE integrations.integration_instances TO integrations_keymaster;


--
-- Name: COLUMN integration_instances.integration_id; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(integration_id) ON TABLE integrations.integration_instances TO svc_integration;
GRANT SELECT(integration_id) ON TABLE integrations.integration_instances TO integrations_tenant;
GRANT SELECT(integration_id) ON TABLE integrations.integration_instances TO integrations_auditor;


--
-- Name: COLUMN integration_instances.name; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(name) ON TABLE integrations.integration_instances TO svc_integration;
GRANT SELECT(name) ON TABLE integrations.integration_instances TO integrations_tenant;
GRANT SELECT(name) ON TABLE integrations.integration_instances TO integrations_auditor;


--
-- Name: COLUMN integration_instances.status; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(status) ON TABLE integrations.integration_instances TO svc_integration;
GRANT SELECT(status) ON TABLE integrations.integration_instances TO integrations_tenant;
GRANT SELECT(status) ON TABLE integrations.integration_instances TO integrations_auditor;
GRANT SELECT(status) ON TABLE integrations.integration_instances TO integrations_keymaster;


--
-- Name: COLUMN integration_instances.status_reason; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(status_reason) ON TABLE integrations.integration_instances TO svc_integration;
GRANT SELECT(status_reason) ON TABLE integrations.integration_instances TO integrations_tenant;
GRANT SELECT(status_reason) ON TABLE integrations.integration_instances TO integrations_auditor;


--
-- Name: COLUMN integration_instances.credentials; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(credentials) ON TABLE integrations.integration_instances TO svc_integration;


--
-- Name: COLUMN integration_instances.credentials_version; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(credentials_version) ON TABLE integrations.integration_instances TO svc_integration;
GRANT SELECT(credentials_version) ON TABLE integrations.integration_instances TO integrations_tenant;
GRANT SELECT(credentials_version) ON TABLE integrations.integration_instances TO integrations_auditor;
GRANT SELECT(credentials_version) ON TABLE integrations.integration_instances TO integrations_keymaster;


--
-- Name: COLUMN integration_instances.credentials_key_id; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(credentials_key_id) ON TABLE integrations.integration_instances TO svc_integration;
GRANT SELECT(credentials_key_id) ON TABLE integrations.integration_instances TO integrations_tenant;
GRANT SELECT(credentials_key_id) ON TABLE integrations.integration_instances TO integrations_auditor;
GRANT SELECT(credentials_key_id) ON TABLE integrations.integration_instances TO integrations_keymaster;


--
-- Name: COLUMN integration_instances.credentials_expire_at; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(credentials_expire_at) ON TABLE integrations.integration_instances TO svc_integration;
GRANT SELECT(credentials_expire_at) ON TABLE integrations.integration_instances TO integrations_tenant;
GRANT SELECT(credentials_expire_at) ON TABLE integrations.integration_instances TO integrations_auditor;
GRANT SELECT(credentials_expire_at) ON TABLE integrations.integration_instances TO integrations_keymaster;


--
-- Name: COLUMN integration_instances.config; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(config) ON TABLE integrations.integration_instances TO svc_integration;
GRANT SELECT(config) ON TABLE integrations.integration_instances TO integrations_tenant;
GRANT SELECT(config) ON TABLE integrations.integration_instances TO integrations_auditor;


--
-- Name: COLUMN integration_instances.last_used_at; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(last_used_at) ON TABLE integrations.integration_instances TO svc_integration;
GRANT SELECT(last_used_at) ON TABLE integrations.integration_instances TO integrations_tenant;
GRANT SELECT(last_used_at) ON TABLE integrations.integration_instances TO integrations_auditor;


--
-- Name: COLUMN integration_instances.last_connected_at; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(last_connected_at) ON TABLE integrations.integration_instances TO svc_integration;
GRANT SELECT(last_connected_at) ON TABLE integrations.integration_instances TO integrations_tenant;
GRANT SELECT(last_connected_at) ON TABLE integrations.integration_instances TO integrations_auditor;


--
-- Name: COLUMN integration_instances.created_at; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(created_at) ON TABLE integrations.integration_instances TO svc_integration;
GRANT SELECT(created_at) ON TABLE integrations.integration_instances TO integrations_tenant;
GRANT SELECT(created_at) ON TABLE integrations.integration_instances TO integrations_auditor;


--
-- Name: COLUMN integration_instances.updated_at; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT(updated_at) ON TABLE integrations.integration_instances TO svc_integration;
GRANT SELECT(updated_at) ON TABLE integrations.integration_instances TO integrations_tenant;
GRANT SELECT(updated_at) ON TABLE integrations.integration_instances TO integrations_auditor;


--
-- Name: FUNCTION lock_instance(instance_id uuid); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.lock_instance(instance_id uuid) FROM PUBLIC;


--
-- Name: FUNCTION lock_refresh_lease(lease uuid); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.lock_refresh_lease(lease uuid) FROM PUBLIC;


--
-- Name: FUNCTION month_of(at timestamp with time zone, shift integer); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.month_of(at timestamp with time zone, shift integer) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.month_of(at timestamp with time zone, shift integer) TO integrations_keymaster;


--
-- Name: FUNCTION move_instance(instance integrations.integration_instances, status integrations.integration_instance_status, reason text); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.move_instance(instance integrations.integration_instances, status integrations.integration_instance_status, reason text) FROM PUBLIC;


--
-- Name: FUNCTION numbers_are_short(document jsonb); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.numbers_are_short(document jsonb) FROM PUBLIC;


--
-- Name: FUNCTION open_credentials(tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea, envelope jsonb); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.open_credentials(tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea, envelope jsonb) FROM PUBLIC;


--
-- Name: FUNCTION opened_key(tenant_id uuid, key_id uuid, state integrations_private.tenant_key_state, check_value bytea); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.opened_key(tenant_id uuid, key_id uuid, state integrations_private.tenant_key_state, check_value bytea) FROM PUBLIC;


--
-- Name: FUNCTION parse_credentials(credentials text); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.parse_credentials(credentials text) FROM PUBLIC;


--
-- Name: FUNCTION pointer_token(name text); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.pointer_token(name text) FROM PUBLIC;


--
-- Name: FUNCTION quarantine_reason(); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.quarantine_reason() FROM PUBLIC;


--
-- Name: FUNCTION random_bytes(length integer); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.random_bytes(length integer) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.random_bytes(length integer) TO integrations_keymaster;


--
-- Name: FUNCTION register_kek(kek_id text, kek bytea); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.register_kek(kek_id text, kek bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.register_kek(kek_id text, kek bytea) TO integrations_keymaster;


--
-- Name: FUNCTION require_tenant(); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.require_tenant() FROM PUBLIC;


--
-- Name: FUNCTION require_usable(instance_id uuid, status integrations.integration_instance_status); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.require_usable(instance_id uuid, status integrations.integration_instance_status) FROM PUBLIC;


--
-- Name: FUNCTION schema_violation(integration_id uuid, kind text, document jsonb); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.schema_violation(integration_id uuid, kind text, document jsonb) FROM PUBLIC;


--
-- Name: FUNCTION seal_credentials(tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea, credentials text); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.seal_credentials(tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea, credentials text) FROM PUBLIC;


--
-- Name: FUNCTION stamp_last_used(tenant_id uuid, instance_id uuid); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.stamp_last_used(tenant_id uuid, instance_id uuid) FROM PUBLIC;


--
-- Name: FUNCTION store_tenant_key(tenant_id uuid, key_id uuid, kek_id text, wrapped bytea, check_value bytea); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.store_tenant_key(tenant_id uuid, key_id uuid, kek_id text, wrapped bytea, check_value bytea) FROM PUBLIC;


--
-- Name: FUNCTION tg_audit_log__append_only(); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.tg_audit_log__append_only() FROM PUBLIC;


--
-- Name: FUNCTION tg_integration_definitions__immutable(); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.tg_integration_definitions__immutable() FROM PUBLIC;


--
-- Name: FUNCTION translate_pattern(pattern text, OUT translated text, OUT start_cost integer, OUT length_cost integer, OUT refusal text); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.translate_pattern(pattern text, OUT translated text, OUT start_cost integer, OUT length_cost integer, OUT refusal text) FROM PUBLIC;


--
-- Name: FUNCTION unwrap_key(tenant_id uuid, key_id uuid, kek bytea, wrapped bytea, check_value bytea); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.unwrap_key(tenant_id uuid, key_id uuid, kek bytea, wrapped bytea, check_value bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.unwrap_key(tenant_id uuid, key_id uuid, kek bytea, wrapped bytea, check_value bytea) TO integrations_keymaster;


--
-- Name: FUNCTION wrapping_passphrase(tenant_id uuid, key_id uuid, kek bytea); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.wrapping_passphrase(tenant_id uuid, key_id uuid, kek bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.wrapping_passphrase(tenant_id uuid, key_id uuid, kek bytea) TO integrations_keymaster;


--
-- Name: FUNCTION write_audit(tenant_id uuid, instance_id uuid, event text, detail jsonb); Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

REVOKE ALL ON FUNCTION integrations_private.write_audit(tenant_id uuid, instance_id uuid, event text, detail jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION integrations_private.write_audit(tenant_id uuid, instance_id uuid, event text, detail jsonb) TO integrations_keymaster;


--
-- Name: TABLE audit_log; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT INSERT ON TABLE integrations_private.audit_log TO integrations_keymaster;


--
-- Name: COLUMN audit_log.tenant_id; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(tenant_id) ON TABLE integrations_private.audit_log TO integrations_auditor;


--
-- Name: COLUMN audit_log.id; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(id) ON TABLE integrations_private.audit_log TO integrations_auditor;


--
-- Name: COLUMN audit_log.at; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(at) ON TABLE integrations_private.audit_log TO integrations_auditor;
GRANT SELECT(at) ON TABLE integrations_private.audit_log TO integrations_keymaster;


--
-- Name: COLUMN audit_log.instance_id; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(instance_id) ON TABLE integrations_private.audit_log TO integrations_auditor;


--
-- Name: COLUMN audit_log.event; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(event) ON TABLE integrations_private.audit_log TO integrations_auditor;


--
-- Name: COLUMN audit_log.actor; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(actor) ON TABLE integrations_private.audit_log TO integrations_auditor;


--
-- Name: COLUMN audit_log.session_actor; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(session_actor) ON TABLE integrations_private.audit_log TO integrations_auditor;


--
-- Name: COLUMN audit_log.application; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(application) ON TABLE integrations_private.audit_log TO integrations_auditor;


--
-- Name: COLUMN audit_log.detail; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(detail) ON TABLE integrations_private.audit_log TO integrations_auditor;


--
-- Name: TABLE audit_trail; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT ON TABLE integrations.audit_trail TO integrations_auditor;


--
-- Name: TABLE integration_definitions; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT ON TABLE integrations.integration_definitions TO svc_integration;
GRANT SELECT ON TABLE integrations.integration_definitions TO integrations_tenant;
GRANT SELECT ON TABLE integrations.integration_definitions TO integrations_admin;
GRANT SELECT ON TABLE integrations.integration_definitions TO integrations_auditor;


--
-- Name: TABLE instance_overview; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT ON TABLE integrations.instance_overview TO integrations_auditor;
GRANT SELECT ON TABLE integrations.instance_overview TO integrations_tenant;
GRANT SELECT ON TABLE integrations.instance_overview TO svc_integration;


--
-- Name: TABLE key_overview; Type: ACL; Schema: integrations; Owner: integrations_owner
--

GRANT SELECT ON TABLE integrations.key_overview TO integrations_admin;


--
-- Name: TABLE key_encryption_keys; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT,INSERT ON TABLE integrations_private.key_encryption_keys TO integrations_keymaster;


--
-- Name: COLUMN refresh_leases.tenant_id; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(tenant_id) ON TABLE integrations_private.refresh_leases TO integrations_keymaster;


--
-- Name: COLUMN refresh_leases.instance_id; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(instance_id) ON TABLE integrations_private.refresh_leases TO integrations_keymaster;


--
-- Name: COLUMN refresh_leases.credentials_version; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(credentials_version) ON TABLE integrations_private.refresh_leases TO integrations_keymaster;


--
-- Name: COLUMN refresh_leases.leased_until; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(leased_until) ON TABLE integrations_private.refresh_leases TO integrations_keymaster;


--
-- Name: COLUMN refresh_leases.retry_at; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(retry_at) ON TABLE integrations_private.refresh_leases TO integrations_keymaster;


--
-- Name: COLUMN refresh_leases.refreshed_at; Type: ACL; Schema: integrations_private; Owner: integrations_owner
--

GRANT SELECT(refreshed_at) ON TABLE integrations_private.refresh_leases TO integrations_keymaster;


--
-- PostgreSQL database dump complete
--
