"""From a sweep file to a `SweepSpec`: every problem at once, with its file and line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.errors import UsageError
from orchestrator.spec.callbacks_section import with_resolved_callbacks
from orchestrator.spec.function_objectives import with_resolved_functions
from orchestrator.spec.messages import sentences
from orchestrator.spec.own_parts import with_resolved_attacks
from orchestrator.spec.paths import with_paths
from orchestrator.spec.recipe_section import momentum_problem
from orchestrator.spec.reuse_policy import read_verdict
from orchestrator.spec.sensitivity_section import read_sensitivity
from orchestrator.spec.settings import Place, changed, parse_settings, parse_source
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.spec.trainer import name_problems, space_problems
from search_spaces import (
    Document,
    FileProblems,
    Problem,
    SearchSpace,
    load_space,
    parse_space,
    read_yaml,
    shown,
)
from search_spaces.yaml_files import dotted

_READ = {
    ("backbone", "verdict"): read_verdict,
    ("quantization", "sensitivity"): read_sensitivity,
}
Changes = Mapping[Place, str]


def load_sweep(
    path: str | Path,
    *,
    settings: Sequence[str] = (),
    name: str | None = None,
    trials: int | None = None,
    warm_start: str | None = None,
) -> SweepSpec:
    """Read and check a sweep file.

    Paths in the file are relative to its folder, and those in `settings` and in `warm_start` to
    the working directory.

    Args:
        path: The YAML file.
        settings: Changes such as ``training.epochs=3``, or ``training.epochs=3,seed=1``; values
            are read as YAML.
        name: Replaces the file's name.
        trials: Replaces ``budget.trials``.
        warm_start: Replaces ``warm_start``; read as YAML.

    Raises:
        UsageError: The file or a setting is wrong; the message has one problem per line.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "digits.yaml")
    ...     _ = file.write_text("{name: digits, data: digits, space: smoke, "
    ...                         "backbone: {name: digitnet, weights: bundled}, "
    ...                         "objectives: {accuracy: maximize}}")
    ...     load_sweep(file, settings=["seed=7"]).seed
    7
    """
    path = Path(path)
    try:
        document = read_yaml(path)
        data = dict(document.data)
        changes = [("--set", *setting) for setting in parse_settings(settings)]
        if name is not None:
            changes.append(("--name", ("name",), name))
        if trials is not None:
            changes.append(("--trials", ("budget", "trials"), trials))
        if warm_start is not None:
            changes.append(("--warm-start", ("warm_start",), parse_source(warm_start)))
        for _, place, value in changes:
            data = changed(data, place, value)
        return _read(document, path.parent, data, {place: option for option, place, _ in changes})
    except FileProblems as error:
        raise UsageError(str(error)) from None


def stored_identity(spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Compute the identity of a stored spec; None for one that this version cannot read.

    >>> stored_identity({"version": "of another time"}) is None
    True
    """
    try:
        return SweepSpec.model_validate(spec).identity()
    except ValueError:
        return None


def stored_sweep(name: str, stored: Mapping[str, Any]) -> SweepSpec:
    """Read the spec of a stored sweep.

    Raises:
        UsageError: This version cannot read it.

    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> stored_sweep("digits", spec.model_dump(mode="json")) == spec
    True
    """
    try:
        return SweepSpec.model_validate(stored)
    except ValidationError as error:
        told = " ".join(f"{dotted(place)}: {text}" for place, text in sentences(error))
        raise UsageError(
            f"The stored spec of {name!r} cannot be read by this version of paretune. {told}"
        ) from None


def _read(document: Document, folder: Path, data: dict[str, Any], changes: Changes) -> SweepSpec:
    """Read a document that options have changed, and attribute each problem to its source."""
    try:
        return _Reader(document, folder, changes).read(data)
    except FileProblems as error:
        if not changes:
            raise
        found = error.problems
    try:
        _Reader(document, folder, {}).read(dict(document.data))
        alone: tuple[Problem, ...] = ()
    except FileProblems as error:
        alone = error.problems
    blamed = [_blamed(each, document, changes, alone) for each in found]
    raise FileProblems(sorted(blamed, key=lambda each: each.line or 0)) from None


