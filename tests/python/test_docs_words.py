"""What a catalogue holds is shown by the documents and never becomes their markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from integrations_db.docs import diagram, layout, pages, regions, words
from integrations_db.docs.model import (
    Argument,
    Column,
    Constraint,
    Function,
    Grant,
    Model,
    Relation,
    Schema,
)
from integrations_db.docs.regions import Region
from integrations_db.errors import Failure
from size import size

pytestmark = pytest.mark.static

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = [
    "<script>alert(1)</script>",
    "a | b \\| c \\",
    "`a` ``b`` [x](javascript:alert(1)) ![y](https://example.com/y.png)",
    "*a* **b** _c_ __d__ ~~e~~ $f$ \\g &lt; &#60; <b>",
    "<!-- /docs -->",
    "<!-- docs: table x.y -->",
    "# heading",
    "1. item",
    "2) item",
    "- item",
    "> quoted",
    "=====",
    "line\nbreak\r\nand\ttab",
    "{{ 1 + 1 }} {% raw %}",
    "www.example.com https://example.com @somebody",
    "```\n</code>\n```",
    "@enduml !include x 'comment",
    '"quoted" --> }|..|{ : "x"',
    "]]> --> <![CDATA[ <?php",
    "\u202eright to left\u2028separator",
    "",
]

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(alphabet="ab_*`|\\<>&[]()!~$#-+=.:/@\"'{}% \n1", max_size=30),
    st.text(alphabet=characters, max_size=30),
)


class _Text(HTMLParser):
    """The text of HTML, and the tags in it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.tags.append("comment")


def _read(html: str) -> _Text:
    parser = _Text()
    parser.feed(html)
    parser.close()
    return parser


def _spaced(text: str) -> str:
    return " ".join(words.one_line(text).split())


@given(texts, texts)
def test_cells_show_what_they_are_given(text: str, code: str) -> None:
    """In a table a text and a code are shown as they are, and there is no other cell or tag."""
    made = MARKDOWN.render(
        f"| A | B | C |\n|---|---|---|\n| {words.text(text)} | {words.code(code)} | end |\n"
    )
    cells = re.findall(r"<td>(.*?)</td>", made, re.DOTALL)
    assert len(cells) == 3 and cells[2] == "end", made
    shown, coded = _read(cells[0]), _read(cells[1])
    assert (shown.tags, _spaced(shown.text)) == ([], _spaced(text))
    assert _spaced(coded.text) == _spaced(code)
    assert coded.tags == (["code"] if words.one_line(code) else [])


@given(texts)
def test_paragraphs_show_what_they_are_given(text: str) -> None:
    """As a paragraph a text is a paragraph, not a heading, list or quotation."""
    shown = _read(MARKDOWN.render(words.text(text)))
    assert (set(shown.tags) <= {"p"}, _spaced(shown.text)) == (True, _spaced(text))


@given(texts)
def test_blocks_of_code_end_where_they_should(text: str) -> None:
    """Nothing in a block of code ends it."""
    shown = _read(MARKDOWN.render(words.fenced(words.one_line(text), "sql")))
    assert shown.tags == ["pre", "code"] and shown.text.strip() == words.one_line(text)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("'draft'::app.status", "'draft'"),
        ("'{}'::jsonb", "'{}'"),
        ("'a'::character varying(3)", "'a'"),
        ("'00:01:00'::interval", "'00:01:00'"),
        ("NULL::timestamp without time zone", "NULL"),
        ("ARRAY['a'::text, 'b'::text]", "ARRAY['a', 'b']"),
        ("now()::date", "now()::date"),
        ("(name)::text", "(name)::text"),
        ("'it''s'::text || x::text", "'it''s' || x::text"),
        ("'x, ' || '::foo' || y", "'x, ' || '::foo' || y"),
        ("\"a'b\"::text = 'c'::text", "\"a'b\"::text = 'c'"),
        ("nextval('app.s'::regclass)", "nextval('app.s')"),
        ("'{1,2}'::integer[]", "'{1,2}'"),
        ("'a'::\"My\".\"Type\"", "'a'"),
        ("'a\n b'::text", "'a b'"),
        (None, ""),
    ],
)  # fmt: skip
def test_expressions(given: str | None, made: str) -> None:
    """Only the cast of a literal is left out, and never what stands in quotes."""
    assert words.expression(given) == made


