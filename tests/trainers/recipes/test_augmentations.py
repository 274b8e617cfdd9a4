"""Augmentations as texts."""

import pytest

from trainers.recipes.augmentations import AUGMENTATIONS, PRESETS, augmentations


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_is_read_with_its_usual_number_and_with_another(name: str) -> None:
    known = AUGMENTATIONS[name]
    assert augmentations(name)[-1] == (name, known.amount)
    assert augmentations(f"{name}:{known.high:g}") == ((name, known.high),)


@pytest.mark.parametrize("word", PRESETS)
def test_a_preset_stands_for_a_text(word: str) -> None:
    assert augmentations(word) == augmentations(PRESETS[word])


def test_their_order_is_kept() -> None:
    found = augmentations("flip, rotation: 10,crop")
    assert [name for name, _ in found] == ["flip", "rotation", "crop"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flipp", "Did you mean 'flip'"),
        ("rotation:500", "from 0 to 180"),
        ("rotation:x", "no number"),
        ("crop_flip, flip", "may stand in a list"),
    ],
)
def test_a_wrong_text_is_refused_with_what_would_do(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        augmentations(text)
