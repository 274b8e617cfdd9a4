"""Where a run's metrics are read: a port for Prometheus, a file for node_exporter, or neither."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

PORT_VARIABLE = "PARETUNE_METRICS_PORT"
HOST_VARIABLE = "PARETUNE_METRICS_HOST"
FILE_VARIABLE = "PARETUNE_METRICS_FILE"
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class MetricsPlace:
    """Where metrics are read.

    Attributes:
        port: Of an HTTP server that the run starts; 0 is any free one, None is no server.
        host: The address that it listens at; ``0.0.0.0`` for other machines to reach it.
        file: A file that is written every few seconds, for node_exporter's textfile collector.
    """

    port: int | None = None
    host: str = "127.0.0.1"
    file: Path | None = None

    @classmethod
    def find(cls, port: int | None = None, file: Path | None = None) -> "MetricsPlace":
        """Return what was given, else what ``PARETUNE_METRICS_PORT`` and ``_FILE`` name.

        Raises:
            UsageError: A variable is no port, or the file does not end in ``.prom``.

        >>> MetricsPlace.find(port=9464).port
        9464
        """
        if port is None and (named := os.environ.get(PORT_VARIABLE)):
            if not named.isdecimal() or int(named) > 65535:
                raise UsageError(f"{PORT_VARIABLE} is {named!r}; set it to a port, as 9464.")
            port = int(named)
        if file is None and (path := os.environ.get(FILE_VARIABLE)):
            file = Path(path)
        if file is not None and file.suffix != ".prom":
            raise UsageError(
                f"The file of metrics is {str(file)!r}; node_exporter reads only those that end "
                f"in .prom."
            )
        return cls(port, os.environ.get(HOST_VARIABLE) or "127.0.0.1", file)

    def __bool__(self) -> bool:
        return self.port is not None or self.file is not None


@contextmanager
def exposed(
    registry: "CollectorRegistry", place: MetricsPlace, say: Callable[[str], None]
) -> Iterator[Callable[[], None]]:
    """Serve metrics within this block, and write the file once more at its end.

    A regular reader of the port reads the last values too: the block ends after that, or
    after twice the time between two readings.

    Args:
        registry: The metrics.
        place: Where they are read.
        say: Told where.

    Yields:
        A function that writes the file, if there is one.

    Raises:
        UsageError: The port is taken, or the file cannot be written.

    >>> from prometheus_client import CollectorRegistry
    >>> with exposed(CollectorRegistry(), MetricsPlace(), print) as write:
    ...     write()
    """
    from prometheus_client import write_to_textfile

    def write() -> None:
        if place.file is not None:
            write_to_textfile(str(place.file), registry)

    try:
        write()
    except OSError as error:
        raise UsageError(
            f"The file of metrics {place.file} cannot be written: {error.strerror}. Make its "
            f"folder, or name another file."
        ) from None
    end = _served(registry, place, say)
    if place.file is not None:
        say(f"metrics: in {place.file}")
    try:
        yield write
    finally:
        end()
        with suppress(OSError):  # a full disk is told of by what cannot go on without it
            write()


class _Scraped:
    """A registry that knows when it was read."""

    def __init__(self, registry: "CollectorRegistry") -> None:
        self._registry = registry
        self._moments: list[float] = []
        self._read = threading.Event()

    def collect(self) -> Iterable["Metric"]:
        """Return the metrics."""
        self._moments = [*self._moments[-1:], time.monotonic()]
        values = list(self._registry.collect())
        self._read.set()
        return values

    def wait_for_last(self) -> None:
        """Wait until it is read once more, if it is read regularly."""
        self._read.clear()
        if len(self._moments) == 2:
            self._read.wait(min(2 * (self._moments[1] - self._moments[0]), _LONGEST_WAIT_S))


def _served(
    registry: "CollectorRegistry", place: MetricsPlace, say: Callable[[str], None]
) -> Callable[[], None]:
    """Start the server; returns what ends it."""
    if place.port is None:
        return lambda: None
    from prometheus_client import start_http_server

    scraped = _Scraped(registry)
    try:
        server, thread = start_http_server(place.port, place.host, scraped)
    except OSError as error:
        raise UsageError(
            f"Metrics cannot be served at {place.host}:{place.port}: {error.strerror}. If another "
            f"run has the port, name another one with --metrics-port; 0 takes any that is free."
        ) from None
    say(f"metrics: http://{place.host}:{server.server_port}/metrics")

    def end() -> None:
        scraped.wait_for_last()
        server.shutdown()
        server.server_close()
        thread.join()

    return end
