"""The addresses of the server, as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, nullcontext

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cnn_jax.data.decode import quiet_pillow
from cnn_jax.errors import CnnJaxError, ConfigError, DataError
from cnn_jax.serve.limits import Limits, Places, read_upload, refusal, refuse_other_pages
from cnn_jax.serve.page import page
from cnn_jax.serve.searched import Progress
from cnn_jax.serve.viewer import Viewer

EVERYWHERE = ("*",)
"""Hosts for a server whose names nobody knows."""


def silent():
    """A bar that nobody sees."""
    return nullcontext(lambda what, done, total: None)


def create_app(
    viewer: Viewer,
    *,
    limits: Limits | None = None,
    hosts: Collection[str] = ("127.0.0.1", "localhost"),
    progress: Progress = silent,
) -> ASGIApp:
    """The application.

    Args:
        viewer: the run.
        limits: what a request may ask for.
        hosts: names under which it is asked; a page of another name that leads here (DNS rebinding) is refused.
        progress: the bar of the features of the training images, which are computed while the application lives.

    Returns:
        `GET /` the page; `GET /api/run` the run; `POST /api/predict?class=N&tap=NAME` with an image file's bytes as its
        body; `GET /train/N.png` a training image. All but the page and the images answer in JSON, faults with
        `{"error": "E-AREA-NN: ..."}`.
    """
    limits = limits or Limits()
    places = Places(limits.at_once)
    document, policy = page()

    async def index(request: Request) -> Response:
        return Response(document, media_type="text/html")

    async def about(request: Request) -> Response:
        return JSONResponse({**viewer.about(), "limits": limits._asdict()})

    async def predict(request: Request) -> Response:
        refuse_other_pages(request)
        label, tap = _number(request.query_params.get("class")), request.query_params.get("tap") or None
        with places.one():
            upload = await read_upload(request, limits)
            return JSONResponse(await run_in_threadpool(viewer.answer, upload, limits.pixels, label, tap))

    async def training_image(request: Request) -> Response:
        number = request.path_params["number"]
        found = await run_in_threadpool(viewer.training_image, number)
        if found is None:
            raise refusal(404, 306, "there is no training image of this number")
        return Response(found, media_type="image/png")

    @asynccontextmanager
    async def living(app: Starlette) -> AsyncIterator[None]:
        # Requests are worked on by threads, and warning filters belong to the process.
        with quiet_pillow():
            if viewer.searched is not None:
                viewer.searched.start(progress)
            try:
                yield
            finally:
                if viewer.searched is not None:
                    viewer.searched.stop()

    routes = [
        Route("/", index),
        Route("/api/run", about),
        Route("/api/predict", predict, methods=["POST"]),
        Route("/train/{number}.png", training_image),
    ]
    app = Starlette(
        routes=routes,
        lifespan=living,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)],
        exception_handlers={
            HTTPException: _refused,
            CnnJaxError: _at_fault,
            ClientDisconnect: _gone,
            Exception: _broken,
        },
    )
    app.router.redirect_slashes = False
    return _WithHeaders(app, policy)


class _WithHeaders:
    """Every answer says what a browser may do with it, whoever gives the answer."""

    def __init__(self, app: ASGIApp, policy: str):
        self.app = app
        self.headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            # Another run may answer at this address tomorrow.
            "Cache-Control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, with_headers)


def _number(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise refusal(400, 309, "class is not a number: send the label of a class, such as class=3")
    return int(text)


_WORDS = {
    404: "nothing is at this address: the page is at /",
    405: "this address takes another method: images are sent with POST to /api/predict, all else is asked with GET",
}


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = _WORDS.get(error.status_code, error.detail)
    words = error.detail if error.detail.startswith("E-") else str(DataError(306, words))
    return JSONResponse({"error": words}, error.status_code, error.headers)


async def _at_fault(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400 if isinstance(error, ConfigError) else 422)


async def _gone(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the sender has left"}, 400)


async def _broken(request: Request, error: Exception) -> Response:
    words = f"the server is at fault ({type(error).__name__}): see its terminal"
    return JSONResponse({"error": words}, 500)
