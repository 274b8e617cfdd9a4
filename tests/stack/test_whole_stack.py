"""The whole stack: nothing is lost or repeated, and no password is anywhere."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from orchestrator.contracts import Store
from orchestrator.errors import ClusterLostError, UnknownNameError
from orchestrator.fronts.front import compute_front
from orchestrator.reporting.export import export
from orchestrator.spec.stored import spec_objectives
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.trials import FailureKind, TrialState
from tests.faults.invariants import steady
from tests.private_nodes import PrivateNodes, address_of
from tests.stack.commands import FIRST_NODES, FIRST_WORKERS, STACK, begun, ended, paretune
from tests.stack.conftest import HAS_JOBS, Servers, start

pytestmark = STACK

WIDTHS, BITS = [8, 16, 24, 32], [3, 4, 8]
TRIALS, EPOCHS = 12, 3
# So long that only a hang exceeds it, even on a slow machine.
LONGEST_S = 900.0
# So long that the driver's node can die in mid-sweep, and without work for the processor.
SLOW = """\
import time


def bias(network, images, labels):
    time.sleep(8)
    return float(network.head[-1].bias.abs().sum())
"""
# All but the first calls say on which node they are, and wait for a file. Nodes see it as well:
# hidden from them is only the driver's state folder.
FIRST_CALLS = 4
HELD = """\
import time
from pathlib import Path

import ray


def bias(network, images, labels):
    for call in range(CALLS):
        try:
            Path(f"GO-{call}").touch(exist_ok=False)
            break
        except FileExistsError:
            continue
    else:
        Path(f"GO-on-{ray.util.get_node_ip_address()}").touch()
        while not Path("GO").exists():
            time.sleep(0.2)
    return float(network.head[-1].bias.abs().sum())
