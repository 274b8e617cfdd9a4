"""The sweep that the tests of jobs change."""

from typing import Any

MINIMAL: dict[str, Any] = {
    "name": "digits-fc",
    "backbone": {"name": "digitnet", "weights": "bundled"},
    "data": "digits",
    "space": "smoke",
    "objectives": {"accuracy": "maximize"},
}
