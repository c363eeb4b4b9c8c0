"""The service's routes: a picture in, the answer's JSON (or the better picture) out, and what an operator wants to know."""

from __future__ import annotations

import json
import time
from html import escape
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

import omma
from omma.errors import DataError
from omma.serving import page
from omma.serving.batcher import Expired, Full
from omma.serving.desk import Desk, Gone, Told
from omma.serving.meter import Meter
from omma.words import say

BODY = {
    "requestBody": {
        "required": True,
        "description": "the bytes of one picture file (JPEG, PNG, WebP, TIFF, BMP, GIF, PNM), raw or as the one file of a form",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"picture": {"type": "string", "format": "binary"}}, "required": ["picture"]}
            },
        },
    }
}
WISH = {
    "requestBody": {
        "required": True,
        "description": "what is to be drawn; each part may be left out",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"seed": {"type": "integer"}, "class": {"type": "string"}, "truncation": {"type": "number"}},
                }
            }
        },
    }
}
ANSWER = "Omma-Answer"  # the header in which JSON travels beside a map
MAPS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": f"JSON; with Accept: image/png the map, white where it is odd, and the JSON in the header {ANSWER}",
        "content": {"application/json": {"schema": {"type": "object"}}, "image/png": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_ERROR = {
    "content": {"application/json": {"schema": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}}}
}
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"description": why} | _ERROR
    for code, why in {
        400: "no picture, or more than one", 401: "no token", 403: "from a page of another site", 408: "the body came too slowly",
        413: "the body is too large", 415: "a compressed body", 421: "not our host name", 422: "the picture cannot be read",
        429: "no place left; see Retry-After", 500: "our fault", 503: "no answer in time, or stopping",
    }.items()
}  # fmt: skip


class Service:
    """What the routes share.

    Args:
        desk: where pictures are handed in.
        card: what `/` and the OpenAPI page say of the model: {"task", "model", "names", "runtime"}.
    """

    def __init__(self, desk: Desk, card: dict[str, Any]) -> None:
        self.desk, self.card = desk, card
        self.meter = Meter()
        self.stopping = False


def create(service: Service) -> FastAPI:
    """The app; wrap it in a `Guard` before it meets the world."""
    app = FastAPI(title="omma", version=omma.__version__, docs_url=None, redoc_url=None, description=_describe(service.card))

    drawn, maps = service.desk.model.draws, service.desk.model.maps
    summary = "One drawn picture" if drawn else "The answer for one picture"

    @app.post("/predict", openapi_extra=WISH if drawn else BODY, responses=(MAPS if maps else {}) | ERRORS, summary=summary)
    async def predict(request: Request) -> Response:
        began = time.monotonic()
        status, answer, headers = await _predict(service, request)
        service.meter.count(status, time.monotonic() - began)
        if isinstance(answer, tuple):
            answer, beside = answer
            headers = headers | {ANSWER: json.dumps(beside)}
        if isinstance(answer, bytes):
            return Response(answer, status, headers, media_type="image/png")
        return JSONResponse(answer, status, headers)

    @app.get("/health", summary="Whether the service takes pictures; needs no token")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "stopping" if service.stopping else "ok"}, 503 if service.stopping else 200)

    @app.get("/metrics", response_class=PlainTextResponse, summary="Counters in Prometheus' text format")
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(service.meter.text(service.desk), media_type="text/plain; version=0.0.4")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def front() -> Response:
        return page.response(page.front(service.card))

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> Response:
        return page.response(page.docs(app.openapi()))

    @app.exception_handler(HTTPException)
    async def wrong(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, headers=error.headers)

    return app


async def _predict(service: Service, request: Request) -> tuple[int, Told, dict[str, str]]:
    """(status, JSON or a picture, headers) of one request; no exception leaves, no message holds a path or a stack frame."""

    async def leaving() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    try:
        blob = await _blob(request)
        if not blob:
            return 400, {"error": say("serve.no_picture")}, {}
        return 200, await service.desk.answer(blob, leaving, service.desk.model.maps and _wants_picture(request)), {}
    except DataError as error:
        return 422, {"error": error.what}, {}
    except HTTPException as error:
        return 400, {"error": say("serve.no_picture")}, dict(error.headers or {})
    except Full as full:
        return 429, {"error": say("serve.busy")}, {"Retry-After": str(full.wait)}
    except Expired:
        return 503, {"error": say("serve.late")}, {"Retry-After": str(service.desk.batcher.wait())}
    except Gone:
        return 499, {"error": say("serve.gone")}, {}
    except Exception as error:
        service.meter.fault(error)
        return 500, {"error": say("serve.fault")}, {}


def _wants_picture(request: Request) -> bool:
    """Whether a caller says that it takes a PNG, and does not say that it takes JSON."""
    kinds = {kind.partition(";")[0].strip().lower() for kind in request.headers.get("accept", "").split(",")}
    return bool(kinds & {"image/png", "image/*"}) and "application/json" not in kinds


async def _blob(request: Request) -> bytes:
    """The picture's bytes: the body itself, or the one file of a form."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await request.body()
    async with request.form(max_files=1, max_fields=8) as form:
        files = [part for _, part in form.multi_items() if not isinstance(part, str)]
        return await files[0].read() if len(files) == 1 else b""


def _describe(card: dict[str, Any]) -> str:
    return escape(f"{card['model']} · {card['task']} · {json.dumps(card['names'], ensure_ascii=False)[:500]}")
