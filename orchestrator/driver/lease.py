"""The lease that a running driver keeps on its sweep."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.contracts import SweepWriter
from orchestrator.driver.loop import SweepLoop
from orchestrator.errors import LeaseLostError, OrchestratorError

logger = logging.getLogger(__name__)

# How long a driver may fail to renew its lease before another one may take its sweep.
LEASE_S = float(os.environ.get("PARETUNE_LEASE_S", "60"))
# How often a driver looks whether it was asked to stop.
_LOOK_S = 5.0


@contextmanager
def lease_kept(writer: SweepWriter, loop: SweepLoop) -> Iterator[None]:
    """Renew the lease while the running trials write nothing.

    If the store cannot be reached, the renewal is retried until the lease has expired; then
    another driver may take over, and the run ends.
    """
    over = threading.Event()

    def renew() -> None:
        renewed = time.monotonic()
        while not over.wait(min(LEASE_S / 4, _LOOK_S)):
            try:
                if asked := writer.renew():
                    loop.interrupt(f"stopped by {asked}")
                renewed = time.monotonic()
            except LeaseLostError as error:
                loop.interrupt(str(error))
                return
            except OrchestratorError as error:
                logger.warning("The lease was not renewed: %s", error)
                if time.monotonic() - renewed >= LEASE_S:
                    loop.fail(error)
                    return

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
