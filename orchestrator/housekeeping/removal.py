"""Removing a folder, with a sentence where that fails."""

import shutil
from contextlib import suppress
from pathlib import Path

from orchestrator.errors import OrchestratorError


def remove_folder(folder: Path, advice: str = "") -> None:
    """Remove a folder and what it holds; one that is gone is no error.

    Args:
        folder: The folder.
        advice: What the error says besides, in whole sentences.

    Raises:
        OrchestratorError: It cannot be removed.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "cache").mkdir()
    ...     remove_folder(Path(folder, "cache"))
    ...     Path(folder, "cache").exists()
    False
    """
    try:
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
    except OSError as error:
        reason = f"{folder} could not be removed: {error.strerror or error}."
        raise OrchestratorError(f"{reason} {advice}".rstrip()) from error
