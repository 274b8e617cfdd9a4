"""The executor that a sweep file asks for."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.contracts import Silent
from orchestrator.driver.executors import closed, executor_of
from orchestrator.driver.preflight import check
from orchestrator.errors import UsageError
from orchestrator.state_folder import StateFolder
from tests.orchestrator.driving import make_spec

PROGRAM = """
import json, sys
from orchestrator.driver.running import run
from orchestrator.spec.sweep_spec import SweepSpec
result = run(SweepSpec.model_validate(json.loads(sys.argv[1])))
assert result.complete == 2 and all("test_accuracy" in each.values for each in result.front)
print(sorted({"ray", "mlflow"} & sys.modules.keys()))
"""
SPEC = {
    "name": "small",
    "backbone": {"name": "digitnet", "weights": "scratch"},
    "data": {"name": "digits", "limit": 200},
    "space": {"fc_width_1": {"type": "int", "low": 4, "high": 64}},
    "training": {"epochs": 1},
    "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
    "budget": {"trials": 2},
    "execution": {"kind": "inline"},
    "tracking": {"kind": "none"},
}


@pytest.mark.slow
def test_an_inline_sweep_trains_and_measures_its_front_without_loading_ray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path))
    words = [sys.executable, "-c", PROGRAM, json.dumps(SPEC)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_a_check_says_that_an_inline_sweep_is_not_isolated_from_crashes() -> None:
    lines = dict(check(make_spec(execution={"kind": "inline"})).lines)
    assert "crashes the interpreter ends the run" in lines["execution"]
    assert "resources" not in lines


def test_a_cluster_is_refused_for_an_inline_sweep(tmp_path: Path) -> None:
    spec = make_spec(execution={"kind": "inline"})
    with pytest.raises(UsageError, match="leave out --address and unset RAY_ADDRESS"):
        executor_of(spec, "10.0.0.1:6379", StateFolder(tmp_path), Silent())
    assert executor_of(spec, "local", StateFolder(tmp_path), Silent())


def test_a_word_is_the_kind() -> None:
    assert make_spec(execution="inline") == make_spec(execution={"kind": "inline"})


class Closed:
    """Remembers which thread closed it."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.by: list[str] = []
        self._trouble = trouble

    def close(self) -> None:
        self.by.append(threading.current_thread().name)
        if self._trouble is not None:
            raise self._trouble


def use(executor: Closed, *, early: bool) -> None:
    with closed(executor) as close:  # type: ignore[arg-type]
        if early:
            close()


@pytest.mark.parametrize("early", [True, False])
def test_an_executor_is_closed_once_beside_the_rest_or_at_the_end(*, early: bool) -> None:
    executor = Closed()
    use(executor, early=early)
    assert len(executor.by) == 1
    assert (executor.by[0] == threading.current_thread().name) is not early


@pytest.mark.parametrize("early", [True, False])
def test_what_goes_wrong_while_it_is_closed_is_raised(*, early: bool) -> None:
    with pytest.raises(OSError, match="Ray"):
        use(Closed(OSError("Ray")), early=early)
