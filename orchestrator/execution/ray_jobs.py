"""The job server of a Ray cluster: submit, look, follow, stop."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.execution.ray_address import REFUSED_FIX
from orchestrator.redaction import redacted

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
"""States in which a job no longer runs."""
STOP_WAIT_VARIABLE = "RAY_JOB_STOP_WAIT_TIME_S"
"""Where the process that stops a job looks up how long it waits before it kills."""
STOP_WAIT_S = 60
"""Ray's own three seconds are too few for a driver that stores what its trials have."""
_SERVER_FIX = (
    "Start the head with its dashboard (pip install 'paretune[cluster]', ray start --head "
    "--dashboard-host 0.0.0.0), and give the dashboard's address, http://HOST:8265."
)
AGENT_WAIT_S = 120.0
"""How long a head may take until it starts jobs."""
_NO_AGENT = "No available agent"
_AGENT_FIX = (
    "The job server answers, but its agent, which starts jobs, does not. Another Ray of the "
    "head's machine may have the agent's port, 52365: start the head with a free one in "
    "--dashboard-agent-listen-port. The head's dashboard_agent.log "
    "(/tmp/ray/session_latest/logs) says more."
)


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as its server knows it.

    Attributes:
        id: Submission id.
        status: Ray's word: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        message: Ray's sentence about it.
        entrypoint: Its command.
    """

    id: str
    status: str
    message: str
    entrypoint: str


class RayJobs:
    """Jobs of one cluster.

    Args:
        address: Of the dashboard, as ``http://HOST:8265``.

    Raises:
        OrchestratorError: There is no job server at the address.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        with self._explained():
            from ray.job_submission import JobSubmissionClient

            self._client: Any = JobSubmissionClient(address)

    def submit(
        self, id_: str, entrypoint: str, *, folder: Path, variables: Mapping[str, str]
    ) -> None:
        """Send a folder, which Ray names by its content, and start a command in it.

        Right after its start a head has no agent yet, which starts jobs: that is waited for.
        """
        given = {STOP_WAIT_VARIABLE: str(STOP_WAIT_S), **variables}
        environment = {"working_dir": str(folder), "env_vars": given}
        until = time.monotonic() + AGENT_WAIT_S
        with self._explained():
            while True:
                try:
                    self._client.submit_job(
                        entrypoint=entrypoint, submission_id=id_, runtime_env=environment
                    )
                except RuntimeError as error:
                    if _NO_AGENT not in str(error) or time.monotonic() > until:
                        raise
                    time.sleep(1)
                else:
                    return

    def listed(self) -> list[JobState]:
        """List the jobs that were submitted to the server, in the order of their ids."""
        with self._explained():
            found = [self._state(each) for each in self._client.list_jobs() if each.submission_id]
        return sorted(found, key=lambda each: each.id)

    def state(self, id_: str) -> JobState:
        """Look up one job.

        Raises:
            UnknownNameError: The server has no such job.
        """
        known = {each.id: each for each in self.listed()}
        if id_ not in known:
            raise UnknownNameError("job", id_, known, where=redacted(self._address))
        return known[id_]

    def logs(self, id_: str) -> str:
        """Return what a job has printed so far."""
        self.state(id_)
        with self._explained():
            return str(self._client.get_job_logs(id_))

    def follow(self, id_: str, tell: Callable[[str], object]) -> JobState:
        """Pass on what a job prints until it ends."""

        async def tail() -> None:
            async for text in self._client.tail_job_logs(id_):
                tell(text)

        with self._explained():
            asyncio.run(tail())
        return self.state(id_)

    def stop(self, id_: str) -> bool:
        """Send SIGTERM to a job; return whether it was running."""
        if self.state(id_).status in ENDED:
            return False
        with self._explained():
            return bool(self._client.stop_job(id_))

    def delete(self, id_: str) -> None:
        """Let the server forget a job that has ended.

        Raises:
            UsageError: It has not ended.
        """
        if (status := self.state(id_).status) not in ENDED:
            raise UsageError(
                f"{id_} is {status}, and Ray deletes no such job. Stop it first: paretune jobs "
                f"stop {id_} --address {redacted(self._address)}"
            )
        with self._explained():
            self._client.delete_job(id_)

    @staticmethod
    def _state(details: Any) -> JobState:
        status = getattr(details.status, "value", details.status)
        return JobState(
            details.submission_id, str(status), details.message or "", details.entrypoint
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OrchestratorError:
            raise
        except Exception as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise OrchestratorError(
                f"The job server at {redacted(self._address)} did not do what was asked: "
                f"{redacted(reason[-1]).rstrip('.')}. {_fix(reason[-1])}"
            ) from error


def _fix(reason: str) -> str:
    known = {"authentication": REFUSED_FIX, _NO_AGENT: _AGENT_FIX}
    return next((fix for words, fix in known.items() if words in reason), _SERVER_FIX)
