"""Shows a page in the browser, from this machine alone."""

import functools
import http.server
import io
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote, urlsplit

from vestige.errors import InputError

HOST = "127.0.0.1"


class Pages(http.server.SimpleHTTPRequestHandler):
    """Gives out pages of boards and their list, and nothing else that lies there; says nothing of requests.

    Only to who asks for this machine by its name: a site whose name somebody lets point here is another site's page.
    """

    def __init__(self, *arguments: object, page: str, **more: object) -> None:
        self.page = page
        super().__init__(*arguments, **more)  # type: ignore[arg-type]

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """The file's head, or why there is none."""
        assert isinstance(self.server, http.server.HTTPServer)
        port = self.server.server_port
        parts = unquote(urlsplit(self.path).path).split("/")[1:]
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            self.send_error(403, "only for who asks for this machine")
        elif parts != ["index.html"] and (parts[1:] != [self.page] or parts[0] in ("", "..")):
            self.send_error(404)
        else:
            return super().send_head()
        return None

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


def server(folder: Path, page: str, port: int) -> http.server.ThreadingHTTPServer:
    """A server on the loopback interface of `index.html` in a folder and of the file `page` of each folder in it; port
    0 takes any that is free.

    Raises:
        InputError: The port is taken or not allowed.
    """
    try:
        return http.server.ThreadingHTTPServer((HOST, port), functools.partial(Pages, directory=str(folder), page=page))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"port {port} cannot be used ({reason}); choose another one with --port.") from None


def view(page: Path, port: int, browser: bool, say: Callable[[str], None]) -> None:
    """Serves the page, those of the folders beside its own and their list; does not return until it is interrupted."""
    page = page.resolve()
    with server(page.parent.parent, page.name, port) as running:
        address = f"http://{HOST}:{running.server_address[1]}/{quote(page.parent.name)}/{page.name}"
        say(f"page: {address} (Ctrl-C ends it)")
        if browser:
            webbrowser.open(address)
        running.serve_forever()
