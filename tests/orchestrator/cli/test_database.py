"""``database``: the store as a person looks after it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from orchestrator.storage.tables import HEAD

Call = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("filled")


def test_a_backup_is_a_store_and_is_put_back(call: Call, tmp_path: Path) -> None:
    said = json.loads(call("database", "status", "--format", "json").stdout)
    assert (said["schema"], said["up_to_date"], said["sweeps"], said["trials"]) == (
        HEAD,
        True,
        1,
        6,
    )
    assert call("database", "backup", "--to", tmp_path / "b.db").exit_code == 0
    assert "digits-fc" in call("list", "--store", f"sqlite:///{tmp_path / 'b.db'}").stdout
    refused = call("database", "restore", tmp_path / "b.db")
    assert refused.exit_code == 1
    assert "has sweeps (digits-fc)" in refused.stderr
    new = f"sqlite:///{tmp_path / 'new.db'}"
    assert (
        "1 sweeps: digits-fc"
        in call("database", "restore", tmp_path / "b.db", "--store", new).stdout
    )
    assert call("trials", "digits-fc", "--store", new, "-f", "json").stdout == (
        call("trials", "digits-fc", "-f", "json").stdout
    )


def test_an_older_schema_is_upgraded_when_somebody_says_yes(call: Call, tmp_path: Path) -> None:
    golden = Path(__file__).parents[2] / "golden" / "databases" / "0004.db"
    (tmp_path / "old.db").write_bytes(golden.read_bytes())
    url = f"sqlite:///{tmp_path / 'old.db'}"
    asked = call("database", "upgrade", "--store", url)
    assert asked.exit_code == 2
    assert f"from 0004 to {HEAD}" in asked.stderr
    assert "0004; this paretune makes" in call("database", "status", "--store", url).stdout
    assert call("database", "upgrade", "--yes", "--store", url).exit_code == 0
    assert "the newest" in call("database", "upgrade", "--store", url).stderr
