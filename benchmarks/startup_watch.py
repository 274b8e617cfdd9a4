"""The callback of the start-up benchmark: its first reported epoch, and its last trial."""

import json
import os
import time
from pathlib import Path

from orchestrator import Callback
from orchestrator.trials import Report, SweepRecord, Trial

BEGAN = "PARETUNE_BENCH_BEGAN"
"""Names the time at which the process was started."""


class Watch(Callback):
    """Writes seconds since the process was started to ``seconds.json``, in the end."""

    def __init__(self) -> None:
        self._began = float(os.environ[BEGAN])
        self._first_s = self._last_s = 0.0

    def on_trial_report(self, trial: int, report: Report) -> None:
        """Note the first epoch of all."""
        self._first_s = self._first_s or time.time() - self._began

    def on_trial_end(self, trial: Trial) -> None:
        """Note the last trial."""
        self._last_s = time.time() - self._began

    def on_sweep_end(self, sweep: SweepRecord) -> None:
        """Write what was noted."""
        seconds = {"first_s": self._first_s, "last_s": self._last_s}
        Path("seconds.json").write_text(json.dumps(seconds))