@pytest.mark.parametrize(
    ("given", "ident", "made"),
    [
        ("character varying(20)", "", "varchar(20)"),
        ("timestamp(3) with time zone", "", "timestamptz(3)"),
        ("timestamp without time zone", "", "timestamp"),
        ("app.status", "app", "status"),
        ("app.status[]", "app", "status[]"),
        ("app.status", "other", "app.status"),
        ('"My app".status', '"My app"', "status"),
    ],
)
def test_types(given: str, ident: str, made: str) -> None:
    """Types are short, without the schema that they share with their object."""
    assert words.short_type(given, ident) == made


# -- a database made up -------------------------------------------------------------------------


def made_table(
    name: str, *columns: str, schema: str = "app", comment: str | None = None
) -> Relation:
    made = [
        Column(it, number, "text", False, None, None, None, comment, ())
        for number, it in enumerate(columns, 1)
    ]
    return Relation(
        schema, name, "owner", comment, (Grant("reader", "select"),), "table", False, False, False,
        False, None, None, None, (), made,
    )  # fmt: skip


def refer(table: Relation, column: str, to: Relation) -> None:
    key = Constraint("k", "f", "FOREIGN KEY", None, False, (column,), to.key, (to.columns[0].name,))
    table.constraints.append(key)


def made_function(comment: str, source: str = "") -> Function:
    return Function(
        "app", "f", "owner", "", "function", (), "void", False, "plpgsql", True, False, "volatile",
        source, comment, (Grant("caller", "execute"),),
    )  # fmt: skip


def made_model(*tables: Relation, functions: tuple[Function, ...] = ()) -> Model:
    names = sorted({it.schema for it in tables} | {it.schema for it in functions})
    schemas = tuple(Schema(it, it, "owner", None, ()) for it in names)
    return Model("a project", schemas, tables, functions, (), ())


names = st.one_of(
    st.sampled_from([it for it in HOSTILE if it]),
    st.text(alphabet=characters, min_size=1, max_size=20),
)

_WORD = r"[A-Za-z_][A-Za-z0-9_()\[\]-]*"
_ENTITY = r"[A-Za-z][A-Za-z0-9_]*"
_FEET = r"(?:\|\||\|o)--(?:o\||o\{)"
_MERMAID = re.compile(
    rf"erDiagram\n(?:  {_ENTITY} {_FEET} {_ENTITY} : \"[^\"\n]+\"\n)*"
    rf"(?:  {_ENTITY}(?:\[\"[^\"\n]+\"\])? \{{\n"
    rf"(?:    {_WORD} {_WORD}(?: (?:PK|FK|UK)(?:, FK)?)?\n)*  \}}\n)*"
)
_PLAIN = r"(?:[\w .,:()\[\]/-]|<U\+[0-9A-F]{4}>|\?)+"
_PLANTUML = re.compile(
    r"@startuml\nhide circle\nhide methods\nskinparam linetype ortho\n\n"
    rf"(?:entity \"{_PLAIN}\" as {_ENTITY} \{{\n"
    rf"(?:  \{{field\}} (?:\* )?{_PLAIN} : {_PLAIN}(?: <<(?:PK|FK|UK)>>)*\n|  --\n)*\}}\n\n)*"
    rf"(?:{_ENTITY} {_FEET} {_ENTITY} : {_PLAIN}\n)*@enduml\n"
)


@given(st.lists(st.tuples(names, names, names), min_size=1, max_size=3, unique_by=lambda it: it[0]))
@example([("u", "a", "b"), ("end", "a", "b"), ("_x", "1a", "a-b")])
@example([("a b", "a", "b"), ("a.b", "a", "b"), ("t_app_a_b", "a", "b")])
def test_diagrams_keep_their_grammar(drawn: list[tuple[str, str, str]]) -> None:
    """Whatever tables and columns are called, the sources have the form of diagrams.

    The real parsers try those of the documents: ``test_docs_browser``.
    """
    tables = [made_table(name, one, two) for name, one, two in drawn]
    for table in tables:
        refer(table, table.columns[0].name, tables[0])
    model = made_model(*tables)
    assert _MERMAID.fullmatch(diagram.mermaid(model) + "\n")
    assert _PLANTUML.fullmatch(diagram.plantuml(model) + "\n")
    entities = diagram.entity_names(tables)
    assert len(set(entities.values())) == len(tables)


