"""Write ``paretune.json``, a dashboard of Grafana: ``python deploy/grafana/make_dashboard.py``."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("paretune.json")
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_ONE = '{sweep=~"$sweep"}'
_WIDTH, _HEIGHT = 8, 7

# Title, unit, sentence, and queries with their legends.
_PANELS: Sequence[tuple[str, str, str, Sequence[tuple[str, str]]]] = (
    (
        "Trials by state",
        "short",
        "Of the whole sweep, earlier runs included.",
        (
            (f"paretune_trials{_ONE}", "{{sweep}} {{state}}"),
            (f"paretune_budget_trials{_ONE}", "{{sweep}} budget"),
        ),
    ),
    (
        "Trials a second",
        "short",
        "Attempts that ended, over five minutes.",
        ((f"sum by (sweep) (rate(paretune_attempts_total{_ONE}[5m]))", "{{sweep}}"),),
    ),
    (
        "Failures by kind",
        "short",
        "Attempts that met a failure in the last hour; docs/reliability.md has the kinds.",
        (
            (
                "sum by (sweep, failure) (increase(paretune_attempts_total"
                '{sweep=~"$sweep",failure!="none"}[1h]))',
                "{{sweep}} {{failure}}",
            ),
        ),
    ),
    (
        "Hypervolume",
        "short",
        "On the scale of each sweep; flat for long means that the search has found what it will.",
        ((f"paretune_hypervolume{_ONE}", "{{sweep}}"),),
    ),
    (
        "Trials on the front",
        "short",
        "Members of the Pareto front.",
        ((f"paretune_front_trials{_ONE}", "{{sweep}}"),),
    ),
    (
        "Slots",
        "short",
        "Workers that have trials, and those that fit.",
        (
            (f"paretune_slots_busy{_ONE}", "{{sweep}} busy"),
            (f"paretune_slots{_ONE}", "{{sweep}} slots"),
        ),
    ),
    (
        "Since the last progress",
        "s",
        "Since a trial reported an epoch or ended.",
        ((f"time() - paretune_last_progress_timestamp_seconds{_ONE}", "{{sweep}}"),),
    ),
    (
        "Epochs a second",
        "short",
        "Over five minutes.",
        ((f"sum by (sweep) (rate(paretune_epochs_total{_ONE}[5m]))", "{{sweep}}"),),
    ),
    (
        "Stage cache: hits",
        "percentunit",
        "Share of lookups that found what they looked for.",
        (
            (
                "sum by (sweep) (rate(paretune_stage_cache_lookups_total"
                '{sweep=~"$sweep",result="hit"}[5m]))'
                f" / sum by (sweep) (rate(paretune_stage_cache_lookups_total{_ONE}[5m]))",
                "{{sweep}}",
            ),
        ),
    ),
    (
        "Stage cache: bytes",
        "Bps",
        "Read from it and written to it.",
        ((f"rate(paretune_stage_cache_bytes_total{_ONE}[5m])", "{{sweep}} {{direction}}"),),
    ),
    (
        "Behind in MLflow",
        "short",
        "Changes that MLflow has not got yet.",
        ((f"paretune_outbox_changes{_ONE}", "{{sweep}}"),),
    ),
    (
        "Age of the oldest change",
        "s",
        "How long MLflow has lacked it.",
        ((f"paretune_outbox_age_seconds{_ONE}", "{{sweep}}"),),
    ),
    (
        "MLflow answers",
        "short",
        "1 if it did when changes were last sent.",
        ((f"paretune_tracking_up{_ONE}", "{{sweep}}"),),
    ),
    (
        "MLflow: time of a batch",
        "s",
        "Of at most four changes; nineteen of twenty are faster.",
        (
            (
                "histogram_quantile(0.95, sum by (sweep, le) "
                f"(rate(paretune_tracking_seconds_bucket{_ONE}[5m])))",
                "{{sweep}}",
            ),
        ),
    ),
    (
        "Store: time of a transaction",
        "s",
        "By operation; nineteen of twenty are faster.",
        (
            (
                "histogram_quantile(0.95, sum by (operation, le) "
                f"(rate(paretune_store_seconds_bucket{_ONE}[5m])))",
                "{{operation}}",
            ),
        ),
    ),
    (
        "Store: transactions that failed",
        "short",
        "In the last hour.",
        (
            (
                f"sum by (sweep, operation) (increase(paretune_store_errors_total{_ONE}[1h]))",
                "{{sweep}} {{operation}}",
            ),
        ),
    ),
    (
        "Free space of the state folder",
        "bytes",
        "A full disk ends a run, which can be resumed.",
        ((f"paretune_state_free_bytes{_ONE}", "{{sweep}}"),),
    ),
    (
        "Versions",
        "short",
        "What runs.",
        ((f"paretune_run_info{_ONE}", "{{sweep}}: paretune {{version}}, {{executor}}"),),
    ),
)


def dashboard() -> dict[str, Any]:
    """Give the dashboard as Grafana imports it."""
    return {
        "title": "paretune",
        "uid": "paretune",
        "schemaVersion": 39,
        "version": 1,
        "tags": ["paretune"],
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": list(_variables())},
        "panels": [_panel(number, *panel) for number, panel in enumerate(_PANELS)],
    }


def text() -> str:
    """Give the content of the file."""
    return json.dumps(dashboard(), indent=1) + "\n"


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    yield {
        "name": "sweep",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": "label_values(paretune_run_info, sweep)", "refId": "sweep"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(
    number: int, title: str, unit: str, said: str, queries: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    column, row = number % 3, number // 3
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "description": said,
        "datasource": _SOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {
                "refId": chr(ord("A") + n),
                "datasource": _SOURCE,
                "expr": query,
                "legendFormat": legend,
            }
            for n, (query, legend) in enumerate(queries)
        ],
    }


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
