"""The example connectors, and what docs/connectors.md says, on a database."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from psycopg.types.json import Jsonb

from integrations_db import connectors
from integrations_db.connectors import Connector, form
from size import size

from .client import Client

PAGE = (Path(__file__).parents[3] / "docs" / "connectors.md").read_text()
CONNECTORS = [
    *connectors.load_all(),
    *map(connectors.load, re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)),
]
each = pytest.mark.parametrize("connector", CONNECTORS, ids=lambda connector: connector.name)


@dataclass(frozen=True)
class Trial:
    """One transaction, never committed, in which a connector is published and tried."""

    client: Client
    definitions: dict[str, UUID]

    def act(self, role: str) -> None:
        self.client.run(f"set local role {role}")

    def publish(self, connector: Connector) -> UUID:
        self.act("integrations_admin")
        definition = self.client.register_definition(
            connector.name,
            connector.type,
            connector.version,
            docs_url=connector.docs_url,
            description=connector.description,
            config_schema=Jsonb(connector.config_schema),
            credentials_schema=Jsonb(connector.credentials_schema),
        )
        self.client.set_definition_status(definition, "published")
        return definition

    def install(self, connector: Connector, number: int = 0) -> UUID:
        """Gives an instance with one of the connector's examples, config and credentials."""
        if connector.name not in self.definitions:
            self.definitions[connector.name] = self.publish(connector)
        definition, right = self.definitions[connector.name], connector.accepted[number]
        self.act("integrations_tenant")
        instance = self.client.create_instance(
            definition, f"{connector.name} {uuid4()}", right.config
        )
        self.write("IN204", instance, right.credentials)
        return instance

    def write(self, code: str, instance: UUID, document: object) -> psycopg.Error | None:
        """Writes what the code is about, as who may; gives the error if it is refused."""
        try:
            with self.client.conn.transaction():
                if code == "IN203":
                    self.act("integrations_tenant")
                    self.client.update_config(instance, document)
                else:
                    self.act("svc_integration")
                    self.client.put_credentials(instance, json.dumps(document))
        except psycopg.Error as error:
            return error
        return None


@contextmanager
def begun(conninfo: str) -> Iterator[Trial]:
    kek = secrets.token_bytes(32)
    with psycopg.connect(conninfo) as conn:
        trial = Trial(Client(conn), {})
        trial.client.set_tenant(uuid4())
        trial.act("svc_integration")
        trial.client.create_tenant_key("a trial", kek)
        trial.client.unlock("a trial", kek)
        yield trial
        conn.rollback()


@pytest.fixture
def trial(worker_database: str) -> Iterator[Trial]:
    with begun(worker_database) as trial:
        yield trial


