"""What tests of the page need: a page that notes what it must not do, and axe-core."""

import hashlib
import os
import subprocess
import tarfile
import time

import pytest

AXE = ("axe-core", "4.14.1", "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
SIZES = {"desktop": (1400, 900), "phone": (390, 844)}


def missing(reason):
    """Skip, or fail where everything has to run."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def axe_source(folder):
    """The source of axe-core, fetched once by npm and verified."""
    name, version, checksum = AXE
    archive = folder / f"{name}-{version}.tgz"
    if not archive.exists():
        try:
            subprocess.run(
                ["npm", "pack", "--silent", f"{name}@{version}"], cwd=folder, check=True, capture_output=True, timeout=60
            )
        except (OSError, subprocess.SubprocessError) as error:
            missing(f"npm could not fetch axe-core: {error}")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == checksum
    with tarfile.open(archive) as files:
        return files.extractfile("package/axe.min.js").read().decode()


class Watched:
    """A page, and everything that it must not do: say something on the console, or ask anyone but its own server."""

    def __init__(self, browser, origin, size="desktop", scheme="light", **options):
        width, height = SIZES[size]
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
        self.context.set_default_timeout(20_000)
        self.page = self.context.new_page()
        self.origin = origin
        self.said: list[str] = []
        self.elsewhere: list[str] = []
        self.polls: list[float] = []
        self.context.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.context.on("request", self._requested)

    def _requested(self, request):
        if not request.url.startswith((self.origin + "/", "data:")):
            self.elsewhere.append(request.url)
        if request.url.endswith("/sparrow/stats"):
            self.polls.append(time.monotonic())

    def open(self, fragment=""):
        self.page.goto(f"{self.origin}/sparrow{fragment}")
        self.page.wait_for_selector("body[data-ready]")
        return self.page

    def text(self, selector):
        return self.page.locator(selector).inner_text()

    def check(self):
        assert not self.said, self.said
        assert not self.elsewhere, self.elsewhere


def jobs_of(dashboard, method):
    """The jobs that ran with this method, of the newest, the newest first."""
    return [job for job in dashboard.get("/sparrow/stats")["jobs"] if job["method"] == method]
