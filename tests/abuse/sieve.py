"""Finds secrets in what is told or stored, however they are written there."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from functools import cache
from uuid import UUID

import psycopg
from api.client import Client
from api.world import World

__all__ = ["Sieve", "derived", "forms", "keys_of"]


@cache
def forms(secret: bytes) -> frozenset[bytes]:
    """Gives the ways in which a secret may be written."""
    escaped = "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\{b:03o}" for b in secret)
    spelled = "".join(f"\\u{b:04x}" for b in secret)
    # Within the base64 of something longer: any of three alignments, without the ends, which
    # depend on what stands there.
    encoded = {base64.b64encode(b"\0" * shift + secret)[4 * (shift > 0) : -4] for shift in range(3)}
    url_safe = {text.translate(bytes.maketrans(b"+/", b"-_")) for text in encoded}
    utf16 = set()
    try:
        text = secret.decode()
        utf16 = {text.encode("utf-16-le"), text.encode("utf-16-be")}
    except UnicodeDecodeError:
        pass
    in_hex = secret.hex().encode()
    written = {secret, escaped.encode(), spelled.encode(), in_hex, in_hex.upper()}
    return frozenset(written | encoded | url_safe | utf16)


@dataclass
class Sieve:
    """Knows secrets by their names.

    Attributes:
        needles: the secrets.
        heard: texts that somebody was told.
    """

    needles: dict[str, bytes] = field(repr=False)
    heard: list[str] = field(default_factory=list, repr=False)

    def found_in(self, content: str | bytes) -> set[str]:
        """Names the secrets in a text or in a file: see ``forms``; or as the bytes of a plan."""
        if isinstance(content, bytes):
            places = [content]
        else:
            lists = re.findall(r"\[((?:\s+-?\d+)+)\s+\]", content)
            planned = b"".join(bytes(int(n) & 255 for n in numbers.split()) for numbers in lists)
            unbroken = "".join(content.split())
            places = [content.encode("utf-8", "replace"), unbroken.encode("utf-8", "replace"),
                      planned]  # fmt: skip
        return {
            name
            for name, secret in self.needles.items()
            if any(form in place for place in places for form in forms(secret))
        }

    def in_heard(self) -> set[str]:
        """Names the secrets in what was heard."""
        return self.found_in("\n".join(self.heard))

    def listen(self, client: Client) -> None:
        """Hears what the server tells a client beside its answers."""
        client.conn.add_notice_handler(lambda notice: self.hear(notice))

    def hear(self, diag: psycopg.errors.Diagnostic) -> None:
        """Takes every field of an error or notice."""
        fields = [name for name in dir(diag) if not name.startswith("_")]
        self.heard += [str(getattr(diag, name)) for name in fields]


def derived(label: str, key: bytes, *parts: object) -> bytes:
    """Gives a subkey as the model derives it."""
    return hmac.digest(key, "|".join([label, "v1", *map(str, parts)]).encode(), hashlib.sha256)


def keys_of(world: World, tenant_id: UUID, instance_id: UUID) -> dict[str, bytes]:
    """Gives the data key, and what is derived from keys for the credentials of one instance."""
    with world.unlocked(tenant_id):
        ring: str = world.svc.value("select current_setting('integrations.keyring')")
    row = world.instance(instance_id)
    data_key = bytes.fromhex(ring.partition(f"|{row.credentials_key_id}=")[2][:64])
    assert len(data_key) == 32
    identity = (tenant_id, instance_id, row.credentials_key_id, row.credentials_version)
    return {
        "data key": data_key,
        "encryption key": derived("enc", data_key, *identity),
        "MAC key": derived("mac", data_key, *identity),
        "wrapping key": derived("wrap", world.kek, tenant_id, row.credentials_key_id),
    }
