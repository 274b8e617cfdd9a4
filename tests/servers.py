"""Real servers of the tests' own, each in a temporary folder and on the loopback alone."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mlflow import MlflowClient

_FAR_FROM_UTC = "-c timezone=Asia/Tokyo"
# Safe against the death of the server, which is a fault, but not of the machine. With
# synchronous_commit off, what was told to be stored would be lost with the server.
_UNSAFE_AND_FAST = "-c fsync=off -c full_page_writes=off"
_SUPERUSER = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")
_START_S = 300.0


class PostgresServer:
    """A PostgreSQL server on a socket in a temporary folder.

    Args:
        programs: The folder of initdb and pg_ctl; see `postgres_programs`.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # Not pytest's folder: that one is closed to the other user under whom the server must run.
        self._folder = Path(tempfile.mkdtemp(prefix="paretune-pg-"))
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
        try:
            _run(programs / "initdb", "-D", self._data, *_SUPERUSER)
            self.start()
        except BaseException:
            self.end()
            raise

    @property
    def url(self) -> str:
        """URL of the server's first database."""
        return f"postgresql+psycopg://postgres@/postgres?host={self._folder}"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Start the server; returns when it answers."""
        options = f"-c listen_addresses='' -k {self._folder} {_UNSAFE_AND_FAST} {_FAR_FROM_UTC}"
        log = self._folder / "log"
        wait = ("start", "-w", "-t", f"{_START_S:.0f}")
        _run(self._programs / "pg_ctl", *wait, "-D", self._data, "-l", log, "-o", options)

    def add_user(self, name: str, password: str) -> str:
        """Add a superuser who needs a password; the address of the server for him, without it."""
        access = self._data / "pg_hba.conf"
        rule = f"local all {name} scram-sha-256\n"
        access.write_text(rule + access.read_text())
        words = (
            f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{password}'; SELECT pg_reload_conf()"
        )
        _run(self._programs / "psql", "-h", self._folder, *("-U", "postgres", "-c", words))
        return f"postgres?host={self._folder}"

    def add_database(self, name: str) -> str:
        """Add a database; its URL."""
        _run(self._programs / "createdb", "-h", self._folder, "-U", "postgres", name)
        return self.url.replace("/postgres?", f"/{name}?")

    def dump(self) -> str:
        """Return everything that is stored, and what the server logged, as text."""
        file = self._folder / "dump"
        _run(self._programs / "pg_dumpall", "-h", self._folder, "-U", "postgres", "-f", file)
        log = (self._folder / "log").read_text(errors="replace")
        return file.read_text(errors="replace") + log

    def kill(self) -> None:
        """End the server as a crash would: no connection is told, nothing is flushed."""
        # By the process id in the data folder.
        _run(self._programs / "pg_ctl", "stop", "-w", "-D", self._data, "-m", "immediate")

    def end(self) -> None:
        """Stop the server and remove its folder."""
        with suppress(AssertionError):  # it is down already
            self.kill()
        shutil.rmtree(self._folder)


def postgres_programs() -> Path | None:
    """The folder of initdb and pg_ctl, which distributions keep out of the PATH."""
    named = []
    if config := shutil.which("pg_config"):
        said = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True)
        named = [Path(said.stdout.strip())]
    if found := shutil.which("initdb"):
        named.append(Path(found).parent)
    for folder in [*named, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    return None


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Run a server within this block; where PostgreSQL is not installed, the test is skipped."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    server = PostgresServer(programs)
    try:
        yield server
    finally:
        server.end()


def mlflow_client(uri: str) -> "MlflowClient":
    """MLflow's own client of a server or a database.

    MLflow is imported here: that takes seconds, and most tests need none of it.
    """
    from mlflow import MlflowClient

    return MlflowClient(uri)


def mlflow_users(folder: Path, password: str) -> Path:
    """Write the configuration of an MLflow server whose user ``admin`` has this password.

    The server's own list of users is where the password belongs.
    """
    users = folder / "auth.ini"
    users.write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\n"
        f"admin_password = {password}\n"
        f"database_uri = sqlite:///{users.with_name('users.db')}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    return users


class MlflowProcess:
    """`mlflow server`, as a team would run it.

    Args:
        folder: Where its database, its artifacts and its log go.
        port: Where it listens.
        auth: A configuration of its users; None lets everybody in.
        database: Its URL; default: an SQLite file in the folder.
    """

    def __init__(
        self, folder: Path, port: int, auth: Path | None = None, database: str = ""
    ) -> None:
        self._folder, self.port, self._auth = folder, port, auth
        self._database = database or f"sqlite:///{folder / 'mlflow.db'}"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server; returns when it answers."""
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        environment = {**os.environ, **quiet}
        if self._auth is not None:
            environment["MLFLOW_AUTH_CONFIG_PATH"] = str(self._auth)
            environment["MLFLOW_FLASK_SERVER_SECRET_KEY"] = secrets.token_hex(16)
        with (self._folder / "server.txt").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server"),
                    *("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"),
                    *("--backend-store-uri", self._database),
                    *("--artifacts-destination", (self._folder / "artifacts").as_uri()),
                    *(() if self._auth is None else ("--app-name", "basic-auth")),
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                # Else it starts seven more processes, for jobs that no test has.
                env=environment,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return
            time.sleep(0.2)
        raise AssertionError((self._folder / "server.txt").read_text())

    def kill(self) -> None:
        """End the server and its workers at once."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class S3Server:
    """A real S3 server on the loopback, which keeps its objects in memory."""

    # What a client needs beside the address; the name of the region is any.
    CREDENTIALS: Mapping[str, str] = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "QXQsecretQXQ",
        "AWS_DEFAULT_REGION": "us-east-1",
    }

    def __init__(self) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + _START_S
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return
            time.sleep(0.2)
        raise AssertionError("the S3 server does not answer")

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def end(self) -> None:
        """Stop it; what it held is gone."""
        self.process.kill()
        self.process.wait()


class Proxy:
    """Passes TCP on to another port of this machine, late or not at all.

    Args:
        target: The port.
        delay_s: See below.
        host: Where it listens.

    Attributes:
        delay_s: By which each answer comes late. May be changed at any time; counts from the next
            connection on.
        away: Whether what comes is hung up on, as where nobody listens.
    """

    def __init__(self, target: int, delay_s: float = 0.0, host: str = "127.0.0.1") -> None:
        self._target, self.delay_s, self.away = ("127.0.0.1", target), delay_s, False
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def end(self) -> None:
        """Take no further connection."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.away:
                    client.close()
                    continue
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(self._target) as server:
            forth = threading.Thread(target=_copy, args=(client, server, 0.0), daemon=True)
            forth.start()
            _copy(server, client, self.delay_s)


def free_port() -> int:
    """Find a port of the loopback on which nothing listens, outside the ranges given out unasked.

    The kernel hands out ports from 32768 on to sockets that name none, so one of those may be
    taken before its server has started; Ray's workers get ports below 20000.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _copy(source: socket.socket, target: socket.socket, delay_s: float) -> None:
    with suppress(OSError):
        while block := source.recv(65_536):
            time.sleep(delay_s)
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)


def _run(*command: str | Path) -> None:
    # PostgreSQL refuses to run as root.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*as_user, *map(str, command)],
        # Of a pipe, the server would keep the other end and `run` would wait for it for ever.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(as_user + [str(c) for c in command])} failed"
