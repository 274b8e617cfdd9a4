"""Loads MLflow, and creates its database, while Ray starts and the CPU is idle."""

import threading
from queue import Queue

from orchestrator.tracking.mlflow_server import MlflowServer


class WarmUp:
    """A thread that loads MLflow and creates a database, put in place only once it is wanted.

    Args:
        server: The server to load; None loads nothing.
    """

    def __init__(self, server: MlflowServer | None) -> None:
        # Only the first answer counts.
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
        """Allow the database to be put in place."""
        self._words.put(item=True)

    def end(self) -> None:
        """Discard the database, unless it was wanted before."""
        self._words.put(item=False)