def _blamed(
    problem: Problem, document: Document, changes: Changes, alone: Sequence[Problem]
) -> Problem:
    """Attribute a problem to the option that causes it, unless the file alone has it too."""
    if problem.file not in ("", document.name):
        return problem
    where, places = problem.where, {dotted(place): option for place, option in changes.items()}
    inside = [
        o for at, o in places.items() if where == at or where.startswith((f"{at}.", f"{at}["))
    ]
    if not inside and problem in alone:
        return problem
    above = [option for at, option in places.items() if where and at.startswith(f"{where}.")]
    option = next(iter([*inside, *above]), "") or _near(problem, places)
    return replace(problem, file=option, line=None)


def _near(problem: Problem, places: Mapping[str, str]) -> str:
    """Find the options that cause a problem elsewhere: in what it names, else in its section."""
    section = re.split(r"[.\[]", problem.where)[0]
    named = [
        at for at in places if re.search(rf"\b{re.escape(at.split('.')[-1])}\b", problem.message)
    ]
    beside = [at for at in places if at.split(".")[0] == section]
    return " and ".join(f"{places[at]} {at}" for at in named or beside or places)


class _Reader:
    """Converts one document to a spec, and collects its problems.

    `changes` maps a place to the option that changed it.
    """

    def __init__(self, document: Document, folder: Path, changes: Changes) -> None:
        self._document = document
        self._folder = folder
        self._changes = changes
        self._problems: list[Problem] = []

    def read(self, data: dict[str, Any]) -> SweepSpec:
        space = self._space(data.get("space")) if "space" in data else None
        # A placeholder lets the rest of the file be checked when the space is wrong.
        plain = space.as_mapping() if space else {}
        resolved = self._with_files(with_paths(data, self._folder_of))
        resolved = with_resolved_functions(resolved, self._folder_of(("objectives",)))
        resolved = with_resolved_attacks(resolved, self._folder_of)
        resolved = with_resolved_callbacks(resolved, self._folder_of(("callbacks",)))
        if "space" in data:
            resolved["space"] = plain
        try:
            spec = SweepSpec.model_validate(resolved)
        except ValidationError as error:
            for place, message in sentences(error):
                self._complain(message, *place)
        inline = isinstance(data.get("space"), Mapping)
        if space:
            self._check_space(space, data, inline=inline)
        elif inline:
            for name, message in name_problems(data["space"]):
                self._complain(message, "space", name)
        if self._problems:
            raise FileProblems(sorted(self._problems, key=lambda p: p.line or 0))
        return spec

    def _check_space(self, space: SearchSpace, data: Mapping[str, Any], *, inline: bool) -> None:
        """Ask the trainer which of a space's parameters and values it accepts."""
        head, training = data.get("head"), data.get("training")
        shared = head if isinstance(head, Mapping) else {}
        for name, message in space_problems(space, shared):
            self._complain(message, *(("space", name) if inline else ("space",)))
        if problem := momentum_problem(space, training if isinstance(training, dict) else {}):
            self._complain(problem, "training")

    def _with_files(self, data: dict[str, Any]) -> dict[str, Any]:
        """Read what analyses wrote into files, so that their content is part of the sweep."""
        for (place, key), read in _READ.items():
            section = data.get(place)
            if not isinstance(section, Mapping) or not isinstance(section.get(key), str):
                continue
            found = {name: value for name, value in section.items() if name != key}
            try:
                found[key] = read(Path(section[key]))
            except ValueError as error:
                self._complain(str(error), place, key)
            data = {**data, place: found}
        return data

    def _folder_of(self, place: Place) -> Path:
        """Return the base of a relative path: the file's folder, or the working directory's."""
        is_given = any(place[: len(each)] == each for each in self._changes)
        return Path.cwd() if is_given else self._folder

    def _space(self, source: object) -> SearchSpace | None:
        try:
            if isinstance(source, Mapping):
                return parse_space(source, document=self._document, path=("space",))
            if not isinstance(source, str):
                self._complain(
                    f"'space' is {shown(source)}, but needs a library name, a path, or a mapping "
                    f"from parameter names to domains.",
                    "space",
                )
                return None
            is_path = source.endswith((".yaml", ".yml")) or "/" in source
            folder = self._folder_of(("space",))
            return load_space(folder / Path(source).expanduser() if is_path else source)
        except FileProblems as error:
            for problem in error.problems:
                if problem.file:
                    self._problems.append(problem)
                else:
                    self._complain(problem.message, "space")
            return None

    def _complain(self, message: str, *place: str | int) -> None:
        self._problems.append(self._document.problem(message, *place))
