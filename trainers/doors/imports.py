"""Which modules of its own folder a file of a user's code imports."""

import ast
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def imported_files(path: Path) -> dict[str, Path]:
    """Find the modules beside a file that it imports, itself or through one another.

    Imports are read, not run: one whose name is made while the code runs is not found. Modules of
    Python and of installed packages are not looked at.

    Args:
        path: The file.

    Returns:
        The file of each module by the module's name.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "my_model.py").write_text("import torch, my_layers")
    ...     _ = Path(folder, "my_layers.py").write_text("from statistics import fmean")
    ...     list(imported_files(Path(folder, "my_model.py")))
    ['my_layers']
    """
    folder, found = path.parent, dict[str, Path]()
    waiting = [("", path)]
    while waiting:
        module, file = waiting.pop()
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        for name in _names(file, package):
            place = _module_file(folder, name)
            if place is not None and place != path and name not in found:
                found[name] = place
                waiting.append((name, place))
    return dict(sorted(found.items()))


def _names(file: Path, package: str) -> Iterator[str]:
    """Yield the names of all that could be modules in a file's import statements."""
    tree = ast.Module([], [])
    with suppress(SyntaxError, ValueError, OSError):
        tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if package else []
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from _with_parents(base)
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[: count + 1]) for count in range(len(parts)) if name)


def _module_file(folder: Path, name: str) -> Path | None:
    place = folder.joinpath(*name.split("."))
    for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if file.is_file():
            return file
    return None
