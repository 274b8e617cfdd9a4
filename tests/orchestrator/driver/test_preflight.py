"""What `paretune check` finds out without running anything."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.driver.memory_range import memory_sizes
from orchestrator.driver.preflight import check
from orchestrator.execution import ray_folder
from orchestrator.spec.sweep_spec import SweepSpec
from search_spaces import library_names, load_space
from trainers.data import load_data
from trainers.errors import DataError
from trainers.networks.backbone_table import bundled_file

SPACE = {
    "fc_layers": {"type": "int", "low": 1, "high": 2},
    "fc_width_1": {"type": "choice", "values": [8, 16]},
    "fc_width_2": {"type": "choice", "values": [4, 8], "when": "fc_layers == 2"},
    "bits": {"type": "choice", "values": [2, 3, 8]},
}


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def make_spec(**changes: Any) -> SweepSpec:
    given: dict[str, Any] = {
        "name": "a",
        "backbone": {"name": "digitnet", "weights": "scratch"},
        "data": {"name": "digits", "limit": 200},
        "space": SPACE,
        "objectives": {"accuracy": "maximize"},
        "budget": {"trials": 5},
    }
    return SweepSpec.model_validate({**given, **changes})


def text(spec: SweepSpec) -> str:
    return "\n".join(f"{label}: {line}" for label, line in check(spec).lines)


def test_a_reference_is_announced() -> None:
    assert "reference: the full-size head" in text(make_spec(reference=True))
    assert "reference" not in text(make_spec())


def test_a_check_counts_configurations_and_images() -> None:
    report = check(make_spec())
    said = dict(report.lines)
    assert report.problems == []
    assert said["configurations"].startswith("18, over fc_layers")
    assert "5 trials" in said["sweep"]
    assert "10 classes, images 1x8x8" in said["data"]
    assert "training images in a class" in said["balance"]
    assert "1 CPUs and 0 GPUs a trial" in said["resources"]
    assert " to " in said["memory"]


def test_the_corners_hold_the_smallest_and_the_largest_network() -> None:
    from trainers.artifact import predict_bytes
    from trainers.config import with_params
    from trainers.networks.network import spec_of

    spec = make_spec()
    data = load_data(spec.data_config())
    every = []
    for params in spec.search_space.grid():
        config = with_params(spec.trial_config(), params, seed=0)
        network = spec_of("digitnet", config.widths or (), 10)
        every.append(predict_bytes(network, config.quantization, data.classes))
    sizes, refusals = memory_sizes(spec, data)
    assert (min(sizes), max(sizes)) == (min(every), max(every))
    assert refusals == []


def test_the_corners_of_quantizers_hold_the_smallest_and_the_largest_network() -> None:
    from trainers.artifact import predict_bytes
    from trainers.config import with_params
    from trainers.networks.network import spec_of

    words = {"quantizer": ["symmetric", "kmeans"], "scope": ["channel", "layer"]}
    space = {name: {"type": "choice", "values": values} for name, values in words.items()}
    space |= {f"bits_{n}": {"type": "choice", "values": [2, 5, 8]} for n in (1, 2, 6)}
    spec = make_spec(space=space)
    data = load_data(spec.data_config())
    every = [
        predict_bytes(
            spec_of("digitnet", (256, 128), 10),
            with_params(spec.trial_config(), params, seed=0).quantization,
            data.classes,
        )
        for params in spec.search_space.grid()
    ]
    sizes, refusals = memory_sizes(spec, data)
    assert (min(sizes), max(sizes), len(sizes)) == (min(every), max(every), 8)
    assert refusals == []


def test_a_network_is_sized_once_however_it_may_be_pruned() -> None:
    words = {
        "bits": [4, 8],
        "pruning_granularity": ["weight", "filter"],
        "pruning_criterion": ["magnitude", "random"],
        "pruning_layers": ["convolutions", "all"],
    }
    space = {name: {"type": "choice", "values": values} for name, values in words.items()}
    spec = make_spec(
        space={**space, "pruning_sparsity": {"type": "float", "low": 0, "high": 0.99}}
    )
    sizes, refusals = memory_sizes(spec, load_data(spec.data_config()))
    plain = make_spec(space={"bits": space["bits"]})
    assert sizes == memory_sizes(plain, load_data(plain.data_config()))[0]
    (refusal,) = refusals
    assert "leaves none of the 16 filters" in refusal


def test_bits_of_a_convolution_that_is_not_there_are_a_problem() -> None:
    space = {"bits_7": {"type": "choice", "values": [2, 4]}}
    (problem,) = check(make_spec(space=space)).problems
    assert "bits_7 gives bits to convolution 7, and the network has 6 convolutions" in problem


def test_training_that_a_quantizer_does_not_take_is_noted() -> None:
    space = {
        "quantizer": {"type": "choice", "values": ["symmetric", "kmeans"]},
        "qat": {"type": "choice", "values": ["none", "lsq"]},
    }
    notes = text(make_spec(space=space))
    assert "some trials will fail: qat is 'lsq' with the quantizer 'kmeans'" in notes


def test_a_space_that_is_smaller_than_the_budget_is_noted() -> None:
    assert "the space is exhausted after 18 of 40 trials" in text(make_spec(budget={"trials": 40}))
    many = make_spec(budget={"trials": 40}, replicates=3)
    assert "exhausted" not in text(many)
    stopping = make_spec(
        budget={"trials": 40, "seconds": 60}, scheduler="moasha", training={"epochs": 3}
    )
    assert "18 of 40 trials; trials that were stopped go on" in text(stopping)


def test_what_the_sampler_learns_first_is_said_without_a_password() -> None:
    source = {"optuna": "postgresql://me:secret@db/studies", "study": "digits"}
    said = text(make_spec(warm_start=source))
    assert "learns first from Optuna study 'digits' at postgresql://" in said
    assert "secret" not in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"learning_rate": {"type": "float", "low": 0.1, "high": 1}}, "needs a finite space"),
        (
            {f"fc_width_{n}": {"type": "int", "low": 1, "high": 999} for n in (1, 2, 3)},
            "a grid at most 100,000",
        ),
    ],
)
def test_a_grid_that_cannot_be_is_a_problem(space: dict[str, Any], said: str) -> None:
    report = check(make_spec(space=space, sampler={"kind": "grid"}))
    assert len(report.problems) == 1
    assert said in report.problems[0]
    assert check(make_spec(space=space)).problems == []


def test_a_trial_that_does_not_fit_here_is_a_problem() -> None:
    (problem,) = check(make_spec(resources={"cpus": 9999})).problems
    assert "one needs 9999 CPUs" in problem


def test_a_cluster_elsewhere_is_not_judged_by_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    report = check(make_spec(resources={"cpus": 9999}))
    assert report.problems == []
    assert "the cluster at 10.0.0.1:6379 was not asked" in dict(report.lines)["resources"]


def test_a_folder_that_is_too_long_for_rays_sockets_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("x" * 50)))
    assert check(make_spec()).problems == []
    monkeypatch.setattr(ray_folder, "_SHORT", ())
    (problem,) = check(make_spec()).problems
    assert "too long for Ray's sockets" in problem
    assert "Set RAY_TMPDIR" in problem


def test_the_weights_are_named() -> None:
    assert "weights: scratch: drawn at random" in text(make_spec())
    bundled = {"name": "digitnet", "weights": "bundled"}
    assert "weights: bundled with paretune, 288 kB" in text(make_spec(backbone=bundled))


def test_an_unexpected_download_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    said = text(make_spec(backbone={"name": "resnet18"}))
    assert "imagenet, which is the default: not on this machine; a run downloads 46.8 MB" in said
    asked = text(make_spec(backbone={"name": "resnet18", "weights": "imagenet"}))
    assert "weights: imagenet: not on this machine" in asked
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_missing_or_of_another_network_are_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    backbone = {"name": "cifar_resnet20", "weights": str(path)}
    (problem,) = check(make_spec(backbone=backbone)).problems
    assert f"weights file {path} does not exist" in problem
    shutil.copy(bundled_file("digitnet"), path)
    (problem,) = check(make_spec(backbone=backbone)).problems
    assert f"weights file {path} does not fit this backbone" in problem
    fitting = text(make_spec(backbone={"name": "digitnet", "weights": str(path)}))
    assert f"weights: {path}, 288 kB, fits digitnet" in fitting


def test_weights_are_tried_for_every_backbone_of_the_space(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    shutil.copy(bundled_file("digitnet"), path)
    space = {"backbone": {"type": "choice", "values": ["digitnet", "cifar_resnet20"]}}
    spec = make_spec(backbone={"name": "digitnet", "weights": str(path)}, space=space)
    report = check(spec)
    assert ("weights", f"digitnet: {path}, 288 kB, fits digitnet") in report.lines
    assert any(problem.startswith("cifar_resnet20: weights file") for problem in report.problems)


def test_combinations_that_fit_no_network_are_noted() -> None:
    odd = {**SPACE, "fc_width_2": {"type": "choice", "values": [4], "when": "fc_layers == 1"}}
    report = check(make_spec(space=odd))
    assert report.problems == []
    notes = [line for label, line in report.lines if label == "note"]
    assert len(notes) == 1
    assert "some trials will fail: fc_layers is 2, but fc_width_2 is not given" in notes[0]


def test_a_space_that_fits_no_network_at_all_is_a_problem() -> None:
    small = {"name": "vgg16", "weights": "scratch", "image_size": 32}
    space = {"backbone": {"type": "choice", "values": ["digitnet", "alexnet"]}}
    report = check(make_spec(backbone=small, space=space))
    assert len(report.problems) == 2
    assert all("32" in problem for problem in report.problems)


def test_images_that_are_downloaded_are_not_read_for_a_check() -> None:
    report = check(make_spec(data={"name": "cifar10", "root": "/nowhere"}))
    assert "read when the sweep runs" in dict(report.lines)["data"]


def test_broken_images_are_found(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"x\.npz"):
        check(make_spec(data={"npz": str(tmp_path / "x.npz")}))


@pytest.mark.slow
@pytest.mark.parametrize("name", library_names())
def test_every_space_of_the_library_passes(name: str) -> None:
    report = check(make_spec(space=load_space(name).as_mapping(), budget={"trials": 1}))
    assert report.problems == []
    assert "note" not in dict(report.lines)


def test_the_reference_is_no_part_of_the_space_but_of_the_budget() -> None:
    exact = make_spec(budget={"trials": 19}, reference=True)
    assert "exhausted" not in text(exact)
    assert "exhausted after 19 of 20" in text(make_spec(budget={"trials": 20}, reference=True))


def test_configurations_that_cannot_meet_a_limit_are_counted() -> None:
    spec = make_spec(budget={"trials": 40})
    data = load_data(spec.data_config())
    limit = sorted(memory_sizes(spec, data)[0])[0]
    some = make_spec(constraints=["memory_bytes <= 60kB", "accuracy >= 0.1"])
    said = dict(check(some).lines)["refused"]
    assert said.endswith(
        "of 18 configurations cannot meet memory_bytes <= 60000; they are never started"
    )
    refused = int(said.split()[0])
    assert 0 < refused < 18
    exhausted = make_spec(constraints=some.constraints, budget={"trials": 40})
    assert f"exhausted after {18 - refused} of 40" in text(exhausted)
    none = check(make_spec(constraints=[f"memory_bytes <= {limit - 1}"]))
    assert none.problems == [
        f"No configuration of 18 can meet memory_bytes <= {limit - 1}, so that nothing would be "
        f"started. Raise the limit, or let the space hold other networks."
    ]
    assert check(make_spec(constraints=[f"memory_bytes <= {limit}"])).problems == []


def test_an_endless_space_is_looked_at_by_a_sample() -> None:
    rate = {"learning_rate": {"type": "float", "low": 0.1, "high": 1}}
    limit = ["memory_bytes <= 60kB"]
    said = text(make_spec(space={**SPACE, **rate}, constraints=limit))
    assert "of 1,000 configurations drawn at random cannot meet memory_bytes <= 60000" in said
    assert "refused" not in text(make_spec(space=rate, constraints=["params >= 1"]))


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"trials": 7}, "ends after 7 trials"),
        ({"seconds": 90}, "ends after 32 trials or 1 min 30 s"),
        (
            {"cpu_hours": 1.5, "disk": "2GB", "plateau": 9},
            "ends after 32 trials or 1.5 CPU hours or 2.00 GB on disk or 9 trials in a row that "
            "do not change the front",
        ),
        (
            {"plateau": {"trials": 9, "growth": 0.005}},
            "ends after 32 trials or 9 trials over which the hypervolume grows less than 0.5 %",
        ),
    ],
)
def test_a_check_names_the_budget(budget: dict[str, Any], said: str) -> None:
    assert dict(check(make_spec(budget=budget)).lines)["budget"] == said


def test_what_the_sweep_can_show_of_its_claim_is_said_before_it_runs() -> None:
    assert "power" not in text(make_spec())
    said = text(make_spec(reference=True, replicates=3, budget={"trials": 57}))
    assert "claim: accuracy not worse by 2 points than that of the reference, alpha 0.05" in said
    assert "'claim:' would fix it" in said
    assert "power: 0.00: so likely is a network that is as good shown to be so, with" in said
    assert "3 seeds, 18 configurations and 5 % of the answers differing" in said
    assert "note: that is little" in said
    claimed = {"margin": "30 points", "family": "bits == 2"}
    wide = text(make_spec(reference=True, claim=claimed, budget={"trials": 57}))
    assert "30 points than that of the reference, alpha 0.05, over bits == 2; fixed when" in wide
    assert "1 seeds, 6 configurations" in wide
    assert "that is little" not in wide
    elsewhere = text(make_spec(reference=True, data={"name": "cifar10"}))
    assert "power: known once images are counted" in elsewhere


@pytest.mark.slow
def test_batches_of_one_image_are_refused_where_no_batch_norm_takes_them() -> None:
    resnet = {"name": "resnet18", "weights": "scratch", "image_size": 32}
    sizes = {"batch_size": {"type": "choice", "values": [1, 16]}}
    tunes = {"tune": {"type": "choice", "values": ["head", "all"]}}
    spec = make_spec(backbone=resnet, space={**sizes, **tunes})
    assert "note: some trials will fail: batch_size 1 with tune all: resnet18 has" in text(spec)
    assert "tune head" not in text(spec)
    assert check(spec).problems == []
    alone = {"epochs": 1, "batch_size": 1}
    (problem,) = check(make_spec(backbone=resnet, training={**alone, "tune": "all"})).problems
    assert "which need two images a step. Begin batch_size at 2" in problem
    frozen = {**alone, "tune": "all", "freeze_batch_norm": True}
    for training in (
        {**alone, "tune": "head"},
        {**alone, "batch_size": 21, "tune": "all"},
        frozen,
    ):
        assert "batch norms" not in text(make_spec(backbone=resnet, training=training))
        assert check(make_spec(backbone=resnet, training=training)).problems == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tracking": {"uri": "mlruns"}}, "folder of files"),
        ({"tracking": {"uri": "host:5000"}}, "http://HOST:5000"),
        ({"tracking": {"uri": "mysql://h/d"}}, "pip install mysqlclient"),
        ({"tracking": {"uri": "postgresql+psycopg://h/d"}}, r"pip install 'paretune[postgres]'"),
        ({"store": "postgresql+psycopg://h/d"}, r"pip install 'paretune[postgres]'"),
        ({"store": "sweeps.db"}, "sqlite:///relative/path.db"),
        (
            {"warm_start": {"sweep": "b", "store": "postgresql+psycopg://h/d"}},
            r"pip install 'paretune[postgres]'",
        ),
        ({"warm_start": {"optuna": "mysql://h/d"}}, "pip install mysqlclient"),
        ({"warm_start": {"mlflow": "mssql://h/d", "experiment": "b"}}, "pip install pyodbc"),
    ],
)
def test_an_address_of_no_use_is_a_problem(
    changes: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("psycopg", "MySQLdb", "pyodbc"):
        monkeypatch.setitem(sys.modules, package, None)
    (problem,) = check(make_spec(**changes)).problems
    assert said in problem


def test_what_the_environment_says_of_tracking_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "tracking" not in dict(check(make_spec()).lines)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:geheim@theirs:5000")
    said = dict(check(make_spec()).lines)["tracking"]
    assert "http://***@theirs:5000, as MLFLOW_TRACKING_URI says" in said
    named = make_spec(tracking={"uri": "http://ours"})
    assert "tracking" not in dict(check(named).lines)
    assert "tracking" not in dict(check(make_spec(tracking={"kind": "none"})).lines)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mlruns")
    assert "folder of files" in check(make_spec()).problems[0]


def test_a_pruning_that_leaves_a_layer_empty_is_refused_with_layer_and_numbers() -> None:
    report = check(make_spec(pruning={"sparsity": 0.98, "granularity": "filter"}))
    assert "leaves none of the 16 filters of features.0.weight" in "\n".join(report.problems)
    fine = check(make_spec(pruning={"sparsity": 0.9}))
    assert fine.problems == []
    assert "less where weights are pruned" in dict(fine.lines)["memory"]


def test_an_axis_on_which_some_prunings_fail_is_noted() -> None:
    space = {**SPACE, "pruning_sparsity": {"type": "choice", "values": [0.0, 0.98]}}
    report = check(make_spec(space=space, pruning={"granularity": "filter"}))
    assert report.problems == []
    notes = [line for label, line in report.lines if label == "note"]
    assert any("some trials will fail" in note and "16 filters" in note for note in notes)
