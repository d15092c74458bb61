"""The dashboard's web server: the page at /sparrow, and its data as JSON, from a sample of the cluster every second.

python3 server.py [--host HOST] [--port PORT]
"""

from __future__ import annotations

if __name__ == "__main__":
    from src.cli import interpreter

    interpreter.enter()

import argparse
import asyncio
import gzip
import hashlib
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote

from src.cli import streams
from src.cli.logs import log, log_to_stderr
from src.cli.options import add_log_level, new_parser, port_number
from src.cli.process import run_service
from src.cli.program import run_program
from src.cluster.signals import StopSignals
from src.dashboard import prometheus
from src.dashboard.details import TryLaterError, UnknownError
from src.dashboard.documents import Document
from src.dashboard.hosts import AllowedHosts
from src.dashboard.http_messages import Header, Request, Response, text_response
from src.dashboard.monitor import DocumentFuture, Monitor
from src.dashboard.request_head import is_host
from src.dashboard.webserver import WebServer
from src.rmi.listening import loopback_warning
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
            "/sparrow/status": lambda: _json(self._monitor.view().status),
            "/sparrow/stats": self._stats,
            "/metrics": self._metrics,
            "/healthz": self._health,
        }
        self._details: tuple[tuple[str, str, Callable[[str], DocumentFuture]], ...] = (
            ("/sparrow/jobs/", "job", monitor.job),
            ("/sparrow/workers/", "worker", monitor.worker),
        )

    async def respond(self, request: Request) -> Response:
        """Returns the response to a request; its status is 404 if there is nothing at the path."""
        path = request.path.partition("#")[0].partition("?")[0]
        if path in self._fixed:
            return self._fixed[path]()
        for prefix, kind, details in self._details:
            if path.startswith(prefix):
                name = unquote(path[len(prefix) :])
                if not (0 < len(name) <= 128 and name.isascii() and name.isprintable()):
                    return _error(HTTPStatus.NOT_FOUND, f"no {kind} has such a name")
                self._monitor.view()
                try:
                    return _json(await asyncio.wrap_future(details(name)))
                except UnknownError as error:
                    return _error(HTTPStatus.NOT_FOUND, str(error))
                except TryLaterError as error:
                    return _error(HTTPStatus.SERVICE_UNAVAILABLE, str(error), (("Retry-After", "1"),))
        if path.startswith("/web/") and path[len("/web/") :] in self._files:
            return self._files[path[len("/web/") :]]
        return text_response(HTTPStatus.NOT_FOUND)

    def _stats(self) -> Response:
        latest = self._monitor.view()
        return _json(latest.stats, headers=(("X-Next-Sample", f"{latest.seconds_to_next():.2f}"),))

    def _metrics(self) -> Response:
        latest = self._monitor.view()
        return Response(prometheus.text(latest.data, latest.schedulers).encode(), prometheus.CONTENT_TYPE)

    def _health(self) -> Response:
        """Returns the health of the dashboard itself, not of the cluster."""
        well = self._monitor.is_sampling()
        age_s = round(self._monitor.latest.age_s(), 1)
        health = Document.of({"status": "ok" if well else "stalled", "sample_age_s": age_s})
        return _json(health) if well else Response(health.body, JSON, HTTPStatus.SERVICE_UNAVAILABLE)


def _json(document: Document, headers: tuple[Header, ...] = ()) -> Response:
    return Response(document.body, JSON, etag=document.etag, gzipped=document.gzipped, headers=headers)


def _error(status: HTTPStatus, why: str, headers: tuple[Header, ...] = ()) -> Response:
    return Response(Document.of({"error": why}).body, JSON, status, headers=headers)


async def serve(monitor: Monitor, host: str, port: int, signals: StopSignals, other_names: Iterable[str] = ()) -> None:
    """Serves until one of these signals comes, to requests for ``host``, localhost, any address, and ``other_names``.

    Raises UnavailableError if it cannot listen, or if the name server's host does not resolve.
    """
    stopping = asyncio.Event()
    signals.call(lambda number: stopping.set())
    server = WebServer(Site(monitor, static_files(WEB)).respond, HEADERS, AllowedHosts([host, *other_names]))
    port = await server.listen(host, port)
    if (warning := loopback_warning(host, server.address)) is not None:
        log.warning("%s", warning)
    resolving, stopped = asyncio.ensure_future(monitor.names.resolve()), asyncio.ensure_future(stopping.wait())
    await asyncio.wait({resolving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not stopping.is_set():
        await resolving
    monitor.start()
    try:
        print(f"http://{f'[{host}]' if ':' in host else host}:{port}/sparrow", flush=True)
    except streams.OutputError as error:  # the page is what the program is for, not its address
        log.warning("%s; the page is at port %s", error, port)
    await stopping.wait()
    server.close()
    monitor.stop()


def host_name(text: str) -> str:
    """Returns ``text`` if it can be the host of a request; for argparse."""
    if not is_host(text):
        raise argparse.ArgumentTypeError(f"not a name or an address of a host, without a port: {text[:60]!r}")
    return text


def main() -> int:
    """Runs the command, and returns its exit status."""
    parser = new_parser(
        "Serve the dashboard: a page that shows what the cluster does, and the same as JSON.",
        "It waits for the name server (src/NameServer.py), schedulers and workers, in any order; the page says what is missing.\n"
        "It only reads. It listens on this machine alone unless --host says otherwise.",
    )
    parser.add_argument("--host", default="localhost", help="the address to listen on (default: localhost)")
    parser.add_argument("--port", type=port_number, default=8901, help="the port to listen on (default: 8901)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        type=host_name,
        metavar="NAME",
        help="another name that leads here, such as that of a proxy; may be given again. Requests for other names than this, "
        "localhost and --host are refused: a stranger's page could else read all this through your browser (DNS rebinding)",
    )
    add_log_level(parser)
    arguments = parser.parse_args()
    log_to_stderr(arguments.log_level)

    def run() -> None:
        monitor = Monitor(arguments.nameserver, Security.of(arguments.key_file, allow_stock_pyro4=arguments.allow_stock_pyro4).key)
        with StopSignals() as signals:
            asyncio.run(serve(monitor, arguments.host, arguments.port, signals, arguments.allow_host))

    return run_service(run)


if __name__ == "__main__":
    run_program(main)
