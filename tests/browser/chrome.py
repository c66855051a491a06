"""A headless Chromium, driven through the pipe that it has for that (https://chromedevtools.github.io)."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

# Debian's name, and those that others have.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A browser with a page; `events` holds what it has told unasked."""

    def __init__(self, folder: Path):
        # The browser reads at 3 and writes at 4.
        reads, self._send = os.pipe()
        self._receive, writes = os.pipe()
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
        quiet = ("--no-first-run", "--disable-background-networking", "--disable-component-update")
        line = [PROGRAM, *options, *quiet, f"--user-data-dir={folder}", "--remote-debugging-pipe", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{reads} 4>&{writes}', "bash", *line],
            pass_fds=(reads, writes), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(reads)
        os.close(writes)
        self._number, self._session, self._rest, self.events = 0, None, b"", []
        target = next(one for one in self("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self._session = self("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **parameters: object) -> dict:
        """Call a method of the protocol; gives its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _next(self) -> dict:
        while b"\0" not in self._rest:
            more = os.read(self._receive, 1 << 20)
            assert more, "the browser has ended"
            self._rest += more
        answer, _, self._rest = self._rest.partition(b"\0")
        return json.loads(answer)

    def open(self, page: Path) -> None:
        """Open a page, and forget what others have told."""
        self.events.clear()
        self("Page.navigate", url=page.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def evaluate(self, expression: str) -> object:
        """The value of an expression in the page, waited for."""
        found = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key: Enter, Tab, or a space."""
        code, text = {"Enter": (13, "\r"), "Tab": (9, ""), " ": (32, " ")}[key]
        what = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **what)
        self("Input.dispatchKeyEvent", type="keyUp", **what)

    def click(self, x: float, y: float) -> None:
        """Click at a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def window(self, width: int, height: int, scheme: str = "light", media: str = "") -> None:
        """Give the page a window, a colour scheme, and a medium: `screen` unless it is `print`."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
        self("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, file: Path) -> None:
        """Save all of the page as PNG."""
        found = self("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(found["data"]))

    def pdf(self) -> bytes:
        """The page as it would be printed."""
        return base64.b64decode(self("Page.printToPDF", preferCSSPageSize=True, printBackground=False)["data"])

    def close(self) -> None:
        """End the browser."""
        os.close(self._send)
        os.close(self._receive)
        self._process.terminate()
        self._process.wait()
