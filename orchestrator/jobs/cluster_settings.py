"""The Kubernetes cluster of a sweep: image, sizes of pods, what is kept and for how long."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from orchestrator.errors import UsageError
from orchestrator.spec.messages import sentences
from orchestrator.spec.section import Section
from search_spaces import FileProblems, read_yaml
from search_spaces.yaml_files import dotted

_FIRST_WITH_TOKENS = (2, 52, 0)
_GROUP = r"^[a-z]([a-z0-9-]*[a-z0-9])?$"
_NAMESPACE = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
_AMOUNT = r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?$"


class HeadSection(Section):
    """The pod that runs the driver.

    Attributes:
        cpus: Its CPUs.
        memory: Its memory, as Kubernetes writes it: ``4Gi``.
    """

    cpus: int = Field(default=2, ge=1)
    memory: str = Field(default="4Gi", pattern=_AMOUNT, examples=["4Gi"])


class TolerationSection(Section):
    """A taint of nodes on which workers may run all the same.

    Attributes:
        key: Of the taint.
        effect: Of the taint.
    """

    key: str = Field(min_length=1)
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


class WorkersSection(HeadSection):
    """A group of equal worker pods.

    Attributes:
        name: Of the group.
        gpus: Whole GPUs of each pod.
        min: Fewest pods.
        max: Most pods; more than `min` lets Ray's autoscaler decide.
        tolerations: Taints that are tolerated.
        node_selector: Labels of the nodes.
    """

    name: str = Field(default="workers", pattern=_GROUP, examples=["gpu-workers"])
    gpus: int = Field(default=0, ge=0)
    min: int = Field(default=1, ge=0)
    max: int = Field(default=1, ge=1)
    tolerations: list[TolerationSection] = Field(default_factory=list)
    node_selector: dict[str, str] = Field(default_factory=dict)


class VolumeSection(Section):
    """A volume that all pods mount.

    Attributes:
        claim: Name of its PersistentVolumeClaim.
        path: The absolute folder at which it is mounted.
    """

    claim: str = Field(min_length=1)
    path: str = Field(pattern=r"^/.+", examples=["/mnt/sweeps"])


class DeletionSection(Section):
    """What is deleted when a job has ended.

    Attributes:
        when: How the job ended.
        delete: What is deleted then.
        after: Seconds after the end.
    """

    when: Literal["succeeded", "failed"]
    delete: Literal["workers", "cluster", "self", "none"]
    after: int = Field(default=0, ge=0)


class AuthSection(Section):
    """Who may speak to the Ray cluster of a job.

    Attributes:
        mode: ``token``: those who know a token, which KubeRay makes and gives to all pods.
        secret: A Secret that has the token, under ``auth_token``, in place of one of KubeRay's.
    """

    mode: Literal["token", "disabled"] = "token"
    secret: str | None = Field(default=None, min_length=1)


class ClusterSettings(Section):
    """The file that ``paretune submit --kuberay --cluster`` names.

    Attributes:
        image: Image of all pods, with paretune and Ray's job server.
        namespace: Of the job.
        ray_version: Version of Ray in the image.
        service_account: Of all pods; the namespace's default if it is not given.
        auth: Who may speak to the Ray cluster; KubeRay's default if it is not given.
        user: User id of all pods; the image's if it is not given.
        group: Group id to which a volume's files belong.
        read_only: Whether the pods' root file systems are read-only.
        head: The pod of the driver.
        workers: Groups of worker pods.
        secrets: Secrets whose keys become environment variables of all pods.
        volume: A volume that all pods mount.
        retries: How often a job that failed starts again, and so goes on.
        keep_seconds: How long cluster and job stay after the end, where `deletion` is empty.
        deletion: What is deleted, by how the job ended.
    """

    image: str = Field(min_length=1)
    namespace: str = Field(default="default", pattern=_NAMESPACE, examples=["sweeps"])
    ray_version: str = Field(default="2.60.0", pattern=r"^\d+\.\d+\.\d+$", examples=["2.60.0"])
    service_account: str | None = None
    auth: AuthSection | None = None
    user: int | None = Field(default=None, ge=1)
    group: int | None = Field(default=None, ge=0)
    read_only: bool = True
    head: HeadSection = HeadSection()
    workers: list[WorkersSection] = Field(default_factory=lambda: [WorkersSection()], min_length=1)
    secrets: list[str] = Field(default_factory=list)
    volume: VolumeSection | None = None
    retries: int = Field(default=3, ge=0)
    keep_seconds: int | None = Field(default=None, ge=0)
    deletion: list[DeletionSection] = Field(default_factory=list)

    @property
    def scales(self) -> bool:
        """Whether Ray's autoscaler decides how many workers there are.

        >>> ClusterSettings(image="paretune:1").scales
        False
        """
        return any(group.max > group.min for group in self.workers)


def read_settings(path: Path) -> ClusterSettings:
    """Read a file of cluster settings.

    Raises:
        UsageError: It is wrong; one line for each problem.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "cluster.yaml")
    ...     _ = file.write_text("image: registry.example/paretune:0.1.0")
    ...     read_settings(file).retries
    3
    """
    try:
        return ClusterSettings.model_validate(dict(read_yaml(path).data))
    except FileProblems as error:
        raise UsageError(str(error)) from None
    except ValidationError as error:
        told = [
            ": ".join(filter(None, (path.name, dotted(place), text)))
            for place, text in sentences(error, ClusterSettings)
        ]
        raise UsageError("\n".join(told)) from None


def settings_problems(settings: ClusterSettings) -> list[str]:
    """Find values that contradict each other, by the rules of KubeRay's operator.

    >>> twice = [WorkersSection(), WorkersSection()]
    >>> settings_problems(ClusterSettings(image="paretune:1", workers=twice))
    ["Two groups of workers are called 'workers': give each a name of its own."]
    """
    found = (_worker_problems, _deletion_problems, _auth_problems)
    return [problem for problems in found for problem in problems(settings)]


def _worker_problems(settings: ClusterSettings) -> Iterator[str]:
    names = [group.name for group in settings.workers]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"Two groups of workers are called {name!r}: give each a name of its own."
    for group in settings.workers:
        if group.max < group.min:
            yield (
                f"The group {group.name!r} has at least {group.min} pods and at most {group.max}: "
                f"raise max, or lower min."
            )


def _auth_problems(settings: ClusterSettings) -> Iterator[str]:
    auth = settings.auth
    if auth is None:
        return
    if auth.mode == "disabled" and auth.secret:
        yield "auth.secret holds a token, and auth.mode is 'disabled': leave one away."
    version = tuple(map(int, settings.ray_version.split(".")))
    if auth.mode == "token" and version < _FIRST_WITH_TOKENS:
        yield (
            f"auth.mode is 'token', which needs Ray 2.52.0 or later, and ray_version is "
            f"{settings.ray_version}: use a newer image, or leave auth away."
        )


def _deletion_problems(settings: ClusterSettings) -> Iterator[str]:
    rules = settings.deletion
    if rules and settings.keep_seconds is not None:
        yield (
            "keep_seconds and deletion exclude each other, as KubeRay's ttlSecondsAfterFinished "
            "and deletionRules do: leave one away."
        )
    for when in ("succeeded", "failed"):
        kinds = [rule.delete for rule in rules if rule.when == when]
        for kind in dict.fromkeys(kinds):
            if kinds.count(kind) > 1:
                yield f"deletion deletes {kind!r} twice when the job {when}: leave one rule away."
        after = {rule.delete: rule.after for rule in rules if rule.when == when}
        order = [after[kind] for kind in ("workers", "cluster", "self") if kind in after]
        if order != sorted(order):
            yield (
                f"deletion when the job {when} is out of order: workers are deleted first, then "
                f"the cluster, then the job itself; got {order} seconds. Let them not decrease."
            )
    if settings.scales and any(rule.delete == "workers" for rule in rules):
        yield (
            "deletion cannot delete 'workers' where the autoscaler decides how many there are "
            "(max is more than min): delete 'cluster', or let min and max be equal."
        )
