"""docker/kustomize renders, and Kubernetes and KubeRay know every key of what comes out."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.kuberay_schema import crd

FOLDER = Path(__file__).resolve().parent.parent / "docker" / "kustomize"
MODELS = {
    "ConfigMap": "V1ConfigMap",
    "Deployment": "V1Deployment",
    "Job": "V1Job",
    "NetworkPolicy": "V1NetworkPolicy",
    "PersistentVolumeClaim": "V1PersistentVolumeClaim",
    "Role": "V1Role",
    "Service": "V1Service",
    "StatefulSet": "V1StatefulSet",
}


@pytest.fixture(scope="module")
def rendered() -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl, which renders kustomizations")
    words = ["kubectl", "kustomize", str(FOLDER / "example")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def _pods(found: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    pods = []
    for each in found:
        spec, name = each.get("spec", {}), each["metadata"]["name"]
        if each["kind"] == "RayCluster":
            groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
            pods += [(name, group["template"]["spec"]) for group in groups]
        elif "template" in spec:
            pods.append((name, spec["template"]["spec"]))
    return pods


def test_kubernetes_knows_every_key(rendered: list[dict[str, Any]]) -> None:
    client = pytest.importorskip("kubernetes.client", reason="needs the extra kubernetes")
    for each in rendered:
        if each["kind"] == "RayCluster":
            continue
        made = getattr(client, MODELS[each["kind"]]).from_dict(each)
        # What the client's model does not know, it leaves away.
        assert client.ApiClient().sanitize_for_serialization(made) == each, each["kind"]


def test_kuberays_schema_accepts_the_cluster_that_stays(rendered: list[dict[str, Any]]) -> None:
    schema = crd("rayclusters")
    (cluster,) = [each for each in rendered if each["kind"] == "RayCluster"]
    errors = jsonschema.Draft202012Validator(schema).iter_errors({**cluster, "metadata": {}})
    assert [each.message for each in errors] == []


def test_the_example_changes_images_and_gives_workers_a_gpu(
    rendered: list[dict[str, Any]],
) -> None:
    images = {pod["containers"][0]["image"] for _, pod in _pods(rendered)}
    assert "paretune" not in images
    assert "registry.example/paretune:0.1.0" in images
    assert {each["metadata"]["namespace"] for each in rendered} == {"sweeps"}
    *_, worker = [pod for name, pod in _pods(rendered) if name == "ray"]
    assert worker["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert worker["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_every_pod_runs_without_rights(rendered: list[dict[str, Any]]) -> None:
    pods = _pods(rendered)
    assert len(pods) == 6
    for name, pod in pods:
        assert pod["securityContext"]["runAsNonRoot"], name
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"], name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"], name


def test_no_manifest_holds_a_secret(rendered: list[dict[str, Any]]) -> None:
    assert "Secret" not in {each["kind"] for each in rendered}
    for name, pod in _pods(rendered):
        for each in pod["containers"][0].get("env", ()):
            if any(word in each["name"] for word in ("PASSWORD", "SECRET", "ACCESS_KEY")):
                assert "secretKeyRef" in each["valueFrom"], name


def test_no_argument_has_a_secret_which_a_list_of_processes_would_show(
    rendered: list[dict[str, Any]],
) -> None:
    for name, pod in _pods(rendered):
        (container,) = pod["containers"]
        words = " ".join([*container.get("command", ()), *container.get("args", ())])
        assert not re.search(r"\$\(\w*(PASSWORD|SECRET|ACCESS_KEY)", words), name


def test_the_files_are_those_of_compose() -> None:
    for name, other in (("auth.ini", "mlflow-auth.ini"), ("mlflow.sql", "initdb.sql")):
        ours = (FOLDER / "base" / name).read_text()
        assert ours == (FOLDER.parent / other).read_text()
