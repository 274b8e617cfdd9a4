"""Samplers that a user brings along keep the promises of ours; Optuna's take their options."""

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from orchestrator.contracts import Sampler, Suggestion
from orchestrator.errors import UsageError
from orchestrator.sampling import Setting, build_sampler
from orchestrator.sampling.kinds import accepted_options, with_options
from orchestrator.sampling.own_sampler import adopted
from orchestrator.testing.sampler_contract import (
    OBJECTIVES,
    ROOMY,
    SMALL,
    Loop,
    SamplerContract,
)
from orchestrator.trials import Trial

UNIFORM = """
import random
from orchestrator.contracts import Suggestion
from orchestrator.sampling.deduplication import Deduplicator
from orchestrator.constraints import KnownConstraints

class Uniform:
    def __init__(self, space, constraints, known, seed):
        self._seen, self._seed = Deduplicator(space, KnownConstraints(constraints, known)), seed

    def suggest(self):
        params = self._seen.draw(random.Random(f"{self._seed} {self._seen.seen}"))
        if params is None:
            return None
        self._seen.add(self._seen.key(params))
        return Suggestion(params)

    def learn(self, points):
        pass

    def observe(self, trial):
        self._seen.add(self._seen.key(trial.params))

    @property
    def screened_out(self):
        return self._seen.screened_out
"""


@pytest.mark.slow
class TestOptunasByName(SamplerContract):
    """TPE, as if paretune did not know it."""

    def build(self, space, objectives, constraints, seed) -> Sampler:
        options = {"n_startup_trials": 10, "multivariate": False}
        kind = "optuna.samplers:TPESampler"
        return build_sampler(kind, space, objectives, constraints, seed, options=options)


class TestOfTheProtocol(SamplerContract):
    learns = False

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.file = tmp_path / "my_sampler.py"
        self.file.write_text(UNIFORM)

    def build(self, space, objectives, constraints, seed) -> Sampler:
        return build_sampler(f"{self.file}:Uniform", space, objectives, constraints, seed)


def suggestions(sampler: Sampler, count: int = 12) -> list[object]:
    return [trial.params for trial in Loop(sampler).run(count).trials]


def test_an_option_changes_what_is_proposed_and_a_default_does_not() -> None:
    plain, spelled_out, other = (
        suggestions(build_sampler("tpe", SMALL, OBJECTIVES, (), 0, options=options))
        for options in ({}, {"n_startup_trials": 10}, {"n_startup_trials": 3})
    )
    assert plain == spelled_out
    assert plain[:3] == other[:3]
    assert plain != other


@pytest.mark.parametrize("kind", ["tpe", "nsga2", "gp", "random"])
def test_options_are_arguments_of_optunas_class(kind: str) -> None:
    for name, default in accepted_options(kind).items():
        assert with_options(kind, {name: default}).asks
    with pytest.raises(UsageError, match=f"The sampler {kind} has no option seed"):
        with_options(kind, {"seed": 1})


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("tpe", {"n_startup": 1}, "no option n_startup. It has prior_weight, n_startup_trials"),
        ("tpe", {"n_startup_trials": "x"}, "is 'x'; its default is 10"),
        ("tpe", {"constant_liar": 1}, "is 1; its default is True"),
        ("tpe", {"n_startup_trials": True}, "is True; its default is 10"),
        ("nsga2", {"population_size": 1}, "does not accept"),
        ("random", {"n": 1}, "has no option n. It has none"),
        ("grid", {"n": 1}, "grid takes no options: leave n out"),
        ("optuna.samplers:TPESampler", {"n": 1}, "has no option n. It takes .*n_startup_trials"),
        ("statistics:fmean", {}, "was called with nothing, and raised TypeError"),
        ("statistics:NormalDist", {}, "is neither one of Optuna's samplers nor .*suggest"),
        ("string:digits", {}, "is '0123456789'; a function or a class"),
        ("no_such_module:make", {}, "sampler: There is no no_such_module"),
    ],
)
def test_what_is_no_sampler_or_no_option_is_refused(
    kind: str, options: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        build_sampler(kind, SMALL, OBJECTIVES, (), 0, options=options)


def test_a_function_without_a_seed_is_called_once(tmp_path: Path) -> None:
    file = tmp_path / "my_sampler.py"
    for parameters, calls in (("", 1), ("seed=0", 5)):
        file.write_text(
            f"import optuna\n\n\ndef make({parameters}):\n"
            f"    with open({str(tmp_path / 'calls')!r}, 'a') as file:\n        file.write('.')\n"
            f"    return optuna.samplers.RandomSampler(seed=1)\n"
        )
        (tmp_path / "calls").write_text("")
        Loop(build_sampler(f"{file}:make", ROOMY, OBJECTIVES, (), 0)).run(4)
        assert len((tmp_path / "calls").read_text()) >= calls
        assert calls > 1 or len((tmp_path / "calls").read_text()) == 1


class Counting(optuna.samplers.RandomSampler):
    """Counts the parameters that it is asked for."""

    asked = 0

    def sample_independent(self, *of: Any) -> Any:
        self.asked += 1
        return super().sample_independent(*of)


def test_an_object_of_optuna_is_asked_itself() -> None:
    sampler = Counting(seed=1)
    Loop(adopted(sampler, Setting(SMALL, OBJECTIVES, (), 0))).run(3)
    assert sampler.asked >= 3 * len(SMALL.names)


class Odd:
    """Returns what it was made with, or raises it if that is an error; learns nothing."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def suggest(self) -> Any:
        if isinstance(self.answer, type):
            raise self.answer("in the middle")
        return self.answer

    def observe(self, trial: Trial) -> None:
        pass

    def learn(self, points: object) -> None:
        pass


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (OSError, "asked for a configuration, and raised OSError: in the middle"),
        (SystemExit, "and raised SystemExit: in the middle"),
        ({"width": 4, "bits": 4}, r"returned {'width'.*a Suggestion \(orchestrator.contracts\)"),
        (Suggestion({"width": 17, "bits": 4}), "which is no configuration of the space: .*17"),
        (Suggestion({"width": 4}), "which is no configuration of the space: .*bits"),
        (Suggestion({"width": float("nan"), "bits": 4}), "no configuration of the space"),
        (Suggestion({"width": 4, "bits": 4}, {"a": object()}), "sampler_attrs that cannot be"),
    ],
)
def test_an_answer_that_is_no_configuration_is_a_sentence(answer: Any, said: str) -> None:
    with pytest.raises(UsageError, match=f"sampler: Odd was .*{said}"):
        adopted(Odd(answer), Setting(SMALL, OBJECTIVES, (), 0)).suggest()


def test_numbers_of_numpy_are_numbers_and_what_was_tried_is_not_tried_again() -> None:
    answer = Suggestion({"width": np.int64(4), "bits": np.int64(4)})
    sampler = adopted(Odd(answer), Setting(SMALL, OBJECTIVES, (), 0))
    found = sampler.suggest()
    assert found is not None
    assert [type(value) for value in found.params.values()] == [int, int]
    assert sampler.screened_out == 0
    with pytest.raises(UsageError, match="100 times, and each time returned one that was tried"):
        sampler.suggest()
