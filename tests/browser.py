"""A headless Chromium that tests drive over its DevTools protocol, through a pipe.

Debian's ``chromium`` is enough: no driver, no port, no package of Python.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
# So long that only a hang exceeds it, even on a slow machine.
PATIENCE_S = 120.0
_LOOK_S = 0.05
# Chromium reads commands from 3 and writes to 4. A function that is called between fork and exec
# would do this too, and is refused by newer versions of Python in a process with threads.
_AS_THREE_AND_FOUR = """
import os, sys
read, write = (os.dup(int(text)) for text in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.set_inheritable(3, True)
os.set_inheritable(4, True)
os.execv(sys.argv[3], sys.argv[3:])
"""


def chromium() -> str | None:
    """Return the path of a Chromium; None if there is none on the path."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A browser of its own profile, below a folder.

    Args:
        program: Path of Chromium.
        folder: Keeps its profile.
    """

    def __init__(self, program: str, folder: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()

        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _AS_THREE_AND_FOUR, str(to_browser), str(from_browser)),
                *(program, *FLAGS, f"--user-data-dir={folder}", "about:blank"),
            ],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._number, self._rest = 0, b""
        self.events: deque[dict[str, Any]] = deque()

    def call(self, method: str, session: str | None = None, **params: object) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            answer = self._message(until)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self.events.append(answer)
        raise TimeoutError(f"Chromium did not answer {method} within {PATIENCE_S:.0f} s.")

    def tab(self, width: int = 1280, height: int = 900) -> "Tab":
        """Open an empty tab."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        return Tab(self, found["sessionId"], target, width, height)

    def close(self) -> None:
        """End the browser."""
        try:
            self.call("Browser.close")
            self._process.wait(PATIENCE_S)
        except (TimeoutError, OSError, EOFError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def _message(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(until - time.monotonic(), 0.01))
            if not ready:
                return {}
            part = os.read(self._read, 1 << 20)
            if not part:
                raise EOFError("Chromium ended.")
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(text))


class Tab:
    """One tab: what a person does in it, and what it did by itself."""

    def __init__(
        self, browser: Browser, session: str, target: str, width: int, height: int
    ) -> None:
        self._browser, self._session, self._target = browser, session, target
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Send a command to this tab."""
        return self._browser.call(method, self._session, **params)

    def resize(self, width: int, height: int, *, scale: float = 1.0) -> None:
        """Change the size of the window, in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )

    def dark(self, *, is_dark: bool) -> None:
        """Prefer dark or light colours."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def open(self, url: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Run JavaScript as the DevTools console does, and return its value."""
        found = self.call(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str, *, patience_s: float = PATIENCE_S) -> Any:
        """Wait until JavaScript gives something true, and return that."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            # An element comes back as an empty mapping.
            if (value := self.run(script)) or value == {}:
                return value
            time.sleep(_LOOK_S)
        raise TimeoutError(f"Not true within {patience_s:.0f} s: {script}\n{self.text()[:3000]}")

    def drawn(self) -> None:
        """Wait until what a page draws with its next frame is drawn."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def text(self) -> str:
        """Return the text that is shown."""
        return str(self.run("document.body ? document.body.innerText : ''"))

    def click(self, selector: str) -> None:
        """Click the middle of the first element that a selector finds."""
        x, y = self.middle(selector)
        self.drag((x, y), (x, y))

    def middle(self, selector: str) -> tuple[float, float]:
        """Scroll an element into view, and return where its middle is."""
        self.wait(f"document.querySelector({json.dumps(selector)})")
        box = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        return float(box[0]), float(box[1])

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at one point and release it at another one."""
        common = {"button": "left", "clickCount": 1}
        self._mouse("mouseMoved", begin, {})
        self._mouse("mousePressed", begin, common)
        if begin != end:
            half = ((begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2)
            self._mouse("mouseMoved", half, {"button": "left", "buttons": 1})
            self._mouse("mouseMoved", end, {"button": "left", "buttons": 1})
        self._mouse("mouseReleased", end, common)

    def type(self, selector: str, text: str) -> None:
        """Replace what a field holds."""
        self.click(selector)
        self.run(f"document.querySelector({json.dumps(selector)}).select()")
        self.call("Input.insertText", text=text)

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write what is shown as a PNG; the whole page, or what the window shows."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def requested(self) -> list[str]:
        """Return the addresses that the tab has asked for, the oldest first."""
        return [
            event["params"]["request"]["url"]
            for event in self._own("Network.requestWillBeSent")
            if urlsplit(event["params"]["request"]["url"]).scheme not in ("about", "data")
        ]

    def complaints(self) -> list[str]:
        """Return errors: of scripts, of the security policy, of requests; and dialogs."""
        found = [
            str(event["params"]["entry"].get("text"))
            for event in self._own("Log.entryAdded")
            if event["params"]["entry"].get("level") == "error"
        ]
        found += [
            str(event["params"]["exceptionDetails"])
            for event in self._own("Runtime.exceptionThrown")
        ]
        return found + [
            str(event["params"]) for event in self._own("Page.javascriptDialogOpening")
        ]

    def close(self) -> None:
        """Close the tab."""
        self._browser.call("Target.closeTarget", targetId=self._target)

    def _own(self, method: str) -> list[dict[str, Any]]:
        self.run("1")  # takes in what has happened since
        events = self._browser.events
        return [e for e in events if e.get("method") == method and e["sessionId"] == self._session]

    def _mouse(self, kind: str, at: tuple[float, float], more: Mapping[str, object]) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], **more)
