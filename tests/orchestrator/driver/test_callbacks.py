"""Callbacks are told of what was stored, in order, and never end a sweep."""

import logging
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Callback
from orchestrator.contracts import Silent
from orchestrator.contracts.callbacks import EVENTS
from orchestrator.driver.callbacks import check_callbacks, load_callbacks, with_callbacks
from orchestrator.driver.running import run
from orchestrator.errors import UsageError
from orchestrator.execution.inline import InlineExecutor
from orchestrator.queries.sweeps import open_sweep
from orchestrator.spec.files import load_sweep
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.testing.callback_contract import CallbackContract
from orchestrator.trials import SweepRecord, Trial

EXAMPLE = Path(__file__).parents[3] / "examples" / "sweeps" / "digits.yaml"
SMALL = ["data.limit=150", "training.epochs=1", "tracking=none", "space=smoke", "name=told"]


@pytest.fixture
def spec_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., SweepSpec]:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "home"))

    def made(*settings: str) -> SweepSpec:
        return load_sweep(EXAMPLE, settings=[*SMALL, *settings])

    return made


class Noting(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Hearing(Callback):
    """Hears of everything."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return super().__getattribute__(name)
        return lambda *facts: self.events.append((name, facts[0]))

    def of(self, event: str) -> list[Any]:
        return [fact for name, fact in self.events if name == event]


class TestOurs(CallbackContract):
    @pytest.fixture(params=[Callback, Hearing])
    def callback(self, request: pytest.FixtureRequest) -> object:
        made: object = request.param()
        return made


@pytest.mark.slow
def test_they_hear_of_each_trial_once_and_of_the_front_whenever_it_changes(
    spec_of: Callable[..., SweepSpec],
) -> None:
    first, again = Hearing(), Hearing()
    run(spec_of("budget.trials=2"), executor=InlineExecutor, callbacks=[first])
    result = run(spec_of("budget.trials=4"), executor=InlineExecutor, callbacks=[again])
    assert (first.events[0][0], first.events[-1][0]) == ("on_sweep_start", "on_sweep_end")
    ended = [trial.number for heard in (first, again) for trial in heard.of("on_trial_end")]
    assert ended == [0, 1, 2, 3]
    assert [trial.number for trial in first.of("on_trial_start")] == [0, 1]
    assert first.of("on_trial_report") == [0, 1]
    assert len(again.of("on_sweep_start")[0].past) == 2
    changes = first.of("on_front_change") + again.of("on_front_change")
    assert {trial.number for trial in changes[-1]} == {member.trial for member in result.front}
    assert all(trial.values for trial in changes[-1])
    assert all(
        {t.number for t in one} != {t.number for t in other} for one, other in pairwise(changes)
    )


@pytest.mark.slow
def test_one_that_raises_is_a_warning_and_the_sweep_goes_on(
    spec_of: Callable[..., SweepSpec], caplog: pytest.LogCaptureFixture
) -> None:
    class Raising:
        def on_trial_end(self, trial: Trial) -> None:
            raise KeyError(trial.number)

        def on_sweep_end(self, sweep: SweepRecord) -> None:
            sys.exit(0)

    shown, after = Noting(), Hearing()
    with caplog.at_level(logging.WARNING):
        result = run(
            spec_of("budget.trials=1"),
            executor=InlineExecutor,
            progress=shown,
            callbacks=[Raising(), after],
        )
    assert (result.complete, result.failed) == (1, 0)
    (said,) = [note for note in shown.notes if note.startswith("on_trial_end of the callback")]
    assert said.startswith("on_trial_end of the callback Raising raised KeyError: 0 (")
    assert said.endswith("in on_trial_end: raise KeyError(trial.number)). The sweep goes on.")
    assert said in caplog.text
    (ended,) = [note for note in shown.notes if note.startswith("on_sweep_end of the callback")]
    assert "raised SystemExit: 0 (" in ended
    assert len(after.of("on_trial_end")) == 1


def test_without_callbacks_nothing_is_in_between(spec_of: Callable[..., SweepSpec]) -> None:
    shown = Silent()
    assert with_callbacks(shown, (), spec_of()) is shown


def test_those_of_a_file_may_change_from_run_to_run(
    spec_of: Callable[..., SweepSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_callbacks.py").write_text("class Quiet:\n    on_trial_end = print\n")
    monkeypatch.chdir(tmp_path)
    spec = spec_of("callbacks=['my_callbacks:Quiet']")
    assert spec.callbacks == [f"{tmp_path / 'my_callbacks.py'}:Quiet"]
    assert spec.identity() == spec_of().identity()
    assert SweepSpec.model_validate(spec.model_dump(mode="json")) == spec
    check_callbacks(spec)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("class Other:\n    pass", f"has none of {EVENTS[0]}"),
        ("class Given:\n    def f(self):\n        pass", "so that it would never be called"),
        ("class Given:\n    def __init__(self, x):\n        pass", "raised TypeError"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ("class Given:\n    def on_trial_end(self):\n        pass", "is called with trial, which"),
        (
            "class Given:\n    def on_trial_report(self, trial):\n        pass",
            r"called with trial and report.* def on_trial_report\(self, trial, report\)",
        ),
        ("class Given:\n    async def on_trial_end(self, trial):\n        pass", "nothing awaits"),
        ("import sys\nGiven = sys.exit(0)", "cannot be imported: SystemExit"),
    ],
)
def test_what_hears_of_nothing_is_refused(tmp_path: Path, code: str, said: str) -> None:
    file = tmp_path / "my_callbacks.py"
    file.write_text(f"{code}\n")
    name = "Other" if "Other" in code else "Given"
    with pytest.raises(UsageError, match=said):
        load_callbacks([f"{file}:{name}"])


def test_a_mistyped_one_ends_a_run_before_it_begins(spec_of: Callable[..., SweepSpec]) -> None:
    with pytest.raises(UsageError, match="callbacks: There is no no_such_module"):
        run(spec_of("callbacks=no_such_module:Name"), executor=InlineExecutor)
    with pytest.raises(UsageError, match="callbacks: object has none of"):
        run(spec_of(), executor=InlineExecutor, callbacks=[object()])
    with pytest.raises(UsageError, match="No store"):
        open_sweep("told")
