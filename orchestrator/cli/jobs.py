"""``jobs``: what was submitted to a Ray cluster, or to Kubernetes."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import Format, FormatOption, print_record, print_records, say

if TYPE_CHECKING:
    from orchestrator.execution.ray_jobs import JobState, RayJobs
    from orchestrator.jobs.kuberay_jobs import KubeRayJobs

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
KubeRayOption = Annotated[
    bool, typer.Option("--kuberay", help="RayJobs of Kubernetes, in place of --address.")
]
NamespaceOption = Annotated[
    str, typer.Option("--namespace", help="Namespace of the jobs of --kuberay.")
]
ContextOption = Annotated[
    str | None,
    typer.Option(
        "--context", help="Context of your kubeconfig, for --kuberay.", show_default=False
    ),
]
DASHBOARD = "http://127.0.0.1:8265"

app = typer.Typer(help="Look at the jobs of a cluster, follow, stop and delete them.")


@app.command("list")
def list_(
    *,
    address: JobAddressOption = DASHBOARD,
    kuberay: KubeRayOption = False,
    namespace: NamespaceOption = "default",
    context: ContextOption = None,
    how: FormatOption = Format.TABLE,
) -> None:
    """List the jobs of a cluster with their states.

    Example: paretune jobs list --address http://head:8265
    """
    found = _jobs(address, kuberay=kuberay, namespace=namespace, context=context).listed()
    records = [_record(each) for each in found]
    print_records(records, "\n".join(f"{job.status:<10} {job.id}" for job in found), how)


@app.command("status")
def status(
    job: JobArgument,
    *,
    address: JobAddressOption = DASHBOARD,
    kuberay: KubeRayOption = False,
    namespace: NamespaceOption = "default",
    context: ContextOption = None,
    how: FormatOption = Format.TABLE,
) -> None:
    """Print the state of a job.

    Example: paretune jobs status digits-fc.attempt-1
    """
    jobs = _jobs(address, kuberay=kuberay, namespace=namespace, context=context)
    state = jobs.state(job)
    print_record(_record(state), f"{state.status}: {state.message}", how)


@app.command("logs")
def logs(
    job: JobArgument,
    *,
    address: JobAddressOption = DASHBOARD,
    kuberay: KubeRayOption = False,
    namespace: NamespaceOption = "default",
    context: ContextOption = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the job ends.")] = False,
) -> None:
    """Print what a job printed.

    Example: paretune jobs logs digits-fc.attempt-1 --follow
    """
    jobs = _jobs(address, kuberay=kuberay, namespace=namespace, context=context)
    if follow:
        jobs.state(job)
        follow_to_end(jobs, job)
    else:
        _write(jobs.logs(job))


@app.command("stop")
def stop(
    job: JobArgument,
    *,
    address: JobAddressOption = DASHBOARD,
    kuberay: KubeRayOption = False,
    namespace: NamespaceOption = "default",
    context: ContextOption = None,
) -> None:
    """Interrupt a job; finished trials are kept, and submitting the sweep again goes on.

    Example: paretune jobs stop digits-fc.attempt-1
    """
    jobs = _jobs(address, kuberay=kuberay, namespace=namespace, context=context)
    say(f"Asked {job} to stop." if jobs.stop(job) else f"{job} has ended already.")


@app.command("delete")
def delete(
    job: JobArgument,
    *,
    address: JobAddressOption = DASHBOARD,
    kuberay: KubeRayOption = False,
    namespace: NamespaceOption = "default",
    context: ContextOption = None,
) -> None:
    """Delete a job from its cluster; the sweep and its results stay in the store.

    A job of --address must have ended; one of --kuberay is interrupted, and its pods are deleted.

    Example: paretune jobs delete digits-fc --kuberay --namespace sweeps
    """
    _jobs(address, kuberay=kuberay, namespace=namespace, context=context).delete(job)
    say(f"Deleted {job}.")


def follow_to_end(jobs: "RayJobs | KubeRayJobs", job: str) -> None:
    """Print what a job prints until it ends; exit with 1 if it did not succeed."""
    state = jobs.follow(job, _write)
    say(f"{state.id}: {state.status}")
    if state.status != "SUCCEEDED":
        raise typer.Exit(1)


def _jobs(
    address: str, *, kuberay: bool, namespace: str, context: str | None
) -> "RayJobs | KubeRayJobs":
    if kuberay:
        from orchestrator.jobs.kuberay_jobs import KubeRayJobs
        from orchestrator.jobs.kubernetes_api import connect

        return KubeRayJobs(connect(context), namespace)
    from orchestrator.execution.ray_jobs import RayJobs

    return RayJobs(address)


def _record(job: "JobState") -> dict[str, object]:
    names = ("id", "status", "message", "entrypoint")
    return {name: getattr(job, name) for name in names}


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
