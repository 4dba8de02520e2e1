"""``python -m integrations_db``."""

from __future__ import annotations

from integrations_db.cli import main

if __name__ == "__main__":
    main()
