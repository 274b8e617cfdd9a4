"""A sweep that follows the guide to a sampler of one's own runs and goes on."""

import re
from pathlib import Path

import optuna
import pytest
import yaml

from orchestrator.driver.preflight import check
from orchestrator.driver.running import resume, run
from orchestrator.errors import SweepExistsError, UsageError
from orchestrator.execution.inline import InlineExecutor
from orchestrator.queries.sweeps import open_sweep
from orchestrator.sampling.kinds import with_options
from orchestrator.spec.files import load_sweep
from orchestrator.spec.sweep_spec import SweepSpec

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "bring-your-own-sampler.md"
SMALL = ["data.limit=150", "training.epochs=1", "tracking=none"]


@pytest.mark.slow
def test_its_sweep_goes_on_as_one_left_alone_and_is_refused_with_other_code(folder: Path) -> None:
    file = folder / "sweep.yaml"
    assert check(load_sweep(file, settings=SMALL)).problems == []
    for trials in (2, 4):
        run(load_sweep(file, settings=SMALL, trials=trials), executor=InlineExecutor)
    run(load_sweep(file, settings=SMALL, name="alone"), executor=InlineExecutor)
    params = [[trial.params for trial in open_sweep(n).trials()] for n in ("my-sampler", "alone")]
    assert params[0] == params[1]
    other = "sampler.options.population_size=9"
    with pytest.raises(SweepExistsError):
        run(load_sweep(file, settings=[*SMALL, other], trials=5), executor=InlineExecutor)
    code = folder / "my_sampler.py"
    code.write_text(code.read_text() + "\n# another content\n")
    with pytest.raises(SweepExistsError, match="other code of its sampler"):
        run(load_sweep(file, settings=SMALL, trials=5), executor=InlineExecutor)


@pytest.mark.slow
def test_an_object_proposes_and_has_to_be_passed_again(folder: Path) -> None:
    spec = load_sweep(folder / "sweep.yaml", settings=[*SMALL, "sampler=tpe"], trials=2)
    run(spec, executor=InlineExecutor, sampler=optuna.samplers.RandomSampler(seed=1))
    with pytest.raises(UsageError, match=r"was passed to run\(\) as an object, a RandomSampler"):
        resume("my-sampler")
    with pytest.raises(SweepExistsError):
        run(spec, executor=InlineExecutor)
    more = spec.model_copy(update={"budget": spec.budget.model_copy(update={"trials": 3})})
    sampler = optuna.samplers.RandomSampler(seed=1)
    assert run(more, executor=InlineExecutor, sampler=sampler).complete == 3


def test_options_of_the_guide_are_taken_and_its_error_is_ours(folder: Path) -> None:
    text = GUIDE.read_text()
    (line,) = re.findall(r"^sampler: .*tpe.*$", text, re.M)
    section = yaml.safe_load(line)["sampler"]
    spec = load_sweep(folder / "sweep.yaml", settings=[f"sampler={section}"])
    assert spec.sampler.options == section["options"]
    with pytest.raises(UsageError) as caught:
        with_options("tpe", {"n_startup": 1})
    assert str(caught.value) in text.replace("\n", " ")
    plain = load_sweep(folder / "sweep.yaml", settings=["sampler=tpe"])
    assert spec.fingerprint() != plain.fingerprint()
    empty = load_sweep(folder / "sweep.yaml", settings=["sampler={kind: tpe, options: {}}"])
    assert empty.fingerprint() == plain.fingerprint()
    assert SweepSpec.model_validate(spec.model_dump(mode="json")) == spec
