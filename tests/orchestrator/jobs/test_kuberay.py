"""A RayJob is one that KubeRay accepts, and settings that contradict are refused."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.cli.app import app
from orchestrator.errors import UsageError
from orchestrator.jobs.cluster_settings import read_settings
from orchestrator.jobs.job import job_of
from orchestrator.jobs.kuberay import manifests
from orchestrator.spec.files import load_sweep
from tests.kuberay_schema import crd
from tests.orchestrator.jobs.conftest import MINIMAL

SWEEP = {
    **MINIMAL,
    "store": "postgresql+psycopg://me:${SWEEPS_PASSWORD}@db/sweeps",
    "tracking": "http://mlflow:5000",
    "storage": "s3://bucket/sweeps",
}
GPU = {"name": "gpu", "cpus": 4, "gpus": 1, "min": 0, "max": 4, "tolerations": [{"key": "gpu"}]}
SETTINGS = {"image": "registry.example/paretune:0.1.0", "secrets": ["sweeps"]}
WITH_GPUS = {"sweep": {"resources": {"gpus": 1}}, "settings": {"workers": [GPU]}}


def _written(folder: Path, sweep: dict[str, Any], settings: dict[str, Any]) -> tuple[Path, Path]:
    file, cluster = folder / "sweep.yaml", folder / "cluster.yaml"
    file.write_text(yaml.safe_dump({**SWEEP, **sweep}))
    cluster.write_text(yaml.safe_dump({**SETTINGS, **settings}))
    return file, cluster


def _manifests(
    folder: Path, sweep: dict[str, Any] | None = None, settings: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    file, cluster = _written(folder, sweep or {}, settings or {})
    spec = load_sweep(file)
    return manifests(job_of(file, spec, environment={}), spec, read_settings(cluster))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """KubeRay's own schema of a RayJob."""
    return crd("rayjobs")


DELETION = [{"when": "succeeded", "delete": "cluster", "after": 60}]


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {},
        WITH_GPUS,
        {"settings": {"deletion": DELETION, "volume": {"claim": "c", "path": "/mnt/c"}}},
        {"settings": {"keep_seconds": 60, "service_account": "sweeps"}},
        {"settings": {"auth": {"secret": "ray"}, "user": 4711, "group": 0}},
    ],
    ids=["plain", "gpus", "deletion", "kept", "tokens"],
)
def test_kuberays_schema_accepts_the_job(
    tmp_path: Path, schema: dict[str, Any], given: dict[str, Any]
) -> None:
    _, job = _manifests(tmp_path, **given)
    # The CRD leaves open what metadata holds.
    errors = jsonschema.Draft202012Validator(schema).iter_errors({**job, "metadata": {}})
    assert [each.message for each in errors] == []


@pytest.mark.slow
def test_the_schema_would_notice_a_key_that_kuberay_does_not_have(
    tmp_path: Path, schema: dict[str, Any]
) -> None:
    _, job = _manifests(tmp_path)
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]["toleration"] = []
    with pytest.raises(jsonschema.ValidationError, match="toleration"):
        jsonschema.validate({**job, "metadata": {}}, schema)


