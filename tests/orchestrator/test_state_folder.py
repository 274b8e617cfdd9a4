"""Whose eyes a state folder is for, and which variables say where things are kept."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import app
from orchestrator.doctor import services
from orchestrator.driver.address_checks import address_problems
from orchestrator.driver.mirroring import chosen_store
from orchestrator.execution.carried_files import marked
from orchestrator.queries.looks import Look, count_look
from orchestrator.search.warm_start import described
from orchestrator.spec.files import load_sweep
from orchestrator.state_folder import StateFolder, make_private
from orchestrator.storage.opening import find_store, open_store

DIGITS = "examples/sweeps/digits.yaml"


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("maker", ["store", "marker", "look"])
@pytest.mark.usefixtures("open_umask")
def test_only_its_owner_can_enter_a_new_state_folder(tmp_path: Path, maker: str) -> None:
    state = StateFolder(tmp_path / ".paretune")
    if maker == "store":
        open_store(state.store_url, state=state)
    elif maker == "marker":
        with marked(state.root):
            pass
    else:
        count_look("digits", Look(("accuracy",), 0.02, 0.05, "memory_bytes", 48), state)
    assert _mode(state.root) == 0o700
    assert list(state.root.iterdir()) or maker == "marker"


@pytest.mark.usefixtures("open_umask")
def test_a_folder_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o775)
    make_private(shared / "a" / "b")
    assert [_mode(each) for each in (shared, shared / "a", shared / "a/b")] == [
        0o775,
        *[0o700] * 2,
    ]


def test_a_variable_names_the_store_where_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = StateFolder(tmp_path / ".paretune")
    monkeypatch.delenv("PARETUNE_STORE", raising=False)
    assert state.store_address() == (state.store_url, "")
    monkeypatch.setenv("PARETUNE_STORE", f"sqlite:///{tmp_path}/theirs.db")
    for url in (None, "default"):
        assert state.store_address(url) == (f"sqlite:///{tmp_path}/theirs.db", "PARETUNE_STORE")
    assert state.store_address("sqlite:///ours.db") == ("sqlite:///ours.db", "")
    assert find_store(state=state) is None
    open_store(state=state)
    assert (tmp_path / "theirs.db").exists()
    assert not state.root.exists()
    monkeypatch.setenv("PARETUNE_STORE", "postgresql+psycopg://me:geheim@db/x")
    assert (
        chosen_store("default", state) == "postgresql+psycopg://***@db/x, as PARETUNE_STORE says"
    )
    assert chosen_store("sqlite:///ours.db", state) == ""


def test_commands_say_which_store_a_variable_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PW", "geheim")
    theirs = f"sqlite:///{tmp_path}/theirs.db"
    open_store(theirs)
    monkeypatch.setenv("PARETUNE_STORE", theirs)
    listed = CliRunner().invoke(app, ["list", "--format", "json"])
    assert (listed.exit_code, listed.stdout) == (0, "[]\n")
    assert listed.stderr.startswith(f"the store is {theirs}, as PARETUNE_STORE says\n")
    assert "PARETUNE_STORE" not in CliRunner().invoke(app, ["list", "--store", theirs]).stderr
    front = CliRunner().invoke(app, ["front", "absent"])
    assert front.exit_code == 2
    assert "as PARETUNE_STORE says" in front.stderr
    checked = CliRunner().invoke(app, ["check", DIGITS])
    assert f"{theirs}, as PARETUNE_STORE says" in checked.stdout
    (store, _) = services.examine_store(theirs, "PARETUNE_STORE")
    assert store.detail.endswith(", as PARETUNE_STORE says")


def test_passwords_go_by_reference_and_are_resolved_where_they_are_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = ["tracking.uri='http://me:${PW}@mlflow:5000'", "store='sqlite:///${STORES}/x.db'"]
    spec = load_sweep(DIGITS, settings=settings)
    state = StateFolder(tmp_path / ".paretune")
    monkeypatch.delenv("PW", raising=False)
    monkeypatch.setenv("STORES", str(tmp_path))
    (problem,) = address_problems(spec, state)
    assert "variable PW" in problem
    monkeypatch.setenv("PW", "ge@heim")
    assert address_problems(spec, state) == []
    assert state.tracking_address(spec.tracking.uri)[0] == "http://me:ge%40heim@mlflow:5000"
    assert "ge@heim" not in spec.model_dump_json()
    assert "http://me:${PW}@mlflow:5000" in spec.model_dump_json()
    open_store(spec.store, state=state)
    assert (tmp_path / "x.db").exists()


@pytest.mark.parametrize(
    "setting",
    [
        *("store='postgresql+psycopg://me:geheim@db/x'", "tracking.uri='http:/me:geheim@mlflow'"),
        "execution.cache='ftp://me:geheim@host/cache'",
        "warm_start.optuna='postgresql+psycopg://me:geheim@db/x'",
    ],
)
def test_a_password_in_clear_is_refused_before_a_sweep_begins(
    setting: str, tmp_path: Path
) -> None:
    spec = load_sweep(DIGITS, settings=[setting])
    problems = address_problems(spec, StateFolder(tmp_path))
    assert "holds a password in clear" in problems[0]
    assert "geheim" not in repr(problems)
    assert spec.warm_start is None or "geheim" not in described(spec.warm_start)