"""

Values = Mapping[int, Mapping[str, float]]


def sweep_file(folder: Path, servers: Servers, name: str, **changes: object) -> Path:
    """Write a sweep of a grid, so that trial N has the same parameters whatever ended first."""
    folder.mkdir(exist_ok=True)
    (folder / "slow.py").write_text(SLOW)
    sweep = {
        "name": name,
        "backbone": {"name": "digitnet", "weights": "scratch"},
        "data": {"name": "digits", "limit": 150},
        "space": {
            "fc_width_1": {"type": "choice", "values": WIDTHS},
            "bits": {"type": "choice", "values": BITS},
        },
        "training": {"tune": "last_blocks:1", "epochs": EPOCHS, "batch_size": 64},
        "objectives": {
            "accuracy": "maximize",
            "memory_bytes": "minimize",
            "bias": {"direction": "minimize", "function": "slow:bias"},
        },
        "sampler": {"kind": "grid"},
        "budget": {"trials": TRIALS},
        # A training that another sweep has finished would take no time.
        "execution": {"siblings": False, "cache": "off"},
        "storage": "s3://sweeps/stack",
        "store": f"postgresql+psycopg://ann:${{DATABASE_PASSWORD}}@/{servers.place}",
        "tracking": f"http://admin:${{TRACKING_PASSWORD}}@127.0.0.1:{servers.tracking.port}",
    }
    path = folder / "sweep.yaml"
    given = {**sweep, **changes}
    path.write_text(yaml.safe_dump({key: it for key, it in given.items() if it is not None}))
    return path


@pytest.fixture(scope="module")
def store(servers: Servers, nodes: PrivateNodes) -> Store:
    return open_store(servers.store, state=StateFolder(nodes.state))


@pytest.fixture(scope="module")
def undisturbed(
    nodes: PrivateNodes, servers: Servers, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Values:
    """What the sweep measures when nothing happens to it."""
    file = sweep_file(tmp_path_factory.mktemp("whole"), servers, "whole")
    done = paretune(nodes, "run", str(file))
    assert done.returncode == 0, done.stdout + done.stderr + nodes.said()
    return {trial.number: steady(trial) for trial in store.trials("whole")}


def test_every_artifact_exports_and_sync_counts_all(
    nodes: PrivateNodes, servers: Servers, store: Store, undisturbed: Values, tmp_path: Path
) -> None:
    assert _workers(store, "whole") == FIRST_WORKERS
    laptop = {"PARETUNE_HOME": str(tmp_path / "laptop"), "PARETUNE_STORE": servers.store}
    _exports_and_counts(nodes, store, "whole", tmp_path, **laptop)


@pytest.mark.parametrize("storage", ["s3://sweeps/stack", None], ids=["s3", "no storage"])
def test_a_node_that_joins_one_that_dies_and_a_head_that_dies_cost_no_trial(
    nodes: PrivateNodes,
    servers: Servers,
    store: Store,
    undisturbed: Values,
    tmp_path: Path,
    storage: str | None,
) -> None:
    name = f"shaken-{'apart' if storage is None else 's3'}"
    file = sweep_file(tmp_path / "here", servers, name, storage=storage)
    go = nodes.folder / f"{name}-goes-on"
    held = HELD.replace("GO", str(go)).replace("CALLS", str(FIRST_CALLS))
    (file.parent / "slow.py").write_text(held)
    driver = begun(nodes, "run", str(file))
    _wait_for(lambda: len(list(nodes.folder.glob(f"{go.name}-[0-9]"))) == FIRST_CALLS)
    nodes.add(5)
    _wait_for(lambda: all(Path(f"{go}-on-{address_of(node)}").exists() for node in (2, 5)))
    nodes.end("n2")
    _wait_for(lambda: FailureKind.NODE_LOST in _failures(store, name))
    nodes.end("head")
    first = ended(driver)
    assert first.returncode == ClusterLostError.exit_code, first.stdout + first.stderr
    assert "The head of the Ray cluster at" in first.stderr
    assert "Traceback" not in first.stderr
    before = {t.number: _attempts(store, name, t.number) for t in store.trials(name)}
    complete = [t.number for t in store.trials(name, [TrialState.COMPLETE])]
    assert 0 < len(complete) <= FIRST_CALLS
    nodes.close()
    go.touch()
    start(nodes)
    again = paretune(nodes, "run", str(file))
    assert again.returncode == 0, again.stdout + again.stderr + nodes.said()
    assert f"{name}: {TRIALS} complete, 0 stopped early, 0 failed" in again.stdout
    _as_undisturbed(store, name, undisturbed)
    # What was complete was not trained again, and only what was lost was tried again.
    assert all(_attempts(store, name, number) == before[number] for number in complete)
    here = {"PARETUNE_HOME": str(nodes.state), "PARETUNE_STORE": servers.store}
    _exports_and_counts(nodes, store, name, tmp_path, **here)


@pytest.mark.skipif(not HAS_JOBS, reason="needs Ray's job server: pip install 'ray[default]'")
def test_a_job_whose_node_dies_is_submitted_again_from_another_folder(
    nodes: PrivateNodes, servers: Servers, store: Store, undisturbed: Values, tmp_path: Path
) -> None:
    file = sweep_file(tmp_path / "sent", servers, "job")
    submitted = paretune(nodes, "submit", str(file), "--address", nodes.jobs)
    assert submitted.stdout.split() == ["job.attempt-1"], submitted.stderr + nodes.said()
    # Each node has one behind it, and another one for some seconds.
    _wait_for(lambda: _states(store, "job")[TrialState.COMPLETE] >= len(FIRST_NODES))
    # The driver is on the head's node.
    nodes.end("head")
    nodes.close()
    assert _states(store, "job")[TrialState.COMPLETE] < TRIALS
    start(nodes)
    moved = shutil.move(tmp_path / "sent", tmp_path / "elsewhere") / file.name
    again = paretune(nodes, "submit", str(moved), "--address", nodes.jobs, "--follow")
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"job: {TRIALS} complete, 0 stopped early, 0 failed" in again.stdout
    _as_undisturbed(store, "job", undisturbed)
    laptop = {"PARETUNE_HOME": str(tmp_path / "laptop"), "PARETUNE_STORE": servers.store}
    seen = paretune(nodes, "front", "job", "--format", "json", **laptop)
    front = compute_front(store.trials("job"), spec_objectives(store.sweep("job").spec))
    assert [(each["trial"], each["values"]) for each in json.loads(seen.stdout)] == [
        (member.trial, dict(member.values)) for member in front
    ]


def test_no_password_is_anywhere(
    nodes: PrivateNodes, servers: Servers, process_list: list[str], undisturbed: Values
) -> None:
    """Everything that the tests above left; run alone, what one sweep left."""
    passwords = servers.passwords
    roots = [nodes.folder, servers.folder]
    # What the nodes have where the driver has its state folder.
    roots += [Path(f"/proc/{each.pid}/root{nodes.state}") for each in nodes.running.values()]
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    assert len(files) > 100
    assert {".log", ".out", ".err"} <= {path.suffix for path in files}
    assert passwords.found_in_files(files) == {}
    dump = servers.database.dump()
    assert "whole" in dump
    assert passwords.found_in(dump.encode()) == []
    objects = servers.files.find("sweeps")
    assert objects
    assert [each for each in objects if passwords.found_in(servers.files.cat_file(each))] == []
    assert process_list == []


def _wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + LONGEST_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.2)


def _workers(store: Store, name: str) -> set[str]:
    """Addresses on which trials ran."""
    return {
        attempt.worker.split(":")[0]
        for trial in store.trials(name)
        for attempt in store.attempts(name, trial.number)
    }


def _attempts(store: Store, name: str, number: int) -> int:
    return len(store.attempts(name, number))


def _failures(store: Store, name: str) -> set[FailureKind]:
    return {
        attempt.failure.kind
        for trial in store.trials(name)
        for attempt in store.attempts(name, trial.number)
        if attempt.failure
    }


def _exports_and_counts(
    nodes: PrivateNodes, store: Store, name: str, folder: Path, **variables: str
) -> None:
    """Assert that every network of a sweep can be exported, and that MLflow has all of it."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in {**nodes.given, **variables}.items():
            patch.setenv(variable, value)
        for number in range(TRIALS):
            to = folder / "exported" / str(number)
            export(name, number, to, store)
            assert (to / "model.safetensors").stat().st_size > 0
    synced = paretune(nodes, "sync", name, **variables)
    assert synced.returncode == 0, synced.stderr
    counts = [line.split() for line in synced.stdout.splitlines() if " in MLflow" in line]
    assert [words[0] for words in counts] == ["runs", "params", "metrics", "artifacts"]
    assert all(found == expected for _, found, _, expected, *_ in counts), synced.stdout
    # One of the sweep, and one of each attempt.
    attempts = sum(_attempts(store, name, number) for number in range(TRIALS))
    assert counts[0][1] == str(attempts + 1)


def _states(store: Store, name: str) -> Counter[TrialState]:
    """Count trials by state; none of a sweep that is not stored yet."""
    try:
        return Counter(trial.state for trial in store.trials(name))
    except UnknownNameError:
        return Counter()


def _as_undisturbed(store: Store, name: str, undisturbed: Values) -> None:
    """Assert that no trial is lost or repeated, and that each measured the same."""
    trials = store.trials(name)
    assert _states(store, name) == {TrialState.COMPLETE: TRIALS}
    found = Counter((trial.params["fc_width_1"], trial.params["bits"]) for trial in trials)
    assert found == Counter((width, bits) for width in WIDTHS for bits in BITS)
    assert {trial.number: steady(trial) for trial in trials} == undisturbed
