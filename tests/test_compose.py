"""docker/compose.yaml: a schema accepts it, no secret has a default, no port is open to others."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

DOCKER = Path(__file__).resolve().parent.parent / "docker"
FILE = DOCKER / "compose.yaml"
SECRETS = re.compile(r"PASSWORD|TOKEN|SECRET|ACCESS_KEY")


def _compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return content


def _variables() -> dict[str, str]:
    """What the file takes from the environment, with the operator and the default."""
    return dict(re.findall(r"(?<!\$)\$\{([A-Z_0-9]+)((?::[?-][^}]*)?)\}", FILE.read_text()))


def test_the_schema_of_compose_accepts_it() -> None:
    path = DOCKER.parents[1] / "shared" / "schemas" / "compose-spec.json"
    if not path.is_file():
        pytest.skip("needs compose's schema compose-spec.json in the shared folder")
    validator = jsonschema.Draft7Validator(json.loads(path.read_text()))
    assert [each.message for each in validator.iter_errors(_compose())] == []


def test_no_secret_has_a_default_and_the_example_leaves_each_empty() -> None:
    required = {name for name, rest in _variables().items() if rest.startswith(":?")}
    secret = {name for name in _variables() if SECRETS.search(name)}
    assert required == secret
    lines = (DOCKER / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert given == dict.fromkeys(required, "")


def test_no_command_has_a_secret_which_a_list_of_processes_would_show() -> None:
    for name, service in _compose()["services"].items():
        words = " ".join(service.get("command", ()))
        # A doubled dollar leaves the variable's name to the program.
        given = re.findall(r"(?<!\$)\$\{([A-Z_0-9]+)", words)
        assert not [each for each in given if SECRETS.search(each)], name


def test_the_example_names_every_variable_with_its_default() -> None:
    text = (DOCKER / ".env.example").read_text()
    for name, rest in _variables().items():
        if rest.startswith(":-"):
            assert f"#{name}={rest[2:]}\n" in text, name


def test_ports_are_of_this_machine_alone() -> None:
    for name, service in _compose()["services"].items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name


@pytest.mark.parametrize("name", ["bucket", "mlflow", "head", "worker", "submit"])
def test_our_image_runs_read_only_and_without_rights(name: str) -> None:
    service = _compose()["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["tmpfs"] == ["/tmp:mode=1777"]  # noqa: S108 - of a container


def test_what_it_mounts_is_there() -> None:
    for service in _compose()["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (DOCKER / source).is_file()
            elif not source.startswith("$"):
                assert source in _compose()["volumes"]


def test_the_file_of_passwords_is_kept_out_of_commits_and_images() -> None:
    ignored = (DOCKER.parent / ".gitignore").read_text().splitlines()
    assert "docker/.env" in ignored
    assert (DOCKER.parent / ".dockerignore").read_text().splitlines()[1] == "*"
