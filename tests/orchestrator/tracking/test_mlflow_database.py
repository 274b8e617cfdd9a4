"""A new SQLite database for MLflow is whole from its first moment, and is made once."""

import multiprocessing
import os
import sqlite3
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from orchestrator.storage.opening import open_store
from orchestrator.tracking.mlflow_database import fill_or_copy, make_database
from orchestrator.tracking.mlflow_server import MlflowServer


@pytest.fixture(autouse=True)
def schema_made_once() -> None:
    """Stores are made by Alembic, which MLflow uses too."""


def written(uri: str, word: str) -> None:
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database, database:
        database.execute("create table words (word text)")
        database.execute("insert into words values (?)", [word])


def read(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        return str(database.execute("select word from words").fetchone()[0])


def test_it_stands_in_a_new_folder_with_all_that_was_put_in(tmp_path: Path) -> None:
    path = tmp_path / "state" / "mlflow.db"
    make_database(f"sqlite:///{path}", lambda uri: written(uri, "ours"))
    assert read(path) == "ours"
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_does_not_hold_up_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    make_database(f"sqlite:///{path}", lambda uri: written(uri, "ours"))
    with closing(sqlite3.connect(path)) as reader, closing(sqlite3.connect(path, 0)) as writer:
        reader.execute("begin")
        assert reader.execute("select word from words").fetchone() == ("ours",)
        writer.execute("update words set word = 'theirs'")
        writer.commit()
    assert read(path) == "theirs"


def test_of_two_threads_that_need_one_the_second_waits(tmp_path: Path) -> None:
    path, made = tmp_path / "mlflow.db", []

    def fill(uri: str) -> None:
        time.sleep(0.2)
        made.append(uri)
        written(uri, "ours")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: make_database(f"sqlite:///{path}", fill), range(2)))
    assert len(made) == 1
    assert read(path) == "ours"


def test_while_it_is_being_made_there_is_none_and_after_a_failure_neither(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"

    def fail(uri: str) -> None:
        written(uri, "half")
        assert not path.exists()
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        make_database(f"sqlite:///{path}", fail)
    assert list(tmp_path.iterdir()) == []


def test_the_slower_process_uses_what_the_other_made(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"

    def overtaken(uri: str) -> None:
        written(uri, "slow")
        make_database(f"sqlite:///{path}", lambda other: written(other, "quick"))

    make_database(f"sqlite:///{path}", overtaken)
    assert read(path) == "quick"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_system_without_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "mlflow.db"
    make_database(f"sqlite:///{path}", lambda uri: written(uri, "ours"))
    assert read(path) == "ours"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["http://127.0.0.1:1", "postgresql://host/mlflow"])
def test_nothing_is_made_for_a_server(name: str) -> None:
    asked: list[str] = []
    make_database(name, asked.append)
    assert asked == []


def test_one_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"whatever it is")
    make_database(f"sqlite:///{path}", lambda _: pytest.fail("asked to make a database"))
    assert path.read_bytes() == b"whatever it is"


def test_a_folder_that_takes_no_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(OSError, match="file"):
        make_database(f"sqlite:///{file}/mlflow.db", lambda uri: written(uri, "ours"))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's folder of temporary files, in which nothing is kept yet."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def kept(temporary: Path) -> list[Path]:
    return list(temporary.glob("paretune-*/*/mlflow.db"))


@pytest.mark.usefixtures("temporary")
def test_the_second_project_gets_a_copy_and_another_version_does_not(tmp_path: Path) -> None:
    made: list[str] = []

    def fill(uri: str) -> None:
        made.append(uri)
        written(uri, f"number {len(made)}")

    for name, version in (("first", "3.1"), ("second", "3.1"), ("third", "3.2")):
        fill_or_copy(f"sqlite:///{tmp_path / name}", fill, version)
    assert [read(tmp_path / name) for name in ("first", "second")] == ["number 1", "number 1"]
    assert read(tmp_path / "third") == "number 2"


def test_what_is_kept_and_damaged_is_made_anew(tmp_path: Path, temporary: Path) -> None:
    fill_or_copy(f"sqlite:///{tmp_path / 'first'}", lambda uri: written(uri, "first"), "3.1")
    kept(temporary)[0].write_bytes(b"no database" * 100)
    for name in ("second", "third"):
        fill_or_copy(f"sqlite:///{tmp_path / name}", lambda uri: written(uri, "second"), "3.1")
        assert read(tmp_path / name) == "second"


def test_nothing_is_kept_where_others_may_write(tmp_path: Path, temporary: Path) -> None:
    folder = temporary / f"paretune-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    for name in ("first", "second"):
        fill_or_copy(f"sqlite:///{tmp_path / name}", partial(written, word=name), "3.1")
        assert read(tmp_path / name) == name
    assert not kept(temporary)


def test_a_machine_without_room_for_a_copy_only_makes_it_each_time(
    tmp_path: Path, temporary: Path
) -> None:
    (temporary / f"paretune-{os.getuid()}").write_text("a file where the folder would be")
    fill_or_copy(f"sqlite:///{tmp_path / 'first'}", lambda uri: written(uri, "ours"), "3.1")
    assert read(tmp_path / "first") == "ours"


@pytest.mark.mlflow
def test_a_copy_knows_nothing_of_the_project_that_it_was_made_for(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        uri = f"sqlite:///{tmp_path / name / 'mlflow.db'}"
        assert MlflowServer(uri).experiments().keys() == {"Default"}
        with closing(sqlite3.connect(tmp_path / name / "mlflow.db")) as database:
            query = "select artifact_location from experiments"
            assert database.execute(query).fetchall() == [(str(tmp_path / name / "mlruns" / "0"),)]
    assert len(kept(temporary)) == 1


@pytest.mark.mlflow
def test_two_processes_that_open_a_new_mlflow_at_once_both_use_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    together = context.Barrier(2)
    processes = [context.Process(target=_open, args=(uri, together, n)) for n in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert set(MlflowServer(uri).experiments()) >= {"sweep-0", "sweep-1"}


def _open(uri: str, together: Barrier, number: int) -> None:
    import mlflow  # noqa: F401 - so that both ask at the same moment

    together.wait()
    MlflowServer(uri).experiment_id(f"sweep-{number}")


def test_a_store_is_made_while_another_thread_makes_a_database_for_mlflow(tmp_path: Path) -> None:
    """Alembic, which both use, is not thread-safe; the second waits for the first."""
    begun, events = threading.Event(), []

    def fill(_: str) -> None:
        begun.set()
        time.sleep(0.3)
        events.append("MLflow's tables")

    thread = threading.Thread(target=make_database, args=(f"sqlite:///{tmp_path / 'm.db'}", fill))
    thread.start()
    assert begun.wait(300)
    open_store(f"sqlite:///{tmp_path / 'sweeps.db'}").close()
    events.append("the store's tables")
    thread.join()
    assert events == ["MLflow's tables", "the store's tables"]
