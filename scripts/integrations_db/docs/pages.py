"""The pages: Markdown with regions that are kept up to date, and one page of HTML."""

from __future__ import annotations

import base64
import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from integrations_db.docs import diagram, drawing, words
from integrations_db.docs.model import Model, Relation, Schema
from integrations_db.docs.regions import Region, anchor, find, replace
from integrations_db.errors import Failure
from integrations_db.script import shown
from integrations_db.together import write_together

__all__ = ["HTML", "Pages", "render", "stale", "write"]

HTML = "reference.html"
_TEMPLATES = Path(__file__).with_name("templates")
_LEVELS = 6  # of headings

# What each kind of region is about: nothing, any number of schemas, or one object.
_KINDS = {
    "access": "schemas",
    "er": "schemas",
    "error": "code",
    "errors": "nothing",
    "function": "function",
    "function-list": "schemas",
    "functions": "schemas",
    "plantuml": "schemas",
    "roles": "nothing",
    "schema": "schema",
    "schemas": "nothing",
    "table": "table",
    "types": "schemas",
    "views": "schemas",
}


@dataclass(frozen=True)
class Pages:
    """What the documents should be.

    Attributes:
        texts: of each file that is ours or has regions, by its name in the folder.
        missing: what is in the database and on no page, each as a sentence.
    """

    texts: dict[str, str]
    missing: list[str] = field(default_factory=list)


class _Markdown(str):
    """Text that has been made safe for Markdown: nothing else leaves a template."""

    __slots__ = ()


def _only_markdown(value: object) -> object:
    if not isinstance(value, _Markdown):
        raise TypeError(f"a template shows {value!r} without a filter that makes it Markdown")
    return value


@cache
def _markdown() -> Environment:
    made = Environment(  # noqa: S701  # no HTML: see _only_markdown
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_only_markdown,
    )

    def safe(name: str) -> Any:
        return lambda *given: _Markdown(getattr(words, name)(*given))

    for name in ("code", "fenced", "listed", "text"):
        made.filters[name] = safe(name)
    made.filters["quoted"] = lambda name: _Markdown(quote(name, safe=""))
    made.filters["mark"] = _Markdown  # for what was made in our own code
    made.globals |= _HELPERS
    return made


