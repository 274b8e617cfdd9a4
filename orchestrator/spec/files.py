"""From a sweep file to a `SweepSpec`: every problem at once, with its file and line."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.errors import UsageError
from orchestrator.spec.head_parameters import head_problems
from orchestrator.spec.run_sections import with_source
from orchestrator.spec.sweep_spec import SweepSpec
from search_spaces import (
    Choice,
    Document,
    Domain,
    FileProblems,
    Problem,
    SearchSpace,
    did_you_mean,
    load_space,
    parse_space,
    parse_yaml,
    read_yaml,
    shown,
    unknown,
)
from search_spaces.yaml_files import Located, dotted
from trainers.config import MAX_HIDDEN_LAYERS, PARAMETER_NAMES, PARAMETERS, check_parameter
from trainers.networks.backbone_table import is_weights_file

_PATHS = (
    *(("data", "folder"), ("data", "npz"), ("data", "root")),
    *(("backbone", "weights"), ("warm_start", "csv")),
)


def load_sweep(
    path: str | Path,
    *,
    settings: Sequence[str] = (),
    name: str | None = None,
    trials: int | None = None,
    warm_start: str | None = None,
) -> SweepSpec:
    """Read and check a sweep file.

    Paths in the file are relative to the folder it lies in.

    Args:
        path: The YAML file.
        settings: Changes such as ``training.epochs=3``; the value is read as YAML.
        name: Replaces the file's name.
        trials: Replaces ``budget.trials``.
        warm_start: Replaces ``warm_start``; read as YAML, a path relative to the working
            directory.

    Raises:
        UsageError: The file or a setting is wrong; the message has one problem a line.
    """
    path = Path(path)
    try:
        document = read_yaml(path)
        data = dict(document.data)
        changes = [("--set", *_setting(text)) for text in settings]
        if name is not None:
            changes.append(("--name", ("name",), name))
        if trials is not None:
            changes.append(("--trials", ("budget", "trials"), trials))
        if warm_start is not None:
            changes.append(("--warm-start", ("warm_start",), _source(warm_start)))
        for _, place, value in changes:
            data = _changed(data, place, value)
        changed = {place: option for option, place, _ in changes}
        return _Reader(document, path.parent, changed).read(data)
    except FileProblems as error:
        raise UsageError(str(error)) from None


class _Reader:
    """Turns one document into a spec, and collects what is wrong with it.

    `changed` has the option that changed a place, by that place.
    """

    def __init__(
        self, document: Document, folder: Path, changed: Mapping[tuple[str | int, ...], str]
    ) -> None:
        self._document = document
        self._folder = folder
        self._changed = changed
        self._problems: list[Problem] = []

    def read(self, data: dict[str, Any]) -> SweepSpec:
        space = self._space(data.get("space")) if "space" in data else None
        # A stand-in lets the rest of the file be checked when the space is wrong.
        plain = space.as_mapping() if space else {}
        resolved = {**_with_paths(data, self._folder)}
        if "space" in data:
            resolved["space"] = plain
        try:
            spec = SweepSpec.model_validate(resolved)
        except ValidationError as error:
            self._problems.extend(self._problem(detail) for detail in error.errors())
        inline = isinstance(data.get("space"), Mapping)
        if space:
            head = data.get("head")
            shared = head if isinstance(head, Mapping) else {}
            self._check_parameters(space, shared, inline=inline)
        elif inline:
            self._check_names(data["space"])
        if self._problems:
            raise FileProblems(sorted(self._problems, key=lambda p: p.line or 0))
        return spec

    def _space(self, source: object) -> SearchSpace | None:
        try:
            if isinstance(source, Mapping):
                # A space that came from --set has no lines.
                document = None if self._option(("space",)) else self._document
                return parse_space(source, document=document, path=("space",))
            if not isinstance(source, str):
                self._complain(
                    f"'space' is {shown(source)}, but needs a library name, a path, or a mapping "
                    f"from parameter names to domains.",
                    "space",
                )
                return None
            is_path = source.endswith((".yaml", ".yml")) or "/" in source
            return load_space(self._folder / source if is_path else source)
        except FileProblems as error:
            for problem in error.problems:
                if problem.file:
                    self._problems.append(problem)
                elif problem.where:
                    self._problems.append(replace(problem, file=self._option(("space",))))
                else:
                    self._complain(problem.message, "space")
            return None

    def _check_names(self, names: Iterable[str]) -> None:
        """At least the names, of a space that could not be parsed."""
        for name in names:
            if name not in PARAMETERS:
                self._complain(unknown("parameter", name, PARAMETER_NAMES), "space", name)

    def _check_parameters(
        self, space: SearchSpace, head: Mapping[str, object], *, inline: bool
    ) -> None:
        """Every parameter must be one that a trial knows, over values it can be run with."""
        for name, domain in space.domains.items():
            place = ("space", name) if inline else ("space",)
            for value in _extremes(domain):
                try:
                    check_parameter(name, value)
                except ValueError as error:
                    self._complain(str(error), *place)
                    break
        self._check_widths(space.domains, inline=inline)
        for name, message in head_problems(space, head):
            self._complain(message, *(("space", name) if inline else ("space",)))

    def _check_widths(self, domains: Mapping[str, Domain], *, inline: bool) -> None:
        """A head of N hidden layers needs the widths of all N."""
        names = [f"fc_width_{number}" for number in range(1, MAX_HIDDEN_LAYERS + 1)]
        layers = _extremes(domains["fc_layers"]) if "fc_layers" in domains else ()
        counts = [number for number, name in enumerate(names, start=1) if name in domains]
        counts += [number for number in layers if isinstance(number, int)]
        needed = names[: max(counts, default=0)]
        missing = [name for name in needed if name not in domains]
        if missing:
            blamed = "fc_layers" if layers else f"fc_width_{max(counts)}"
            self._complain(
                f"A head of {len(needed)} hidden layers needs {', '.join(needed)}, and the space "
                f"lacks {', '.join(missing)}: add what is missing, or sample fewer layers.",
                *(("space", blamed) if inline else ("space",)),
            )

    def _problem(self, detail: ErrorDetails) -> Problem:
        loc = tuple(part for part in detail["loc"] if part != "[key]")
        # What is missing is looked for where it should stand.
        place = loc[:-1] if detail["type"] == "missing" else loc
        return self._at(place, _message(detail, loc))

    def _complain(self, message: str, *place: str | int) -> None:
        self._problems.append(self._at(place, message))

    def _at(self, place: tuple[str | int, ...], message: str) -> Problem:
        """A problem at a place: its line, or the option that put something there."""
        option = self._option(place)
        if option:
            return Problem(message, dotted(place), file=option)
        return self._document.problem(message, *place)

    def _option(self, place: tuple[str | int, ...]) -> str:
        """The option that put something at `place`; empty if it stands in the file."""
        for changed, option in self._changed.items():
            if place[: len(changed)] == changed:
                return option
            if changed[: len(place)] == place and not _stands_at(place, self._document.root):
                return option
        return ""


def _message(detail: ErrorDetails, loc: tuple[str | int, ...]) -> str:
    kind, given, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    name = str(loc[-1]) if loc else "the file"
    if kind == "extra_forbidden":
        return unknown("key", name, _known_keys(loc[:-1]))
    if kind == "missing":
        return f"{name!r} is missing."
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", detail["msg"]))
    if kind == "literal_error":
        words = [
            word.strip(" '") for word in str(context["expected"]).replace(" or ", ",").split(",")
        ]
        hint = did_you_mean(given, words) if isinstance(given, str) else ""
        return f"{name!r} is {shown(given)}, but needs one of {', '.join(words)}.{hint}"
    wanted = detail["msg"].removeprefix("Input should be ")
    return f"{name!r} is {shown(given)}, but needs {wanted}."


def _known_keys(loc: tuple[str | int, ...]) -> list[str]:
    """Keys of the section at `loc`."""
    model: type[BaseModel] = SweepSpec
    for part in loc:
        field = model.model_fields.get(str(part))
        if field is None:
            continue
        model = _section(field.annotation) or model
    return list(model.model_fields)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as ``dict[str, Annotated[Model, ...]]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section, get_args(annotation))), None)


def _setting(text: str) -> tuple[tuple[str | int, ...], Any]:
    place, equals, value = text.partition("=")
    if not equals or not place.strip():
        raise UsageError(
            f"--set {text!r} is not KEY=VALUE: write for example --set training.epochs=3."
        )
    document = parse_yaml(f"value: {value}", name="--set")
    return tuple(place.strip().split(".")), document.data["value"]


def _source(text: str) -> Any:
    """What a sweep learns from, as an option says it."""
    source = with_source(parse_yaml(f"value: {text}", name="--warm-start").data["value"])
    if isinstance(source, dict) and isinstance(source.get("csv"), str):
        source["csv"] = str(Path(source["csv"]).expanduser().resolve())
    return source


def _changed(data: Any, place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """`data` with another value at a place; what is on the way is copied, not changed."""
    head, *rest = place
    # `data: digits` and `objectives: {accuracy: maximize}` are short for mappings.
    below = dict(data) if isinstance(data, Mapping) else {} if data is None else {"name": data}
    below[str(head)] = _changed(below.get(str(head)), tuple(rest), value) if rest else value
    return below


def _with_paths(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """`data` with the paths in it made absolute."""
    resolved = dict(data)
    if "warm_start" in resolved:
        resolved["warm_start"] = with_source(resolved["warm_start"])
    for section, key in _PATHS:
        values = resolved.get(section)
        text = values.get(key) if isinstance(values, Mapping) else None
        if isinstance(text, str) and (key != "weights" or is_weights_file(text)):
            path = (folder / Path(text).expanduser()).resolve()
            resolved[section] = {**resolved[section], key: str(path)}
    return resolved


def _stands_at(place: tuple[str | int, ...], located: Located) -> bool:
    for part in place:
        if part not in located.children:
            return False
        located = located.children[part]
    return True


def _extremes(domain: Domain) -> tuple[Any, ...]:
    return tuple(domain.values()) if isinstance(domain, Choice) else (domain.low, domain.high)