@settings(deadline=None, max_examples=size(20, 100))
@given(names, names, texts)
def test_html_is_only_ours(name: str, column: str, comment: str) -> None:
    """No name or comment adds an element to the page, and every anchor that is linked is there."""
    table = made_table(name, column, comment=comment)
    refer(table, column, table)
    page = pages.reference(made_model(table, functions=(made_function(comment),)))
    calm = pages.reference(
        made_model(made_table("a", "b", comment="c"), functions=(made_function("c"),))
    )
    tags = _read(page).tags
    assert tags.count("script") == 1 and tags.count("style") == 1
    assert set(tags) <= {
        *_read(calm).tags,
        "g",
        "path",
        "circle",
        "desc",
        "title",
        "p",
        "tspan",
        "wbr",
    }
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert {it for it in re.findall(r'href="#([^"]*)"', page)} <= set(ids)


@settings(deadline=None, max_examples=size(20, 100))
@given(names, names, texts)
def test_regions_survive_their_content(name: str, column: str, comment: str) -> None:
    """Nothing of a database ends a region or begins one: rendered twice, a page is the same."""
    table = made_table(name, column, comment=comment)
    book = pages._Book(made_model(table, functions=(made_function(comment),)), {})
    text = "# A\n\n<!-- docs: schema app -->\n<!-- /docs -->\n\n<!-- docs: er -->\n<!-- /docs -->\n"
    text += "\n<!-- docs: plantuml -->\n<!-- /docs -->\n\n<!-- docs: access -->\n<!-- /docs -->\n"
    text += "\n<!-- docs: functions app -->\n<!-- /docs -->\n\nThe end.\n"
    book.regions = regions.find(text, "a.md")
    once = regions.replace(text, "a.md", book.render)
    assert len(regions.find(once, "a.md")) == len(book.regions) == 5
    assert regions.replace(once, "a.md", book.render) == once
    assert once.endswith("\n\nThe end.\n")


# -- regions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<!-- docs: er -->\nx\n", "a.md:1: the region has no end"),
        ("x\n<!-- /docs -->\n", "a.md:2: <!-- /docs --> ends no region"),
        (
            "<!-- docs: er -->\n<!-- docs: er -->\n<!-- /docs -->\n",
            "a.md:2: a region begins inside",
        ),
        ("<!-- docs:er -->\n<!-- /docs -->\n", "a.md:1: this is no mark of a region"),
        ("<!-- docs: er\n<!-- /docs -->\n", "a.md:1: this is no mark of a region"),
    ],
)
def test_wrong_marks_are_told_with_their_line(text: str, why: str) -> None:
    """A mark that is wrong is refused, with page and line."""
    with pytest.raises(Failure, match=re.escape(why)):
        regions.find(text, "a.md")


def test_regions_in_code_are_none() -> None:
    """What stands in a block of code is shown to people, and stays."""
    text = "````md\n```\n<!-- docs: er -->\n```\n````\n\n~~~\n<!-- /docs -->\n~~~\n"
    assert regions.find(text, "a.md") == []
    assert regions.replace(text, "a.md", lambda _: "no") == text


def test_what_is_outside_of_regions_stays() -> None:
    """Only the region changes; its headings go one level below the one above it."""
    text = "## One\r\n\n<!-- docs: er app -->\nold\n<!-- /docs -->\n\n## Two  \nx"
    assert regions.find(text, "a.md") == [Region("er", ("app",), "a.md", 3, 2, "One")]
    made = regions.replace(text, "a.md", lambda region: f"new {region.level}")
    assert made == text.replace("\nold\n", "\n\nnew 2\n\n")


def test_names_with_blanks() -> None:
    """A blank in a name is written as in an address."""
    (found,) = regions.find("<!-- docs: table my%20app.a%2Fb -->\n<!-- /docs -->\n", "a.md")
    assert found.names == ("my app.a/b",)


def test_all_is_written_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "old.md").write_text("old")
    (tmp_path / "taken.md").mkdir()
    with pytest.raises(Failure, match=r"taken\.md: cannot be written: .* Nothing was written"):
        pages.write({"new.md": "1", "old.md": "2", "taken.md": "3"}, tmp_path)
    assert sorted(it.name for it in tmp_path.iterdir()) == ["old.md", "taken.md"]
    assert (tmp_path / "old.md").read_text() == "old"
    pages.write({"new.md": "1", "old.md": "2"}, tmp_path / "." / "deeper")
    pages.write({"new.md": "1", "old.md": "2"}, tmp_path)
    assert (tmp_path / "old.md").read_text() == "2"
    assert (tmp_path / "deeper" / "new.md").read_text() == "1"


