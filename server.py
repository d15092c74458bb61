"""The dashboard's web server: the page at /sparrow and what it shows as JSON, from one sample of the cluster a second.

python server.py [--host HOST] [--port PORT]
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import signal
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote

from src.dashboard import prometheus  # isort: skip
from src.dashboard.monitor import Monitor  # isort: skip
from src.cli import command  # isort: skip
from src.rmi.security import Security  # isort: skip
from src.dashboard.webserver import Answer, Request, WebServer, plain  # isort: skip

WEB = Path(__file__).resolve().parent / "web"
JSON = "application/json; charset=utf-8"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (  # of every answer
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def static_files(folder: Path) -> dict[str, Answer]:
    """name -> answer, of what is in this folder, read once: no path of a request ever reaches the file system."""
    files = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in TYPES:
            body = path.read_bytes()
            etag = hashlib.sha256(body).hexdigest()[:20]
            files[path.name] = Answer(body, TYPES[path.suffix], etag=etag, gzipped=gzip.compress(body, 9, mtime=0))
    return files


class Site:
    """What is at which path."""

    def __init__(self, monitor: Monitor, files: dict[str, Answer]) -> None:
        self._monitor = monitor
        self._files = files
        self._fixed: dict[str, Callable[[], Answer]] = {
            "/": lambda: plain(HTTPStatus.FOUND, headers=(("Location", "/sparrow"),)),
            "/sparrow/": lambda: plain(HTTPStatus.FOUND, headers=(("Location", "/sparrow"),)),
            "/sparrow": lambda: self._files["index.html"],
            "/sparrow/status": lambda: Answer(self._monitor.looked_at().status, JSON),
            "/sparrow/stats": self._stats,
            "/metrics": self._metrics,
            "/healthz": self._health,
        }

    async def respond(self, request: Request) -> Answer:
        path = request.path.partition("#")[0].partition("?")[0]
        if path.startswith("http://"):  # as one asks a proxy; a server has to take it as well
            path = "/" + path[len("http://") :].partition("/")[2]
        if path in self._fixed:
            return self._fixed[path]()
        for prefix, details in (("/sparrow/jobs/", self._monitor.job), ("/sparrow/workers/", self._monitor.worker)):
            if path.startswith(prefix):
                name = unquote(path[len(prefix) :])
                if 0 < len(name) <= 128 and name.isascii() and name.isprintable():
                    self._monitor.looked_at()
                    found = await asyncio.wrap_future(details(name))
                    if found is not None:  # a job of 100,000 tasks takes a while to write: others go on meanwhile
                        return await asyncio.get_running_loop().run_in_executor(None, _json, found)
                return _json({"error": f"no {prefix.split('/')[2][:-1]} of that name is known"}, HTTPStatus.NOT_FOUND)
        if path.startswith("/web/") and path[len("/web/") :] in self._files:
            return self._files[path[len("/web/") :]]
        return plain(HTTPStatus.NOT_FOUND)

    def _stats(self) -> Answer:
        latest = self._monitor.looked_at()
        wait = (("X-Next-Sample", f"{latest.seconds_to_next():.2f}"),)
        return Answer(latest.stats, JSON, etag=latest.etag, gzipped=latest.stats_gzip, headers=wait)

    def _metrics(self) -> Answer:
        latest = self._monitor.looked_at()
        return Answer(prometheus.text(latest.data, latest.schedulers).encode(), prometheus.CONTENT_TYPE)

    def _health(self) -> Answer:
        """Of the dashboard itself, not of the cluster."""
        well = self._monitor.is_sampling()
        age_s = round(self._monitor.latest.age_s(), 1)
        return _json(
            {"status": "ok" if well else "stalled", "sample_age_s": age_s},
            HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE,
        )


def _json(value: dict, status: int = 200) -> Answer:
    body = json.dumps(value, separators=(",", ":")).encode()
    etag = hashlib.sha256(body).hexdigest()[:20] if status == 200 else ""
    return Answer(body, JSON, status, etag=etag, gzipped=gzip.compress(body, 1, mtime=0) if len(body) > 1024 else None)


async def serve(monitor: Monitor, host: str, port: int) -> None:
    """Until SIGINT or SIGTERM. UnavailableError if the address cannot be had, or the name server's host does not exist."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = WebServer(Site(monitor, static_files(WEB)).respond, HEADERS)
    port = await server.listen(host, port)
    await monitor.names.resolve()
    monitor.start()
    print(f"http://{f'[{host}]' if ':' in host else host}:{port}/sparrow", flush=True)
    await stopping.wait()
    server.close()
    monitor.stop()


def main() -> None:
    parser = command.parser(
        "Serve the dashboard: a page that shows what the cluster does, and the same as JSON.",
        "It waits for the name server (pyro4-ns), schedulers and workers, in any order; the page says what is missing.\n"
        "It only reads. It listens on this machine alone unless --host says otherwise.",
    )
    parser.add_argument("--host", default="localhost", help="the address to listen on (default: localhost)")
    parser.add_argument("--port", type=command.port_number, default=8901, help="the port to listen on (default: 8901)")
    command.add_log_level(parser)
    arguments = parser.parse_args()
    command.log_to_stderr(arguments.log_level)

    def run() -> None:
        monitor = Monitor(arguments.nameserver, Security.of(arguments.key_file).key)
        asyncio.run(serve(monitor, arguments.host, arguments.port))

    command.serve(run)


if __name__ == "__main__":
    main()
