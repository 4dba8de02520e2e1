"""A real browser without a window, for the tests of what people look at in one.

Debian's Chromium, or Chrome where that is, spoken to over its own pipe (the DevTools protocol), so
that nothing else is needed and nothing listens on a port. What a page asks for is recorded.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from small_project import require

__all__ = ["Browser", "Page", "started"]

_OPTIONS = (
    "--headless",
    "--no-sandbox",  # root may not have one; it shows our own page
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)

# The browser reads descriptor 3 and writes 4, whatever these were for until now.
_LAUNCH = """
import fcntl, os, sys
those = [fcntl.fcntl(int(it), fcntl.F_DUPFD, 10) for it in sys.argv[1:3]]
for there, here in zip(those, (3, 4)):
    os.dup2(there, here)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A browser that runs."""

    def __init__(self, to_it: IO[bytes], from_it: IO[bytes]) -> None:
        self._to, self._from = to_it, from_it
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **values: Any) -> dict[str, Any]:
        """Calls a method of the protocol; events that come first are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": values}
        if session:
            message["sessionId"] = session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        read = bytearray()
        while (byte := self._from.read(1)) != b"\0":
            assert byte, "the browser has ended"
            read += byte
        found: dict[str, Any] = json.loads(read)
        return found

    def wait(self, method: str, session: str) -> None:
        """Waits for an event, or finds it among those that came."""
        while not any(
            it.get("method") == method and it.get("sessionId") == session for it in self.events
        ):
            self.events.append(self._next())

    def page(self, *, width: int, height: int = 900, dark: bool = False) -> Page:
        """Opens an empty page of this size, as on a phone below 600 pixels."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, attached["sessionId"], target)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            screenWidth=width,
            screenHeight=height,
            deviceScaleFactor=2 if width < 600 else 1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        return page


class Page:
    """A page in a browser."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser, self._session, self._target = browser, session, target

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """Calls a method of the protocol."""
        return self._browser.call(method, self._session, **values)

    def open(self, url: str) -> Page:
        """Goes to an address, and waits until it is loaded."""
        self.call("Page.navigate", url=url)
        self._browser.wait("Page.loadEventFired", self._session)
        return self

    def run(self, script: str) -> Any:
        """Returns the value of an expression in the page; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def _seen(self, method: str) -> Iterator[dict[str, Any]]:
        for it in self._browser.events:
            if it.get("sessionId") == self._session and it.get("method") == method:
                yield it["params"]

    @property
    def complaints(self) -> list[str]:
        """What the console shows: errors, warnings and whatever a script wrote."""
        return [
            *(json.dumps(it["exceptionDetails"]) for it in self._seen("Runtime.exceptionThrown")),
            *(json.dumps(it["args"]) for it in self._seen("Runtime.consoleAPICalled")),
            *(it["entry"]["text"] for it in self._seen("Log.entryAdded")),
        ]

    @property
    def requests(self) -> list[str]:
        """The addresses that were asked for."""
        return [it["request"]["url"] for it in self._seen("Network.requestWillBeSent")]

    def close(self) -> None:
        """Closes it."""
        self._browser.call("Target.closeTarget", targetId=self._target)


@contextmanager
def started() -> Iterator[Browser]:
    """Starts a browser; it ends with the block."""
    program = shutil.which("google-chrome") or require("chromium")
    profile = Path(tempfile.mkdtemp(prefix="chromium-", dir="/tmp"))
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()

    options = [*_OPTIONS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(  # noqa: S603  # Debian's
        [sys.executable, "-c", _LAUNCH, str(in_read), str(out_write), program, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(in_read, out_write),
        env=os.environ | {"HOME": str(profile)},
    )
    os.close(in_read)
    os.close(out_write)
    with open(in_write, "wb") as to_it, open(out_read, "rb") as from_it:
        try:
            browser = Browser(to_it, from_it)
            yield browser
            browser.call("Browser.close")
            process.wait(timeout=20)
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(profile, ignore_errors=True)
