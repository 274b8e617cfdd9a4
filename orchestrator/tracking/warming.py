"""Loads MLflow, and creates its database, while something else takes no time of this process."""

import threading
from queue import Queue

from orchestrator.tracking.mlflow_server import MlflowServer


class WarmUp:
    """A thread that loads MLflow and creates a database, put in place only once it is wanted.

    Args:
        server: The server to load; None loads nothing.
        early: Whether to load it at once, and not only once the database is wanted.
    """

    def __init__(self, server: MlflowServer | None, *, early: bool = True) -> None:
        # Only the first answer counts.
        self._words: Queue[bool] = Queue()
        if server is not None:
            work = threading.Thread(
                target=self._load,
                args=(server, early),
                name="mlflow-warm-up",
                daemon=True,
            )
            work.start()

    def _load(self, server: MlflowServer, early: bool) -> None:  # noqa: FBT001 - a thread's target
        if early:
            server.warm_up(self._words.get)
        elif self._words.get():
            server.warm_up()

    def want(self) -> None:
        """Allow the database to be put in place."""
        self._words.put(item=True)

    def end(self) -> None:
        """Discard the database, unless it was wanted before."""
        self._words.put(item=False)
