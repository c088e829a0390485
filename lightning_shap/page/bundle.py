"""The front end: the files of the page as they are served, and joined into one."""

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files

# In the order in which they need one another; the last begins.
MODULES = (
    "dom.js",
    "npz.js",
    "colours.js",
    "explanation.js",
    "outlines.js",
    "paint.js",
    "snapshot.js",
    "columns.js",
    "view_state.js",
    "rows.js",
    "curves.js",
    "sources.js",
    "points.js",
    "reader.js",
    "pins.js",
    "region_history.js",
    "map_canvas.js",
    "pin_board.js",
    "export.js",
    "strip.js",
    "scene.js",
    "big_map.js",
    "opened.js",
    "toolbar.js",
    "drawer.js",
    "doubt.js",
    "matrix.js",
    "class_summary.js",
    "mistakes.js",
    "atlas.js",
    "keys.js",
    "settings.js",
    "training_numbers.js",
    "stage.js",
    "app.js",
)
STYLE = "style.css"
HEAD_BYTES = 4096  # of a page, within which it says whose it is
TAB, FILE = "tab.js", "file.js"  # what begins in TensorBoard, and in a file

_IMPORT = re.compile(r"^import\s[^;]*?from\s+\"\./[a-z_]+\.js\";\n", re.MULTILINE)
_BLOB = '<script type="text/plain" id="{}">{}</script>\n'
_EXPORT = re.compile(r"^export (?=(async )?(function|class|const)\b)", re.MULTILINE)


@cache
def read_asset(name: str) -> str:
    """Returns one of the page's own files."""
    return files("lightning_shap.page").joinpath("static", name).read_text(encoding="utf-8")


@cache
def join_modules() -> str:
    """Joins all modules to one, for a file that can import nothing."""
    return "\n".join(
        _EXPORT.sub("", _IMPORT.sub("", read_asset(name))) for name in (*MODULES, FILE)
    )


def make_html(
    data: str, title: str, run: str | None = None, blobs: Mapping[str, str] | None = None
) -> str:
    """Returns the page with its data.

    Nothing in it can reach out, and nothing runs but the script that is named by its hash. That
    begins before the blobs are read, which stand after it.

    Args:
        data: JSON.
        title: Plain text.
        run: The id of the run that it is the report of, if it is one's.
        blobs: Texts that the page reads when it needs them, in base64, by their names.
    """
    code, style = f'(() => {{\n"use strict";\n{join_modules()}}})();', read_asset(STYLE)
    policy = (
        f"default-src 'none'; script-src '{_hash(code)}'; style-src '{_hash(style)}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    # Within a script, "<" could end it; JSON has another way to say it.
    safe = data.replace("<", "\\u003c")
    owner = "" if run is None else f'<meta name="shap-run" content="{escape(run)}">\n'
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        f"{owner}"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>{style}</style></head>\n"
        "<body><noscript>This page needs JavaScript.</noscript>\n"
        f'<script type="application/json" id="explanations">{safe}</script>\n'
        f"<script>{code}</script>\n"
        f"{''.join(_BLOB.format(name, text) for name, text in (blobs or {}).items())}"
        "</body></html>\n"
    )


def find_owner(page: str) -> str | None:
    """Returns the id of the run whose report a page is, None if it is none's.

    Args:
        page: Its beginning.
    """
    found = re.search(r'<meta name="shap-run" content="([0-9a-f]+)">', page)
    return None if found is None else found[1]


def find_data(page: str) -> str:
    """Returns the JSON that a page of :func:`make_html` was made with.

    Raises:
        ValueError: If it is none.
    """
    found = re.search(r'<script type="application/json" id="explanations">(.*?)</script>', page)
    if found is None:
        raise ValueError("it is no page of explanations")
    return found[1]


def find_blobs(page: str) -> dict[str, str]:
    """Returns the blobs that a page of :func:`make_html` was made with."""
    pattern = _BLOB.format("([0-9a-f-]+)", "([A-Za-z0-9+/=]*)")
    return dict(re.findall(pattern, page))


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
