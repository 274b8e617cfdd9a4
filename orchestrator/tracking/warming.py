"""MLflow is loaded, and its database made, while Ray starts and the processor has time."""

import threading
from queue import Queue

from orchestrator.tracking.mlflow_server import MlflowServer


class WarmUp:
    """A thread that loads MLflow and makes a database, which appears only once it is wanted.

    Args:
        server: What is loaded; None loads nothing.
    """

    def __init__(self, server: MlflowServer | None) -> None:
        # The first word counts.
        self._words: Queue[bool] = Queue()
        if server is not None:
            work = threading.Thread(
                target=server.warm_up,
                args=(self._words.get,),
                name="mlflow-warm-up",
                daemon=True,
            )
            work.start()

    def want(self) -> None:
        """Let the database appear."""
        self._words.put(item=True)

    def end(self) -> None:
        """Let it not appear, if it was not wanted before."""
        self._words.put(item=False)
