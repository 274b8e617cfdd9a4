"""A real Prometheus scrapes a real sweep, and has every metric of the table afterwards."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.metrics.table import METRICS
from tests.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.serial, pytest.mark.mlflow]
RULES = Path(__file__).resolve().parents[3] / "deploy" / "prometheus" / "paretune.rules.yaml"
SWEEP = """\
name: watched
backbone: {name: digitnet, weights: bundled}
data: {name: digits}
space: {fc_width_1: {type: int, low: 8, high: 64}}
objectives:
  accuracy: maximize
  weight: {direction: minimize, function: "weigh:weight"}
training: {epochs: 1}
execution: inline
sampler: random
budget: 10
"""
# Some widths fail, and each trial takes long enough to be seen.
MODULE = """\
import time

def weight(network, images, labels):
    time.sleep(0.5)
    count = sum(each.numel() for each in network.parameters())
    if count % 3 == 0:
        raise ValueError("too heavy")
    return float(count)
"""


class Prometheus:
    """A server that scrapes one port every second."""

    def __init__(self, folder: Path, target: int) -> None:
        program = shutil.which("prometheus")
        if program is None:
            pytest.skip("needs Prometheus: apt-get install prometheus")
        self.port = free_port()
        config = folder / "prometheus.yaml"
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
            f"rule_files: [{RULES}]\n"
            "scrape_configs:\n"
            "  - job_name: paretune\n"
            f"    static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
        )
        with (folder / "prometheus.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'series'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + 300
        while time.monotonic() < until:
            with suppress(OSError):
                self.get("/-/ready")
                return
            time.sleep(0.1)
        raise AssertionError((folder / "prometheus.txt").read_text())

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=300) as answer:
            return bytes(answer.read())

    def query(self, expression: str) -> list[dict[str, Any]]:
        said = self.get("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        return list(json.loads(said)["data"]["result"])

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[tuple[Prometheus, int]]:
    target = free_port()
    server = Prometheus(tmp_path, target)
    yield server, target
    server.end()


def test_prometheus_has_every_metric_after_a_sweep(
    prometheus: tuple[Prometheus, int], tmp_path: Path
) -> None:
    server, port = prometheus
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "weigh.py").write_text(MODULE)
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from orchestrator.cli.app import main; main()"),
            *("run", "sweep.yaml", "--metrics-port", str(port)),
        ],
        cwd=tmp_path,
        env={**os.environ, "PARETUNE_METRICS_S": "1", "PARETUNE_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"metrics: http://127.0.0.1:{port}/metrics" in done.stderr

    def last(selector: str) -> list[float]:
        found = server.query(f"last_over_time({selector}[10m])")
        return [float(each["value"][1]) for each in found]

    series = [name for metric in METRICS.values() for name in metric.series]
    assert {name: last(f'{name}{{sweep="watched"}}') != [] for name in series} == dict.fromkeys(
        series, True
    )
    # The last values, which the run waited for somebody to read.
    (complete,), (failed,) = (
        last(f'paretune_trials{{state="{state}"}}') for state in ("complete", "failed")
    )
    assert complete + failed == 10
    assert min(complete, failed) >= 1
    assert last('paretune_trials{state="running"}') == [0]
    assert last('paretune_attempts_total{failure="error",state="failed"}') == [failed]
    # A trial that fails may take its last epoch along.
    assert complete <= last("paretune_epochs_total")[0] <= 10
    assert last("paretune_budget_trials") == [10]
    assert last("paretune_hypervolume")[0] > 0
    assert last("paretune_front_trials")[0] >= 1
    assert last("paretune_slots") == [1]
    assert last("paretune_outbox_changes") == [0]
    assert last("paretune_tracking_up") == [1]
    assert last('paretune_store_seconds_count{operation="add_trial"}') == [10]
    assert last('paretune_stage_cache_lookups_total{result="miss"}')[0] > 0
    busy = server.query("max_over_time(paretune_slots_busy[10m])")
    assert busy[0]["value"][1] == "1"
    (rate,) = server.query("sum(rate(paretune_attempts_total[10m]))")
    assert float(rate["value"][1]) > 0
    groups = json.loads(server.get("/api/v1/rules"))["data"]["groups"]
    assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}
