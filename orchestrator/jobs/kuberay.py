"""A sweep as a RayJob of KubeRay, beside the ConfigMap that holds its files."""

import base64
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import yaml

from orchestrator.addresses import sqlite_file
from orchestrator.errors import UsageError
from orchestrator.execution.ray_jobs import STOP_WAIT_S, STOP_WAIT_VARIABLE
from orchestrator.jobs.cluster_settings import (
    ClusterSettings,
    HeadSection,
    WorkersSection,
    settings_problems,
)
from orchestrator.jobs.job import Job
from orchestrator.references import has_reference
from orchestrator.spec.sweep_spec import SweepSpec

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,45}[a-z0-9])?")  # DNS-1035, and KubeRay's 47 characters
_MOST_BYTES = 700_000  # a ConfigMap holds 1 MiB, and base64 takes a third more
_FILES = "/etc/paretune/sweep"
_WRITTEN = ("/tmp", "/var/lib/paretune")  # noqa: S108 - of a pod; Ray's logs, PARETUNE_HOME


def manifests(job: Job, spec: SweepSpec, settings: ClusterSettings) -> list[dict[str, Any]]:
    """Build the ConfigMap and the RayJob of a sweep.

    A retry starts a new cluster, in which the same command goes on; the lease in the store keeps
    a driver that is still there from writing beside it.

    Raises:
        UsageError: KubeRay would refuse the job, or no trial could run; one line for each reason.

    >>> from orchestrator.spec.files import load_sweep
    >>> from pathlib import Path
    >>> spec = load_sweep("examples/sweeps/digits.yaml", settings=["storage=s3://bucket/sweeps"])
    >>> job = Job("digits", "paretune run", {}, Path("examples/sweeps"), [Path("digits.yaml")])
    >>> [each["kind"] for each in manifests(job, spec, ClusterSettings(image="paretune:1"))]
    ['ConfigMap', 'RayJob']
    """
    problems = [*settings_problems(settings), *_sweep_problems(job, spec, settings)]
    if problems:
        raise UsageError("\n".join(problems))
    meta = {"name": job.sweep, "namespace": settings.namespace}
    labels = {"app.kubernetes.io/name": "paretune", "app.kubernetes.io/instance": job.sweep}
    metadata = {**meta, "labels": labels}
    keys = {_key(path.as_posix()): path for path in job.files}
    content = {
        key: base64.b64encode((job.folder / path).read_bytes()).decode()
        for key, path in keys.items()
    }
    files = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": content}
    body = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": metadata}
    return [files, {**body, "spec": _spec(job, settings)}]


def as_yaml(found: list[dict[str, Any]]) -> str:
    """Write manifests as the YAML documents that kubectl reads.

    >>> print(as_yaml([{"kind": "ConfigMap"}]), end="")
    kind: ConfigMap
    """
    return str(yaml.dump_all(found, Dumper=_Plain, sort_keys=False))


