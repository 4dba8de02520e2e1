"""The documents as people see them: the page in a real browser, the diagrams by their real parsers.

Chromium and PlantUML are Debian's packages; MERMAID_JS names the file mermaid.min.js of the npm
package ``mermaid``. Without one of them a CI run fails, and another is skipped with a sentence.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, started
from small_project import require
from test_docs_words import HOSTILE, made_function, made_model, made_table, refer

from integrations_db.docs import diagram, pages
from integrations_db.docs.model import Model
from size import size

pytestmark = pytest.mark.static

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / pages.HTML
PHONE, DESK = 360, 1280

# Text that is hard to read on what is behind it, by the formula of WCAG 2; 4.5 is enough.
_FAINT = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => rgb(colour).slice(0, 3).map((part) => part / 255)
    .map((part) => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [.2126, .7152, .0722][place], 0);
  const behind = (element) => {
    const box = element.closest("svg a");
    if (box) {
      const head = element.matches(".title, .schema");
      return getComputedStyle(box.querySelector(head ? ".head" : ".box")).fill;
    }
    for (let it = element; it; it = it.parentElement) {
      const colour = getComputedStyle(it).backgroundColor;
      if (rgb(colour)[3] === 255) return colour;
    }
    return "white";
  };
  const faint = [];
  let seen = 0;
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((it) => it.nodeType === 3 && it.data.trim());
    if (!own || element.closest("script, title, desc, .skip, .self")) continue;
    const style = getComputedStyle(element);
    const [one, two] = [light(element.closest("svg") ? style.fill : style.color),
                        light(behind(element))].sort((a, b) => b - a);
    seen += 1;
    if ((one + .05) / (two + .05) < 4.5) faint.push(element.outerHTML.slice(0, 120));
  }
  return {faint, seen};
})()
"""

# What does not fit, though nothing around it scrolls.
_WIDE = """
[...document.body.querySelectorAll("*")].filter((it) =>
  !it.closest(".scroll, pre, .skip") && it.getBoundingClientRect().right > screen.width + 1
).map((it) => it.outerHTML.slice(0, 120))
"""

_DEAD = """
[...document.querySelectorAll("a[href]")].map((it) => it.getAttribute("href")).filter((it) =>
  !it.startsWith("#") || !document.getElementById(decodeURIComponent(it.slice(1))))
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for the tests of this module."""
    with started() as browser:
        yield browser


LOOKS = [(PHONE, True), (DESK, False), (PHONE, False), (DESK, True)]


@pytest.mark.parametrize(("width", "dark"), LOOKS[: size(2, 4)])
def test_reference_page(chromium: Browser, width: int, dark: bool) -> None:
    """It asks for nothing, complains of nothing, fits and can be read; every link leads somewhere.

    On a phone and on a desk, by day and by night.
    """
    page = chromium.page(width=width, dark=dark).open(PAGE.as_uri())
    assert page.complaints == []
    assert page.requests == [PAGE.as_uri()]
    # Of a desk's window a scroll bar takes its part.
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run(_WIDE) == []
    assert page.run(_DEAD) == []
    assert page.run("document.querySelectorAll('a[href]').length") > 100
    contrast = page.run(_FAINT)
    assert contrast["faint"] == [] and contrast["seen"] > 500
    background = page.run("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")
    page.close()


def test_faint_text_is_found(chromium: Browser) -> None:
    """The check of contrast can fail, and so can those of width, links and the console."""
    page = chromium.page(width=PHONE).open(PAGE.as_uri())
    page.run(
        "document.body.insertAdjacentHTML('beforeend', '<p style=\"color:#999;width:500px\">faint"
        ' <a href="#nowhere">dead</a></p><img src="https://example.invalid/x.png">\')'
    )
    assert len(page.run(_FAINT)["faint"]) == 1
    assert len(page.run(_WIDE)) >= 1
    assert page.run(_DEAD) == ["#nowhere"]
    page.run("console.log('said')")
    assert any("said" in it for it in page.complaints)
    # Our own policy is what stops the picture.
    assert any("Content Security Policy" in it for it in page.complaints)
    page.close()


def test_the_pages_own_controls(chromium: Browser) -> None:
    """The theme can be chosen, the contents filtered; on a phone they fold away behind a choice."""
    page = chromium.page(width=DESK).open(PAGE.as_uri())
    themes = []
    for _ in range(3):
        page.run("document.getElementById('theme').click()")
        themes.append(
            page.run(
                "[document.getElementById('theme').textContent,"
                " getComputedStyle(document.body).backgroundColor]"
            )
        )
    assert themes == [
        ["Theme: light", "rgb(255, 255, 255)"],
        ["Theme: dark", "rgb(20, 23, 28)"],
        ["Theme: auto", "rgb(255, 255, 255)"],
    ]
    page.run(
        "(() => { const it = document.getElementById('filter'); it.value = 'put CRED';"
        " it.dispatchEvent(new Event('input')); })()"
    )
    left = page.run(
        "[...document.querySelectorAll('#menu li')].filter((it) => it.offsetParent)"
        ".map((it) => it.textContent)"
    )
    assert left == ["put_credentials()"]
    page.close()
    page = chromium.page(width=PHONE).open(PAGE.as_uri())
    assert page.run("document.getElementById('menu').open") is False
    page.run("document.querySelector('#menu').open = true")
    page.run("document.querySelector('#menu a[href=\"#roles\"]').click()")
    assert page.run("[location.hash, document.getElementById('menu').open]") == ["#roles", False]
    page.close()


