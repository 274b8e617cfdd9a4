"""One kind of error for all file systems of fsspec."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Turn any error of an fsspec file system into OSError: each has exceptions of its own.

    >>> with as_os_errors():
    ...     raise KeyError("bucket")
    Traceback (most recent call last):
    OSError: KeyError: 'bucket'
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
