"""``submit``: a sweep as a job of a Ray cluster, or of Kubernetes."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from orchestrator.cli.jobs import (
    DASHBOARD,
    ContextOption,
    JobAddressOption,
    follow_to_end,
)
from orchestrator.cli.options import (
    FileArgument,
    Format,
    SettingsOption,
    print_record,
    say,
)
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.jobs.job import Job
    from orchestrator.spec.sweep_spec import SweepSpec


def submit(  # noqa: PLR0913 - the options of a command
    file: FileArgument,
    *,
    address: JobAddressOption = DASHBOARD,
    name: Annotated[
        str | None, typer.Option(help="Replaces the name in the file.", show_default=False)
    ] = None,
    settings: SettingsOption = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Print what the job prints, until it ends.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print what would be sent, as JSON, or the manifests of --kuberay; send nothing.",
        ),
    ] = False,
    kuberay: Annotated[
        bool,
        typer.Option("--kuberay", help="As a RayJob of Kubernetes; with --dry-run, for kubectl."),
    ] = False,
    cluster: Annotated[
        Path | None,
        typer.Option(
            metavar="CLUSTER.yaml", help="Image and pods of --kuberay.", show_default=False
        ),
    ] = None,
    context: ContextOption = None,
) -> None:
    """Run a sweep as a job of a Ray cluster; submit it again to go on where it was.

    Example: paretune submit sweep.yaml --address http://head:8265 --follow
    """
    from orchestrator.jobs.job import job_of
    from orchestrator.spec.files import load_sweep

    if kuberay and cluster is None:
        raise UsageError(
            "--kuberay needs a file that names the image and the pods: paretune submit "
            f"{file} --kuberay --cluster CLUSTER.yaml. See docs/guides/run-on-kubernetes.md."
        )
    spec = load_sweep(file, settings=settings or (), name=name)
    job = job_of(file, spec, settings=settings or (), name=name, environment=os.environ)
    if kuberay and cluster is not None:
        _as_rayjob(job, spec, cluster, None if dry_run else _To(context, follow))
        return
    if dry_run:
        print_record(job.as_json(), "", Format.JSON)
        return
    _send(job, address, follow=follow)


class _To(NamedTuple):
    context: str | None
    follow: bool


def _as_rayjob(job: "Job", spec: "SweepSpec", cluster: Path, to: _To | None) -> None:
    """Create a RayJob, or print its manifests where there is no cluster to create it on."""
    from orchestrator.jobs.cluster_settings import read_settings
    from orchestrator.jobs.kuberay import as_yaml, manifests

    settings = read_settings(cluster)
    found = manifests(job, spec, settings)
    if to is None:
        typer.echo(as_yaml(found), nl=False)
        return
    from orchestrator.jobs.kuberay_jobs import KubeRayJobs
    from orchestrator.jobs.kubernetes_api import connect

    jobs = KubeRayJobs(connect(to.context), settings.namespace)
    name = jobs.submit(found)
    typer.echo(name)
    place = f"--kuberay --namespace {settings.namespace}"
    say(f"Follow it: paretune jobs logs {name} --follow {place}")
    if to.follow:
        follow_to_end(jobs, name)


def _send(job: "Job", address: str, *, follow: bool) -> None:
    from orchestrator.execution.ray_jobs import ENDED, RayJobs
    from orchestrator.jobs.bundle import copy_files
    from orchestrator.jobs.job import next_attempt, submission_id

    jobs = RayJobs(address)
    submitted = {each.id: each for each in jobs.listed()}
    attempt = next_attempt(job.sweep, submitted)
    last = submitted.get(submission_id(job.sweep, attempt - 1))
    if last and last.status not in ENDED:
        raise OrchestratorError(
            f"{last.id} is {last.status}, and a sweep has one driver at a time. Follow it: "
            f"paretune jobs logs {last.id} --follow. Or stop it first: paretune "
            f"jobs stop {last.id}"
        )
    id_ = submission_id(job.sweep, attempt)
    with tempfile.TemporaryDirectory(prefix="paretune-job-") as sent:
        copy_files(job.files, job.folder, Path(sent))
        jobs.submit(id_, job.entrypoint, folder=Path(sent), variables=job.variables)
    typer.echo(id_)
    say(f"Follow it: paretune jobs logs {id_} --follow --address {address}")
    if follow:
        follow_to_end(jobs, id_)
