"""A RayJob is one that KubeRay accepts, and settings that contradict are refused."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from orchestrator.errors import UsageError
from orchestrator.jobs.cluster_settings import read_settings
from orchestrator.jobs.job import job_of
from orchestrator.jobs.kuberay import manifests
from orchestrator.spec.files import load_sweep
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


def _manifests(
    folder: Path, sweep: dict[str, Any] | None = None, settings: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    file, cluster = folder / "sweep.yaml", folder / "cluster.yaml"
    file.write_text(yaml.safe_dump({**SWEEP, **(sweep or {})}))
    cluster.write_text(yaml.safe_dump({**SETTINGS, **(settings or {})}))
    spec = load_sweep(file)
    return manifests(job_of(file, spec, environment={}), spec, read_settings(cluster))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """KubeRay's own schema of a RayJob."""
    shared = Path(__file__).resolve().parents[4] / "shared" / "schemas"
    path = shared / "ray.io_rayjobs.yaml"
    if not path.is_file():
        pytest.skip("needs KubeRay's CRD ray.io_rayjobs.yaml in the shared folder")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    versions = yaml.load(path.read_text(), loader)["spec"]["versions"]  # noqa: S506 - a safe loader
    (found,) = [each for each in versions if each["name"] == "v1"]
    return _closed(found["schema"]["openAPIV3Schema"])


def _closed(schema: Any) -> Any:
    """Forbid unknown keys, which a Kubernetes server would drop without a word."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    kept = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not kept:
        closed["additionalProperties"] = False
    return closed


DELETION = [{"when": "succeeded", "delete": "cluster", "after": 60}]


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {},
        WITH_GPUS,
        {"settings": {"deletion": DELETION, "volume": {"claim": "c", "path": "/mnt/c"}}},
        {"settings": {"keep_seconds": 60, "service_account": "sweeps"}},
    ],
    ids=["plain", "gpus", "deletion", "kept"],
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


def _twice(**rule: object) -> dict[str, Any]:
    return {"deletion": [{"when": "failed", "delete": "cluster", **rule}, *DELETION, *DELETION]}


@pytest.mark.parametrize(
    ("sweep", "settings", "told"),
    [
        ({"name": "Digits_FC"}, {}, "cannot name a RayJob"),
        ({}, {"image": ""}, "image"),
        ({}, {"imagee": "x"}, "imagee"),
        ({}, {"retries": -1}, "retries"),
        ({}, {"head": {"memory": "lots"}}, "head.memory"),
        ({}, {"secrets": []}, "name the Secret"),
        ({}, {"workers": [{"min": 3, "max": 2}]}, "raise max, or lower min"),
        ({}, {"workers": [{}, {}]}, "Two groups of workers"),
        ({"resources": {"gpus": 1}}, {}, "no group of workers has that many"),
        ({}, {"workers": [GPU]}, "no trial would use one"),
        ({"storage": "/mnt/sweeps"}, {}, "goes with the pod"),
        ({"store": "sqlite:////mnt/sweeps.db"}, {}, "goes with the pod"),
        ({}, {"keep_seconds": 5, "deletion": DELETION}, "exclude each other"),
        ({}, _twice(), "twice when the job succeeded"),
        (
            {},
            {"deletion": [*DELETION, {"when": "succeeded", "delete": "self"}]},
            "out of order",
        ),
        (
            {},
            {
                "workers": [{"min": 0, "max": 2}],
                "deletion": [{"when": "failed", "delete": "workers"}],
            },
            "autoscaler",
        ),
    ],
)
def test_settings_with_which_no_sweep_would_run_are_refused(
    tmp_path: Path, sweep: dict[str, Any], settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError) as caught:
        _manifests(tmp_path, sweep, settings)
    assert told in str(caught.value)
