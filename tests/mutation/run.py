"""Changes the modules that the deployer stands on, a little at a time; a test must fail each time.

``make mutation`` runs mutmut over the plan, script and registry modules, with the tests that know
them. mutmut wants the package below its own folder, by the name that tests import: so it works in
``build/mutation``, in which links lead to the tree.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from integrations_db.testing import servers

ROOT = Path(__file__).parents[2]
STAGE = ROOT / "build" / "mutation"
LINKED = {
    "integrations_db": "scripts/integrations_db",
    **{name: name for name in ("tests", "deploy", "docs", "revert", "verify")},
    **{name: name for name in ("sqitch.plan", "sqitch.conf", "pyproject.toml")},
}
# What mutmut writes down: how pytest ended; or, for a mutant that ran too long, the signal.
SURVIVED, UNTESTED = {0}, {5, 33}


def prepare() -> None:
    """Makes the folder anew."""
    shutil.rmtree(STAGE, ignore_errors=True)
    STAGE.mkdir(parents=True)
    for name, target in LINKED.items():
        (STAGE / name).symlink_to(ROOT / target)


def results() -> dict[str, dict[str, int | None]]:
    """Gives, for each module, how each mutant ended."""
    files = sorted((STAGE / "mutants" / "integrations_db").glob("*.meta"))
    return {
        file.name.partition(".")[0]: json.loads(file.read_text())["exit_code_by_key"]
        for file in files
    }


def report() -> bool:
    """Prints the mutants that no test noticed, and the score; says whether all were tried."""
    ended = {module: found for module, found in results().items() if found}
    for found in ended.values():
        for mutant, code in found.items():
            if code in SURVIVED | UNTESTED:
                print(f"{'survived' if code in SURVIVED else 'no test'}  {mutant}")
    print()
    every = Counter[str]()
    for module, found in [*ended.items(), ("all", {})]:
        one = Counter(
            "untried" if code is None else "survived" if code in SURVIVED | UNTESTED else "killed"
            for code in found.values()
        )
        every += one
        shown = one if found else every
        count = shown["killed"] + shown["survived"]
        print(f"{module:10} {count:5} mutants, {shown['killed'] / max(count, 1):.1%} noticed")
    return every["untried"] == 0


def main() -> int:
    """Runs it all."""
    prepare()
    kind = os.environ.get("TEST_SERVER", "")
    with servers.running(kind, servers.packaged_dockerfile(), print) as server:
        done = subprocess.run(  # noqa: S603
            [Path(sys.executable).with_name("mutmut"), "run"],
            cwd=STAGE,
            env=os.environ
            | {
                "TEST_SERVER": "dsn",
                "TEST_DSN": server.dsn,
                "PYTHONPATH": str(Path(__file__).parent),
            },
            check=False,
        )
    return 0 if report() and done.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
