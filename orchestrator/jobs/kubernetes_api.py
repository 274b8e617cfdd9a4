"""The API server of a Kubernetes cluster, through the package ``kubernetes``."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import OrchestratorError, UsageError

_MISSING = (
    "--kuberay needs the package kubernetes: pip install 'paretune[kubernetes]'. Without it, "
    "print the manifests for kubectl: paretune submit SWEEP.yaml --kuberay --cluster CLUSTER.yaml "
    "--dry-run | kubectl create -f -"
)
_FIXES = {
    401: "Log in anew, or name another context of your kubeconfig with --context.",
    403: (
        "Ask for a role that may get, list, watch, create, patch and delete rayjobs (ray.io) and "
        "configmaps, and get and list secrets, pods and pods/log, in this namespace."
    ),
    404: "Look whether KubeRay's operator is installed: kubectl get crd rayjobs.ray.io",
    422: "KubeRay's CRD on the cluster may be an older one: docs/guides/run-on-kubernetes.md.",
}


@dataclass(frozen=True, slots=True)
class KubernetesApi:
    """What of a cluster's API jobs need.

    Attributes:
        host: Address of the API server.
        core: Pods, secrets, config maps.
        custom: RayJobs.
        watch: Makes a new watch.
    """

    host: str
    core: Any = field(repr=False)
    custom: Any = field(repr=False)
    watch: Any = field(repr=False)

    @contextmanager
    def explained(self, act: str) -> Iterator[None]:
        """Turn the client's errors within this block into sentences.

        Args:
            act: What is tried, as in "create the RayJob a".
        """
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ApiException as error:
            raise OrchestratorError(
                f"The Kubernetes API at {self.host} did not {act}: {_reason(error)}. "
                f"{_FIXES.get(error.status, '')}".rstrip()
            ) from error
        except HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise OrchestratorError(
                f"The Kubernetes API at {self.host} cannot be reached to {act}: "
                f"{str(reason).splitlines()[0].rstrip('.')}. Correct the address in your "
                f"kubeconfig, or name another context of it with --context."
            ) from error

    def has(self, kind: str, name: str, namespace: str) -> bool | None:
        """Return whether a Secret, a claim or an account exists; None if it may not be told."""
        from kubernetes.client import ApiException

        reads = {
            "Secret": self.core.read_namespaced_secret,
            "PersistentVolumeClaim": self.core.read_namespaced_persistent_volume_claim,
            "ServiceAccount": self.core.read_namespaced_service_account,
        }
        with self.explained(f"look up the {kind} {name}"):
            try:
                reads[kind](name, namespace)
            except ApiException as error:
                if error.status not in (403, 404):
                    raise
                return None if error.status == 403 else False
        return True


def connect(context: str | None = None) -> KubernetesApi:
    """Connect to the cluster of a kubeconfig, or to the one in whose pod this runs.

    Args:
        context: Of the kubeconfig; its current one if it is not given.

    Raises:
        UsageError: There is no configuration, or the package is not installed.
    """
    try:
        from kubernetes import client, config, watch
    except ImportError:
        raise UsageError(_MISSING) from None
    found = client.Configuration()
    found.retries = 1
    try:
        try:
            config.load_kube_config(
                context=context, client_configuration=found, persist_config=False
            )
        except config.ConfigException:
            if context:
                raise
            config.load_incluster_config(client_configuration=found)
    except config.ConfigException as error:
        raise UsageError(
            f"There is no Kubernetes cluster to submit to: {str(error).rstrip('.')}. Name a file "
            f"in KUBECONFIG, or another context of it with --context."
        ) from None
    api = client.ApiClient(found)
    return KubernetesApi(
        found.host, client.CoreV1Api(api), client.CustomObjectsApi(api), watch.Watch
    )


def _reason(error: Any) -> str:
    """Return what the server said, which stands in a JSON document of its own."""
    try:
        said = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        said = error.reason or f"status {error.status}"
    return str(said).strip().rstrip(".")
