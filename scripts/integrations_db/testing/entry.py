"""What pytest loads wherever this package is installed: the settings; the rest when it is asked.

A session whose ini file has no ``pgtap_paths``, and whose command line has no ``--pgtap-path``,
meets nothing of the plugin but the names of these settings. Keep the imports light.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from . import hooks

__all__ = ["folders", "patterns", "setting", "variables"]


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declares the hooks that a project may implement."""
    pluginmanager.add_hookspecs(hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the settings of pytest's ini file and of the command line."""
    ini = parser.addini
    ini("pgtap_paths", "folders with pgTAP files; naming one turns the plugin on", "args", [])
    ini("pgtap_files", "names of pgTAP files (globs)", "args", ["*_test.sql"])
    ini("pgtap_project", "folder of the Sqitch project to deploy; '' for none", default=None)
    ini("pgtap_variables", "psql variables, NAME=VALUE, of its scripts and pgTAP files", "linelist")
    ini("pgtap_helpers", "folder with SQL files that are run after the deployment", default="")
    ini("pgtap_server", "docker, local, embedded, or a URI of a throw-away server", default="")
    ini("pgtap_dockerfile", "what the Docker image is built from", default="")
    ini("pgtap_template", "name under which a server keeps the deployed database", default="")
    ini("pgtap_timeout", "seconds for a statement of a pgTAP file; 0: no limit", default="60")
    group = parser.getgroup("pgtap", "pgTAP files as tests")
    group.addoption(
        "--pgtap-path",
        action="append",
        default=[],
        metavar="DIR",
        help="folder with pgTAP files, instead of those of pgtap_paths; may be repeated",
    )
    group.addoption(
        "--pgtap-files",
        action="append",
        default=[],
        metavar="GLOB",
        help="names of pgTAP files, instead of pgtap_files; may be repeated",
    )
    group.addoption(
        "--pgtap-project", metavar="DIR", help="Sqitch project to deploy, instead of pgtap_project"
    )
    group.addoption(
        "--pgtap-set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="psql variable for its scripts and for pgTAP files; may be repeated",
    )
    group.addoption(
        "--pgtap-server",
        metavar="SERVER",
        help="docker, local, embedded, or a URI of a throw-away server, as its superuser",
    )
    group.addoption(
        "--plpgsql-coverage",
        metavar="FOLDER",
        help="profile functions in PL/pgSQL, and write what ran into this folder",
    )
    group.addoption(
        "--pgtap-database",
        metavar="URI",
        help="test copies of this database as it is, and deploy nothing",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Turns the plugin on in a session that names a folder of pgTAP files.

    Raises:
        pytest.UsageError: a setting cannot be used.
    """
    if not (config.getini("pgtap_paths") or config.getoption("pgtap_path")):
        return
    variables(config)
    helpers = config.getini("pgtap_helpers")
    if helpers and not (config.rootpath / helpers).is_dir():
        raise pytest.UsageError(f"pgtap_helpers: there is no folder {config.rootpath / helpers}")
    for folder in folders(config):
        if not folder.is_dir():
            raise pytest.UsageError(f"pgtap_paths: there is no folder {folder}")
        # What lies beside `testpaths` would never be collected.
        named = config.args_source is pytest.Config.ArgsSource.TESTPATHS
        if named and not any(folder.is_relative_to(Path(it).absolute()) for it in config.args):
            config.args.append(str(folder))
    from . import collector, plugin

    config.pluginmanager.register(collector, collector.__name__)
    config.pluginmanager.register(plugin, plugin.__name__)


def setting(config: pytest.Config, name: str) -> str | None:
    """Gives what the command line says, else the ini file; None: neither."""
    given = config.getoption(name, None)
    if given is None:
        given = config.getini(name)
    return None if given is None else str(given)


def folders(config: pytest.Config) -> list[Path]:
    """Gives the folders with pgTAP files."""
    here, given = config.invocation_params.dir, config.getoption("pgtap_path")
    if given:
        return [here / folder for folder in given]
    return [config.rootpath / folder for folder in config.getini("pgtap_paths")]


def patterns(config: pytest.Config) -> list[str]:
    """Gives the globs for names of pgTAP files."""
    found: list[str] = config.getoption("pgtap_files") or config.getini("pgtap_files")
    return found


def variables(config: pytest.Config) -> dict[str, str]:
    """Gives the psql variables.

    Raises:
        pytest.UsageError: one is malformed; nothing of it is repeated, it may be a secret.
    """
    found = {}
    for text in [*config.getini("pgtap_variables"), *config.getoption("pgtap_set")]:
        name, equals, value = text.partition("=")
        # psql takes every character outside of ASCII as a letter.
        if not equals or not re.fullmatch(r"[A-Za-z0-9_\u0080-\U0010ffff]+", name):
            raise pytest.UsageError(
                "pgtap_variables, --pgtap-set: expected NAME=VALUE, the name of letters, digits, _"
            )
        found[name] = value
    return found
