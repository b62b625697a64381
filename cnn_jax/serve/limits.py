"""What a request may ask for: bytes, pixels, seconds, places, and who may ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request

from cnn_jax.errors import DataError


class Limits(NamedTuple):
    """What the server does at most.

    Attributes:
        upload: bytes of an image file.
        pixels: of an image; a small file can hold many.
        at_once: images that are worked on at a time.
        seconds: that a file may take to arrive.
    """

    upload: int = 10 * 2**20
    pixels: int = 2**25
    at_once: int = 2
    seconds: float = 30.0


class Places:
    """So many requests at a time; whoever comes when all places are taken is sent away and not kept waiting."""

    def __init__(self, count: int):
        self.count = count
        self._free = threading.BoundedSemaphore(count)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Takes a place for as long as the context lasts.

        Raises:
            HTTPException: 503, none is free.
        """
        if not self._free.acquire(blocking=False):
            words = f"{self.count} images are being worked on, and no more are taken: try again in a second"
            raise refusal(503, 302, words, {"Retry-After": "1"})
        try:
            yield
        finally:
            self._free.release()


def refusal(status: int, number: int, message: str, headers: dict[str, str] | None = None) -> HTTPException:
    """What to raise for a request that is not answered: HTTP's status, and the error's code and sentence."""
    return HTTPException(status, str(DataError(number, message)), headers)


async def read_upload(request: Request, limits: Limits) -> bytes:
    """The body of a request.

    Raises:
        HTTPException: 400 nothing was sent, 408 it took too long, 413 it is too large; what is too large is not kept.
    """
    told = request.headers.get("content-length", "")
    if told.isascii() and told.isdecimal() and int(told[:18]) > limits.upload:
        raise _too_large(limits)
    body = bytearray()
    try:
        with anyio.fail_after(limits.seconds):
            async for part in request.stream():
                if len(body) + len(part) > limits.upload:
                    raise _too_large(limits)
                body += part
    except TimeoutError:
        raise refusal(408, 303, f"the image has not arrived within {limits.seconds:g} s: send it again") from None
    if not body:
        raise refusal(400, 304, "the request holds no image: send the file's bytes as its body")
    return bytes(body)


def refuse_other_pages(request: Request) -> None:
    """A page of another site can make a browser send to this one; the browser says which page it was.

    Raises:
        HTTPException: 403, the request was made by a page from elsewhere.
    """
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise refusal(403, 305, f"a page of {origin} may not send images here: open this server's own page")


def _too_large(limits: Limits) -> HTTPException:
    allowed = f"{limits.upload / 2**20:g} MiB"
    return refusal(413, 301, f"the file is larger than {allowed}: send a smaller one, or start with a larger --upload")
