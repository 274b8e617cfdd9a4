"""Passwords of the tests' own, and where to look whether one has leaked."""

import secrets
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_EVERY_S = 0.5


class Passwords:
    """Three, none of which occurs anywhere by chance."""

    def __init__(self) -> None:
        self.database, self.tracking, self.storage = (
            f"QXQ{secrets.token_hex(12)}" for _ in range(3)
        )

    def found_in(self, content: bytes) -> list[str]:
        """Which of them a content holds."""
        every = vars(self).items()
        return [kind for kind, password in every if password.encode() in content]

    def found_in_files(self, files: Iterable[Path]) -> dict[str, list[str]]:
        """Which of them each file holds; only those that hold one."""
        found = {}
        for file in files:
            # A process that still runs may remove it.
            with suppress(FileNotFoundError):
                found[str(file)] = self.found_in(file.read_bytes())
        return {file: kinds for file, kinds in found.items() if kinds}

    def in_process_list(self, but: Collection[int] = ()) -> list[str]:
        """The command lines that show one of them.

        Args:
            but: Processes that were given what they were given.
        """
        shown = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                line = (entry / "cmdline").read_bytes()
                if int(entry.name) not in but and self.found_in(line):
                    shown.append(line.replace(b"\0", b" ").decode())
        return shown


@contextmanager
def process_list_watched(passwords: Passwords) -> Iterator[list[str]]:
    """Look at the list of processes twice a second; the command lines that showed a password."""
    shown: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_EVERY_S):
            shown.extend(passwords.in_process_list())

    thread = threading.Thread(target=watch, name="process list", daemon=True)
    thread.start()
    try:
        yield shown
    finally:
        over.set()
        thread.join()
