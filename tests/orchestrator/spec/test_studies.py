"""The sweeps of the studies mean what their pages say."""

import runpy
import shutil
from pathlib import Path

import numpy as np

from orchestrator import load_sweep
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import Trial, TrialState

STUDIES = Path(__file__).parents[3] / "examples" / "studies"


def loaded(name: str, folder: Path) -> SweepSpec:
    """A sweep of the studies beside files of the names that it gives."""
    for file in ("resnet20.th", "cifar10.npz", "mobilenet_v2.pth", "few.npz"):
        (folder / file).touch()
    return load_sweep(Path(shutil.copy(STUDIES / f"{name}.yaml", folder)))


def test_both_sides_of_the_front_study_differ_in_their_bits_alone(tmp_path: Path) -> None:
    sides = [loaded(name, tmp_path) for name in ("front_low_bit", "front_low_bit_allocated")]
    assert [set(side.search_space.names) for side in sides] == [
        {"bits", "fc_bits"},
        {"allocated_bits"},
    ]
    same = ("backbone", "data", "training", "objectives", "budget", "seed", "reference")
    assert all(getattr(sides[0], key) == getattr(sides[1], key) for key in same)
    assert sides[1].trial_config().rounding == "gptq"
    assert sides[0].trial_config().rounding == "nearest"


def test_the_autofcl_study_has_every_head_of_up_to_three_layers(tmp_path: Path) -> None:
    spec = loaded("autofcl", tmp_path)
    heads = list(spec.search_space.grid())
    assert len(heads) == 4 + 4**2 + 4**3 == spec.budget.trials
    assert list(spec.objectives) == ["accuracy"]
    assert spec.training.tune == "head"


def test_the_smallest_network_within_a_point_is_of_those_that_were_measured(
    tmp_path: Path,
) -> None:
    study = runpy.run_path(str(STUDIES / "front_low_bit.py"))

    def trial(number: int, accuracy: float, size: float, **more: float) -> Trial:
        values = {"accuracy": accuracy, "memory_bytes": size, **more}
        return Trial("a", number, {}, 0, TrialState.COMPLETE, values=values)

    reference = trial(0, 0.92, 9e5, test_accuracy=0.9)
    trials = (trial(1, 0.915, 2e5, test_accuracy=0.88), trial(2, 0.911, 1e5), trial(3, 0.8, 1e4))
    spec = loaded("front_low_bit", tmp_path)
    found = study["Searched"]("", 0, spec, trials, reference, frozenset({1}))
    assert found.smallest("accuracy") is trials[1]
    assert found.smallest("test_accuracy") is None
    assert np.allclose(found.losses(by_log=True)[:, 1], np.log10([2e5, 1e5, 1e4]))