def _privileges(table: Relation, role: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Returns what a role may do with a table, for people.

    Returns:
        The privileges; how many of the columns (``all``, ``each``, ``but``, ``these``); which.
    """
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    names = [it.name for it in table.columns]
    for privilege, columns in table.privileges(role).items():
        if columns is None:
            how, which = "all", tuple[str, ...]()
        else:
            others = tuple(name for name in names if name not in columns)
            if not others:
                how, which = "each", ()
            elif len(others) <= 2 < len(columns):
                how, which = "but", others
            else:
                how, which = "these", tuple(columns)
        found.setdefault((how, which), []).append(privilege)
    return [(", ".join(them), how, which) for (how, which), them in found.items()]


def _reach(table: Relation, role: str) -> str:
    """Returns what a role may do with a table, in a word or two: ``select (columns), insert``."""
    return ", ".join(
        privilege if columns is None else f"{privilege} (columns)"
        for privilege, columns in table.privileges(role).items()
    )


_HELPERS: dict[str, Any] = {
    "expression": words.expression,
    "fires": words.fires,
    "keys_of": diagram.keys_of,
    "one_line": words.one_line,
    "privileges": _privileges,
    "reach": _reach,
    "result": words.result,
    "rule": words.rule,
    "arguments": words.arguments,
    "short_type": words.short_type,
    "signature": words.signature,
    "slug": words.slug,
}


@dataclass
class _Book:
    """The pages while they are made.

    Attributes:
        model: the database.
        texts: of the pages, as they are.
        regions: of all of them.
    """

    model: Model
    texts: dict[str, str]
    regions: list[Region] = field(default_factory=list)
    environment: Environment = field(default_factory=_markdown)

    def schemas(self, region: Region) -> Model:
        """Returns the part of the database that a region is about.

        Raises:
            Failure: it names a schema that is not there.
        """
        known = [it.name for it in self.model.schemas]
        for name in region.names:
            if name not in known:
                raise Failure(
                    f"{region.place}: there is no schema {name}; there are: {', '.join(known)}"
                )
        return self.model.only(region.names) if region.names else self.model

    def told(self) -> set[tuple[str, str]]:
        """Returns what the regions tell, as kind and name."""
        found = set()
        for region in self.regions:
            kind = region.kind
            part = self.schemas(region) if _KINDS[kind].startswith("schema") else self.model
            if kind in ("schema", "er"):
                found |= {("diagram", it.full_name) for it in part.tables}
            if kind == "schema":
                found |= {("table", it.full_name) for it in part.tables}
            if kind == "table":
                found.add(("table", region.names[0]))
            if kind in ("schema", "views"):
                found |= {("view", it.full_name) for it in part.views}
            if kind in ("schema", "types"):
                found |= {("type", it.full_name) for it in part.types}
            if kind in ("functions", "function-list"):
                found |= {("function", it.full_name) for it in part.functions}
            if kind == "function":
                found.add(("function", region.names[0]))
            if kind == "errors":
                found |= {("error code", it) for it in part.error_codes}
            if kind == "error":
                found.add(("error code", region.names[0]))
            if kind == "roles":
                found |= {("role", it.name) for it in part.roles}
        return found

    @property
    def in_full(self) -> dict[str, str]:
        """The functions that have a section, each with where it is."""
        found = {}
        for region in self.regions:
            if region.kind == "function":
                found[region.names[0]] = f"{region.page}#{anchor(region.heading)}"
            elif region.kind == "functions":
                for it in self.schemas(region).functions:
                    found[it.full_name] = f"{region.page}#{anchor(it.full_name)}"
        return found

    @property
    def codes(self) -> dict[str, str]:
        """Where each error code is explained."""
        return {
            region.names[0]: f"{region.page}#{anchor(region.heading)}"
            for region in self.regions
            if region.kind == "error"
        }

    def add(self, region: Region) -> None:
        """Takes a region in.

        Raises:
            Failure: there is no such kind, or it takes other names; the message names its line.
        """
        about = _KINDS.get(region.kind)
        if about is None:
            raise Failure(
                f"{region.place}: there is no region of the kind {region.kind}; there are: "
                f"{', '.join(_KINDS)}"
            )
        if about in ("function", "table", "code", "schema") and len(region.names) != 1:
            raise Failure(f"{region.place}: the region {region.kind} takes one name.")
        if about == "nothing" and region.names:
            raise Failure(f"{region.place}: the region {region.kind} takes no name.")
        self.regions.append(region)

    def render(self, region: Region) -> str:
        """Returns the text of a region.

        Raises:
            Failure: it is about something that is not there; the message names its line.
        """
        about = _KINDS[region.kind]
        part = self.schemas(region) if about.startswith("schema") else self.model
        values: dict[str, Any] = {"model": part, "name": (*region.names, "")[0]}
        if about == "table":
            found = self.model.relation(region.names[0])
            if found is None or not found.is_table:
                raise Failure(f"{region.place}: there is no table {region.names[0]}.")
            values["table"] = found
        elif about == "function":
            values["functions"] = self.model.named(region.names[0])
            if not values["functions"]:
                raise Failure(f"{region.place}: there is no function {region.names[0]}.")
        elif about == "code" and region.names[0] not in self.model.error_codes:
            raise Failure(
                f"{region.place}: no function's COMMENT names the error {values['name']}."
            )
        return self._rendered(f"{region.kind}.md.j2", region.page, region.level, values)

    def _rendered(self, template: str, page: str, level: int, values: Mapping[str, Any]) -> str:
        idents = {it.name: it.ident for it in self.model.schemas}

        def heading(more: int = 1) -> _Markdown:
            return _Markdown("#" * min(level + more, _LEVELS))

        def link(goal: str) -> _Markdown:
            name, _, at = goal.partition("#")
            return _Markdown(f"#{at}" if name == page else f"{name}#{at}")

        text = self.environment.get_template(template).render(
            **values,
            deeper=lambda: heading(2),
            whole=self.model,
            idents=idents,
            codes=self.codes,
            in_full=self.in_full,
            heading=heading,
            link=link,
            mermaid=lambda model: _Markdown(words.fenced(diagram.mermaid(model), "mermaid")),
            plantuml=lambda model: _Markdown(words.fenced(diagram.plantuml(model), "plantuml")),
        )
        lines = [line.rstrip() for line in text.splitlines()]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()

    def page(self, template: str, **values: Any) -> str:
        """Returns a new page, with regions that are still empty."""
        return self._rendered(f"pages/{template}.md.j2", "", 0, values) + "\n"


def _everything(model: Model) -> Iterator[tuple[tuple[str, str], str, str, tuple[str, ...]]]:
    """Yields what the pages have to tell.

    Yields:
        Kind and name; the schema; the page that is made for it where there is none; the region that
        tells it.
    """
    plain = {it.name: re.sub(r"[^A-Za-z0-9_-]+", "_", it.name) for it in model.schemas}
    for schema in model.schemas:
        name = plain[schema.name]
        alone = list(plain.values()).count(name) == 1
        page = f"schema_{name if alone else words.slug(schema.name)}.md"
        for table in model.tables:
            if table.schema == schema.name:
                yield ("table", table.full_name), schema.name, page, ("table", table.full_name)
        for view in model.views:
            if view.schema == schema.name:
                yield ("view", view.full_name), schema.name, page, ("views", view.schema)
        for it in model.types:
            if it.schema == schema.name:
                yield ("type", it.full_name), schema.name, page, ("types", it.schema)
    for table in model.tables:
        yield ("diagram", table.full_name), "", "data_model.md", ("er",)
    for role in model.roles:
        yield ("role", role.name), "", "data_model.md", ("roles",)
    for function in model.functions:
        name = function.full_name
        yield ("function", name), function.schema, "functions.md", ("function", name)
    for code in model.error_codes:
        yield ("error code", code), "", "error_codes.md", ("errors",)


def render(model: Model, folder: Path) -> Pages:
    """Renders all pages.

    The regions of the pages in the folder are rendered anew. What no page tells gets a page of its
    own, unless its like is on a page already: then a person has to say where it belongs.

    Args:
        model: the database.
        folder: where the pages are.

    Raises:
        Failure: a page cannot be read, or a region is wrong; the message names its line.
    """
    texts = {}
    for path in sorted(folder.glob("*.md")):
        try:
            texts[path.name] = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"{shown(path)}: cannot be read: {error}") from None
    book = _Book(model, texts)
    _find(book, texts)
    told = book.told()
    wanted = list(_everything(model))
    missing = [it for it in wanted if it[0] not in told]
    begun = {page for it, _, page, _ in wanted if it in told and it[0] != "diagram"}
    new: dict[str, str] = {}
    for _, schema, page, _ in missing:
        if page not in texts and page not in begun:
            template = "schema" if page.startswith("schema_") else page.removesuffix(".md")
            new.setdefault(page, book.page(template, name=schema, model=model))
    _find(book, new)
    told = book.told()
    made = {}
    for name, text in {**texts, **new}.items():
        if any(region.page == name for region in book.regions):
            made[name] = replace(text, name, book.render)
    made[HTML] = reference(model)
    sentences = [
        f"{kind} {name} is on no page; where it belongs, put:\n"
        f"  <!-- docs: {' '.join(quote(word, safe='') for word in region)} -->\n  <!-- /docs -->"
        for (kind, name), _, _, region in wanted
        if (kind, name) not in told and kind != "diagram"
    ]
    return Pages(dict(sorted(made.items())), sentences)


def _find(book: _Book, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        for region in find(text, name):
            book.add(region)


def stale(pages: Pages, folder: Path) -> dict[str, str]:
    """Returns the files that are not what they should be, each with the first lines that differ."""
    found = {}
    for name, text in pages.texts.items():
        path = folder / name
        try:
            there = path.read_bytes().decode(errors="replace")
        except FileNotFoundError:
            found[name] = "  (there is no such file)"
            continue
        except OSError as error:
            raise Failure(f"{shown(path)}: cannot be read: {error.strerror}") from None
        if there != text:
            lines = difflib.unified_diff(
                there.splitlines(), text.splitlines(), name, "the database", lineterm="", n=1
            )
            # A line of its own could be a command to GitHub's workflows.
            found[name] = "\n".join(
                f"  | {line[:200]}" for line, _ in zip(lines, range(40), strict=False)
            )
    return found


def write(texts: Mapping[str, str], folder: Path) -> None:
    """Writes files, in place of those that are there: all of them, or none.

    Raises:
        Failure: one cannot be written.
    """
    made = {folder / name: text.encode() for name, text in texts.items()}
    old = {path: data for path, data in made.items() if path.exists()}
    write_together({path: data for path, data in made.items() if path not in old}, old)


# -- HTML ---------------------------------------------------------------------------------------


@cache
def _html() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= _HELPERS
    made.filters["code"] = _breakable
    return made


def _breakable(text: str) -> Markup:
    """Returns a name or expression as HTML that lines may be broken in, behind its signs."""
    return Markup("<code>{}</code>").format(
        Markup("<wbr>").join(re.findall(r"[^_.(,]*[_.(,]+|[^_.(,]+", text))
    )


def reference(model: Model) -> str:
    """Returns the page of HTML: it needs no other file, and no network."""
    script = _without_blank_lines((_TEMPLATES / "reference.js").read_text(encoding="utf-8"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = (
        _html()
        .get_template("reference.html.j2")
        .render(
            model=model,
            idents={it.name: it.ident for it in model.schemas},
            drawings=drawing.drawings(model),
            style=(_TEMPLATES / "reference.css").read_text(encoding="utf-8"),
            script=script,
            script_digest=digest,
            by_schema=_by_schema(model),
        )
    )
    # Bodies of functions, names and comments stand in it as they are, but for markup.
    return _without_blank_lines(words.visible(text))


def _without_blank_lines(text: str) -> str:
    lines = (line.rstrip() for line in text.split("\n"))
    return "".join(f"{line}\n" for line in lines if line)


def _by_schema(model: Model) -> list[tuple[Schema, Model]]:
    return [(schema, model.only([schema.name])) for schema in model.schemas]