def strings(value: Any) -> Iterator[str]:
    """Gives every text and number that stands in a document."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


@each
def test_what_fits_is_accepted_and_comes_back(trial: Trial, connector: Connector) -> None:
    for number, right in enumerate(connector.accepted):
        instance = trial.install(connector, number)
        assert trial.client.get_credentials(instance) == right.credentials
        [[config, status]] = trial.client.rows(
            "select config, status::text from integrations.integration_instances where id = %s",
            instance,
        )
        assert (config, status) == (right.config, "active")


@each
def test_what_does_not_fit_is_refused_for_its_reason(trial: Trial, connector: Connector) -> None:
    """Code, pointer and keyword are those of the file; the form has a field for each."""
    instance = trial.install(connector)
    right = connector.accepted[0]
    for wrong in connector.refused:
        error = trial.write(wrong.code, instance, wrong.document)
        assert error, wrong.because
        detail = error.diag.message_detail or ""
        place = form.locate(detail)
        assert place, detail
        assert (error.sqlstate, *place[:2]) == (wrong.code, wrong.pointer, wrong.keyword)
        schema = connector.config_schema if wrong.code == "IN203" else connector.credentials_schema
        told = form.form_errors(detail, schema, wrong.document)
        assert all(
            pointer == wrong.pointer or pointer.startswith(f"{wrong.pointer}/") for pointer in told
        )
        assert all(re.fullmatch(r"\w.* .*[^.]\.", text) for text in told.values()), told
        secret = {text for text in strings(wrong.document) if len(text) > 15}
        assert not [text for text in secret if text in str(told.values())]
    assert trial.client.get_credentials(instance) == right.credentials


@each
def test_no_error_repeats_a_value(trial: Trial, connector: Connector) -> None:
    """Nor the name of a member that only the document has."""
    heard: list[str] = []
    trial.client.conn.add_notice_handler(lambda notice: heard.append(str(notice.message_primary)))
    instance = trial.install(connector)
    for wrong in connector.refused:
        error = trial.write(wrong.code, instance, wrong.document)
        assert error
        told = " ".join(
            str(getattr(error.diag, field))
            for field in ("message_primary", "message_detail", "message_hint", "context")
        )
        schemas = json.dumps([connector.config_schema, connector.credentials_schema])
        names = {name for name in wrong.document if f'"{name}"' not in schemas}
        for text in {*names, *strings(wrong.document)}:
            assert len(text) < 6 or text not in told, (wrong.because, told)
    assert not heard


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(-1e9, 1e9, allow_subnormal=False)
    | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab_", max_size=3), inner),
    max_leaves=4,
)


def changed(document: Any, choose: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """Gives the document with one value in it replaced, taken out, or added."""
    if isinstance(document, dict) and document and choose(st.integers(0, 7)):
        name = choose(st.sampled_from(sorted(document)))
        if not choose(st.integers(0, 3)):
            return {key: value for key, value in document.items() if key != name}
        return document | {name: changed(document[name], choose)}
    if isinstance(document, list) and document and choose(st.booleans()):
        number = choose(st.integers(0, len(document) - 1))
        return [*document[:number], changed(document[number], choose), *document[number + 1 :]]
    if isinstance(document, str) and document and choose(st.booleans()):
        number = choose(st.integers(0, len(document)))
        return document[:number] + choose(st.sampled_from(" .-/_xZ0\u00e9")) + document[number:]
    return choose(_JSON)


def test_two_validators_agree_about_changed_examples(worker_database: str) -> None:
    """Of a right document with a change or two, the database says what jsonschema says."""
    cases = [
        (connector, code, schema, document)
        for connector in CONNECTORS
        for right in connector.accepted
        for code, schema, document in (
            ("IN203", connector.config_schema, right.config),
            ("IN204", connector.credentials_schema, right.credentials),
        )
    ]
    with begun(worker_database) as trial:
        instances = {connector.name: trial.install(connector) for connector in CONNECTORS}

        @settings(
            max_examples=size(quick=150, full=1_000),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.data())
        def agree(data: st.DataObject) -> None:
            connector, code, schema, document = data.draw(st.sampled_from(cases))
            for _ in range(data.draw(st.integers(1, 2))):
                document = changed(document, data.draw)
            if not isinstance(document, dict):
                return
            error = trial.write(code, instances[connector.name], document)
            assert (error is None) == Draft202012Validator(schema).is_valid(document)
            assert error is None or error.sqlstate == code, error

        agree()


def block(language: str, what: str) -> str:
    """Gives the one block of the page that holds this."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    [found] = [text for text in blocks if what in text]
    return str(found)


def of_name(name: str) -> Connector:
    [found] = [connector for connector in CONNECTORS if connector.name == name]
    return found


def test_the_errors_on_the_page(trial: Trial) -> None:
    salesforce = of_name("Salesforce")
    instance = trial.install(salesforce)
    right = salesforce.accepted[0]
    shown = []
    for code, document, member in (
        ("IN204", right.credentials | {"instance_url": "https://attacker.example"}, None),
        ("IN203", right.config, "api_version"),
    ):
        wrong = {name: value for name, value in document.items() if name != member}
        error = trial.write(code, instance, wrong)
        assert error and error.sqlstate == code
        shown.append(
            f"ERROR:  {error.diag.message_primary}\nDETAIL:  {error.diag.message_detail}\n"
        )
    assert block("text", "DETAIL:  Pointer") == "\n".join(shown)


