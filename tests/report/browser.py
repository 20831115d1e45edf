"""A real headless Chromium over its DevTools pipe: what a page says, asks for and looks like."""

import json
import os
import select
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

BINARY = shutil.which("chromium") or shutil.which("chromium-browser") or ""
"""Debian's browser; empty when it is not installed."""
MISSING = "chromium is not installed (Debian: apt-get install chromium): the page was not opened"
TIMEOUT_S = 60


class Browser:
    """One page of one browser, spoken to in the DevTools protocol.

    Attributes
    ----------
    events : list of dict
        Everything the browser reported since ``open``.
    """

    def __init__(self, process: subprocess.Popen[bytes], read: int, write: int) -> None:
        self._process, self._read, self._write = process, read, write
        self._rest, self._last, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []

    @classmethod
    @contextmanager
    def start(cls, profile: Path) -> Iterator[Self]:
        """Run a browser with a fresh profile in the folder ``profile``; it ends with the block."""
        to_browser, write = os.pipe()
        read, from_browser = os.pipe()
        process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}', BINARY,
             "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-dev-shm-usage", f"--user-data-dir={profile}", "--remote-debugging-pipe"],
            pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        browser = cls(process, read, write)
        try:
            browser._attach()
            yield browser
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)
            os.close(read)
            os.close(write)

    def _attach(self) -> None:
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method and return its result."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == self._last:
                assert "error" not in heard, heard
                result: dict[str, Any] = heard["result"]
                return result
            self.events.append(heard)

    def _hear(self) -> dict[str, Any]:
        deadline = time.monotonic() + TIMEOUT_S
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(deadline - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            data = os.read(self._read, 1 << 20)
            assert data, "the browser has gone"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        heard: dict[str, Any] = json.loads(message)
        return heard

    def open(
        self, file: Path, width: int = 1280, height: int = 900, *, dark: bool = False,
        scripts: bool = True,
    ) -> None:  # fmt: skip
        """Open a file from disk in a window of that size, and wait until it is there."""
        self.events.clear()
        self.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url=file.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._hear())

    def run(self, expression: str) -> Any:
        """Return the value of a JavaScript expression (also where the page's scripts are off)."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def requests(self) -> list[str]:
        """Return every address the page asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[dict[str, Any]]:
        """Return exceptions, console messages and log entries (a refused policy is one)."""
        bad = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [event for event in self.events if event.get("method") in bad]

    def screenshot(self, file: Path, *, top: int = 0, height: int | None = None) -> bytes:
        """Write a picture of the page (or ``height`` pixels of it from ``top``); return it."""
        width, whole = self.size()
        clip = {"x": 0, "y": top, "width": width, "height": height or whole, "scale": 1}
        found = self.send("Page.captureScreenshot", format="png", clip=clip,
                          captureBeyondViewport=True)  # fmt: skip
        data = b64decode(found["data"])
        file.write_bytes(data)
        return data

    def pdf(self, file: Path) -> bytes:
        """Print the page to A4 and return the PDF."""
        found = self.send("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
        data = b64decode(found["data"])
        file.write_bytes(data)
        return data

    def size(self) -> tuple[int, int]:
        """Return width and height of the whole page in pixels."""
        root = "document.documentElement"
        wide, high = self.run(f"[{root}.scrollWidth, {root}.scrollHeight]")
        return int(wide), int(high)
