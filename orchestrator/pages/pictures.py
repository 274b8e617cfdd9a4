"""The validation images of a sweep as pictures, read when the first one is asked for."""

import io
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.errors import OrchestratorError
from orchestrator.queries.sweeps import Sweep
from orchestrator.spec.stored import with_places
from orchestrator.state_folder import StateFolder
from trainers.files.predictions import labels_digest

if TYPE_CHECKING:
    from trainers.data import ImageData

_SIDE = 96
"""Pixels of a picture's larger side; smaller images are enlarged without smoothing."""


class Pictures:
    """The images on which a sweep's trials were measured. Thread-safe.

    Args:
        sweep: The sweep, whose spec says where its images are.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._lock = threading.Lock()
        self._data: ImageData | None = None

    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes.

        Raises:
            OrchestratorError: The images cannot be read on this machine.
        """
        return self._read().classes

    def labels_digest(self) -> str:
        """Return the digest of the true classes, by which the images are recognised."""
        return labels_digest(self._read().val_labels)

    def png(self, place: int) -> bytes:
        """Return the validation image at a position, as a PNG.

        Raises:
            OrchestratorError: There is none, or the images cannot be read on this machine.
        """
        from PIL import Image

        images = self._read().val_images
        if not 0 <= place < len(images):
            raise OrchestratorError(f"There is no validation image {place}.")
        pixels = images[place]
        picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
        factor = max(_SIDE // max(picture.size), 1)
        width, height = (side * factor for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.NEAREST)
        picture.thumbnail((_SIDE * 2, _SIDE * 2))
        written = io.BytesIO()
        picture.save(written, "PNG")
        return written.getvalue()

    def _read(self) -> "ImageData":
        with self._lock:
            if self._data is None:
                self._data = _images(
                    self._sweep.name, self._sweep.spec, self._sweep.record.content
                )
            return self._data


def _images(name: str, spec: Mapping[str, Any], content: Mapping[str, Any]) -> "ImageData":
    from orchestrator.spec.files import stored_sweep
    from trainers.data import load_data
    from trainers.errors import TrainerError

    here = with_places(spec, content, StateFolder.find())
    try:
        return load_data(stored_sweep(name, here).data_config())
    except (TrainerError, OSError) as error:
        raise OrchestratorError(f"The images cannot be read on this machine: {error}") from error