def test_the_example_of_a_form_on_the_page(trial: Trial) -> None:
    salesforce = of_name("Salesforce")
    instance = trial.install(salesforce)
    trial.act("integrations_tenant")
    told: list[dict[str, str]] = []
    names: dict[str, Any] = {
        "psycopg": psycopg,
        "Jsonb": Jsonb,
        "form_errors": form.form_errors,
        "show": told.append,
        "conn": trial.client.conn,
        "tenant_id": trial.client.current_tenant(),
        "instance_id": instance,
        "config_schema": salesforce.config_schema,
        "config": salesforce.accepted[0].config | {"api_version": "67"},
    }
    exec(block("python", "update_config"), names)  # noqa: S102  # our own document
    assert f"`{json.dumps(told[0])}`" in PAGE


def test_what_the_page_says_an_administrator_does(trial: Trial) -> None:
    trial.act("integrations_admin")
    connector = CONNECTORS[-1]
    schemas = {
        "config_schema": Jsonb(connector.config_schema),
        "credentials_schema": Jsonb(connector.credentials_schema),
    }
    statement = block("sql", "register_definition")
    assert trial.client.conn.execute(statement.encode(), schemas).fetchone()
    [file] = Path(connectors.__file__).parent.glob("xero.json")
    statement = block("text", r"\set connector").partition("\n")[2].replace("app=>", "")
    statement = statement.replace(":'connector'", "%s")
    trial.client.rows(statement, file.read_text())
    [[config_schema]] = trial.client.rows(
        "select config_schema from integrations.integration_definitions"
        " where name = 'Xero' and type = 'oauth2' and version = '1.0.0'"
        " and docs_url is not null and description is not null"
    )
    assert config_schema == of_name("Xero").config_schema


def test_the_versions_of_a_connector(trial: Trial) -> None:
    """The way of a field that becomes required, and of credentials that one version takes both."""
    first = of_name("Example CRM")
    owner = {"owner": {"title": "Owner", "type": "string", "minLength": 1}}
    properties = first.config_schema["properties"] | owner
    optional = replace(
        first, version="1.1.0", config_schema=first.config_schema | {"properties": properties}
    )
    required = replace(
        optional,
        version="2.0.0",
        config_schema=optional.config_schema | {"required": ["region", "owner"]},
    )
    instance = trial.install(first)
    config = first.accepted[0].config | {"owner": "Ada"}
    versions = [trial.publish(connector) for connector in (optional, required)]

    def upgrade(definition: UUID) -> str | None:
        try:
            with trial.client.conn.transaction():
                trial.act("integrations_tenant")
                trial.client.call(
                    "upgrade_instance", instance_id=instance, integration_id=definition
                )
        except psycopg.Error as error:
            return error.sqlstate
        return None

    error = trial.write("IN203", instance, config)
    assert error and error.sqlstate == "IN203"  # the old schema is closed
    assert upgrade(versions[1]) == "IN203"
    assert upgrade(versions[0]) is None
    assert upgrade(versions[1]) == "IN203"
    assert trial.write("IN203", instance, config) is None
    assert upgrade(versions[1]) is None
    assert trial.write("IN203", instance, first.accepted[0].config)  # no way back to less


def test_a_refresh_must_fit_too(trial: Trial) -> None:
    """If it does not, the old credentials stay."""
    xero = of_name("Xero")
    instance, right = trial.install(xero), xero.accepted[0].credentials
    lease = trial.client.call("claim_refresh", instance_id=instance, holder="worker")
    fresh = right | {"access_token": "short", "expires_in": 1800}
    with pytest.raises(psycopg.Error) as caught, trial.client.conn.transaction():
        trial.client.call(
            "complete_refresh", lease=lease, credentials=json.dumps(fresh), expected_version=1
        )
    assert caught.value.sqlstate == "IN204"
    assert trial.client.get_credentials(instance) == right
    fresh |= {"access_token": right["access_token"], "a_new_member": "they added it last night"}
    assert 2 == trial.client.call(
        "complete_refresh", lease=lease, credentials=json.dumps(fresh), expected_version=1
    )
