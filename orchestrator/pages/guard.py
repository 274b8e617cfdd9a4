"""Who may look, and who may change: a check of each request before the page sees it.

A page on a loopback address can be reached by every other page that is open in the same browser,
through a name of its own that it points there (DNS rebinding), or by a request that it sends
blindly. The first is refused by the name in the Host header, the second by the Origin header.
"""

import ipaddress
import secrets
from collections.abc import MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN = "token"  # noqa: S105 - the name of a part of the address
_READING = ("GET", "HEAD")

_HEADERS = {
    # Nothing but this server's own files: no script from elsewhere, none within the page.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# A plot has a policy of its own: see orchestrator.pages.drawing.
_OWN = ("content-security-policy",)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may look at the page, and who may change something.

    Attributes:
        hosts: Names, in small letters and without a port, by which the server may be called.
        by_address: Whether it may also be called by any IP address, which no page elsewhere can
            point to itself; otherwise by loopback addresses only.
        token: What a visitor must know; empty for nothing.
        may_change: Whether choices may be stored.
    """

    hosts: frozenset[str] = frozenset({"localhost"})
    by_address: bool = False
    token: str = ""
    may_change: bool = False

    def knows(self, host: str) -> bool:
        """Return whether the server may be called by this Host header.

        >>> [Access().knows(host) for host in ("localhost:5050", "[::1]:5050", "evil.example")]
        [True, True, False]
        """
        name = _without_port(host).lower()
        if name in self.hosts:
            return True
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return self.by_address or address.is_loopback


class Guard:
    """An ASGI application in front of another one.

    Args:
        app: Answers what is let through.
        access: Who may look, and who may change something.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    if name not in headers or name not in _OWN:
                        headers[name] = value
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._access.knows(host):
            return _refused(421, f"This server is not called {host[:80]!r}: see --allowed-host.")
        if scope["method"] not in _READING and (problem := self._cannot_change(scope, headers)):
            return _refused(403, problem)
        return self._stranger(scope, headers) if self._access.token else None

    def _cannot_change(self, scope: Scope, headers: Headers) -> str:
        if not self._access.may_change:
            return "This page is read-only: start it with --allow-changes to store choices."
        own = f"{scope['scheme']}://{headers.get('host', '')}"
        if headers.get("origin") != own:
            return "A change must come from this page itself, and this one came from elsewhere."
        return ""

    def _stranger(self, scope: Scope, headers: Headers) -> Response | None:
        """Let in who has the token, in the address for once or in a cookie from then on."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        cookie = f"paretune_{_port(scope)}"
        if any(key == TOKEN and self._is_token(value) for key, value in query):
            rest = urlencode([(key, value) for key, value in query if key != TOKEN])
            clean = RedirectResponse(f"{scope['path']}{'?' if rest else ''}{rest}", 303)
            clean.set_cookie(cookie, self._access.token, httponly=True, samesite="strict")
            return clean
        if self._is_token(_cookie(headers, cookie)):
            return None
        return _refused(401, "Open the whole address that 'paretune ui' printed, with its token.")

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self._access.token.encode())


def _refused(status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status)


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return found[name].value if name in found else ""


def _port(scope: MutableMapping[str, Any]) -> int:
    server = scope.get("server") or ("", 0)
    return int(server[1] or 0)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
