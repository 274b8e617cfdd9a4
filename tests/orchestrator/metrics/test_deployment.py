"""The reference, the dashboard and the alerts name metrics that exist, with labels they have."""

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from orchestrator.metrics.table import METRICS

ROOT = Path(__file__).resolve().parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
GUIDE = ROOT / "docs" / "guides" / "operate-at-night.md"
SERIES = {series: metric for metric in METRICS.values() for series in metric.series}
_SELECTOR = re.compile(r"\b(paretune_\w+)(?:\{([^}]*)\})?")


def made(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("made", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rules() -> list[dict[str, object]]:
    (group,) = yaml.safe_load((PROMETHEUS / "paretune.rules.yaml").read_text())["groups"]
    return list(group["rules"])


def queries() -> Iterator[str]:
    board = json.loads((ROOT / "deploy" / "grafana" / "paretune.json").read_text())
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for variable in board["templating"]["list"]:
        if isinstance(variable["query"], dict):
            yield variable["query"]["query"]
    yield from (str(rule["expr"]) for rule in rules())


def test_every_query_names_metrics_that_exist_with_labels_that_they_have() -> None:
    for query in queries():
        found = _SELECTOR.findall(query)
        assert found, query
        for name, matchers in found:
            assert name in SERIES, f"{query}: {name}"
            labels = {"sweep", *SERIES[name].labels, *(["le"] if "bucket" in name else [])}
            assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= labels, query


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {name for query in queries() for name, _ in _SELECTOR.findall(query)}
    assert {metric.name for metric in METRICS.values() if not shown & {*metric.series}} == set()


def test_the_dashboard_and_the_reference_are_those_of_the_code() -> None:
    board = made("deploy/grafana/make_dashboard.py")
    assert board.TARGET.read_text() == board.text(), "run: python deploy/grafana/make_dashboard.py"
    reference = made("docs/reference/make_metrics.py")
    page = reference.TARGET.read_text()
    assert page == reference.page(page), "run: python docs/reference/make_metrics.py"


def test_every_alert_says_what_to_do_and_has_its_place_in_the_guide() -> None:
    headings = set(re.findall(r"^## (\w+)", GUIDE.read_text(), re.M))
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len(alerts) >= 10
    for rule in alerts:
        annotations = rule["annotations"]
        assert isinstance(annotations, dict)
        assert annotations["summary"].endswith(".")
        assert annotations["action"].endswith(".")
        assert rule["alert"] in headings


@pytest.mark.slow
def test_promtool_accepts_the_rules_and_each_alert_fires_when_it_should() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool: apt-get install prometheus")
    for words in (
        ("check", "rules", "paretune.rules.yaml"),
        ("check", "config", "prometheus.yaml"),
        ("test", "rules", "paretune.rules.test.yaml"),
    ):
        done = subprocess.run(
            [promtool, *words], cwd=PROMETHEUS, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    tested = (PROMETHEUS / "paretune.rules.test.yaml").read_text()
    for rule in rules():
        assert tested.count(str(rule.get("alert", rule.get("record")))) >= 2