def test_the_diagram_is_told_to_everybody(chromium: Browser) -> None:
    """It has a title and a description, and each table in it leads to its section."""
    page = chromium.page(width=DESK).open(PAGE.as_uri())
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    named = {
        (it["role"]["value"], it.get("name", {}).get("value", ""))
        for it in tree
        if not it.get("ignored")
    }
    assert ("group", "Entity diagram of integrations") in named
    assert ("link", "Table integrations.integration_instances") in named
    assert page.run("document.querySelectorAll('svg a').length") == 8
    # No text sticks out of its box, nor into the one beside it.
    assert (
        page.run(
            "[...document.querySelectorAll('svg a')].filter((it) => {"
            " const box = it.querySelector('.box').getBoundingClientRect();"
            " return [...it.querySelectorAll('text')].some((text) => {"
            "  const own = text.getBoundingClientRect();"
            "  return own.right > box.right || own.left < box.left; }); }).length"
        )
        == 0
    )
    page.close()


def test_it_prints(chromium: Browser) -> None:
    """On paper there is no menu, and the ink is black on white."""
    page = chromium.page(width=DESK, dark=True).open(PAGE.as_uri())
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert page.run("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    page.close()


def _hostile() -> Model:
    told = [it for it in HOSTILE if it]
    tables = [
        made_table(f"{it}{'x' * 60}"[:63], *(other[:63] for other in told), comment=it)
        for it in told
    ]
    for table in tables:
        refer(table, table.columns[1].name, tables[0])
    return made_model(*tables, functions=tuple(made_function(it) for it in told[:1]))


def test_hostile_names_do_nothing(chromium: Browser, tmp_path: Path) -> None:
    """Names and comments made to break out are shown, and neither run, nor load, nor stick out."""
    file = tmp_path / pages.HTML
    file.write_text(pages.reference(_hostile()))
    page = chromium.page(width=PHONE).open(file.as_uri())
    assert page.complaints == []
    assert page.requests == [file.as_uri()]
    assert page.run("document.documentElement.scrollWidth") == PHONE
    assert page.run(_WIDE) == [] and page.run(_DEAD) == []
    assert page.run("document.scripts.length") == 1
    assert page.run("document.querySelectorAll('h3').length") == len(HOSTILE)
    page.close()


# -- diagrams -----------------------------------------------------------------------------------


def _sources(language: str) -> list[str]:
    found = []
    for page in sorted((ROOT / "docs").glob("*.md")):
        found += re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.DOTALL)
    return found


def _mermaid() -> Path:
    file = os.environ.get("MERMAID_JS")
    if not file:
        why = "MERMAID_JS names no mermaid.min.js: what Mermaid says of the diagrams is not known"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return Path(file)


def test_mermaid_draws_the_diagrams(chromium: Browser, tmp_path: Path) -> None:
    """Mermaid itself draws every diagram of the documents, and one of hostile names."""
    script = _mermaid()
    file = tmp_path / "page.html"
    file.write_text(f'<body><script src="{script.resolve().as_uri()}"></script>')
    page = chromium.page(width=DESK).open(file.as_uri())
    words = "u one to style class classDef title direction end only zero many default subgraph"
    reserved = [
        made_table(it, "id", "type", "PK", "fk", "UKs", "FK_1", "pk-1")
        for it in f"{words} optionally erDiagram TB accTitle".split()
    ]
    for table in reserved:
        refer(table, "type", reserved[0])
    sources = [*_sources("mermaid"), diagram.mermaid(_hostile()),
               diagram.mermaid(made_model(*reserved))]  # fmt: skip
    assert len(sources) >= 7
    page.run("mermaid.initialize({startOnLoad: false, securityLevel: 'strict'})")
    for number, source in enumerate(sources):
        drawn = page.run(
            f"mermaid.render('d{number}', {json.dumps(source)})"
            ".then((it) => it.svg, (why) => 'refused: ' + why.message)"
        )
        assert drawn.startswith("<svg"), f"{drawn}\n{source}"
    refused = page.run(
        "mermaid.parse('erDiagram\\n  a ||--x b').then(() => 'taken', () => 'refused')"
    )
    assert refused == "refused"
    page.close()


def test_plantuml_reads_the_diagrams() -> None:
    """PlantUML itself reads the diagram of the documents, and one of hostile names."""
    program = require("plantuml")
    sources = [*_sources("plantuml"), diagram.plantuml(_hostile())]
    assert len(sources) == 2
    for source, tables in zip(sources, (8, len(HOSTILE) - 1), strict=True):
        done = subprocess.run(  # noqa: S603  # Debian's
            [program, "-syntax"], input=source, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"({tables} entities)" in done.stdout
