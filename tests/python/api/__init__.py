"""How the model behaves towards those who log in: members of its roles, strangers, deployers."""

from __future__ import annotations
