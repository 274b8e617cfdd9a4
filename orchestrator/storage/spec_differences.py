"""What differs between the spec that a sweep was started with and the one given now."""

from collections.abc import Mapping

from orchestrator.spec.stored import flat_spec


def spec_differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """List each key that differs.

    >>> spec_differences({"space": {"bits": [2, 4]}, "seed": 1}, {"space": {"bits": [2, 8]}})
    ['space.bits was [2, 4], is [2, 8]', 'seed was 1, is not given']
    """
    before, after = flat_spec(old), flat_spec(new)
    said = [(key, _said(before, key), _said(after, key)) for key in before | after]
    found = [f"{key} was {was}, is {now}" for key, was, now in said if was != now]
    return found or ["only its fingerprint differs"]


def _said(leaves: Mapping[str, object], key: str) -> str:
    return repr(leaves[key]) if key in leaves else "not given"
