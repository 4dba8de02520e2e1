"""Reads and writes the Test Anything Protocol as pgTAP speaks it.

The grammar of a line is that of Perl's TAP::Parser 3.36 (the reader behind ``pg_prove``), so that
both give the same verdict. On top of it, subtests are understood, which TAP::Parser takes for
unknown lines: they stand indented by four spaces before the assertion that sums them up. Their
title is indented too in pgTAP up to 1.2 and is not from 1.3 on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = [
    "Assertion",
    "Bail",
    "Comment",
    "Document",
    "Line",
    "Other",
    "Plan",
    "Result",
    "format_line",
    "parse_line",
]

INDENT = 4


@dataclass(frozen=True, slots=True)
class Assertion:
    """``ok`` or ``not ok``.

    Attributes:
        ok: what the line says, whatever its directive makes of it.
        number: the number it gives itself, if any.
        description: without the leading ``- ``; as written, escapes included.
        directive: ``SKIP``, ``TODO`` or nothing.
        reason: the text after the directive.
        depth: 0 for the file's own assertions, 1 for those of a subtest, and so on.
    """

    ok: bool
    number: int | None = None
    description: str = ""
    directive: str = ""
    reason: str = ""
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """``1..count``; ``skip`` is the reason when the plan skips the whole file."""

    count: int
    skip: str | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Comment:
    """A ``#`` line, without the ``#`` and one space."""

    text: str
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Bail:
    """``Bail out!``: nothing that follows makes sense."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Other:
    """Anything else; TAP ignores it."""

    text: str


Line = Assertion | Plan | Comment | Bail | Other

_ASSERTION = re.compile(r"(?P<ok>(?:not )?ok\b)\s*(?P<number>\d+)?\s*(?P<rest>.*)", re.DOTALL)
_DIRECTIVE = re.compile(
    r"(?P<description>[^\\#]*(?:\\.[^\\#]*)*)#\s*(?P<word>SKIP|TODO)\b\s*(?P<reason>.*)",
    re.IGNORECASE | re.DOTALL,
)
_PLAN = re.compile(r"1\.\.(?P<count>\d+)\s*(?:#\s*SKIP\S*\s*(?P<skip>.*))?", re.IGNORECASE)
_BAIL = re.compile(r"\s*Bail out!\s*(?P<reason>.*)")
_SUBTEST = "Subtest:"
# The last words of pgTAP's finish(), which has counted for itself.
_SUMMARY = re.compile(
    r"Looks like you (?:planned (?P<planned>\d{1,9}) tests? but ran (?P<ran>\d{1,9})"
    r"|failed (?P<failed>\d{1,9}) tests? of (?P<of>\d{1,9}))"
)


def parse_line(line: str) -> Line:
    """Reads one line, given without its line break.

    Args:
        line: the line; its indentation, in steps of four spaces, is its depth.
    """
    bail = _BAIL.fullmatch(line)
    if bail:
        return Bail(bail["reason"])
    body = line.lstrip(" ")
    depth, rest = divmod(len(line) - len(body), INDENT)
    if rest:
        return Other(line)
    if body.startswith("#"):
        return Comment(body[1:].removeprefix(" "), depth)
    plan = _PLAN.fullmatch(body)
    if plan:
        return Plan(int(plan["count"]), plan["skip"], depth)
    found = _ASSERTION.fullmatch(body)
    if found is None:
        return Other(line)
    description, directive, reason = found["rest"], "", ""
    directed = _DIRECTIVE.fullmatch(description)
    if directed:
        description, directive, reason = directed.group("description", "word", "reason")
    description = description.strip()
    return Assertion(
        ok=found["ok"] == "ok",
        number=int(found["number"]) if found["number"] else None,
        description="" if description == "-" else description.removeprefix("- "),
        directive=directive.upper(),
        reason=reason.strip(),
        depth=depth,
    )


def format_line(line: Line) -> str:
    """Writes one line, so that ``parse_line`` reads the same again."""
    match line:
        case Assertion():
            words = ["ok" if line.ok else "not ok"]
            if line.number is not None:
                words.append(str(line.number))
            if line.description:
                words.append(f"- {line.description}")
            if line.directive:
                words.append(f"# {line.directive} {line.reason}".rstrip())
            return " " * INDENT * line.depth + " ".join(words)
        case Plan():
            skip = "" if line.skip is None else f" # SKIP {line.skip}".rstrip()
            return " " * INDENT * line.depth + f"1..{line.count}{skip}"
        case Comment():
            return " " * INDENT * line.depth + f"# {line.text}"
        case Bail():
            return f"Bail out! {line.reason}".rstrip()
        case Other():
            return line.text


@dataclass(slots=True)
class Result:
    """An assertion with what was said about it, and the assertions of its subtest."""

    assertion: Assertion
    diagnostics: list[str] = field(default_factory=list)
    children: list[Result] = field(default_factory=list)


@dataclass(slots=True)
class Document:
    """A TAP stream, read line by line.

    Attributes:
        results: the assertions so far; those of a subtest are children of the one that sums it up.
        plan: the plan, once it was seen.
        bail: the reason, once the stream bailed out; later lines are ignored.
        faults: breaches of the protocol, for which ``pg_prove`` fails the file too; and a count of
            pgTAP's ``finish()`` that is not ours, which ``pg_prove`` does not look at.
        remarks: comments that belong to no assertion.
    """

    results: list[Result] = field(default_factory=list)
    plan: Plan | None = None
    bail: str | None = None
    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    _open: dict[int, list[Result]] = field(default_factory=dict)
    _open_remarks: list[str] = field(default_factory=list)
    _planned_late: bool = False

    def feed(self, text: str) -> list[Result]:
        """Reads some whole lines.

        Returns:
            the assertions of the file itself (not of subtests) that these lines completed.
        """
        before = len(self.results)
        for line in text.split("\n"):
            if self.bail is None:
                self._take(parse_line(line))
        return self.results[before:]

    def _take(self, line: Line) -> None:
        match line:
            case Bail(reason):
                self.bail = reason
            case Plan(depth=0):
                self._take_plan(line)
            case Comment():
                self._take_comment(line)
            case Assertion(depth=0):
                self._take_assertion(line)
            case Assertion():
                result = Result(line, children=self._open.pop(line.depth + 1, []))
                self._open.setdefault(line.depth, []).append(result)

    def _take_plan(self, plan: Plan) -> None:
        if self.plan is not None:
            self.faults.append(f"a second plan, 1..{plan.count}")
            return
        self.plan = plan
        self._planned_late = bool(self.results)

    def _take_comment(self, comment: Comment) -> None:
        if comment.text.startswith(_SUBTEST):
            return
        if comment.depth == 0:
            (self.results[-1].diagnostics if self.results else self.remarks).append(comment.text)
            self._take_summary(comment.text)
        elif self._open.get(comment.depth):
            self._open[comment.depth][-1].diagnostics.append(comment.text)
        else:
            self._open_remarks.append(comment.text)

    def _take_summary(self, text: str) -> None:
        summary = _SUMMARY.fullmatch(text)
        if summary is None:
            return
        # As pgTAP counts: a failure in a TODO is none.
        failed = sum(
            not result.assertion.ok and result.assertion.directive != "TODO"
            for result in self.results
        )
        ran = len(self.results)
        if (
            int(summary["ran"] or summary["of"]) != ran
            or int(summary["failed"] or failed) != failed
        ):
            self.faults.append(
                f"finish() says '{text}', but {ran} assertions were read, {failed} of them failed;"
                " each must be a row of its own, or the first column of one, as pgTAP wrote it"
            )

    def _take_assertion(self, assertion: Assertion) -> None:
        position = len(self.results) + 1
        if assertion.number not in (None, position):
            self.faults.append(f"assertion {position} calls itself number {assertion.number}")
        if self._planned_late:
            self.faults.append("the plan stands between the assertions, not before or after them")
            self._planned_late = False
        self.results.append(Result(assertion, self._open_remarks, self._open.pop(1, [])))
        self._open_remarks = []

    def problems(self) -> list[str]:
        """What is wrong with the stream as a whole, once it has ended; too few results are not.

        ``pg_prove`` fails a file for each of these too, but for a subtest left open and for the
        plan ``1..0`` without a reason, which it takes for a skipped file.
        """
        found = list(self.faults)
        if self._open:
            found.append("a subtest without the assertion that sums it up")
        if self.plan is None:
            if self.results:
                found.append("no plan: the file calls neither plan(n) nor finish()")
        elif len(self.results) > self.plan.count:
            found.append(f"planned {self.plan.count} assertions, but ran {len(self.results)}")
        if not self.results and (self.plan is None or self.plan.count == 0):
            found.append("the file asserts nothing")
        return found
