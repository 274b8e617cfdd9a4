"""Ray's address, its tokens, and a real cluster."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.doctor.cluster import examine_ray, is_here, is_remote
from orchestrator.execution import ray_folder
from tests.ray_nodes import PATIENT

# A head that lives as long as its standard input.
_HEAD = """
import ray, sys
context = ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
print(context.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _no_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster on this machine that wants a token, which is in the environment."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with subprocess.Popen(
        [sys.executable, "-c", _HEAD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **PATIENT},
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate("")


@pytest.mark.ray
def test_a_cluster_says_what_it_has_to_those_with_its_token(
    head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ray, _), nodes = examine_ray(head)
    assert ray.ok, ray
    assert nodes is not None
    assert [node.resources["CPU"] for node in nodes] == [3]
    assert "3 CPUs" in ray.detail
    assert not is_remote(head)

    monkeypatch.delenv("RAY_AUTH_MODE")
    (ray, _), nodes = examine_ray(head)
    assert not ray.ok
    assert nodes is None
    assert "RAY_AUTH_MODE=token" in ray.fix
    assert "Traceback" not in ray.detail


@pytest.mark.parametrize("address", ["", "local"])
def test_without_an_address_no_cluster_is_asked(address: str) -> None:
    (ray, token), nodes = examine_ray(address)
    assert ray.ok
    assert token.ok
    assert nodes is None


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:1", "ray://me:geheim@127.0.0.1:1", "127.0.0.1:port", "http://127.0.0.1:99999"],
)
def test_an_address_where_nothing_listens_is_found(address: str) -> None:
    (ray, _), nodes = examine_ray(address)
    assert not ray.ok
    assert nodes is None
    assert "RAY_ADDRESS" in ray.fix
    assert "geheim" not in repr(ray)


@pytest.mark.parametrize(
    ("mode", "ok"), [("token", True), ("", True), ("disabled", False), ("DISABLED", False)]
)
def test_tokens_must_not_be_turned_off(
    monkeypatch: pytest.MonkeyPatch, mode: str, ok: bool
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    (_, token), _ = examine_ray("")
    assert token.ok is ok
    assert bool(token.fix) is not ok


@pytest.mark.parametrize(
    ("address", "remote"),
    [
        ("", False),
        ("auto", False),
        ("local", False),
        ("127.0.0.1:6379", False),
        ("ray://localhost:10001", False),
        ("[::1]:6379", False),
        ("10.0.0.7:6379", True),
        ("ray://head.example:10001", True),
        ("head.example", True),
    ],
)
def test_an_address_names_this_machine_or_another(address: str, remote: bool) -> None:
    assert is_remote(address) is remote


@pytest.mark.parametrize("host", ["", "example.org", "10.0.0.7"])
def test_other_hosts_are_not_this_machine(host: str) -> None:
    assert not is_here(host)


def test_a_folder_that_is_too_long_for_rays_sockets_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("x" * 50)))
    (ray, _), _ = examine_ray("")
    assert ray.ok
    assert "too long for its sockets: by a link in /tmp" in ray.detail
    monkeypatch.setattr(ray_folder, "_SHORT", ())
    (ray, _), _ = examine_ray("")
    assert not ray.ok
    assert "Set RAY_TMPDIR" in ray.fix
