"""The moving parts of the orchestrator as protocols. Read this package first.

A sweep is a loop (`orchestrator.driver.loop`): ask the *sampler* for parameters, store the trial,
hand it to the *executor*; store each report and ask the *scheduler* whether to go on; store what
was measured; and let the *mirror* copy all of it to MLflow. Everything that must survive a crash
goes through the *store*; every other part can be rebuilt from it.

Each file is named after the package that implements it: `contracts.storage` is what
`orchestrator.storage` promises.
"""

from orchestrator.contracts.execution import (
    Executor,
    FrontJob,
    Job,
    JobSource,
    Load,
    News,
    Outcome,
    Prepared,
    Unmeasured,
)
from orchestrator.contracts.progress import Plan, Progress, Silent
from orchestrator.contracts.sampling import KnownValues, Sampler, Suggestion, nothing_known
from orchestrator.contracts.scheduling import Decision, Scheduler
from orchestrator.contracts.storage import Mark, Outbox, Store, SweepWriter
from orchestrator.contracts.tracking import Mirror

__all__ = [
    "Decision",
    "Executor",
    "FrontJob",
    "Job",
    "JobSource",
    "KnownValues",
    "Load",
    "Mark",
    "Mirror",
    "News",
    "Outbox",
    "Outcome",
    "Plan",
    "Prepared",
    "Progress",
    "Sampler",
    "Scheduler",
    "Silent",
    "Store",
    "Suggestion",
    "SweepWriter",
    "Unmeasured",
    "nothing_known",
]
