"""RayJobs on a stand-in API server: created, followed, tried again, suspended, deleted."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.jobs.kuberay_jobs import KubeRayJobs
from orchestrator.jobs.kubernetes_api import connect
from tests.kubernetes_server import Cluster, close, serve

pytest.importorskip("kubernetes", reason="needs the package kubernetes: the extra kubernetes")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    made = Cluster(tmp_path, dict(os.environ))
    server, kubeconfig = serve(made)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    # The client reads the variable when it is imported.
    monkeypatch.setattr(
        "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig)
    )
    made.put("sweeps", "secrets", {"metadata": {"name": "passwords"}})
    yield made
    close(server, made)


@pytest.fixture
def jobs(cluster: Cluster) -> KubeRayJobs:
    return KubeRayJobs(connect(), "sweeps")


def _manifests(entrypoint: str, *, retries: int = 0, **spec: object) -> list[dict[str, Any]]:
    meta = {
        "name": "tiny",
        "namespace": "sweeps",
        "labels": {"app.kubernetes.io/name": "paretune"},
    }
    pod = {
        "containers": [{"envFrom": [{"secretRef": {"name": "passwords"}}]}],
        "volumes": [{"configMap": {"name": "tiny", "items": [{"key": "a", "path": "a.txt"}]}}],
    }
    files = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**meta}}
    job = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {**meta},
        "spec": {
            "entrypoint": entrypoint,
            "backoffLimit": retries,
            "shutdownAfterJobFinishes": True,
            "rayClusterSpec": {"headGroupSpec": {"template": {"spec": pod}}},
            **spec,
        },
    }
    return [{**files, "binaryData": {"a": "aGVsbG8K"}}, job]


def test_a_job_is_followed_to_its_end_with_the_files_that_it_was_sent(jobs: KubeRayJobs) -> None:
    assert jobs.submit(_manifests("cat /etc/paretune/sweep/a.txt")) == "tiny"
    said: list[str] = []
    assert jobs.follow("tiny", said.append).status == "SUCCEEDED"
    assert "".join(said) == "hello\n" == jobs.logs("tiny")
    assert [(each.id, each.status) for each in jobs.listed()] == [("tiny", "SUCCEEDED")]


def test_each_try_of_a_job_that_fails_is_followed(jobs: KubeRayJobs, tmp_path: Path) -> None:
    fails_once = f"sh -c 'echo try; test -e {tmp_path}/tried || ! touch {tmp_path}/tried'"
    jobs.submit(_manifests(fails_once, retries=2))
    said: list[str] = []
    assert jobs.follow("tiny", said.append).status == "SUCCEEDED"
    assert "".join(said) == "try\ntry\n"


def test_a_job_whose_tries_are_used_up_has_failed(jobs: KubeRayJobs) -> None:
    jobs.submit(_manifests("false", retries=1))
    state = jobs.follow("tiny", lambda _: None)
    assert (state.status, state.message) == ("FAILED", "AppFailed: Job failed")


def test_a_second_job_of_a_running_sweep_is_refused_and_a_suspended_one_makes_room(
    jobs: KubeRayJobs, cluster: Cluster
) -> None:
    first, second = _manifests("sleep 60"), _manifests("true")
    jobs.submit(first)
    with pytest.raises(OrchestratorError, match="one driver at a time"):
        jobs.submit(second)
    while jobs.state("tiny").status != "RUNNING":
        pass
    assert jobs.stop("tiny")
    assert jobs.follow("tiny", lambda _: None).status == "STOPPED"
    assert not jobs.stop("tiny")
    jobs.submit(second)
    assert jobs.follow("tiny", lambda _: None).status == "SUCCEEDED"
    assert cluster.objects["sweeps", "rayjobs", "tiny"]["spec"]["entrypoint"] == "true"


def test_a_job_with_rules_of_deletion_cannot_be_suspended(jobs: KubeRayJobs) -> None:
    jobs.submit(_manifests("sleep 60", shutdownAfterJobFinishes=False))
    with pytest.raises(UsageError, match="paretune jobs delete tiny"):
        jobs.stop("tiny")


def test_deleting_a_job_takes_its_files_and_pods_along(
    jobs: KubeRayJobs, cluster: Cluster
) -> None:
    jobs.submit(_manifests("sleep 60"))
    jobs.delete("tiny")
    assert [key for key in cluster.objects if key[1] != "secrets"] == []
    with pytest.raises(UsageError, match="tiny"):
        jobs.logs("tiny")


def test_files_go_with_a_job_that_someone_else_deletes(
    jobs: KubeRayJobs, cluster: Cluster
) -> None:
    jobs.submit(_manifests("true"))
    jobs.follow("tiny", lambda _: None)
    cluster.drop(("sweeps", "rayjobs", "tiny"))
    assert ("sweeps", "configmaps", "tiny") not in cluster.objects


def test_what_the_pods_would_wait_for_is_named_before_anything_is_made(
    jobs: KubeRayJobs, cluster: Cluster
) -> None:
    cluster.drop(("sweeps", "secrets", "passwords"))
    given = _manifests("true")
    pod = given[1]["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    pod["serviceAccountName"] = "driver"
    with pytest.raises(UsageError) as caught:
        jobs.submit(given)
    told = str(caught.value).splitlines()
    assert [line.split(",")[0] for line in told] == [
        "The namespace sweeps has no Secret 'passwords'",
        "The namespace sweeps has no ServiceAccount 'driver'",
    ]
    assert not cluster.objects


def test_a_cluster_without_kuberay_is_told(jobs: KubeRayJobs, cluster: Cluster) -> None:
    cluster.kinds = ("secrets", "configmaps", "pods")
    with pytest.raises(OrchestratorError, match="kubectl get crd"):
        jobs.listed()


def test_a_token_that_has_expired_is_told(jobs: KubeRayJobs, cluster: Cluster) -> None:
    cluster.token = cluster.token[::-1]
    with pytest.raises(OrchestratorError, match=r"Unauthorized\. Log in anew"):
        jobs.listed()


def test_a_server_that_is_not_there_and_a_context_that_is_not_are_told(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.kubeconfig(9)
    with pytest.raises(OrchestratorError, match="cannot be reached to list RayJobs"):
        KubeRayJobs(connect(), "sweeps").listed()
    with pytest.raises(UsageError, match="another context"):
        connect("production")


COMMAND = f"{sys.executable} -c 'from orchestrator.cli.app import main; main()'"


@pytest.mark.slow
def test_a_driver_that_was_killed_goes_on_in_the_next_try(
    jobs: KubeRayJobs, cluster: Cluster, tmp_path: Path
) -> None:
    """The lease keeps the first driver's trials apart; none is lost and none is run twice."""
    from orchestrator.state_folder import StateFolder
    from orchestrator.storage.opening import find_store

    state = tmp_path / "state"
    cluster.environment = {**os.environ, "PARETUNE_HOME": str(state)}
    given = _manifests(f"{COMMAND} run /etc/paretune/sweep/a.txt", retries=1)
    import base64

    import yaml

    sweep = {
        "name": "tiny",
        "backbone": {"name": "digitnet", "weights": "scratch"},
        "data": {"name": "digits", "limit": 300},
        "space": {"fc_width_1": {"type": "int", "low": 4, "high": 64}},
        "training": {"epochs": 1, "batch_size": 64},
        "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
        "sampler": {"kind": "random"},
        "budget": {"trials": 6},
        "tracking": {"kind": "none"},
        "execution": "inline",
    }
    given[0]["binaryData"]["a"] = base64.b64encode(yaml.safe_dump(sweep).encode()).decode()
    jobs.submit(given)
    killed = False

    def kill_once(text: str) -> None:
        nonlocal killed
        if not killed and "[2/6]" in text:
            killed = True
            os.kill(cluster.running["tiny"].pid, signal.SIGKILL)

    ended = jobs.follow("tiny", kill_once)
    assert killed
    assert ended.status == "SUCCEEDED", jobs.logs("tiny")
    store = find_store(state=StateFolder(state))
    assert store is not None
    trials = store.trials("tiny")
    assert [trial.number for trial in trials] == list(range(6))
    assert {trial.state.value for trial in trials} == {"complete"}
    store.close()
