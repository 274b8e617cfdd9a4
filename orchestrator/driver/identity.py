"""Whether a stored sweep is the one to be run, by content, not by where that is stored."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from orchestrator.analysis.outcomes import NoAnswersError, labels_of
from orchestrator.contracts import Prepared, Progress, Store
from orchestrator.errors import SweepExistsError
from orchestrator.spec.code_content import is_same
from orchestrator.spec.files import stored_identity
from orchestrator.spec.own_parts import own_parts
from orchestrator.spec.stored import PATHS, places_of
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.trials import SweepRecord, TrialState

_ASKED = 8  # trials that are asked for their labels, one after another
_WORDS = {
    "data": "images",
    "weights": "backbone weights",
    "functions": "functions of its objectives",
    "code": "code of its backbone",
    "sampler": "code of its sampler",
    "scheduler": "code of its scheduler",
    "parts": "code of its quantizer, criterion or attacks",
}


def claim(spec: SweepSpec, store: Store) -> SweepRecord:
    """Store a sweep, or find the stored one of this name if only what may change differs.

    Raises:
        SweepExistsError: The name is taken by a sweep with another spec.
    """
    fingerprint = spec.fingerprint()
    found = stored(spec.name, store)
    if found is not None and stored_identity(found.spec) == spec.identity():
        # An earlier version's digest may hold what is no part of an identity any more: paths.
        fingerprint = found.fingerprint
    return store.create_sweep(spec.name, spec.model_dump(mode="json"), fingerprint)


def stored(name: str, store: Store | None) -> SweepRecord | None:
    """Return the sweep of this name, None if there is none.

    >>> stored("digits", None) is None
    True
    """
    found = [] if store is None else store.sweeps()
    return next((record for record in found if record.name == name), None)


def checked_content(
    spec: SweepSpec,
    prepared: Prepared | None,
    store: Store | None,
    state: StateFolder,
    progress: Progress,
) -> dict[str, object]:
    """Refuse images or weights that differ from those before; report once what has moved.

    Args:
        spec: The sweep as it is to be run.
        prepared: What was read. None where there is nothing to read.
        store: Where the sweep is, if it is not new; None where there is no store yet.
        state: The state folder.
        progress: Receives a note on each path that has changed.

    Returns:
        What to store: digests, and the locations of the content relative to the state folder.

    Raises:
        SweepExistsError: The content is another one.
    """
    before = stored(spec.name, store)
    if prepared is None or not prepared.content:
        return {} if before is None else dict(before.content)
    if before is not None and store is not None:
        for sentence in _compared(before, spec, prepared, store):
            progress.note(sentence)
    known = {} if before is None else before.content
    places = places_of(spec.model_dump(mode="json"), state)
    return {**known, **prepared.content, "places": places}


def _compared(before: SweepRecord, spec: SweepSpec, prepared: Prepared, store: Store) -> list[str]:
    now = spec.model_dump(mode="json")
    unknown = []
    for key, word in _WORDS.items():
        digest, was = prepared.content.get(key), before.content.get(key)
        if digest and was and not is_same(key, prepared.content, str(was)):
            raise _other(spec, word, f"their digest is {digest[:12]}..., and {was!s:.12}... was")
        if digest and not was:
            unknown.append(key)
    if "data" in unknown and not _labels_fit(spec.name, prepared, store):
        raise _other(spec, "images", "their labels are not those that its trials were measured on")
    return [
        f"{place} was {was}, is {here}: "
        + (
            "an earlier version kept no digest to compare, so that the sweep goes on unchecked"
            if place.partition(".")[0].replace("backbone", "weights") in unknown
            else "the content is the same, and the sweep goes on"
        )
        for place, was, here in _moved(before.spec, now)
    ]


def _moved(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for section, key in PATHS:
        was, here = (spec.get(section, {}).get(key) for spec in (before, now))
        if was is not None and here is not None and was != here:
            yield f"{section}.{key}", was, here


def _labels_fit(name: str, prepared: Prepared, store: Store) -> bool:
    """Whether the images have the labels by which an earlier version's trials were measured."""
    known = set()
    for trial in islice(store.trials(name, [TrialState.COMPLETE]), _ASKED):
        try:
            known.add(labels_of(trial))
        except NoAnswersError:
            continue
    labels = prepared.content.get("labels")
    return not known or labels is None or labels in known


def _other(spec: SweepSpec, what: str, why: str) -> SweepExistsError:
    held = {_WORDS["data"]: "data", _WORDS["weights"]: "backbone"}
    places = [
        f"{section}.{key}: {where}"
        for section, key in PATHS
        if section == held.get(what)
        and (where := spec.model_dump(mode="json")[section].get(key)) is not None
    ]
    if what == _WORDS["functions"]:
        places = [f"objectives.{name}: {each}" for name, each in spec.functions.items()]
    if what == _WORDS["code"]:
        places = [f"backbone.name: {spec.backbone.name}"]
    if what == _WORDS["parts"]:
        places = [f"{place}: {each}" for place, (_, each) in own_parts(spec).items()]
    for each in ("sampler", "scheduler"):
        if what == _WORDS[each]:
            places = [f"{each}.kind: {getattr(spec, each).kind}"]
    at = f" ({', '.join(places)})" if places else ""
    return SweepExistsError(
        f"Sweep {spec.name!r} was started with other {what} than those that are here now{at}: "
        f"{why}. They were changed, or this version reads them in another way. Its trials and new "
        f"ones could not be compared, so nothing was changed. Restore the {what}, or start "
        f"another one: paretune run SWEEP.yaml --name {spec.name}-2"
    )
