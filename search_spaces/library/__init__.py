"""Search spaces that ship with the package."""

from pathlib import Path

from search_spaces.errors import Problem, SpaceError, unknown

_FOLDER = Path(__file__).parent


def library_names() -> tuple[str, ...]:
    """Return the names of all shipped spaces, sorted.

    >>> "smoke" in library_names()
    True
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def library_path(name: str) -> Path:
    """Return the file of a shipped space.

    Raises:
        SpaceError: No shipped space has this name.

    >>> library_path("smoke").name
    'smoke.yaml'
    """
    names = library_names()
    if name not in names:
        hint = " A space of your own is named by its path, which ends in .yaml."
        raise SpaceError([Problem(unknown("search space", name, names) + hint)])
    return _FOLDER / f"{name}.yaml"