class _Plain(yaml.SafeDumper):
    """Repeats what stands twice, which is easier to read than an alias."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _spec(job: Job, settings: ClusterSettings) -> dict[str, Any]:
    entrypoint = job.entrypoint.replace('"$PWD"', _FILES)
    cluster: dict[str, Any] = {
        "rayVersion": settings.ray_version,
        "enableInTreeAutoscaling": settings.scales,
        "headGroupSpec": {
            "rayStartParams": {"dashboard-host": "0.0.0.0", "num-cpus": "0"},  # noqa: S104
            "template": _pod("ray-head", settings.head, job, settings),
        },
        "workerGroupSpecs": [_group(group, job, settings) for group in settings.workers],
    }
    if settings.auth:
        given = {"mode": settings.auth.mode, "secretName": settings.auth.secret}
        cluster["authOptions"] = {key: value for key, value in given.items() if value}
    spec: dict[str, Any] = {
        "entrypoint": entrypoint,
        "backoffLimit": settings.retries,
        "submissionMode": "K8sJobMode",
        "shutdownAfterJobFinishes": not settings.deletion,
        "rayClusterSpec": cluster,
    }
    if settings.deletion:
        spec["deletionStrategy"] = {
            "deletionRules": [
                {
                    "policy": f"Delete{rule.delete.title()}",
                    "condition": {"jobStatus": rule.when.upper(), "ttlSeconds": rule.after},
                }
                for rule in settings.deletion
            ]
        }
    elif settings.keep_seconds is not None:
        spec["ttlSecondsAfterFinished"] = settings.keep_seconds
    return spec


def _group(group: WorkersSection, job: Job, settings: ClusterSettings) -> dict[str, Any]:
    template = _pod("ray-worker", group, job, settings, gpus=group.gpus)
    if group.tolerations:
        template["spec"]["tolerations"] = [
            {"key": each.key, "operator": "Exists", "effect": each.effect}
            for each in group.tolerations
        ]
    if group.node_selector:
        template["spec"]["nodeSelector"] = group.node_selector
    return {
        "groupName": group.name,
        "replicas": group.min,
        "minReplicas": group.min,
        "maxReplicas": group.max,
        "rayStartParams": {},
        "template": template,
    }


def _pod(
    name: str, size: HeadSection, job: Job, settings: ClusterSettings, *, gpus: int = 0
) -> dict[str, Any]:
    amounts: dict[str, str] = {"cpu": str(size.cpus), "memory": size.memory}
    if gpus:
        amounts["nvidia.com/gpu"] = str(gpus)
    items = [{"key": _key(path.as_posix()), "path": path.as_posix()} for path in job.files]
    volumes: list[dict[str, Any]] = [
        {"name": "sweep", "configMap": {"name": job.sweep, "items": items}}
    ]
    mounts: list[dict[str, Any]] = [{"name": "sweep", "mountPath": _FILES, "readOnly": True}]
    if settings.volume:
        claim = {"claimName": settings.volume.claim}
        volumes.append({"name": "shared", "persistentVolumeClaim": claim})
        mounts.append({"name": "shared", "mountPath": settings.volume.path})
    for folder in _WRITTEN:
        name_of_it = folder.strip("/").replace("/", "-")
        volumes.append({"name": name_of_it, "emptyDir": {}})
        mounts.append({"name": name_of_it, "mountPath": folder})
    variables = {STOP_WAIT_VARIABLE: str(STOP_WAIT_S), **job.variables}
    container = {
        "name": name,
        "image": settings.image,
        "resources": {"requests": amounts, "limits": amounts},
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "envFrom": [{"secretRef": {"name": secret}} for secret in settings.secrets],
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": settings.read_only,
        },
    }
    pod: dict[str, Any] = {"containers": [container], "volumes": volumes}
    given = {"runAsUser": settings.user, "fsGroup": settings.group}
    pod["securityContext"] = {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        **{key: value for key, value in given.items() if value is not None},
    }
    if settings.service_account:
        pod["serviceAccountName"] = settings.service_account
    return {"spec": pod}


def _key(path: str) -> str:
    """Name a file as a ConfigMap can: without slashes, and each by another name."""
    return path.replace("_", "_.").replace("/", "__")


def _sweep_problems(job: Job, spec: SweepSpec, settings: ClusterSettings) -> Iterator[str]:
    if not _NAME.fullmatch(job.sweep):
        yield (
            f"{job.sweep!r} cannot name a RayJob: use 1 to 47 lower-case letters, digits and '-', "
            f"beginning with a letter and ending without '-'. Set it with --name."
        )
    for path in job.files:
        if not re.fullmatch(r"[-._/A-Za-z0-9]+", path.as_posix()):
            yield (
                f"{path} cannot be a file of a ConfigMap: rename it with letters, digits, '.', "
                f"'_' and '-' alone."
            )
    size = sum((job.folder / path).stat().st_size for path in job.files)
    if size > _MOST_BYTES:
        yield (
            f"The files of the sweep have {size:,} bytes, and a ConfigMap takes at most "
            f"{_MOST_BYTES:,}: put data into the volume, and name it by its absolute path."
        )
    yield from _fit_problems(spec, settings)
    addresses = (spec.store, spec.tracking.uri or "", spec.storage or "")
    if any(map(has_reference, addresses)) and not settings.secrets:
        yield (
            "The sweep refers to environment variables, and secrets is empty: name the Secret "
            "that holds them."
        )
    mounted = settings.volume and PurePosixPath(settings.volume.path)
    for key, address in (("storage", spec.storage or ""), ("store", spec.store)):
        file = sqlite_file(address)
        local = str(file) if file else address
        is_local = local.startswith("/")
        if is_local and not (mounted and PurePosixPath(local).is_relative_to(mounted)):
            yield (
                f"{key} is {local}, in a pod's own file system, which goes with the pod. Name a "
                f"server or a bucket, or set volume to a claim that is mounted there."
            )


def _fit_problems(spec: SweepSpec, settings: ClusterSettings) -> Iterator[str]:
    needs = spec.resources.as_needs()
    cpus, gpus = needs.cpus, needs.gpus
    if not any(group.cpus >= cpus and group.gpus >= gpus for group in settings.workers):
        yield (
            f"A trial needs {cpus} CPUs and {gpus:g} GPUs on one node, and no group of workers "
            f"has that many: raise cpus or gpus of a group, or lower resources in the sweep file."
        )
    if not gpus and all(group.gpus for group in settings.workers):
        yield (
            "Every group of workers has GPUs, and no trial would use one: set resources.gpus in "
            "the sweep file, or gpus: 0 of a group."
        )