# -- functions ----------------------------------------------------------------------------------


def test_signatures_are_sql() -> None:
    """A name that SQL would take for something else without quotes has them."""
    told = replace(
        made_function(""),
        name="order",
        arguments=(
            Argument("name", "i", "text", None),
            Argument("position", "i", "integer", None),
            Argument("Odd", "i", "integer", "1"),
        ),
    )
    made = 'app."order"(name text, "position" integer, "Odd" integer default 1) returns void'
    assert words.signature(told, "app") == made


def test_errors_of_a_comment() -> None:
    """Codes are read with their conditions, which may hold commas."""
    told = made_function(
        "Reads.\nCallable by a, b. Errors: 22023 null, IN201 not found,\nIN307 key destroyed, "
        "retired or unknown."
    )
    assert told.description == "Reads."
    assert told.errors == (
        ("22023", "null"),
        ("IN201", "not found"),
        ("IN307", "key destroyed, retired or unknown"),
    )
    none = made_function("Reads. Callable by a. Errors: none.")
    assert (none.description, none.errors, none.tells_errors) == ("Reads.", (), True)
    silent = made_function("Counts. Errors: it counts them.")
    assert (silent.description, silent.tells_errors) == ("Counts. Errors: it counts them.", False)


def test_messages_of_a_body() -> None:
    """Messages are read beside their codes, from the text of a function."""
    told = made_function(
        "",
        "begin raise exception 'it''s gone' using errcode = 'IN201', hint = 'Look.';\n"
        "raise exception 'no code'; RAISE EXCEPTION 'a %', b USING\n  ERRCODE = '22023'; end",
    )
    assert told.messages == (("IN201", "it's gone"), ("22023", "a %"))


# -- layout -------------------------------------------------------------------------------------

_boxes = st.lists(
    st.builds(layout.Box, st.integers(20, 400), st.integers(20, 600)), min_size=1, max_size=12
)


@settings(deadline=None)
@given(_boxes, st.data())
def test_boxes_do_not_overlap(boxes: list[layout.Box], data: st.DataObject) -> None:
    """Whatever refers to what, circles included, boxes keep apart and lines end at their boxes."""
    keys = st.integers(0, len(boxes) - 1)
    ends = data.draw(st.lists(st.tuples(keys, keys), max_size=16))
    lines = [layout.Line(a, boxes[a].height // 2, b, boxes[b].height // 3) for a, b in ends]
    placed = layout.place(dict(enumerate(boxes)), lines)
    at = {key: placed.at[key] for key in range(len(boxes))}
    assert len(placed.at) == len(at)
    for one, (x, y) in at.items():
        assert x >= 0 and y >= 0
        assert x + boxes[one].width <= placed.width and y + boxes[one].height <= placed.height
        for other, (left, top) in at.items():
            assert (
                one == other
                or x + boxes[one].width < left
                or left + boxes[other].width < x
                or y + boxes[one].height < top
                or top + boxes[other].height < y
            ), (one, other)
    for (start, end), line, points in zip(ends, lines, placed.paths, strict=True):
        for key, height, (x, y) in (
            (start, line.start_y, points[0]),
            (end, line.end_y, points[-1]),
        ):
            left, top = at[key]
            assert y == top + height and x in (left, left + boxes[key].width)
        if start == end:  # a loop at the right of the box, before whatever comes next
            right = at[start][0] + boxes[start].width
            behind = [
                key
                for key, (x, y) in at.items()
                if right <= x < right + layout.GAP_X
                and y <= max(points)[1]
                and min(points)[1] <= y + boxes[key].height
            ]
            assert not behind
    assert placed == layout.place(dict(enumerate(boxes)), lines)


def test_nothing_in_a_page_commands_a_terminal_or_turns_a_line() -> None:
    """Whoever shows a page with ``cat``, or compares it, reads what is there."""
    hostile = "a\x1b]0;title\x07\x9b31m\u202eb\u2066c"
    table = made_table(hostile, hostile, comment=hostile)
    page = pages.reference(made_model(table, functions=(made_function(hostile),)))
    for text in (page, words.text(hostile), words.code(hostile), words.one_line(hostile)):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert "\\u202eb\\u2066c" in page
    assert "\\x1b]0;title" in page