def test_a_trial_on_a_gpu_gets_one_and_the_autoscaler_its_bounds(tmp_path: Path) -> None:
    _, job = _manifests(tmp_path, **WITH_GPUS)
    cluster = job["spec"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    assert cluster["enableInTreeAutoscaling"]
    assert (group["minReplicas"], group["maxReplicas"]) == (0, 4)
    (container,) = group["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["envFrom"] == [{"secretRef": {"name": "sweeps"}}]
    assert job["spec"]["entrypoint"] == "paretune run /etc/paretune/sweep/sweep.yaml"


def test_a_file_that_a_config_map_cannot_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my data.npz").write_bytes(b"")
    with pytest.raises(UsageError, match="rename it"):
        _manifests(tmp_path, {"data": {"npz": "my data.npz"}})


DELETED_TWICE = [*DELETION, *DELETION]
OUT_OF_ORDER = [*DELETION, {"when": "succeeded", "delete": "self"}]
WORKERS_OF_THE_AUTOSCALER = {
    "workers": [{"min": 0, "max": 2}],
    "deletion": [{"when": "failed", "delete": "workers"}],
}
# What is wrong, the sweep's keys, the settings' keys, and how the sentence begins.
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "name": ({"name": "Digits_FC"}, {}, "'Digits_FC' cannot name a RayJob: use 1 to 47"),
    "empty image": ({}, {"image": ""}, "cluster.yaml: image: 'image' is '', but needs a text"),
    "unknown key": ({}, {"imagee": "x"}, "cluster.yaml: imagee: Unknown key 'imagee'."),
    "retries": ({}, {"retries": -1}, "cluster.yaml: retries: 'retries' is -1, but needs a number"),
    "memory": (
        {},
        {"head": {"memory": "lots"}},
        "cluster.yaml: head.memory: 'memory' is 'lots', but needs a text such as '4Gi'.",
    ),
    "no image": (
        {},
        {"image": None},
        "cluster.yaml: image: 'image' is None, but needs text.",
    ),
    "no secret": ({}, {"secrets": []}, "The sweep refers to environment variables, and secrets"),
    "bounds": ({}, {"workers": [{"min": 3, "max": 2}]}, "The group 'workers' has at least 3 pods"),
    "two groups": ({}, {"workers": [{}, {}]}, "Two groups of workers are called 'workers'"),
    "gpu missing": ({"resources": {"gpus": 1}}, {}, "A trial needs 1 CPUs and 1 GPUs on one node"),
    "half a gpu": (
        {},
        {"workers": [{"gpus": 0.5}]},
        "cluster.yaml: workers[0].gpus: 'gpus' is 0.5, but needs an integer.",
    ),
    "gpu unused": ({}, {"workers": [GPU]}, "Every group of workers has GPUs, and no trial would"),
    "storage in a pod": ({"storage": "/mnt/a"}, {}, "storage is /mnt/a, in a pod's own file sys"),
    "store in a pod": (
        {"store": "sqlite:////mnt/sweeps.db"},
        {},
        "store is /mnt/sweeps.db, in a pod's own file system",
    ),
    "volume elsewhere": (
        {"storage": "/mnt/a"},
        {"volume": {"claim": "c", "path": "/mnt/b"}},
        "storage is /mnt/a, in a pod's own file system",
    ),
    "kept and deleted": (
        {},
        {"keep_seconds": 5, "deletion": DELETION},
        "keep_seconds and deletion exclude each other",
    ),
    "deleted twice": (
        {},
        {"deletion": DELETED_TWICE},
        "deletion deletes 'cluster' twice when the",
    ),
    "out of order": ({}, {"deletion": OUT_OF_ORDER}, "deletion when the job succeeded is out of"),
    "autoscaler": ({}, WORKERS_OF_THE_AUTOSCALER, "deletion cannot delete 'workers' where the"),
    "old Ray": (
        {},
        {"auth": {}, "ray_version": "2.51.0"},
        "auth.mode is 'token', which needs Ray 2.52.0 or later, and ray_version is 2.51.0",
    ),
    "token for nobody": (
        {},
        {"auth": {"mode": "disabled", "secret": "a"}},
        "auth.secret holds a token, and auth.mode is 'disabled'",
    ),
    "toleration": (
        {},
        {"workers": [{"tolerations": [{"key": "gpu", "effect": "No"}]}]},
        "cluster.yaml: workers[0].tolerations[0].effect: 'effect' is 'No', but needs one of",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("wrong", REFUSED)
def test_a_dry_run_refuses_what_would_not_run_with_a_sentence(tmp_path: Path, wrong: str) -> None:
    sweep, settings, told = REFUSED[wrong]
    file, cluster = _written(tmp_path, sweep, settings)
    words = ["submit", str(file), "--kuberay", "--cluster", str(cluster), "--dry-run"]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert refused.stdout == ""
    said = " ".join(refused.stderr.split())
    assert told in said
    assert said.endswith((".", "?"))


def test_the_pods_run_without_rights_and_write_where_they_must(tmp_path: Path) -> None:
    _, job = _manifests(tmp_path, settings={"user": 4711, "group": 0, "auth": {"secret": "ray"}})
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "ray"}
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) == (
            4711,
            0,
        )
        assert container["securityContext"]["readOnlyRootFilesystem"]
        written = {each["name"] for each in pod["volumes"] if "emptyDir" in each}
        mounted = {each["mountPath"] for each in container["volumeMounts"]}
        assert written == {"tmp", "var-lib-paretune"}
        assert {f"/{name}".replace("-", "/") for name in written} <= mounted
