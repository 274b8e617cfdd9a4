"""Where metrics are read, and what is refused."""

import socket
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge

from orchestrator.errors import UsageError
from orchestrator.metrics.serving import MetricsPlace, exposed
from orchestrator.metrics.timing import timed


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("paretune_slots", "Workers.", registry=registry).set(3)
    return registry


def read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=300) as answer:
        return str(answer.read(), "utf-8")


def test_a_port_serves_them_and_is_free_again_at_the_end(registry: CollectorRegistry) -> None:
    said: list[str] = []
    with exposed(registry, MetricsPlace(port=0), said.append):
        port = int(said[0].removesuffix("/metrics").rpartition(":")[2])
        assert "paretune_slots 3.0" in read(port)
    socket.create_server(("127.0.0.1", port)).close()


def test_a_file_has_them_at_the_start_on_demand_and_at_the_end(
    registry: CollectorRegistry, tmp_path: Path
) -> None:
    file = tmp_path / "paretune.prom"
    gauge = Gauge("paretune_budget_trials", "Trials.", registry=registry)
    with exposed(registry, MetricsPlace(file=file), lambda text: None) as write:
        assert "paretune_budget_trials 0.0" in file.read_text()
        gauge.set(8)
        write()
        assert "paretune_budget_trials 8.0" in file.read_text()
        gauge.set(9)
    assert "paretune_budget_trials 9.0" in file.read_text()


def test_a_regular_reader_reads_the_last_values_too(registry: CollectorRegistry) -> None:
    said: list[str] = []
    seen: list[str] = []
    with exposed(registry, MetricsPlace(port=0), said.append):
        port = int(said[0].removesuffix("/metrics").rpartition(":")[2])
        read(port)
        time.sleep(2)
        read(port)
        Gauge("paretune_front_trials", "Trials.", registry=registry).set(5)
        # It comes again while the block waits for it, for as long as four seconds.
        again = threading.Timer(0.3, lambda: seen.append(read(port)))
        again.start()
    again.join()
    assert "paretune_front_trials 5.0" in seen[0]


def test_a_taken_port_and_a_missing_folder_are_refused_with_what_to_do(
    registry: CollectorRegistry, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = MetricsPlace(port=taken.getsockname()[1])
        with (
            pytest.raises(UsageError, match="name another one with --metrics-port; 0 takes"),
            exposed(registry, place, lambda text: None),
        ):
            pass
    place = MetricsPlace(file=tmp_path / "nowhere" / "x.prom")
    with (
        pytest.raises(UsageError, match="Make its folder"),
        exposed(registry, place, lambda text: None),
    ):
        pass


def test_the_place_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "HOST", "FILE"):
        monkeypatch.delenv(f"PARETUNE_METRICS_{name}", raising=False)
    assert not MetricsPlace.find()
    monkeypatch.setenv("PARETUNE_METRICS_PORT", "9464")
    monkeypatch.setenv("PARETUNE_METRICS_HOST", "0.0.0.0")  # noqa: S104
    assert MetricsPlace.find() == MetricsPlace(9464, "0.0.0.0")  # noqa: S104
    assert MetricsPlace.find(port=0).port == 0
    monkeypatch.setenv("PARETUNE_METRICS_PORT", "99999")
    with pytest.raises(UsageError, match="set it to a port"):
        MetricsPlace.find()


def test_a_file_that_no_exporter_would_read_is_refused() -> None:
    with pytest.raises(UsageError, match=r"end in \.prom"):
        MetricsPlace.find(file=Path("metrics.txt"))


def test_a_call_that_raises_is_timed_as_failed_and_raises() -> None:
    told: list[tuple[str, bool]] = []

    def tell(operation: str, seconds: float, *, failed: bool) -> None:
        assert seconds >= 0
        told.append((operation, failed))

    with pytest.raises(ValueError, match="invalid literal"):
        timed(MetricsPlace, tell).find(port=int("x"))
    watched = timed([1], tell)
    with pytest.raises(ValueError, match="not in list"):
        watched.index(5)
    assert watched.pop() == 1
    assert told == [("index", True), ("pop", False)]
