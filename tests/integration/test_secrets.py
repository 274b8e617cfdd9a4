"""After a sweep with passwords everywhere: no file, log, database or process list holds one.

PostgreSQL and MLflow ask for passwords, and an S3 server is sent a secret key. Commands are given
right and wrong addresses; then everything that they left is searched.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.passwords import Passwords
from tests.servers import (
    MlflowProcess,
    PostgresServer,
    S3Server,
    free_port,
    mlflow_users,
    running_postgres,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.serial,
    pytest.mark.ray,
    pytest.mark.mlflow,
    pytest.mark.postgres,
]

PROGRAM = "from orchestrator.cli.app import main; main()"
SWEEP = """\
name: secret
backbone: {name: digitnet, weights: scratch}
data: {name: digits, limit: 150}
space: {fc_width_1: {type: int, low: 8, high: 64}}
objectives: {accuracy: maximize, memory_bytes: minimize}
training: {epochs: 1}
sampler: random
budget: 2
execution: {max_slots: 1}
storage: s3://sweeps/secret
store: postgresql+psycopg://ann:${DATABASE_PASSWORD}@/DATABASE
tracking: http://admin:${TRACKING_PASSWORD}@127.0.0.1:PORT
"""


class Place:
    """A folder in which commands run, with the servers' passwords in their environment alone."""

    def __init__(self, folder: Path, passwords: Passwords) -> None:
        self.folder, self.passwords = folder, passwords
        self.said: list[str] = []
        self.in_process_list: list[str] = []
        self.environment: dict[str, str] = {}

    def paretune(self, *words: str, **variables: str) -> int:
        """Run a command, and look at the list of processes meanwhile."""
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            cwd=self.folder,
            env={**os.environ, **self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        while process.poll() is None:
            self.in_process_list += self.passwords.in_process_list(but=[process.pid])
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
        assert process.stdout is not None
        self.said.append(process.stdout.read())
        process.stdout.close()
        return process.returncode


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords()


@pytest.fixture(scope="module")
def database(passwords: Passwords) -> Iterator[tuple[PostgresServer, str]]:
    with running_postgres() as server:
        yield server, server.add_user("ann", passwords.database)


@pytest.fixture(scope="module")
def mlflow(passwords: Passwords, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    pytest.importorskip("flask_wtf", reason="needs the package flask-wtf")
    folder = tmp_path_factory.mktemp("mlflow")
    users = mlflow_users(tmp_path_factory.mktemp("users"), passwords.tracking)
    server = MlflowProcess(folder, free_port(), users)
    try:
        server.start()
        (folder / "port").write_text(str(server.port))
        yield folder
    finally:
        server.kill()


@pytest.fixture(scope="module")
def bucket(passwords: Passwords) -> Iterator[Mapping[str, str]]:
    pytest.importorskip("moto", reason="needs the package moto[s3]")
    s3fs = pytest.importorskip("s3fs", reason="needs the package s3fs")
    server = S3Server()
    variables = {
        **server.CREDENTIALS,
        "AWS_SECRET_ACCESS_KEY": passwords.storage,
        "AWS_ENDPOINT_URL": server.url,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("sweeps")
        yield variables
    server.end()


@pytest.fixture(scope="module")
def ended(
    passwords: Passwords,
    database: tuple[PostgresServer, str],
    mlflow: Path,
    bucket: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Place:
    """A folder after a sweep and what is usually asked about it, with mistakes too."""
    place = Place(tmp_path_factory.mktemp("place"), passwords)
    text = SWEEP.replace("DATABASE\n", f"{database[1]}\n")
    text = text.replace("PORT", (mlflow / "port").read_text())
    (place.folder / "sweep.yaml").write_text(text)
    store = f"postgresql+psycopg://ann:{passwords.database}@/{database[1]}"
    place.environment = {
        **bucket,
        "DATABASE_PASSWORD": passwords.database,
        "TRACKING_PASSWORD": passwords.tracking,
        "PARETUNE_STORE": store,
        "RAY_TMPDIR": str(place.folder / "ray"),
    }
    (place.folder / "ray").mkdir()
    form = ("--log-format", "json", "--metrics-file", "metrics.prom")
    assert place.paretune("run", "sweep.yaml", *form) == 0, place.said
    for words in ("list", "status secret", "trials secret", "show secret 0", "sync secret"):
        assert place.paretune(*words.split()) == 0, place.said
    assert place.paretune("export", "secret", "0", "--to", "network") == 0, place.said
    assert place.paretune("doctor", "sweep.yaml") in (0, 1)
    wrong = store.replace("ann:", "bob:")
    assert place.paretune("list", "--store", wrong) == 1
    assert place.paretune("list", PARETUNE_STORE=store.replace("://", ":/")) in (1, 2)
    assert place.paretune("run", "sweep.yaml", "--name", "b", "--store", wrong) == 1
    return place


def test_no_output_holds_a_password(ended: Place) -> None:
    said = "\n".join(ended.said)
    assert "secret: 2 complete" in said
    assert ended.passwords.found_in(said.encode()) == []


def test_no_file_that_a_run_or_ray_or_mlflow_left_holds_a_password(
    ended: Place, mlflow: Path
) -> None:
    files = [path for root in (ended.folder, mlflow) for path in root.rglob("*") if path.is_file()]
    # The log, Ray's logs, the metrics, the exported network and MLflow's database among them.
    assert len(files) > 20
    assert {".log", ".prom", ".db", ".safetensors"} <= {path.suffix for path in files}
    assert ended.passwords.found_in_files(files) == {}


def test_no_database_and_no_stored_object_holds_a_password(
    ended: Place, database: tuple[PostgresServer, str], bucket: Mapping[str, str]
) -> None:
    dump = database[0].dump()
    assert "secret" in dump
    assert ended.passwords.found_in(dump.encode()) == []
    s3fs = pytest.importorskip("s3fs")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in bucket.items():
            patch.setenv(name, value)
        files = s3fs.S3FileSystem(skip_instance_cache=True)
        objects = files.find("sweeps")
        assert objects
        assert [each for each in objects if ended.passwords.found_in(files.cat_file(each))] == []


def test_no_process_list_showed_a_password(ended: Place) -> None:
    assert ended.in_process_list == []
