"""The dashboard's web server: the page at /sparrow, and its data as JSON, from a sample of the cluster every second.

python server.py [--host HOST] [--port PORT]
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from src.cli.logs import log_to_stderr
from src.cli.options import add_log_level, new_parser, port_number
from src.cli.process import run_service
from src.dashboard import prometheus
from src.dashboard.http_messages import Request, Response, text_response
from src.dashboard.monitor import Monitor
from src.dashboard.webserver import WebServer
from src.rmi.security import Security

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
HEADERS = (  # of every response
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def static_files(folder: Path) -> dict[str, Response]:
    """Returns the files of a folder by name. They are read once, so that no path of a request reaches the file system."""
    files = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in TYPES:
            body = path.read_bytes()
            etag = hashlib.sha256(body).hexdigest()[:20]
            files[path.name] = Response(body, TYPES[path.suffix], etag=etag, gzipped=gzip.compress(body, 9, mtime=0))
    return files


class Site:
    """The responses to all paths of the web server."""

    def __init__(self, monitor: Monitor, files: dict[str, Response]) -> None:
        self._monitor = monitor
        self._files = files
        self._fixed: dict[str, Callable[[], Response]] = {
            "/": lambda: text_response(HTTPStatus.FOUND, headers=(("Location", "/sparrow"),)),
            "/sparrow/": lambda: text_response(HTTPStatus.FOUND, headers=(("Location", "/sparrow"),)),
            "/sparrow": lambda: self._files["index.html"],
            "/sparrow/status": lambda: Response(self._monitor.view().status, JSON),
            "/sparrow/stats": self._stats,
            "/metrics": self._metrics,
            "/healthz": self._health,
        }
        self._details: tuple[tuple[str, str, Callable[[str], Future[Any]]], ...] = (
            ("/sparrow/jobs/", "job", monitor.job),
            ("/sparrow/workers/", "worker", monitor.worker),
        )

    async def respond(self, request: Request) -> Response:
        """Returns the response to a request; its status is 404 if there is nothing at the path."""
        path = request.path.partition("#")[0].partition("?")[0]
        if path.startswith("http://"):  # the form for proxies, which a server has to accept as well
            path = "/" + path[len("http://") :].partition("/")[2]
        if path in self._fixed:
            return self._fixed[path]()
        for prefix, kind, details in self._details:
            if path.startswith(prefix):
                name = unquote(path[len(prefix) :])
                if 0 < len(name) <= 128 and name.isascii() and name.isprintable():
                    self._monitor.view()
                    found = await asyncio.wrap_future(details(name))
                    if found is not None:  # encoding a job of 100,000 tasks would block the event loop
                        return await asyncio.get_running_loop().run_in_executor(None, _json, found)
                return _json({"error": f"no {kind} of that name is known"}, HTTPStatus.NOT_FOUND)
        if path.startswith("/web/") and path[len("/web/") :] in self._files:
            return self._files[path[len("/web/") :]]
        return text_response(HTTPStatus.NOT_FOUND)

    def _stats(self) -> Response:
        latest = self._monitor.view()
        wait = (("X-Next-Sample", f"{latest.seconds_to_next():.2f}"),)
        return Response(latest.stats, JSON, etag=latest.etag, gzipped=latest.stats_gzip, headers=wait)

    def _metrics(self) -> Response:
        latest = self._monitor.view()
        return Response(prometheus.text(latest.data, latest.schedulers).encode(), prometheus.CONTENT_TYPE)

    def _health(self) -> Response:
        """Returns the health of the dashboard itself, not of the cluster."""
        well = self._monitor.is_sampling()
        age_s = round(self._monitor.latest.age_s(), 1)
        return _json(
            {"status": "ok" if well else "stalled", "sample_age_s": age_s},
            HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE,
        )


def _json(value: Mapping[str, Any], status: int = 200) -> Response:
    body = json.dumps(value, separators=(",", ":")).encode()
    etag = hashlib.sha256(body).hexdigest()[:20] if status == 200 else ""
    return Response(body, JSON, status, etag=etag, gzipped=gzip.compress(body, 1, mtime=0) if len(body) > 1024 else None)


async def serve(monitor: Monitor, host: str, port: int) -> None:
    """Serves until SIGINT or SIGTERM. Raises UnavailableError if it cannot listen, or the name server's host does not resolve."""
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
    """Runs the command."""
    parser = new_parser(
        "Serve the dashboard: a page that shows what the cluster does, and the same as JSON.",
        "It waits for the name server (pyro4-ns), schedulers and workers, in any order; the page says what is missing.\n"
        "It only reads. It listens on this machine alone unless --host says otherwise.",
    )
    parser.add_argument("--host", default="localhost", help="the address to listen on (default: localhost)")
    parser.add_argument("--port", type=port_number, default=8901, help="the port to listen on (default: 8901)")
    add_log_level(parser)
    arguments = parser.parse_args()
    log_to_stderr(arguments.log_level)

    def run() -> None:
        monitor = Monitor(arguments.nameserver, Security.of(arguments.key_file).key)
        asyncio.run(serve(monitor, arguments.host, arguments.port))

    run_service(run)


if __name__ == "__main__":
    main()
