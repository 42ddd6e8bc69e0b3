"""Shows a page in the browser, from this machine alone."""

import functools
import http.server
import webbrowser
from collections.abc import Callable
from pathlib import Path

from vestige.errors import InputError

HOST = "127.0.0.1"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing of requests."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


def server(folder: Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server of the files in `folder` on the loopback interface; port 0 takes any that is free.

    Raises:
        InputError: The port is taken or not allowed.
    """
    try:
        return http.server.ThreadingHTTPServer((HOST, port), functools.partial(Quiet, directory=str(folder)))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"port {port} cannot be used ({reason}); choose another one with --port.") from None


def view(page: Path, port: int, browser: bool, say: Callable[[str], None]) -> None:
    """Serves the page's folder and the one above, opens the page, and does not return until it is interrupted."""
    page = page.resolve()
    with server(page.parent.parent, port) as running:
        address = f"http://{HOST}:{running.server_address[1]}/{page.parent.name}/{page.name}"
        say(f"page: {address} (Ctrl-C ends it)")
        if browser:
            webbrowser.open(address)
        running.serve_forever()
