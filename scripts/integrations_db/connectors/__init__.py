"""The example connectors: ten real services, each described in a file of this folder.

A file holds the arguments of ``register_definition``, and beside them documents that its schemas
accept and refuse. No secret stands in it, not even a made-up one: ``<hex:32>`` and the like are
filled with random characters whenever the file is read.
"""

from __future__ import annotations

import json
import re
import secrets
import string
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

__all__ = ["Accepted", "Connector", "Refused", "fill", "load", "load_all", "merge"]

_ALPHABETS = {
    "alnum": string.ascii_letters + string.digits,
    "base64": string.ascii_letters + string.digits + "+/",
    "base64url": string.ascii_letters + string.digits + "-_",
    "digits": string.digits,
    "hex": "0123456789abcdef",
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A configuration and the credentials of one instance, as the schemas want them."""

    config: dict[str, Any]
    credentials: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """A document that a schema refuses, and the error that says why.

    Attributes:
        because: the mistake, for people.
        code: IN203, so the document is a configuration; or IN204, so it is credentials.
        pointer: JSON pointer to the place in the document.
        keyword: of JSON Schema, that the place breaks.
        document: the wrong configuration or credentials.
    """

    because: str
    code: str
    pointer: str
    keyword: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector as an administrator describes it, with examples for its schemas."""

    name: str
    type: str
    version: str
    docs_url: str
    description: str
    config_schema: dict[str, Any]
    credentials_schema: dict[str, Any]
    accepted: tuple[Accepted, ...]
    refused: tuple[Refused, ...]


def load_all() -> list[Connector]:
    """Returns the connectors of this folder, by name, each with fresh made-up secrets."""
    files = sorted(Path(__file__).parent.glob("*.json"))
    return [load(file.read_text(encoding="utf-8")) for file in files]


def load(text: str) -> Connector:
    """Reads the description of a connector.

    Args:
        text: JSON; docs/connectors.md tells its form.
    """
    described = json.loads(text)
    accepted = tuple(Accepted(**fill(example)) for example in described.pop("accepted"))
    refused = tuple(_refused(example, accepted[0]) for example in described.pop("refused"))
    return Connector(**described, accepted=accepted, refused=refused)


def _refused(example: dict[str, Any], right: Accepted) -> Refused:
    """Returns a wrong document: whole, or as what differs from the first that is right."""
    what = {"IN203": "config", "IN204": "credentials"}[example["code"]]
    if what in example:
        document = example.pop(what)
    else:
        document = merge(getattr(right, what), example.pop(f"{what}_with"))
    return Refused(**example, document=fill(document))


def merge(document: Any, patch: Any) -> Any:
    """Returns the document with what the patch changes; null takes a member out (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def fill(value: Any) -> Any:
    """Returns a JSON value with what stands in angle brackets filled in.

    ``<hex:40>``: as many random characters; alnum, base64, base64url and digits likewise.
    ``<pem:PRIVATE KEY>``: a block in PEM form, of random bytes. ``<in:3600>``: the time in as many
    seconds.
    """
    if isinstance(value, dict):
        return {name: fill(member) for name, member in value.items()}
    if isinstance(value, list):
        return [fill(item) for item in value]
    return re.sub(r"<(\w+):([\w ]+)>", _filling, value) if isinstance(value, str) else value


def _filling(place: re.Match[str]) -> str:
    kind, argument = place.groups()
    if kind == "in":
        time = datetime.now(UTC) + timedelta(seconds=int(argument))
        return time.strftime("%Y-%m-%dT%H:%M:%SZ")
    if kind == "pem":
        text = b64encode(secrets.token_bytes(1218)).decode()  # as many as an RSA key of 2048 bits
        lines = "\n".join(re.findall(".{1,64}", text))
        return f"-----BEGIN {argument}-----\n{lines}\n-----END {argument}-----\n"
    return "".join(secrets.choice(_ALPHABETS[kind]) for _ in range(int(argument)))
