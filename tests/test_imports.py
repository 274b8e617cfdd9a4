"""What loads what: a query must not wait for torch, nor a question of the command line for Ray."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "torchvision", "ray", "mlflow", "optuna"}
_LOADED = (
    "\nimport json, sys; print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
)
_HELP = """
import contextlib, io, sys
from orchestrator.cli.app import app
with contextlib.redirect_stdout(io.StringIO()) as shown:
    try:
        app({arguments}, prog_name="paretune")
    except SystemExit as ended:
        assert ended.code == 0, ended.code
assert "Usage" in shown.getvalue()
"""


def loaded_by(code: str) -> set[str]:
    """Top-level packages that are loaded after `code` ran in a fresh interpreter."""
    ended = subprocess.run(
        [sys.executable, "-c", code + _LOADED], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stdout.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import orchestrator", {*HEAVY, "sqlalchemy", "pandas", "plotly", "numpy"}),
        ("from orchestrator import open_sweep, pareto_front, load_sweep", HEAVY),
        (
            "from orchestrator import load_sweep; load_sweep('examples/sweeps/digits.yaml')",
            {*HEAVY, "sqlalchemy", "pandas"},
        ),
        ("import search_spaces", {*HEAVY, "numpy", "pydantic", "orchestrator", "trainers"}),
        ("import trainers.config", {*HEAVY, "orchestrator"}),
        ("import trainers.trial.run", {"ray", "mlflow", "optuna", "sqlalchemy", "orchestrator"}),
        ("import orchestrator.driver.running", HEAVY),
        ("import orchestrator.simulation.comparing", {*HEAVY, "sqlalchemy"}),
        ("import orchestrator.tracking", {"torch", "mlflow", "ray", "optuna"}),
        ("import orchestrator.doctor", HEAVY),
        ("import orchestrator.sampling", {"torch", "mlflow", "ray"}),
    ],
)
def test_importing_loads_no_more_than_it_needs(code: str, absent: set[str]) -> None:
    loaded = loaded_by(code)
    assert not loaded & absent, f"{code} loads {sorted(loaded & absent)}"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["front", "--help"]])
def test_help_is_shown_without_anything_heavy(arguments: list[str]) -> None:
    loaded = loaded_by(_HELP.format(arguments=arguments))
    assert not loaded & {*HEAVY, "sqlalchemy", "pandas", "plotly"}


@pytest.mark.slow
def test_names_of_the_api_arrive_when_they_are_used() -> None:
    code = "import orchestrator\nfor name in orchestrator.__all__: getattr(orchestrator, name)"
    assert not loaded_by(code) & HEAVY


@pytest.mark.slow
@pytest.mark.parametrize("first", ["open_sweep", "resume", "RunResult"])
def test_a_name_is_the_same_whichever_was_asked_for_first(first: str) -> None:
    # A module `orchestrator.run` would be put under the function's name as soon as it is imported.
    code = f"from orchestrator import {first}, run; assert callable(run), run"
    assert "orchestrator" in loaded_by(code)


def test_every_public_name_has_a_home_and_others_have_none() -> None:
    import orchestrator

    assert sorted(orchestrator.__all__) == orchestrator.__all__
    assert {name for name in orchestrator.__all__ if not hasattr(orchestrator, name)} == set()
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        _ = orchestrator.nothing_of_ours
