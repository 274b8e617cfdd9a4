"""``submit``, and ``jobs``: a sweep as a job of a Ray cluster."""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import (
    FileArgument,
    Format,
    FormatOption,
    SettingsOption,
    print_record,
    print_records,
    say,
)
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.execution.ray_jobs import JobState
    from orchestrator.jobs.job import Job
    from orchestrator.spec.sweep_spec import SweepSpec

JobAddressOption = Annotated[
    str,
    typer.Option(
        "--address",
        envvar="RAY_API_SERVER_ADDRESS",
        metavar="URL",
        help="The dashboard of the cluster, as http://HOST:8265.",
    ),
]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Id that submit printed.")]
_DASHBOARD = "http://127.0.0.1:8265"

app = typer.Typer(help="Look at the jobs of a Ray cluster, follow and stop them.")


def submit(  # noqa: PLR0913 - the options of a command
    file: FileArgument,
    *,
    address: JobAddressOption = _DASHBOARD,
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
        typer.Option("--kuberay", help="As a RayJob for Kubernetes; with --dry-run, for kubectl."),
    ] = False,
    cluster: Annotated[
        Path | None,
        typer.Option(
            metavar="CLUSTER.yaml", help="Image and pods of --kuberay.", show_default=False
        ),
    ] = None,
) -> None:
    """Run a sweep as a job of a Ray cluster; submit it again to go on where it was.

    Example: paretune submit sweep.yaml --address http://head:8265 --follow
    """
    from orchestrator.jobs.job import job_of
    from orchestrator.spec.files import load_sweep

    if kuberay and (cluster is None or not dry_run):
        raise UsageError(
            "--kuberay prints manifests, of the image and the pods that a file names: paretune "
            f"submit {file} --kuberay --cluster CLUSTER.yaml --dry-run | kubectl create -f -"
        )
    spec = load_sweep(file, settings=settings or (), name=name)
    job = job_of(file, spec, settings=settings or (), name=name, environment=os.environ)
    if kuberay and cluster is not None:
        _print_manifests(job, cluster, spec)
        return
    if dry_run:
        print_record(job.as_json(), "", Format.JSON)
        return
    _send(job, address, follow=follow)


def _print_manifests(job: "Job", cluster: Path, spec: "SweepSpec") -> None:
    from orchestrator.jobs.cluster_settings import read_settings
    from orchestrator.jobs.kuberay import as_yaml, manifests

    typer.echo(as_yaml(manifests(job, spec, read_settings(cluster))), nl=False)


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
        _follow(jobs.follow(id_, _write))


@app.command("list")
def list_(address: JobAddressOption = _DASHBOARD, how: FormatOption = Format.TABLE) -> None:
    """List the jobs of a cluster with their states.

    Example: paretune jobs list --address http://head:8265
    """
    from orchestrator.execution.ray_jobs import RayJobs

    found = RayJobs(address).listed()
    records = [_record(each) for each in found]
    print_records(records, "\n".join(f"{job.status:<10} {job.id}" for job in found), how)


@app.command("status")
def status(
    job: JobArgument, address: JobAddressOption = _DASHBOARD, how: FormatOption = Format.TABLE
) -> None:
    """Print the state of a job.

    Example: paretune jobs status digits-fc.attempt-1
    """
    from orchestrator.execution.ray_jobs import RayJobs

    state = RayJobs(address).state(job)
    print_record(_record(state), f"{state.status}: {state.message}", how)


@app.command("logs")
def logs(
    job: JobArgument,
    *,
    address: JobAddressOption = _DASHBOARD,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the job ends.")] = False,
) -> None:
    """Print what a job printed.

    Example: paretune jobs logs digits-fc.attempt-1 --follow
    """
    from orchestrator.execution.ray_jobs import RayJobs

    jobs = RayJobs(address)
    if follow:
        jobs.state(job)
        _follow(jobs.follow(job, _write))
    else:
        _write(jobs.logs(job))


@app.command("stop")
def stop(job: JobArgument, address: JobAddressOption = _DASHBOARD) -> None:
    """Interrupt a job; finished trials are kept, and submitting the sweep again goes on.

    Example: paretune jobs stop digits-fc.attempt-1
    """
    from orchestrator.execution.ray_jobs import RayJobs

    jobs = RayJobs(address)
    say(f"Asked {job} to stop." if jobs.stop(job) else f"{job} has ended already.")


def _record(job: "JobState") -> dict[str, object]:
    names = ("id", "status", "message", "entrypoint")
    return {name: getattr(job, name) for name in names}


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _follow(state: "JobState") -> None:
    """Exit with 1 if a job that was followed did not succeed."""
    say(f"{state.id}: {state.status}")
    if state.status != "SUCCEEDED":
        raise typer.Exit(1)
