"""Answers, each with the headers that keep a browser from doing anything with it but show it."""

from collections.abc import Mapping

from aiohttp import web

from xds_server.debug.json_text import JsonText, to_bytes
from xds_server.debug.question import RefusedError

_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "offmesh",
}
JSON = "application/json; charset=utf-8"


def headers(content_type: str) -> dict[str, str]:
    return {**_HEADERS, "Content-Type": content_type}


def answer(body: bytes, content_type: str = JSON, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, headers=headers(content_type))


def json_answer(value: Mapping[str, object], status: int = 200, pretty: bool = False) -> web.Response:
    """Answer with a small value."""
    return answer(to_bytes("".join(JsonText(pretty).pieces(value))), status=status)


def refusal(error: RefusedError) -> web.Response:
    response = json_answer({"error": str(error), **error.details}, error.status)
    if error.status == 405:
        response.headers["Allow"] = "GET, HEAD"
    return response
