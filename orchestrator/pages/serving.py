"""Running the server of a sweep's page: where it can be reached, and by whom."""

import ipaddress
import secrets
import socket
from collections.abc import Callable, Collection

import uvicorn
from starlette.types import ASGIApp

from orchestrator.pages.guard import TOKEN, Access

_TOKEN_BYTES = 24


def access_at(host: str, *, may_change: bool = False, names: Collection[str] = ()) -> Access:
    """Decide who may look at a page that is served at an address.

    On a loopback address every user of this machine may look, and none may change anything. A
    token is needed elsewhere, and where something may be changed.

    Args:
        host: The name or address that the server binds to.
        may_change: Whether choices may be stored.
        names: Other names by which it is called, such as that of a proxy.

    >>> access = access_at("127.0.0.1")
    >>> access.token, access.by_address
    ('', False)
    >>> len(access_at("0.0.0.0").token)
    32
    """
    here = is_loopback(host)
    own = {"localhost"} if here else {"localhost", host, socket.gethostname(), socket.getfqdn()}
    known = frozenset(name.lower() for name in {*own, *names})
    token = "" if here and not may_change else secrets.token_urlsafe(_TOKEN_BYTES)
    return Access(known, not here, token, may_change)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server at an address.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def page_address(host: str, port: int, access: Access) -> str:
    """Write the address that a person opens, with the token if one is needed.

    >>> page_address("127.0.0.1", 5050, Access())
    'http://127.0.0.1:5050/'
    """
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared
    shown = f"[{shown}]" if ":" in shown else shown
    query = f"?{TOKEN}={access.token}" if access.token else ""
    return f"http://{shown}:{port}/{query}"


def serve(app: ASGIApp, bound: socket.socket, when_ready: Callable[[], None]) -> None:
    """Answer requests until the process is interrupted.

    Args:
        app: What answers.
        bound: A socket that is bound to its address already.
        when_ready: Called once, before the first request.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # a token in an address is in no log
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=1,  # streams of events never end by themselves
    )
    bound.listen()
    when_ready()
    uvicorn.Server(config).run(sockets=[bound])


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket for a server; port 0 takes any that is free.

    Raises:
        OSError: The address is not this machine's, or the port is taken.

    >>> with bind("127.0.0.1", 0) as bound:
    ...     bound.getsockname()[1] > 0
    True
    """
    family, kind, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
