"""Start Ray on this machine, also on one that is busy; what it prints goes to a file."""

import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray._private import services

from orchestrator.errors import OrchestratorError
from orchestrator.execution.machine_load import patience
from orchestrator.execution.ray_folder import find_ray_folder, make_link
from orchestrator.state_folder import make_private

# Ray's own waits for its processes on a machine with nothing else to do.
_WAIT_S = 30
_LOOK_S = 0.1
# Waits that Ray (2.60) takes from the environment of the process that starts it.
_WAITS = {
    "RAY_gcs_server_port_wait_time_s": _WAIT_S,
    "RAY_agent_register_timeout_ms": 1000 * _WAIT_S,
}
# How long one question for a node takes at most: Ctrl-C does not end it.
_QUESTION = {"RAY_raylet_start_wait_time_s": "1"}


class LocalRay:
    """A Ray of this process's own, on this machine.

    Args:
        log: Where to write what Ray prints.
        say: Called with a line when the start is retried.
    """

    def __init__(self, log: Path, say: Callable[[str], None]) -> None:
        self._log, self._say = log, say
        self._link: Path | None = None

    def start(self) -> None:
        """Start Ray, with one retry.

        Raises:
            OrchestratorError: It cannot be started.
        """
        folder = find_ray_folder()
        if folder.problem:
            raise OrchestratorError(f"Ray cannot start here: {folder.problem}. {folder.fix}")
        if folder.detour:
            self._link = make_link(folder)
        try:
            self._start(str(self._link) if self._link else None)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop Ray; does nothing if it was not started."""
        if ray.is_initialized():
            ray.shutdown()
        if self._link is not None:
            shutil.rmtree(self._link.parent, ignore_errors=True)
            self._link = None

    def _start(self, folder: str | None) -> None:
        try:
            self._try(folder)
        except Exception as error:
            if isinstance(error, PermissionError | FileNotFoundError | NotADirectoryError):
                raise self._refusal(error) from error
            self._say(f"Ray did not start ({_first_line(error)}); trying once more")
        else:
            return
        try:
            self._try(folder)
        except Exception as error:
            raise self._refusal(error) from error

    def _try(self, folder: str | None) -> None:
        before = set(_children())
        slower = patience()
        try:
            with ExitStack() as stack:
                stack.enter_context(_waits(slower))
                stack.enter_context(stderr_in(self._log))
                stack.enter_context(own_signal_handlers())
                ray.init(
                    address="local",
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _temp_dir=folder,
                )
        except BaseException as error:
            with self._log.open("a") as log:
                log.write(f"{error}\n")
            # Not `ray.shutdown`: in the middle of a start it waits for long, or crashes.
            _kill_ray(set(_children()) - before)
            raise

    def _refusal(self, error: Exception) -> OrchestratorError:
        return OrchestratorError(
            f"Ray could not start here: {_first_line(error)}. On a machine that is very busy, the "
            f"same command works later. What Ray says is in {self._log}"
        )


@contextmanager
def own_signal_handlers() -> Iterator[None]:
    """Restore this process's signal handlers at the end: Ray (2.60) sets its own as it starts.

    Raises:
        KeyboardInterrupt: SIGTERM came meanwhile, which Ray turns into the end of the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except SystemExit as error:
        if error.code == signal.SIGTERM:
            raise KeyboardInterrupt from error
        raise
    finally:
        for each, handler in kept.items():
            signal.signal(each, handler)


@contextmanager
def stderr_in(log: Path) -> Iterator[None]:
    """Append to a file what C++ and Python write to standard error within this block."""
    make_private(log.parent)
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        if log.is_file() and not log.stat().st_size:
            log.unlink(missing_ok=True)


@contextmanager
def _waits(slower: float) -> Iterator[None]:
    """Let Ray wait for its processes as many times longer as this machine is slower than usual."""
    given = {name: str(round(slower * wait)) for name, wait in _WAITS.items()} | _QUESTION
    added = {name: value for name, value in given.items() if name not in os.environ}
    os.environ.update(added)
    # The whole wait for a node has no setting: Ray asks until 30 seconds are over, so that what
    # is asked here takes as long as it may.
    plain: Any = services.get_node
    services.get_node = partial(_node_awaited, plain, slower * _WAIT_S)
    try:
        yield
    finally:
        services.get_node = plain
        for name in added:
            os.environ.pop(name, None)


def _node_awaited(get_node: Callable[..., Any], seconds: float, *node: Any) -> Any:
    """A node, as soon as it is up; Ray's own error when it is not up in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(RuntimeError):
            return get_node(*node)
        time.sleep(_LOOK_S)
    return get_node(*node)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].partition(" This could")[0].strip().rstrip(".:")


def _children() -> Iterator[int]:
    """Processes that this one started."""
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # The thread has ended.
            yield from map(int, task.read_text().split())


def _kill_ray(processes: set[int]) -> None:
    """End what a start that failed has left: Ray forgets it, and it would slow the next one."""
    for process in processes:
        with suppress(OSError):
            if b"/ray/" in Path(f"/proc/{process}/cmdline").read_bytes():
                os.kill(process, signal.SIGKILL)
