"""A whole stack: servers that ask for passwords, a head without slots, three nodes of one CPU.

PostgreSQL, MLflow on it with users, an S3 server, and a Ray cluster with tokens whose nodes share
no disk with the driver or each other. One start serves all tests of this folder. Without the
right to make namespaces they skip and say so.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.passwords import Passwords, process_list_watched
from tests.private_nodes import HOST, NamespaceError, PrivateNodes, private_network
from tests.servers import (
    MlflowProcess,
    PostgresServer,
    Proxy,
    S3Server,
    free_port,
    mlflow_users,
    postgres_programs,
)
from tests.stack.commands import FIRST_NODES

# Ray's own package, or one without its job server.
HAS_JOBS = find_spec("aiohttp_cors") is not None
_PROGRAM = "import sys; from orchestrator.cli.app import main; main()"


@dataclass(frozen=True)
class Servers:
    """What a sweep needs beside Ray.

    Attributes:
        passwords: What they ask for.
        database: PostgreSQL.
        place: Of the store: what follows ``postgresql+psycopg://USER:PASSWORD@/``.
        tracking: MLflow.
        folder: MLflow's, without its list of users.
        bucket: Variables with which the bucket ``sweeps`` is reached from everywhere.
    """

    passwords: Passwords
    database: PostgresServer
    place: str
    tracking: MlflowProcess
    folder: Path
    bucket: Mapping[str, str]

    @property
    def store(self) -> str:
        """URL of the store, with its password."""
        return f"postgresql+psycopg://ann:{self.passwords.database}@/{self.place}"

    @property
    def files(self) -> Any:
        """The file system of the bucket."""
        import s3fs

        return s3fs.S3FileSystem(
            key=self.bucket["AWS_ACCESS_KEY_ID"],
            secret=self.bucket["AWS_SECRET_ACCESS_KEY"],
            endpoint_url=self.bucket["AWS_ENDPOINT_URL"],
            skip_instance_cache=True,
        )


@pytest.fixture(scope="session")
def network() -> Iterator[None]:
    try:
        with private_network((*FIRST_NODES, 5)):
            yield
    except NamespaceError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def servers(network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    for package in ("flask_wtf", "moto", "psycopg", "s3fs"):
        pytest.importorskip(package, reason=f"needs the package {package}")
    if (programs := postgres_programs()) is None:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    passwords, database = Passwords(), PostgresServer(programs)
    users = mlflow_users(tmp_path_factory.mktemp("users"), passwords.tracking)
    folder = tmp_path_factory.mktemp("mlflow")
    tracking = MlflowProcess(folder, free_port(), users, database.add_database("mlflow"))
    s3 = S3Server()
    proxy = Proxy(s3.port, host=HOST)
    try:
        tracking.start()
        place = database.add_user("ann", passwords.database)
        bucket = {
            **s3.CREDENTIALS,
            "AWS_SECRET_ACCESS_KEY": passwords.storage,
            "AWS_ENDPOINT_URL": f"http://{HOST}:{proxy.port}",
        }
        made = Servers(passwords, database, place, tracking, folder, bucket)
        made.files.mkdir("sweeps")
        yield made
    finally:
        proxy.end()
        s3.end()
        tracking.kill()
        database.end()


@pytest.fixture(scope="session")
def process_list(servers: Servers) -> Iterator[list[str]]:
    """Command lines that showed a password, of all tests of this folder."""
    with process_list_watched(servers.passwords) as shown:
        yield shown


@pytest.fixture(scope="session")
def nodes(servers: Servers, process_list: list[str]) -> Iterator[PrivateNodes]:
    # Short, for a socket's path has 107 bytes.
    with TemporaryDirectory(prefix="pn") as folder:
        state, programs = Path(folder, "state"), Path(folder, "bin")
        for made in (state, programs):
            made.mkdir()
        program = programs / "paretune"
        program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{_PROGRAM}' \"$@\"\n")
        program.chmod(0o755)
        given = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            **servers.bucket,
            "DATABASE_PASSWORD": servers.passwords.database,
            "TRACKING_PASSWORD": servers.passwords.tracking,
        }
        cluster = PrivateNodes(state, Path(folder), given)
        try:
            start(cluster)
            yield cluster
        finally:
            cluster.close()


def start(cluster: PrivateNodes) -> None:
    """Start a head and the first nodes, one after another: together they may take Ray too long."""
    cluster.start_head(jobs=HAS_JOBS)
    for count, number in enumerate(FIRST_NODES, 2):
        cluster.add(number)
        cluster.wait_for(count)
