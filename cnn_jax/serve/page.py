"""The one page: markup, style and script in one document, and the policy that lets nothing else run."""

from __future__ import annotations

import base64
import functools
import hashlib

from cnn_jax.plotting import PALETTE


@functools.cache
def page() -> tuple[bytes, str]:
    """The document, and its Content-Security-Policy.

    The page may load images from this server and ask it; its own style and script are known to the policy by their
    hashes, so that no other script runs on it, wherever one came from.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cnn_jax.serve"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    style = environment.get_template("page.css").render(palette=PALETTE)
    script = environment.get_template("page.js").render()
    document = environment.get_template("page.html.j2").render(style=_as_it_is(style), script=_as_it_is(script))
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return document.encode(), policy


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _as_it_is(text: str):
    from markupsafe import Markup

    return Markup(text)
