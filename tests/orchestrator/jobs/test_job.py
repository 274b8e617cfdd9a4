"""What is sent with a job, and what is refused because the job would lose it."""

from pathlib import Path

import pytest
import yaml

from orchestrator.errors import UsageError
from orchestrator.jobs.job import Job, job_of
from orchestrator.spec.files import load_sweep
from tests.orchestrator.jobs.conftest import MINIMAL

LASTING = {
    "store": "postgresql+psycopg://db/sweeps",
    "tracking": "http://mlflow:5000",
    "storage": "s3://bucket/sweeps",
}
SERVERS = {"PARETUNE_STORE": LASTING["store"], "MLFLOW_TRACKING_URI": LASTING["tracking"]}


def _job(folder: Path, environment: dict[str, str] | None = None, **keys: object) -> Job:
    file = folder / "sweep.yaml"
    file.write_text(yaml.safe_dump({**MINIMAL, **keys}))
    return job_of(file, load_sweep(file), environment=environment or {})


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"store": "default"}, "The store does not outlive a job: the sweep file names none"),
        ({"store": "sqlite:///mine.db"}, "'sqlite:///mine.db' is relative"),
        ({"store": "sqlite:///:memory:"}, "The store does not outlive a job"),
        ({"tracking": "mlflow"}, "no server is named"),
        ({"tracking": "sqlite:///mlflow.db"}, "'sqlite:///mlflow.db' is relative"),
        ({"storage": "weights"}, "'weights' is relative"),
    ],
)
def test_what_would_be_lost_with_the_job_is_refused(
    tmp_path: Path, keys: dict[str, object], told: str
) -> None:
    with pytest.raises(UsageError, match="Ray deletes") as caught:
        _job(tmp_path, **{**LASTING, **keys})
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_three_that_are_missing_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        _job(tmp_path)
    assert len(str(caught.value).splitlines()) == 3


def test_addresses_of_the_environment_go_with_the_job(tmp_path: Path) -> None:
    assert _job(tmp_path, SERVERS, storage="/mnt/sweeps").variables == SERVERS


def test_a_password_is_not_put_where_a_dashboard_shows_it(tmp_path: Path) -> None:
    url = "postgresql+psycopg://me:secret@db/sweeps"
    with pytest.raises(UsageError, match="PARETUNE_STORE holds a password") as caught:
        _job(tmp_path, {**SERVERS, "PARETUNE_STORE": url}, storage="/mnt/sweeps")
    assert "secret" not in str(caught.value)


def test_relative_data_travels_and_absolute_data_is_the_clusters(tmp_path: Path) -> None:
    (tmp_path / "images" / "cats").mkdir(parents=True)
    (tmp_path / "images" / "cats" / "1.png").write_bytes(b"png")
    (tmp_path / "unrelated.bin").write_bytes(b"not sent")
    sent = _job(tmp_path, data={"folder": "images"}, **LASTING).files
    assert sent == [Path("images/cats/1.png"), Path("sweep.yaml")]
    there = str(tmp_path / "images")
    assert _job(tmp_path, data={"folder": there}, **LASTING).files == [Path("sweep.yaml")]


def test_code_travels_with_the_modules_beside_it(tmp_path: Path) -> None:
    (tmp_path / "my_metric.py").write_text("from helper import size\n")
    (tmp_path / "helper.py").write_text("def size(network):\n    return 1.0\n")
    goal = {"direction": "minimize", "function": "my_metric:size"}
    sent = _job(tmp_path, objectives={"accuracy": "maximize", "size": goal}, **LASTING).files
    assert sent == [Path("helper.py"), Path("my_metric.py"), Path("sweep.yaml")]


@pytest.mark.parametrize(
    ("folder", "told"), [("../images", "outside"), ("absent", "is not there")]
)
def test_data_that_cannot_travel_is_refused(tmp_path: Path, folder: str, told: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "sweeps").mkdir()
    with pytest.raises(UsageError, match=told):
        _job(tmp_path / "sweeps", data={"folder": folder}, **LASTING)


def test_too_much_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.jobs.bundle.MOST_BYTES", 10)
    with pytest.raises(UsageError, match="where all nodes see it"):
        _job(tmp_path, **LASTING)
