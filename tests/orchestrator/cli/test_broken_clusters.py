"""Broken set-ups of a cluster: `paretune run` says in a sentence what is wrong and what helps.

Before a trial runs and before the sweep's name is taken. Others are in test_submit.py (no job
server), test_quick_checks.py (a store or MLflow that refuses), test_nodes.py (what doctor finds
on single nodes), and tests/stack (a disk that only the driver sees).
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from tests.ray_nodes import RayNodes
from tests.servers import running_postgres

Call = Callable[..., Result]
SECRET = "QXQ" + "clear" + "QXQ"
SWEEP = {
    "name": "broken",
    "backbone": {"name": "digitnet", "weights": "scratch"},
    "data": {"name": "digits", "limit": 100},
    "space": {"fc_width_1": {"type": "int", "low": 4, "high": 64}},
    "training": {"epochs": 1},
    "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
    "sampler": "random",
    "budget": 1,
    "tracking": "none",
}


def written(folder: Path, changes: Mapping[str, object]) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump({**SWEEP, **changes}))
    return path


class _Web(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def web() -> Iterator[int]:
    """The port of a web server, which is no head of a cluster."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("broken", "cause", "remedy"),
    [
        (
            {"tracking": {"uri": f"http://ann:{SECRET}@mlflow:5000"}},
            "tracking.uri holds a password in clear",
            "Put it into an environment variable and refer to that",
        ),
        (
            {"store": "postgresql+psycopg://ann:${NO_SUCH_VARIABLE}@db/sweeps"},
            "The environment variable NO_SUCH_VARIABLE",
            "export NO_SUCH_VARIABLE=",
        ),
        (
            {"store": "postgresql+psycopg://ann@127.0.0.1:1/sweeps"},
            "ann@127.0.0.1:1/sweeps cannot be used: ",
            "Start the server, and check host, user and password",
        ),
        ({"store": f"mysql://ann:{SECRET}@db/sweeps"}, "mysql", "postgresql+psycopg"),
        ({"tracking": {"uri": "/mnt/mlruns"}}, "/mnt/mlruns", "Name a server (http://HOST:5000)"),
        ({"storage": "nowhere://bucket/sweeps"}, "nowhere://bucket/sweeps cannot be used", "s3"),
        ({"storage": "/proc/none/of/it"}, "storage /proc/none/of/it cannot be used", "mount"),
    ],
)
def test_an_address_in_the_file_that_cannot_be_used(
    call: Call, tmp_path: Path, home: Path, broken: Mapping[str, object], cause: str, remedy: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrator.file_storage.storage._PAUSES_S", ())
        result = call("run", written(tmp_path, broken), "--address", "127.0.0.1:1")
    assert result.exit_code in (1, 2)
    assert cause in result.stderr
    assert remedy in result.stderr
    assert SECRET not in result.output
    assert not home.exists()


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("127.0.0.1:1", "nothing answers at 127.0.0.1:1"),
        ("127.0.0.1:WEB", "is silent, or is not the head of a cluster"),
        ("127.0.0.1:port", "nothing answers at 127.0.0.1"),
        (f"ray://ann:{SECRET}@127.0.0.1:1", "nothing answers at 127.0.0.1:1"),
    ],
)
def test_an_address_at_which_no_head_is(
    call: Call, tmp_path: Path, home: Path, web: int, address: str, cause: str
) -> None:
    result = call("run", written(tmp_path, {}), "--address", address.replace("WEB", str(web)))
    assert result.exit_code == 1
    assert cause in result.stderr
    assert "Start the cluster (ray start --head), or correct the address" in result.stderr
    assert SECRET not in result.output
    assert not home.exists()


@pytest.mark.postgres
def test_a_password_that_the_store_refuses(
    call: Call, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_postgres() as server:
        place = server.add_user("ann", SECRET)
        monkeypatch.setenv("DATABASE_PASSWORD", f"{SECRET}but")
        store = f"postgresql+psycopg://ann:${{DATABASE_PASSWORD}}@/{place}"
        result = call("run", written(tmp_path, {"store": store}), "--address", "127.0.0.1:1")
    assert result.exit_code == 1
    assert 'password authentication failed for user "ann"' in result.stderr
    assert "check host, user and password" in result.stderr
    assert SECRET not in result.output
    assert not home.exists()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    """A head with one CPU, which asks for a token."""
    nodes = RayNodes(tmp_path_factory.mktemp("cluster"))
    try:
        nodes.start_head(cpus=1)
        yield nodes
    finally:
        nodes.close()


# Changes Ray's own record of what its head runs, and prints what was there.
_RECORD = """
import json, sys
from ray._raylet import GcsClient
client, name, place = GcsClient(address=sys.argv[1]), b"CLUSTER_METADATA", b"cluster"
found = json.loads(client.internal_kv_get(name, place))
client.internal_kv_put(name, json.dumps(found | json.loads(sys.argv[2])).encode(), True, place)
print(json.dumps(found))
"""


def recorded(cluster: RayNodes, changes: str) -> str:
    command = [sys.executable, "-c", _RECORD, cluster.address, changes]
    own = cluster.environment
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.ray
@pytest.mark.serial
@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "cause", "remedy"),
    [
        ({"resources": {"cpus": 2}}, "one needs 2 CPUs", "Lower the resources, or use larger"),
        ({"resources": {"gpus": 8}}, "the only node has 1 CPUs and 0 GPUs", "Lower the resources"),
        ({"resources": {"memory": "90TB"}}, "one needs 1 CPUs", "Lower the resources"),
        ({"resources": {"custom": {"tpu": 1}}}, "tpu", "Lower the resources"),
        ({"resources": {"labels": {"zone": "a"}}}, "no zone", "use larger nodes"),
    ],
)
def test_resources_that_no_node_has(
    cluster: RayNodes, tmp_path: Path, broken: Mapping[str, object], cause: str, remedy: str
) -> None:
    code, out, err = cluster.done("run", str(written(tmp_path, broken)))
    assert code == 1, err
    assert "No trial fits on the cluster: " in err
    assert cause in err
    assert remedy in err
    assert "Traceback" not in err
    assert "broken" not in cluster.done("list")[1]
    assert out == ""


@pytest.mark.ray
@pytest.mark.serial
@pytest.mark.slow
@pytest.mark.parametrize("token", ["", "0123456789abcdef" * 4])
def test_a_token_that_is_missing_or_wrong(
    cluster: RayNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setattr(cluster, "token", token)
    code, _, err = cluster.done("run", str(written(tmp_path, {})))
    assert code == 1, err
    assert f"No Ray cluster can be used at '{cluster.address}'" in err
    assert "put the token of the cluster's head (ray get-auth-token) into RAY_AUTH_TOKEN" in err
    assert "Traceback" not in err


@pytest.mark.ray
@pytest.mark.serial
@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"ray_version": "2.9.3"}, "the cluster runs Ray 2.9.3 and Python 3."),
        ({"python_version": "3.9.1"}, "and Python 3.9.1, and this process Ray"),
    ],
)
def test_a_head_of_another_version(
    cluster: RayNodes, tmp_path: Path, changes: Mapping[str, str], cause: str
) -> None:
    before = recorded(cluster, json.dumps(changes))
    try:
        code, _, err = cluster.done("run", str(written(tmp_path, {})))
    finally:
        recorded(cluster, before)
    assert code == 1, err
    assert cause in err
    assert "Use an environment with the cluster's versions here" in err
    assert "Traceback" not in err
