"""A PostgreSQL server of the tests' own, on a socket in a temporary folder."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_FAR_FROM_UTC = "-c timezone=Asia/Tokyo"
_UNSAFE_AND_FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of the server's first database; the server is stopped at the end."""
    programs = _programs()
    if programs is None:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    # Not pytest's folder: that one is closed to the other user under whom the server must run.
    folder = Path(tempfile.mkdtemp(prefix="paretune-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        data, log = folder / "data", folder / "log"
        _run(programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")
        options = f"-c listen_addresses='' -k {folder} {_UNSAFE_AND_FAST} {_FAR_FROM_UTC}"
        pg_ctl = programs / "pg_ctl"
        _run(pg_ctl, "start", "-w", "-t", "60", "-D", data, "-l", log, "-o", options)
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        finally:
            # By the process id in the data folder.
            _run(pg_ctl, "stop", "-w", "-D", data, "-m", "immediate")
    finally:
        shutil.rmtree(folder)


def _programs() -> Path | None:
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
