"""RayJobs of a Kubernetes cluster: create, look, follow, suspend, delete."""

import codecs
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.execution.ray_jobs import ENDED, JobState
from orchestrator.jobs.kubernetes_api import KubernetesApi

_PLACE = {"group": "ray.io", "version": "v1", "plural": "rayjobs"}
_SUBMITTER = "ray-job-submitter"
_GONE_S = 180.0
_WATCH_S = 10
_MERGE = "application/merge-patch+json"


class KubeRayJobs:
    """Sweeps that run as RayJobs of one namespace.

    Args:
        api: Of the cluster.
        namespace: Of the jobs.
    """

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api, self._namespace = api, namespace

    def submit(self, found: Sequence[Mapping[str, Any]]) -> str:
        """Create the ConfigMap and the RayJob of a sweep; one that has ended makes room.

        Returns:
            The name of the job.

        Raises:
            OrchestratorError: The sweep's job still runs, or the cluster refuses.
            UsageError: The cluster lacks what the job refers to.
        """
        files, job = found
        name = str(job["metadata"]["name"])
        self._refuse_what_is_missing(job)
        last = next((each for each in self.listed() if each.id == name), None)
        if last and last.status not in ENDED:
            raise OrchestratorError(
                f"{name} is {last.status}, and a sweep has one driver at a time. Follow it: "
                f"paretune jobs logs {name} --follow --kuberay --namespace {self._namespace}. Or "
                f"stop it first: paretune jobs delete {name} --kuberay --namespace "
                f"{self._namespace}"
            )
        if last:
            self.delete(name)
        self._put_files(files)
        with self._api.explained(f"create the RayJob {name}"):
            made = self._api.custom.create_namespaced_custom_object(
                namespace=self._namespace, body=dict(job), **_PLACE
            )
        self._own(name, made)
        return name

    def listed(self) -> list[JobState]:
        """List the RayJobs that paretune made, by name."""
        with self._api.explained("list RayJobs"):
            found = self._api.custom.list_namespaced_custom_object(
                namespace=self._namespace,
                label_selector="app.kubernetes.io/name=paretune",
                **_PLACE,
            )
        return sorted(map(job_state, found["items"]), key=lambda each: each.id)

    def state(self, id_: str) -> JobState:
        """Look up one job.

        Raises:
            UnknownNameError: The namespace has no such job.
        """
        known = {each.id: each for each in self.listed()}
        if id_ not in known:
            raise UnknownNameError("job", id_, known, where=f"the namespace {self._namespace}")
        return known[id_]

    def logs(self, id_: str) -> str:
        """Return what all tries of a job have printed so far."""
        self.state(id_)
        return "".join(self._log(pod) for pod in self._pods(id_))

    def follow(self, id_: str, tell: Callable[[str], object]) -> JobState:
        """Pass on what each try of a job prints, until the job ends."""
        told: dict[str, int] = {}
        while True:
            state = self.state(id_)
            for pod in self._pods(id_):
                told[pod] = self._tell(pod, told.get(pod, 0), tell)
            if state.status in ENDED:
                return state
            self._wait_for_change(state)

    def stop(self, id_: str) -> bool:
        """Suspend a job, which ends its pods; return whether it was running.

        Raises:
            UsageError: KubeRay does not suspend this one.
        """
        if self.state(id_).status in ENDED:
            return False
        with self._api.explained(f"suspend {id_}"):
            job = self._api.custom.get_namespaced_custom_object(
                namespace=self._namespace, name=id_, **_PLACE
            )
        if not job["spec"].get("shutdownAfterJobFinishes"):
            raise UsageError(
                f"{id_} has rules of deletion, and KubeRay suspends no such job. Delete it: "
                f"paretune jobs delete {id_} --kuberay --namespace {self._namespace}. What is "
                f"finished stays in the store, and submitting the sweep again goes on."
            )
        with self._api.explained(f"suspend {id_}"):
            self._api.custom.patch_namespaced_custom_object(
                namespace=self._namespace, name=id_, body={"spec": {"suspend": True}}, **_PLACE
            )
        return True

    def delete(self, id_: str) -> None:
        """Delete a job, its pods and its files from the cluster, and wait until it is gone.

        Raises:
            OrchestratorError: It is still there after three minutes.
        """
        self.state(id_)
        with self._api.explained(f"delete {id_}"):
            self._api.custom.delete_namespaced_custom_object(
                namespace=self._namespace, name=id_, propagation_policy="Foreground", **_PLACE
            )
        self._delete_files(id_)
        until = time.monotonic() + _GONE_S
        while left := [each for each in self.listed() if each.id == id_]:
            if time.monotonic() > until:
                raise OrchestratorError(
                    f"{id_} is still being deleted after {_GONE_S:.0f} s. Look what it waits for: "
                    f"kubectl describe rayjob {id_} --namespace {self._namespace}"
                )
            self._wait_for_change(left[0], seconds=2)

    def _refuse_what_is_missing(self, job: Mapping[str, Any]) -> None:
        """Refuse a job whose pods would wait for ever for something that does not exist."""
        pod = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
        wanted = [
            ("Secret", each["secretRef"]["name"]) for each in pod["containers"][0]["envFrom"]
        ]
        claims = [each.get("persistentVolumeClaim") for each in pod["volumes"]]
        wanted += [("PersistentVolumeClaim", each["claimName"]) for each in claims if each]
        if account := pod.get("serviceAccountName"):
            wanted.append(("ServiceAccount", account))
        missing = [each for each in wanted if self._api.has(*each, self._namespace) is False]
        if missing:
            raise UsageError(
                "\n".join(
                    f"The namespace {self._namespace} has no {kind} {name!r}, for which the pods "
                    f"would wait for ever: make it, or correct its name in the cluster's file."
                    for kind, name in missing
                )
            )

    def _put_files(self, files: Mapping[str, Any]) -> None:
        from kubernetes.client import ApiException

        name = files["metadata"]["name"]
        with self._api.explained(f"create the ConfigMap {name}"):
            try:
                self._api.core.create_namespaced_config_map(self._namespace, dict(files))
            except ApiException as error:
                if error.status != 409:
                    raise
                self._api.core.replace_namespaced_config_map(name, self._namespace, dict(files))

    def _own(self, name: str, job: Mapping[str, Any]) -> None:
        """Let the cluster delete the files when the job is deleted, by any client."""
        owner = {
            "apiVersion": job["apiVersion"],
            "kind": job["kind"],
            "name": name,
            "uid": job["metadata"]["uid"],
        }
        with self._api.explained(f"bind the ConfigMap {name} to its job"):
            self._api.core.patch_namespaced_config_map(
                name, self._namespace, {"metadata": {"ownerReferences": [owner]}}
            )

    def _delete_files(self, name: str) -> None:
        from kubernetes.client import ApiException

        with self._api.explained(f"delete the ConfigMap {name}"):
            try:
                self._api.core.delete_namespaced_config_map(name, self._namespace)
            except ApiException as error:
                if error.status != 404:
                    raise

    def _pods(self, id_: str) -> list[str]:
        """List the pods of the job's tries that have begun, in their order."""
        with self._api.explained(f"list the pods of {id_}"):
            found = self._api.core.list_namespaced_pod(
                self._namespace, label_selector=f"job-name={id_}"
            ).items
        begun = [each for each in found if each.status.phase != "Pending"]
        begun.sort(key=lambda each: (each.metadata.creation_timestamp, each.metadata.name))
        return [each.metadata.name for each in begun]

    def _log(self, pod: str) -> str:
        with self._api.explained(f"return the log of {pod}"):
            said = self._api.core.read_namespaced_pod_log(
                pod, self._namespace, container=_SUBMITTER, _preload_content=False
            )
            return bytes(said.data).decode(errors="replace")

    def _tell(self, pod: str, known: int, tell: Callable[[str], object]) -> int:
        """Pass on a pod's log from a byte on, until the pod ends or the server hangs up."""
        seen = 0
        with self._api.explained(f"return the log of {pod}"):
            said = self._api.core.read_namespaced_pod_log(
                pod, self._namespace, container=_SUBMITTER, follow=True, _preload_content=False
            )
            try:
                decoder = codecs.getincrementaldecoder("utf-8")("replace")
                for part in said.stream():
                    new = decoder.decode(part[max(0, known - seen) :])
                    seen += len(part)
                    if new:
                        tell(new)
            finally:
                said.release_conn()
        return max(known, seen)

    def _wait_for_change(self, known: JobState, seconds: int = _WATCH_S) -> None:
        """Wait until a job is no longer as it was seen, or for some seconds."""
        with self._api.explained(f"watch {known.id}"):
            watch = self._api.watch()
            events = watch.stream(
                self._api.custom.list_namespaced_custom_object,
                namespace=self._namespace,
                field_selector=f"metadata.name={known.id}",
                timeout_seconds=seconds,
                **_PLACE,
            )
            for event in events:
                if event["type"] == "DELETED" or job_state(event["object"]) != known:
                    watch.stop()


def job_state(job: Mapping[str, Any]) -> JobState:
    """Read a RayJob's state in Ray's words.

    A try that failed is no end while KubeRay may try again.

    >>> status = {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"}
    >>> found = {"metadata": {"name": "a"}, "spec": {"entrypoint": "b"}, "status": status}
    >>> job_state(found).status
    'RUNNING'
    >>> found["status"] = {"jobDeploymentStatus": "Retrying", "jobStatus": "FAILED"}
    >>> job_state(found).status
    'PENDING'
    """
    status = job.get("status") or {}
    deployed, said = status.get("jobDeploymentStatus", ""), status.get("jobStatus", "")
    ends = {"Complete": said or "SUCCEEDED", "Failed": "FAILED", "Suspended": "STOPPED"}
    word = ends.get(deployed, "RUNNING" if deployed == "Running" else "PENDING")
    message = ": ".join(filter(None, (status.get("reason"), status.get("message"))))
    return JobState(
        job["metadata"]["name"], word, message or deployed, job["spec"].get("entrypoint", "")
    )
