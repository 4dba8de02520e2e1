"""Attacks on the model, each by the one who would try it; README.md lists them."""

from __future__ import annotations
