"""What doctor says of the nodes of a cluster: broken set-ups, and a real one."""

import json
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import pytest

from orchestrator.doctor.nodes import examine_storage_here, judged
from orchestrator.doctor.services import examine_store_of_many
from orchestrator.spec.files import load_sweep
from tests.ray_nodes import RayNodes

GIB = 2**30
DIGITS = "examples/sweeps/digits.yaml"


def node(number: int = 2, **changes: Any) -> dict[str, Any]:
    """A node on which nothing is wrong."""
    mine = {
        "Python": python_version(),
        "ray": version("ray"),
        "paretune": version("paretune"),
    }
    versions = {**mine, **changes.pop("versions", {})}
    found = {
        "address": f"10.0.0.{number}",
        "resources": {"CPU": 4.0},
        "versions": versions,
        "ahead_s": 0.1,
        "absent": [],
        "free": 20 * GIB,
    }
    return {**found, **changes}


@pytest.mark.parametrize(
    ("broken", "name", "detail", "fix"),
    [
        ({"versions": {"Python": "3.9.1"}}, "nodes", "10.0.0.3 has Python 3.9.1", "Install the"),
        ({"versions": {"ray": "2.40.0"}}, "nodes", "10.0.0.3 has ray 2.40.0", "restart the"),
        ({"versions": {"paretune": "missing"}}, "nodes", "has paretune missing", "everywhere"),
        ({"ahead_s": 42.0}, "clocks", "10.0.0.3 by +42 s", "NTP"),
        ({"ahead_s": -9.0}, "clocks", "10.0.0.3 by -9 s", "NTP"),
        ({"free": GIB // 2}, "nodes' disks", "0.5 GiB free", "TMPDIR"),
        ({"absent": ["/data/images"]}, "/data/images on nodes", "not on 10.0.0.3", "mount"),
        ({"problem": "it was drained"}, "nodes", "10.0.0.3 ran no task: it was", "ray start"),
    ],
)
def test_what_is_wrong_on_one_node_is_named_with_the_node(
    broken: dict[str, Any], name: str, detail: str, fix: str
) -> None:
    paths = ["/data/images", "/data/weights.safetensors"]
    wrong = [each for each in judged([node(), node(3, **broken)], paths) if not each.ok]
    assert [each.name for each in wrong] == [name]
    assert detail in wrong[0].detail
    assert fix in wrong[0].fix


def test_nodes_on_which_nothing_is_wrong_are_fine() -> None:
    findings = judged([node(), node(3)], ["/data/images"])
    assert all(each.ok for each in findings)
    assert "2 of 2 ran a task" in findings[0].detail


def test_a_head_that_trains_nothing_need_not_see_the_images() -> None:
    head = node(1, resources={"memory": 1e9}, absent=["/data/images"])
    assert all(each.ok for each in judged([head, node()], ["/data/images"]))


def test_sqlite_is_refused_for_several_nodes_and_not_for_one() -> None:
    (wrong,) = examine_store_of_many("sqlite:////data/sweeps.db", 2)
    assert not wrong.ok
    assert "PostgreSQL" in wrong.fix
    assert examine_store_of_many("postgresql+psycopg://me@db/sweeps", 2) == []


@pytest.mark.parametrize("url", ["nowhere://bucket", "/proc/none/of/it"])
def test_a_storage_that_cannot_be_used_is_found(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.file_storage.storage._PAUSES_S", ())
    (wrong,) = examine_storage_here(load_sweep(DIGITS, settings=[f"storage={url}"]))
    assert not wrong.ok
    assert wrong.fix


def test_a_storage_that_can_be_used_is_left_as_it_was(tmp_path: Path) -> None:
    spec = load_sweep(DIGITS, settings=[f"storage={tmp_path / 'shared'}"])
    assert [each.ok for each in examine_storage_here(spec)] == [True]
    assert list((tmp_path / "shared").iterdir()) == []


@pytest.mark.ray
@pytest.mark.serial
def test_a_real_cluster_is_asked_node_by_node(nodes: RayNodes, tmp_path: Path) -> None:
    nodes.start_head(cpus=1)
    nodes.add("second")
    nodes.wait_for(2)
    file = nodes.sweep(
        data={"folder": str(tmp_path / "no images")}, storage=str(tmp_path / "shared")
    )
    code, out, err = nodes.done("doctor", str(file), "--address", nodes.address, "-f", "json")
    found = {each["name"]: each for each in json.loads(out)}
    assert code == 1, err
    assert found["nodes"]["ok"], found["nodes"]
    assert "2 of 2 ran a task" in found["nodes"]["detail"]
    assert found["clocks"]["ok"]
    assert found["storage"]["ok"], found["storage"]
    assert found["slots"]["ok"]
    assert not found[f"{tmp_path / 'no images'} on nodes"]["ok"]
    assert not found["store of a cluster"]["ok"]
