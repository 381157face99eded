"""Headless Chromium that is driven: real keys and clicks, through its debugging protocol over a pipe."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from chromium import FLAGS, program

# Chromium reads commands from descriptor 3 and answers on 4, whatever the pipes are called here.
LAUNCH = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
PATIENCE = 40.0
"""Seconds after which a page that does not do what is waited for has failed."""

NAMED = {"Escape": 27, "ArrowDown": 40, "ArrowUp": 38}
"""Keys that are no characters, with their codes."""


class Browser:
    """One Chromium. A context manager; skips the test where there is none."""

    def __init__(self, profile: Path) -> None:
        flags = [program(), *FLAGS, "--disable-dev-shm-usage", "--remote-debugging-pipe"]
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [sys.executable, "-c", LAUNCH, str(theirs_in), str(theirs_out), *flags]
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._ids = itertools.count(1)
        self._buffer = b""
        self.complaints: dict[str, list[str]] = {}
        """What each session's page has complained about."""

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._out)  # it ends when nobody can command it any more
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)

    def profile(self) -> str:
        """A new set of cookies and storage, as of another user; for `page`."""
        return str(self.call("Target.createBrowserContext")["browserContextId"])

    def page(self, url: str, profile: str | None = None, size: tuple[int, int] = (1400, 900)) -> Page:
        """A new tab."""
        where = {"browserContextId": self.profile() if profile is None else profile}
        target = self.call("Target.createTarget", {"url": "about:blank", **where})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session, target)
        for domain in ("Runtime", "Log"):
            page.call(f"{domain}.enable")
        page.resize(*size)
        page.go(url)
        return page

    def call(self, method: str, parameters: Mapping[str, Any] | None = None, session: str | None = None) -> Any:
        """The result of a command.

        Raises:
            RuntimeError: Chromium says no, or is gone.
            TimeoutError: It does not answer.
        """
        number = next(self._ids)
        message = {"id": number, "method": method, "params": dict(parameters or {})}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while True:
            answer = self._receive(until, method)
            if answer.get("id") != number:
                self._hear(answer)
                continue
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']['message']}")
            return answer["result"]

    def _hear(self, event: dict[str, Any]) -> None:
        """Keep what an event complains about; nobody waits for the others."""
        told = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                words = str(told["exceptionDetails"].get("exception", {}).get("description"))
            case "Log.entryAdded" if told["entry"]["level"] == "error":
                words = str(told["entry"]["text"])
            case "Runtime.consoleAPICalled" if told["type"] == "error":
                words = str(told["args"])
            case _:
                return
        self.complaints.setdefault(event.get("sessionId", ""), []).append(words)

    def _receive(self, until: float, method: str) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError(f"Chromium does not answer to {method}")
            data = os.read(self._in, 1 << 20)
            if not data:
                raise RuntimeError("Chromium is gone")
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        answer: dict[str, Any] = json.loads(message)
        return answer


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a command to this tab."""
        return self._browser.call(method, parameters, self._session)

    def go(self, url: str) -> None:
        """Open an address, or the same one again."""
        self.call("Page.navigate", url=url)

    def close(self) -> None:
        """As a person closes a tab."""
        self._browser.call("Target.closeTarget", {"targetId": self._target})

    def resize(self, width: int, height: int) -> None:
        """Make the window this large, in pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def dark(self) -> None:
        """As on a machine that is set to dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])

    def run(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression, promises awaited."""
        done = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            raise RuntimeError(f"{expression}: {done['exceptionDetails'].get('exception', {}).get('description')}")
        return done["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The value of an expression as soon as it is true."""
        until = time.monotonic() + PATIENCE
        while not (value := self._try(expression)):
            if time.monotonic() > until:
                shown = self.run("document.body.innerText")
                raise AssertionError(f"never came true: {expression}\nThe page says:\n{shown}")
            time.sleep(0.02)
        return value

    def complaints(self) -> list[str]:
        """Exceptions and errors that its console has heard."""
        self.run("0")  # what was said before comes before the answer
        return self._browser.complaints.get(self._session, [])

    def text(self, selector: str) -> str:
        """What an element says."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).textContent"))

    def click(self, selector: str) -> None:
        """Click into the middle of an element."""
        where = f"document.querySelector({json.dumps(selector)})"
        self.wait(f"{where} !== null")
        self.run(f"{where}.scrollIntoView({{block: 'nearest'}})")
        x0, y0, x1, y1 = self.box(selector)
        self.click_at((x0 + x1) / 2, (y0 + y1) / 2)

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Where an element is, in pixels of the window: x0, y0, x1, y1."""
        where = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x0, y0, x1, y1 = self.run(f"(({{left, top, right, bottom}}) => [left, top, right, bottom])({where})")
        return x0, y0, x1, y1

    def click_at(self, x: float, y: float, button: str = "left", to: tuple[float, float] | None = None) -> None:
        """Press a button of the mouse there and let it go, there or at `to`; pixels of the window."""
        end = (x, y) if to is None else to
        moved = "none" if to is None else button
        for kind, at, held in (
            ("mouseMoved", (x, y), "none"),
            ("mousePressed", (x, y), button),
            ("mouseMoved", end, moved),
            ("mouseReleased", end, button),
        ):
            self.call("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button=held, clickCount=1)

    def key(self, key: str, *, held: bool = False) -> None:
        """Press a key and let it go; `held`: one more time because it was not let go."""
        code = NAMED.get(key, ord(key[0].upper()))
        common = {"key": key, "windowsVirtualKeyCode": code}
        text = {} if key in NAMED else {"text": key}
        self.call("Input.dispatchKeyEvent", type="keyDown", autoRepeat=held, **common, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        """Text into what has the focus, as if pasted."""
        self.call("Input.insertText", text=text)

    def screenshot(self, path: Path) -> None:
        """Write what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _try(self, expression: str) -> Any:
        try:
            return self.run(expression)
        except RuntimeError:
            return None  # the page is on its way, or the element not there yet
