"""The libraries of the extra `vestige[html]`: Vega draws, DataTables sorts, Jinja fills in. All are bundled into the
page."""

import importlib.util
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vestige.errors import MissingExtra
from vestige.pipeline.store import cache_root, write_atomically

NEEDED = ("vl_convert", "itables", "jinja2")
VEGA_LITE = "6.4"


def missing() -> list[str]:
    """The libraries of the extra that are not installed."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def require() -> None:
    """Raises a `MissingExtra` that says how to install the extra, where it is not."""
    absent = missing()
    if absent:
        raise MissingExtra(
            f"the page needs the extra 'html' ({', '.join(absent)} not installed); run, where Vestige lies: "
            "pip install -e '.[html]'."
        )


def svg(spec: dict[str, Any]) -> str:
    """A Vega-Lite specification as a picture; the same bytes for the same specification."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE))


def vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script; made once, then kept in the cache."""
    import vl_convert

    file = cache_root() / "page" / f"vega-{version('vl-convert-python')}.js"
    if not file.exists():
        write_atomically(file, vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE).encode())
    return file.read_text(encoding="utf-8")


def data_tables() -> tuple[str, str]:
    """The module and the style sheet of DataTables, as the wheel of `itables` carries them; it is not imported."""
    spec = importlib.util.find_spec("itables")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "html"
    return tuple((folder / f"dt_bundle.{end}").read_text(encoding="utf-8") for end in ("js", "css"))  # type: ignore[return-value]
