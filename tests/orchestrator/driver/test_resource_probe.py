"""Resources that the file leaves open are measured by a short trial, and are numbers then."""

from pathlib import Path

import pytest

from orchestrator.driver.preflight import check
from orchestrator.driver.resource_probe import (
    share_of_gpu,
    trials_per_gpu,
    widest,
    with_probed_resources,
)
from orchestrator.driver.running import run
from orchestrator.errors import UsageError
from orchestrator.execution.inline import InlineExecutor
from orchestrator.queries.sweeps import open_sweep
from orchestrator.spec.files import load_sweep
from orchestrator.spec.sweep_spec import SweepSpec
from trainers.errors import TrainerError
from trainers.trial.probe import Peak

EXAMPLE = Path(__file__).parents[3] / "examples" / "sweeps" / "digits.yaml"
SMALL = ["data.limit=150", "training.epochs=1", "tracking=none", "space=smoke", "name=probed"]
GB = 10**9
GPU = Peak(GB, 3 * GB, 80 * GB, "A GPU")


def spec_of(*settings: str) -> SweepSpec:
    return load_sweep(EXAMPLE, settings=[*SMALL, *settings])


def test_so_many_trials_share_a_gpu_that_all_have_what_they_need() -> None:
    for taken in (GB // 10, GB, 7 * GB, 39 * GB):
        trials = trials_per_gpu(taken, 80 * GB)
        assert trials * share_of_gpu(trials) <= 1
        assert share_of_gpu(trials) * 80 * GB >= taken
    assert trials_per_gpu(80 * GB, 80 * GB) == 0


def test_what_is_measured_becomes_the_resources_of_a_trial() -> None:
    both = spec_of("resources={gpus: auto, memory: auto}")
    found = with_probed_resources(both, measure=lambda _: GPU).spec.resources
    assert (found.gpus, found.memory) == (0.05, 1.1 * GB)
    assert found.as_needs().as_bundle() == {"CPU": 1, "GPU": 0.05, "memory": 1.1 * GB}
    # Until then a trial is counted with a whole one.
    assert both.resources.as_needs().as_bundle() == {"CPU": 1, "GPU": 1}
    plain = spec_of("resources={gpus: 0.5}")
    assert with_probed_resources(plain, measure=lambda _: pytest.fail("asked")).spec is plain


def test_without_a_gpu_trials_compute_on_cpus_and_are_refused_on_a_cluster_elsewhere() -> None:
    spec = spec_of("resources.gpus=auto")
    found = with_probed_resources(spec, "local", measure=lambda _: Peak(GB))
    assert found.spec.resources.gpus == 0
    assert "trials compute on CPUs" in found.notes[0]
    with pytest.raises(UsageError, match=r"it has no GPU; trials run on the cluster at head:6379"):
        with_probed_resources(spec, "head:6379", measure=lambda _: Peak(GB))


def test_a_trial_that_does_not_fit_is_refused_with_what_would_make_it() -> None:
    with pytest.raises(UsageError, match=r"78.0 GB of the 80.0 GB of A GPU, .* training.parts"):
        with_probed_resources(
            spec_of("resources.gpus=auto"), measure=lambda _: Peak(GB, 78 * GB, 80 * GB, "A GPU")
        )


def test_the_widest_configuration_has_the_most_weights_and_images() -> None:
    space = (
        "{fc_width_1: {type: int, low: 1, high: 500}, batch_size: {type: choice, values: [8, 32]}}"
    )
    config = widest(spec_of(f"space={space}", "reference=false"))
    assert config.batch_size == 32
    assert (config.widths or (0,))[0] > 400


@pytest.mark.slow
def test_a_short_trial_shows_what_memory_one_takes_and_the_run_stores_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path))
    spec = spec_of("resources.memory=auto", "budget.trials=1")
    assert dict(check(spec).lines)["resources"].startswith("auto: a run begins with a short trial")
    run(spec, executor=InlineExecutor)
    stored = open_sweep("probed").record.spec["resources"]
    assert 2e8 < stored["memory"] < 2e10
    assert stored["gpus"] == 0


@pytest.mark.slow
def test_a_short_trial_that_fails_is_a_sentence() -> None:
    with pytest.raises(TrainerError, match=r"how much memory one takes failed: .*no such"):
        with_probed_resources(spec_of("data={folder: /no such folder}", "resources.memory=auto"))
