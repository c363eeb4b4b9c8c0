"""One question from a page and its answer: in the reader's language, in a thread, errors as one clear line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from omma.errors import OmmaError
from omma.words import language, say, speaking

if TYPE_CHECKING:
    from omma.studio.app import Studio

LANGUAGE = "x-omma-language"
KEPT = {"cache-control": "private, max-age=31536000, immutable"}  # addresses of pictures name their version
TOGETHER = 400  # rows of a gallery told at once


@dataclass(slots=True)
class Ask:
    """What a page wants.

    Args:
        studio: the server's own things.
        path: parts of the address, such as {"project": 3}.
        query: what stands behind the question mark.
        body: the bytes that were sent.
    """

    studio: Studio
    path: dict[str, Any]
    query: dict[str, str]
    body: bytes

    @property
    def project(self) -> int:
        return int(self.path["project"])

    def json(self) -> dict[str, Any]:
        """The body as an object.

        Raises:
            OmmaError: it is none.
        """
        try:
            found = json.loads(self.body or b"{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise OmmaError(say("studio.not_understood"))
        return found

    def text(self, key: str, otherwise: str = "") -> str:
        """One value of the body as text."""
        value = self.json().get(key, otherwise)
        return value.strip() if isinstance(value, str) else otherwise

    @staticmethod
    def number(value: Any, low: float, high: float) -> float:
        """A number within its range.

        Raises:
            OmmaError: it is none.
        """
        try:
            found = float(value)
        except (TypeError, ValueError):
            found = math.nan
        if not low <= found <= high:
            raise OmmaError(say("studio.not_understood"))
        return found

    def rows(self, key: str) -> list[int]:
        """The numbers of a query that are joined by commas, `TOGETHER` at most; what is no number is left out."""
        return [int(word) for word in self.query.get(key, "").split(",") if word.isdecimal()][:TOGETHER]


Work = Callable[[Ask], Any]


def route(studio: Studio, method: str, path: str, work: Work) -> Route:
    """An address and what answers it: JSON values, a file, or bytes with their kind."""

    async def endpoint(request: Request) -> Response:
        ask = Ask(studio, dict(request.path_params), dict(request.query_params), await request.body())
        tongue = request.headers.get(LANGUAGE) or ask.query.get("lang")
        return await run_in_threadpool(_answer, work, ask, tongue)

    return Route(path, endpoint, methods=[method])


def routes(studio: Studio, table: Iterable[tuple[str, str, Work]]) -> list[Route]:
    """Several of them."""
    return [route(studio, *row) for row in table]


def _answer(work: Work, ask: Ask, tongue: str | None) -> Response:
    with speaking(tongue or language()):
        try:
            found = work(ask)
        except OmmaError as error:
            return JSONResponse({"error": str(error)}, 422)
        except OSError as error:
            return JSONResponse({"error": str(OmmaError(error.strerror or type(error).__name__, error.filename))}, 422)
        except MemoryError:
            return JSONResponse({"error": say("cli.memory")}, 507)
    if isinstance(found, Response):
        return found
    if isinstance(found, Path):
        return FileResponse(found)
    return Response(json.dumps(tidy(found), ensure_ascii=True, allow_nan=False), media_type="application/json")


def tidy(value: Any) -> Any:
    """Only what JSON has: NaN and infinity become null, paths text."""
    if isinstance(value, dict):
        return {str(key): tidy(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [tidy(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else value.tolist() if hasattr(value, "tolist") else str(value)


def picture(blob: bytes, kind: str = "image/jpeg") -> Response:
    """A picture whose address changes when it does."""
    return Response(blob, media_type=kind, headers=KEPT)
