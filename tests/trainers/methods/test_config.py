"""Methods as plain values: what is accepted, what is kept, and what excludes what."""

from dataclasses import replace
from typing import Any

import pytest

from trainers.config import TrialConfig, reference_of, teacher_of, with_params
from trainers.methods import MethodsConfig
from trainers.methods.checking import MethodError
from trainers.methods.config import METHOD_NAMES, METHOD_PARAMETERS, SETTINGS
from trainers.pruning import PruningConfig
from trainers.recipes.config import RecipeConfig

PLAIN = TrialConfig(backbone="digitnet", weights="bundled", tune="all")


def test_every_method_may_be_sampled() -> None:
    assert set(METHOD_PARAMETERS) == set(METHOD_NAMES)
    assert SETTINGS.keys() | set(SETTINGS.values()) <= set(METHOD_NAMES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("distillation", 1.5),
        ("temperature", 0.5),
        ("adversarial", "cw"),
        ("adversarial_epsilon", 0.0),
        ("adversarial_steps", 0),
        ("halo", float("nan")),
        ("expand", "everything"),
        ("expand_rate", 2.5),
        ("training_window", 0.0),
    ],
)
def test_what_is_not_accepted_is_refused_with_what_would_be(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value!r}, but a trial needs"):
        MethodsConfig(**{name: value})


def test_a_config_without_methods_is_written_as_before_there_were_any() -> None:
    assert "methods" not in PLAIN.as_mapping()
    unused = replace(PLAIN, methods=MethodsConfig(temperature=2.0, expand_rate=8))
    assert "methods" not in unused.as_mapping()


EXCLUDED: list[tuple[dict[str, Any], str]] = [
    ({"methods": MethodsConfig(l2sp=0.1), "weights": "scratch"}, "there are none"),
    ({"methods": MethodsConfig(l2sp=0.1), "tune": "head"}, "freezes them there"),
    ({"methods": MethodsConfig(halo=0.1), "tune": "head"}, "freezes them"),
    ({"methods": MethodsConfig(training_window=0.5), "tune": "head"}, "learn nothing from it"),
    ({"methods": MethodsConfig(adapter_rank=2)}, "beside frozen convolutions"),
    (
        {
            "methods": MethodsConfig(adapter_rank=2),
            "tune": "head",
            "pruning": PruningConfig(sparsity=0.5),
        },
        "would not stay zero",
    ),
    ({"methods": MethodsConfig(expand="all"), "qat": "lsq"}, "needs them as they are packed"),
    (
        {"methods": MethodsConfig(expand="all"), "pruning": PruningConfig(sparsity=0.5)},
        "exclude each other",
    ),
    ({"methods": MethodsConfig(expand="convolutions"), "tune": "head"}, "Use expand: head"),
    ({"methods": MethodsConfig(expand="kernels"), "weights": "bundled"}, "start at random"),
    ({"methods": MethodsConfig(expand="all", halo=0.1)}, "are products then"),
    ({"methods": MethodsConfig(expand="head", adjoined=True)}, "form of their own"),
    (
        {"methods": MethodsConfig(adversarial="pgd"), "recipe": RecipeConfig(mixup=0.2)},
        "a mixed image has two",
    ),
]


@pytest.mark.parametrize(("changes", "said"), EXCLUDED, ids=lambda value: str(value)[:40])
def test_what_excludes_each_other_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(MethodError, match=said):
        replace(PLAIN, **changes)


def test_methods_go_together_where_they_concern_different_things() -> None:
    every = MethodsConfig(distillation=0.5, adversarial="pgd", expand="head", l2sp=0.1, halo=1e-8)
    pruned = replace(PLAIN, methods=every, pruning=PruningConfig(sparsity=0.5))
    assert pruned.methods.used() == ["distillation", "adversarial", "l2sp", "halo", "expand"]


@pytest.mark.parametrize("widths", [(8,), (300, 4), (8, 4, 2)])
def test_an_adjoined_head_is_a_part_of_the_full_one(widths: tuple[int, ...]) -> None:
    config = replace(PLAIN, methods=MethodsConfig(adjoined=True), widths=widths)
    with pytest.raises(ValueError, match="of the widths 256, 128, and this head has"):
        config.head_widths(10)


def test_the_network_that_teaches_is_the_reference_of_the_sweep() -> None:
    fixed = replace(PLAIN, bits=4, methods=MethodsConfig(l2sp=0.2, expand="head"))
    params = {"distillation": 0.3, "learning_rate": 0.1, "fc_width_1": 4, "l2sp": 0.4}
    trial = with_params(fixed, params, seed=5)
    teacher = teacher_of(trial)
    assert teacher == replace(reference_of(fixed), seed=5)
    assert (teacher.learning_rate, teacher.widths, teacher.bits) == (1e-3, None, 32)
    assert teacher.methods == MethodsConfig(l2sp=0.2)
