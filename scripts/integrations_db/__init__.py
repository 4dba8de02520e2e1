"""Deploys, verifies and reverts the Integrations model, as a Sqitch-compatible tool."""

from __future__ import annotations

__version__ = "0.1.0"
