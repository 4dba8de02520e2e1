"""Renders the scripts of a new change from templates; what comes out is plain SQL to be committed.

A kind of change, such as ``table``, has templates ``deploy/table.sql.j2``, ``revert/…``,
``verify/…`` and ``test/…``, and its variables in ``kinds.toml``. Folders are searched in this
order, file by file, so that a project may replace one template and keep the others:

1. ``--template-directory``, else ``add.template_directory`` of the configuration;
2. ``.sqitch/templates`` of the project;
3. ``templates`` beside the user's and the system's ``sqitch.conf``, as with Sqitch;
4. this package's own.

Templates are Jinja2's, in its sandbox: one that comes with a project can write SQL, and nothing
else. Sqitch's own templates (``*.tmpl``, Template Toolkit) are left to Sqitch.
"""

from __future__ import annotations

import re
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    nodes,
    pass_context,
)
from jinja2.exceptions import TemplateNotFound, TemplateSyntaxError, UndefinedError
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from integrations_db import sqltext
from integrations_db.errors import Failure, Usage
from integrations_db.script import shown

__all__ = ["SCRIPTS", "Kind", "Templates", "Variable"]

SCRIPTS = ("deploy", "revert", "verify", "test")
OURS = Path(__file__).parent / "templates"

_WIDTH = 100
_LONGEST = 63  # bytes of a name
# The tags of dollar quotes in our templates: what stands between them must not hold one.
_TAG = re.compile(r"\$(?:verify|function|role|label|index|check|load)?\$")
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
# What a default may be without being computed for each row that is there.
_CONSTANT = re.compile(
    r"(?:'(?:[^']|'')*'|[+-]?[\d.]+(?:e[+-]?\d+)?|true|false|null)(?:::[\w .\"(),\[\]]+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a kind.

    Attributes:
        name: as ``--set`` has it.
        type: one of ``_READERS``.
        about: what it means.
        default: a template, rendered with the variables before it; None: it must be given.
        example: a value.
        choices: the values that there are, if not all.
    """

    name: str
    type: str = "text"
    about: str = ""
    default: str | None = None
    example: str = "…"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of change."""

    name: str
    about: str
    variables: Mapping[str, Variable] = field(default_factory=dict)


def _one(given: Sequence[str]) -> str:
    if len(given) != 1:
        raise ValueError("is given twice")
    return given[0]


def _listed(given: Sequence[str]) -> list[str]:
    """Returns the items of a list: of several values each is one, of a single one its parts."""
    return sqltext.split(given[0]) if len(given) == 1 else [text.strip() for text in given]


def _name(given: Sequence[str]) -> str:
    return _checked_name(_one(given))


def _checked_name(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("a name cannot be empty, or hold a NUL")
    if len(text.encode()) > _LONGEST:
        raise ValueError(f"{text!r} is longer than the {_LONGEST} bytes of a name in PostgreSQL")
    if _TAG.search(text):
        raise ValueError(f"{text!r} holds what quotes the body of a function")
    return text


def _names(given: Sequence[str]) -> list[str]:
    # Quotes around a name are SQL's, and not part of it.
    found = [
        re.sub(r'\A"((?:[^"]|"")+)"\Z', lambda it: it[1].replace('""', '"'), text)
        for text in _listed(given)
    ]
    return _unique([_checked_name(text) for text in found])


def _unique(items: list[str]) -> list[str]:
    if twice := [item for item in items if items.count(item) > 1]:
        raise ValueError(f"{twice[0]!r} is given twice")
    return items


def _labels(given: Sequence[str]) -> list[str]:
    return _unique([_checked_name(text) for text in _listed(given)])


def _sql(given: Sequence[str]) -> str:
    text = _one(given).strip()
    if why := sqltext.fragment(text):
        raise ValueError(why)
    if _TAG.search(text):
        raise ValueError("it holds what quotes the body of a function")
    return text


def _type(given: Sequence[str]) -> str:
    text = _sql(given)
    if rest := sqltext.after_type(text):
        raise ValueError(f"{rest!r} is no part of a type: a default has a variable, a rule a kind")
    return text


def _rule(given: Sequence[str]) -> str:
    text = _sql(given)
    if not re.match(r"check\b|foreign\s+key\b", text, re.IGNORECASE):
        raise ValueError(
            "begins with check or foreign key; no other rule can be NOT VALID. "
            "A unique one is an index (kind index, unique=true)"
        )
    return text


def _body(given: Sequence[str]) -> str:
    text = _one(given).strip("\n")
    if _TAG.search(text):
        raise ValueError("it holds what quotes the body of a function")
    if why := sqltext.fragment(text, comments=True, statements=True):
        raise ValueError(why)
    return text


def _text(given: Sequence[str]) -> str:
    text = _one(given)
    if "\0" in text:
        raise ValueError("holds a NUL")
    if _TAG.search(text.replace("$$", "")):
        raise ValueError("it holds what quotes the body of a function")
    return text


def _keys(given: Sequence[str]) -> list[sqltext.Key]:
    return sqltext.keys(_listed(given))


def _flag(given: Sequence[str]) -> bool:
    text = _one(given).lower()
    if text not in ("true", "false"):
        raise ValueError("is true or false")
    return text == "true"


def _columns(given: Sequence[str]) -> list[sqltext.Column]:
    found = sqltext.columns(_listed(given))
    for column in found:
        _checked_name(column.name)
    return found


def _tenant_columns(given: Sequence[str]) -> list[sqltext.Column]:
    found = _columns(given)
    for column in found:
        if column.is_unique:
            raise ValueError(
                f"{column.definition!r}: a key leads with tenant_id, or it tells whether another "
                "tenant has the value; (tenant_id, id) is the primary key, others are an index"
            )
    return found


def _arguments(given: Sequence[str]) -> list[sqltext.Argument]:
    found = sqltext.arguments(_listed(given))
    for argument in found:
        _checked_name(argument.name)
    return found


def _chosen(value: Any, choices: Sequence[str]) -> Any:
    """Returns a value, or each of a list, as the choice that it is; large or small is the same."""
    if isinstance(value, list):
        return _unique([_chosen(one, choices) for one in value])
    for choice in choices:
        if value is None or value.lower() == choice.lower():
            return value and choice
    raise ValueError(f"is one of {', '.join(choices)}")


_READERS: Mapping[str, Callable[[Sequence[str]], Any]] = {
    "name": _name,
    "names": _names,
    "labels": _labels,
    "sql": _sql,
    "type": _type,
    "rule": _rule,
    "body": _body,
    "text": _text,
    "flag": _flag,
    "columns": _columns,
    "tenant_columns": _tenant_columns,
    "arguments": _arguments,
    "keys": _keys,
}
_LISTS = ("names", "labels", "columns", "tenant_columns", "arguments", "keys")


# -- what templates may call --------------------------------------------------------------------


@pass_context
def _fail(context: Context, why: str) -> str:
    """Returns the RAISE of a verify script; it stands four columns in."""
    text = sqltext.literal(f"verify {context['change']}: {why}".replace("%", "%%"))
    first, room = "raise exception ", _WIDTH - 6
    if len(f"{first}{text};") <= room + 2:
        return f"{first}{text};"
    # Strings below each other are one.
    lines = textwrap.wrap(text, room - 2, drop_whitespace=False, break_on_hyphens=False)
    return f"{first}\n      " + "'\n      '".join(lines) + ";"


def _meaning(note: str) -> str:
    """Returns what a note says that is added, as a sentence: "Add the orders" is "The orders."."""
    said = note.partition("\n")[0]
    said = re.sub(r"\A(?:Add|Create|Introduce|Make)\s+(?=\S)", "", said)
    return said[:1].upper() + said[1:] + ("" if said.endswith((".", "!", "?")) else ".")


def _array(texts: Iterable[str], indent: int = 0) -> str:
    """Returns an array of texts, of as many lines as it needs; the first begins at ``indent``."""
    items = [sqltext.literal(text) for text in texts]
    if not items:
        return "null::text[]"
    line = f"array[{', '.join(items)}]"
    if len(line) <= _WIDTH - 30:
        return line
    blank = " " * indent
    return f"array[\n{blank}  " + f",\n{blank}  ".join(items) + f"\n{blank}]"


def _transaction(statement_timeout: str = "60s") -> str:
    """Returns how each transaction of a deploy or revert script begins."""
    return (
        "begin;\n"
        "set local search_path = pg_catalog, pg_temp;\n"
        "set local lock_timeout = '5s';\n"
        f"set local statement_timeout = '{statement_timeout}';"
    )


def _name_of(first: str, *rest: str) -> str:
    """Returns a name made of several, the first of them shortened where it would be too long."""
    end = "".join(f"_{part}" for part in rest)
    room = max(1, _LONGEST - len(end.encode()))
    name = first.encode()[:room].decode(errors="ignore") + end
    return name.encode()[:_LONGEST].decode(errors="ignore")


def _after(stem: str, table: str) -> str:
    """Returns what the name of a change says besides that of a table: ``orders_002_total``."""
    return re.sub(rf"\A{re.escape(table)}_(?:\d+_)?", "", stem)


def _setting(name: str) -> str:
    """Returns the name of a setting, with its dots."""
    return ".".join(sqltext.identifier(part) for part in name.split("."))


def _table_columns(columns: Sequence[sqltext.Column], tenant: bool = False) -> list[sqltext.Column]:
    """Returns the columns of a table: the given ones, and those that every table has."""
    whose = "Identifies the row within its tenant." if tenant else "Identifies the row."
    now = "not null default pg_catalog.now()"
    key = "not null default pg_catalog.gen_random_uuid()"
    first = [
        sqltext.Column("tenant_id", "uuid", "not null", "The tenant that owns the row."),
        sqltext.Column("id", "uuid", key, whose),
    ]
    last = [sqltext.Column("created_at", "timestamptz", now, "When the row was created.")]
    names = {column.name for column in columns}
    return [
        *(column for column in first[0 if tenant else 1 :] if column.name not in names),
        *columns,
        *(column for column in last if column.name not in names),
    ]


def _samples(columns: Sequence[sqltext.Column]) -> dict[str, str] | None:
    """Returns names and values that a row of another tenant needs; None if they cannot be told."""
    needed = [(column, column.sample) for column in columns if column.name != "tenant_id"]
    needed = [(column, value) for column, value in needed if value is not None]
    if not all(value for _, value in needed):
        return None
    return {
        "names": "".join(f", {sqltext.identifier(column.name)}" for column, _ in needed),
        "values": "".join(f", {value}" for _, value in needed),
    }


def _tenant_type(columns: Sequence[sqltext.Column]) -> str:
    """Returns the type of a tenant's id."""
    return next((column.type for column in columns if column.name == "tenant_id"), "uuid")


def _tenants(columns: Sequence[sqltext.Column]) -> tuple[str, str] | None:
    """Returns the ids of two tenants for a test; None if they cannot be told."""
    return sqltext.two_of(_tenant_type(columns))


def _result(returns: str) -> str:
    """Returns the body of a function of which only the result is known."""
    kind = returns.lower().split("(")[0].split()[0]
    return "return;" if kind in ("void", "setof", "table") else "return null;"


def _function_comment(comment: str, callers: Sequence[str]) -> str:
    """Returns what a function does, and who may call it."""
    return f"{comment}\nCallable by {', '.join(callers) or 'its owner only'}."


def _trigger_type(timing: str, events: Sequence[str], level: str) -> int:
    """Returns what the catalogue has for when a trigger fires."""
    bits = {"insert": 4, "delete": 8, "update": 16, "truncate": 32}
    when = {"before": 2, "after": 0, "instead of": 64}
    return (level == "row") + when[timing] + sum(bits[event] for event in events)


def _fold(*parts: str, indent: str = "", width: int = _WIDTH) -> str:
    """Returns parts of a statement in one line if they fit, else below each other."""
    line = " ".join(parts)
    return line if len(line) <= width else f"\n{indent}".join(parts)


@cache  # what it has compiled stays with it
def _environment(*folders: Path) -> SandboxedEnvironment:
    """Returns what renders templates of some folders; ``ours/`` before a name is this package's."""
    ours = FileSystemLoader(OURS)
    loaders: list[BaseLoader] = [FileSystemLoader(folder) for folder in folders]
    environment = SandboxedEnvironment(
        loader=ChoiceLoader([*loaders, ours, PrefixLoader({"ours": ours})]),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "after": _after,
        "comment": sqltext.comment,
        "ident": sqltext.identifier,
        "literal": sqltext.literal,
        "meaning": _meaning,
        "setting": _setting,
    }
    environment.tests |= {"match": lambda text, pattern: bool(re.match(pattern, text))}
    environment.globals |= {
        "array": _array,
        "column_of": lambda name, type_: sqltext.Column(name, type_, "", ""),
        "constant": lambda text: bool(_CONSTANT.fullmatch(text)),
        "fail": _fail,
        "fold": _fold,
        "function_comment": _function_comment,
        "keyed": lambda columns: any(column.is_key for column in columns),
        "name_of": _name_of,
        "result": _result,
        "samples": _samples,
        "table_columns": _table_columns,
        "tenant_type": _tenant_type,
        "tenants": _tenants,
        "transaction": _transaction,
        "trigger_function": lambda table, task: _name_of(f"tg_{table}_", task),
        "trigger_type": _trigger_type,
    }
    return environment


class Templates:
    """The templates that count for a project."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Takes folders, the strongest first; those that do not exist are passed over."""
        self.folders = [folder for folder in folders if folder.is_dir()]
        self.environment = _environment(*self.folders)

    def kinds(self) -> dict[str, Kind]:
        """Returns every kind that has a deploy template, by name, in the order of the alphabet.

        Raises:
            Failure: a ``kinds.toml`` cannot be read.
        """
        found = _described(OURS)
        for folder in reversed(self.folders):
            found = found | _described(folder)
        names = [
            path.relative_to(folder / "deploy").as_posix().removesuffix(".sql.j2")
            for folder in [OURS, *self.folders]
            for path in (folder / "deploy").rglob("*.sql.j2")
        ]
        return {name: found.get(name) or Kind(name, "") for name in sorted(names)}

    def find(self, name: str) -> Kind:
        """Returns a kind, with the variables that its templates name and ``kinds.toml`` does not.

        Raises:
            Usage: there is none of this name.
            Failure: a template cannot be read.
        """
        kinds = self.kinds()
        if name not in kinds:
            for folder in self.folders:
                theirs = folder / "deploy" / f"{name}.tmpl"
                if theirs.is_file():
                    raise Usage(
                        f"{shown(theirs)} is a template for Sqitch (Template Toolkit), which this "
                        f"program does not run: write {name}.sql.j2 beside it, or use sqitch add "
                        f"--template {name}"
                    )
            raise Usage(f'there is no template "{name}"; there are: {", ".join(kinds)}')
        kind = kinds[name]
        variables = dict(kind.variables)
        named: dict[str, None] = {}
        for source in self._sources(name):
            named |= dict.fromkeys(sorted(self._undeclared(source)))
        for each in named:
            if each not in variables and each not in _BUILT_IN:
                variables[each] = _shared().get(each) or Variable(each)
        return Kind(name, kind.about, variables)

    def _sources(self, name: str) -> list[str]:
        """Returns the templates of a kind that there are."""
        there = self.environment.list_templates()
        return [it for script in SCRIPTS if (it := f"{script}/{name}.sql.j2") in there]

    def _undeclared(self, source: str) -> set[str]:
        """Returns the variables that a template names without setting them."""
        try:
            text = cast(BaseLoader, self.environment.loader).get_source(self.environment, source)
            tree = self.environment.parse(text[0], source, text[1])
        except TemplateSyntaxError as error:
            raise _wrong(error) from None
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"the template {source} cannot be read: {error}") from None
        # What the head of a template sets or imports is there in its blocks.
        own = {it.name for it in tree.find_all(nodes.Name) if it.ctx == "store"}
        own |= {it.target for it in tree.find_all(nodes.Import)}
        return find_undeclared_variables(tree) - own - set(self.environment.globals)

    def values(
        self,
        kind: Kind,
        given: Mapping[str, Sequence[str]],
        configured: Mapping[str, str],
        context: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Returns what each variable of a kind is.

        Args:
            kind: as ``find`` returns it.
            given: with ``--set``.
            configured: ``add.variables`` of the configuration; those of other kinds are no mistake.
            context: what templates have besides.

        Raises:
            Usage: naming all that are missing, unknown or wrong.
        """
        wrong = [
            f"{name}: {kind.name} has no such variable"
            for name in given
            if name not in kind.variables
        ]
        missing = []
        found: dict[str, Any] = {}
        for name, variable in kind.variables.items():
            if name in given:
                values = list(given[name])
            elif name in configured:
                values = [configured[name]]
            elif variable.default is not None:
                try:
                    template = self.environment.from_string(variable.default)
                    values = [template.render({**context, **found})]
                except UndefinedError:  # one that it is made of is missing, or wrong
                    continue
            else:
                missing.append(variable)
                continue
            try:
                if values == [""] and variable.default is not None:
                    value: Any = [] if variable.type in _LISTS else None
                    value = False if variable.type == "flag" else value
                else:
                    value = _READERS[variable.type](values)
                if variable.default is None and value in ("", []):
                    raise ValueError("is empty")
                found[name] = _chosen(value, variable.choices) if variable.choices else value
            except ValueError as error:
                wrong.append(f"{name}: {error}")
        if missing or wrong:
            raise Usage(_asked(kind, missing, wrong))
        return found

    def render(self, kind: Kind, context: Mapping[str, Any]) -> dict[str, str]:
        """Returns the text of each script; a kind without ``test`` template has no test.

        Raises:
            Failure: a template is missing or wrong, naming file and line.
        """
        there = self._sources(kind.name)
        found = {}
        for script in SCRIPTS:
            source = f"{script}/{kind.name}.sql.j2"
            if source not in there:
                if script == "test":
                    continue
                places = ", ".join(shown(folder) for folder in [*self.folders, OURS])
                raise Failure(f"there is no template {source} in {places}")
            try:
                text = self.environment.get_template(source).render(context)
            except TemplateSyntaxError as error:
                raise _wrong(error) from None
            except TemplateNotFound as error:
                raise Failure(f"the template {source} needs {error}, which is not there") from None
            except Exception as error:
                raise Failure(f"{self._place(source, error)}: {error}") from None
            lines = [line.rstrip() for line in text.strip("\n").split("\n")]
            found[script] = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"
        return found

    def _place(self, source: str, error: Exception) -> str:
        """Returns where in a template an error came up."""
        place, trace = source, error.__traceback__
        while trace:
            file = trace.tb_frame.f_code.co_filename
            if file.endswith(".j2"):
                place = f"{shown(Path(file))}:{trace.tb_lineno}"
            trace = trace.tb_next
        return place


# What every template has.
_BUILT_IN = frozenset(
    "project change engine requires conflicts note stem self super varargs kwargs caller".split()
)


def _wrong(error: TemplateSyntaxError) -> Failure:
    where = shown(Path(error.filename)) if error.filename else error.name
    return Failure(f"{where}:{error.lineno}: {error.message}")


def _asked(kind: Kind, missing: Sequence[Variable], wrong: Sequence[str]) -> str:
    """Returns what is wrong with the variables that were given, and how they could be."""
    lines = [f"--set {it}" for it in wrong]
    if missing:
        lines.append(f"the template {kind.name} needs:")
        width = max(len(variable.name) for variable in missing)
        lines += [f"  {variable.name:{width}}  {variable.about}".rstrip() for variable in missing]
        example = " ".join(f"--set {it.name}='{it.example}'" for it in missing)
        lines.append(f"for example: {example}")
    if wrong:
        lines.append(f"the variables of {kind.name}: {', '.join(kind.variables)}")
    return "\n".join(lines)


def _described(folder: Path) -> dict[str, Kind]:
    """Returns the kinds that a folder describes."""
    path = folder / "kinds.toml"
    if not path.is_file():
        return {}
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
        shared = _shared() | {
            name: _variable(name, it) for name, it in said.pop("shared", {}).items()
        }
        return {name: _kind(name, it, shared) for name, it in said.items()}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Failure(f"{shown(path)}: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Failure(
            f"{shown(path)}: expected [KIND] with about and variables, and of each variable type, "
            f"about, default, example or choices: {error}"
        ) from None


@cache
def _shared() -> dict[str, Variable]:
    """Returns the variables that several of this package's kinds have."""
    said = tomllib.loads((OURS / "kinds.toml").read_text(encoding="utf-8"))
    return {name: _variable(name, it) for name, it in said["shared"].items()}


def _variable(name: str, said: Mapping[str, Any]) -> Variable:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a variable")
    variable = Variable(name, **{**said, "choices": tuple(said.get("choices", ()))})
    if variable.type not in _READERS:
        raise ValueError(f"{name}: type is one of {', '.join(_READERS)}")
    return variable


def _kind(name: str, said: Mapping[str, Any], shared: Mapping[str, Variable]) -> Kind:
    variables = {}
    for each, it in said.get("variables", {}).items():
        # A word stands for the shared variable of this name: what it says besides counts.
        base = shared.get(each)
        own = {} if it is True else dict(it)
        if base:
            kept = {key: getattr(base, key) for key in ("type", "about", "default", "example")}
            own = kept | {"choices": base.choices} | own
            if own.pop("required", False):
                own["default"] = None
        variables[each] = _variable(each, own)
    return Kind(name, said.get("about", ""), variables)
