"""What the hosting site reads: workflows, hooks, templates and the sentence on how to cite."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((REPOSITORY / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
CITATION = REPOSITORY / "CITATION.cff"
MAKEFILE = (REPOSITORY / "Makefile").read_text()
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def _read(path: Path) -> dict[Any, Any]:
    content = yaml.safe_load(path.read_text())
    assert isinstance(content, dict), path
    return content


def _jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in _read(path)["jobs"].items():
            yield f"{path.name}: {name}", job


def _steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in _jobs():
        for step in job["steps"]:
            yield name, step


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):(?!=)", MAKEFILE, re.M))


def _recipe(target: str) -> str:
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.M)
    assert found, target
    return found[1]


def _called_targets(job: dict[str, Any]) -> Iterator[str]:
    """The targets of a job's ``make`` commands, each value of its matrix put in its place."""
    matrix = job.get("strategy", {}).get("matrix", {})
    for step in job["steps"]:
        for word in re.findall(r"\bmake (\S+(?: matrix\.\w+ \S+)?)", step.get("run", "")):
            variable = re.fullmatch(r"\$\{\{ matrix\.(\w+) \}\}", word)
            yield from (
                [str(value).split()[0] for value in matrix[variable[1]]] if variable else [word]
            )


def test_workflows_and_forms_are_there_and_are_yaml() -> None:
    assert {path.stem for path in WORKFLOWS} >= {"ci", "weekly", "release"}
    assert {path.stem for path in FORMS} >= {"bug", "wish"}
    for path in [*WORKFLOWS, *FORMS]:
        assert _read(path)["name"], path


def test_every_make_target_that_a_workflow_calls_exists() -> None:
    called = {target for _, job in _jobs() for target in _called_targets(job)}
    assert {"test", "coverage", "image", "faults", "fuzz", "release-check"} <= called
    assert called <= _targets()


def test_every_make_target_is_listed_and_no_file() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.M)
    assert set(phony.split()) == _targets()
    for target in _targets():
        assert re.search(rf"^{target}:.*  ## \S", MAKEFILE, re.M), f"make help lacks {target}"


def test_the_documents_name_make_targets_that_exist() -> None:
    documents = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")]
    documents += [REPOSITORY / ".github" / "PULL_REQUEST_TEMPLATE.md"]
    named = {
        target
        for path in documents
        for target in re.findall(r"(?:`|^)make ([a-z][a-z-]*)", path.read_text(), re.M)
    }
    assert {"test", "release-check"} <= named
    assert named <= _targets()


def test_every_job_has_an_end_and_no_more_rights_than_it_says() -> None:
    for name, job in _jobs():
        assert job["timeout-minutes"] <= 180, name
    for path in WORKFLOWS:
        assert "permissions" in _read(path), path


def test_actions_are_pinned_by_a_version() -> None:
    used = [step["uses"] for _, step in _steps() if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+(\.\d+)*|[0-9a-f]{40})", action), action


def test_one_job_waits_for_all_the_others() -> None:
    jobs = _read(REPOSITORY / ".github" / "workflows" / "ci.yml")["jobs"]
    assert set(jobs["required"]["needs"]) == jobs.keys() - {"required"}
    assert jobs["required"]["if"] == "always()"  # a skipped check would count as passed


def test_tests_run_on_the_versions_of_python_that_are_promised() -> None:
    tested = _read(REPOSITORY / ".github" / "workflows" / "ci.yml")["jobs"]["test"]
    promised = [
        label.rpartition(" ")[2]
        for label in PROJECT["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", label)
    ]
    assert tested["strategy"]["matrix"]["python"] == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_hooks_run_what_make_check_runs() -> None:
    hooks = [
        hook
        for each in _read(REPOSITORY / ".pre-commit-config.yaml")["repos"]
        for hook in each["hooks"]
        if each["repo"] == "local"
    ]
    checked = set(re.findall(r"\$\(BIN\)/(\S+)", _recipe("check")))
    hooked = {re.findall(r"\.venv/bin/(\S+)", hook["entry"])[0] for hook in hooks}
    assert checked == {"ruff", "mypy", "lint-imports"}
    assert checked <= hooked
    for hook in hooks:
        named = re.findall(r"tests/\S+", hook["entry"])
        assert all((REPOSITORY / name).is_file() for name in named), hook["id"]


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_for_something(form: Path) -> None:
    fields = [field for field in _read(form)["body"] if field["type"] != "markdown"]
    assert any(field.get("validations", {}).get("required") for field in fields)
    names = [field["id"] for field in fields]
    assert len(set(names)) == len(names)


def test_the_citation_is_of_this_software() -> None:
    citation = _read(CITATION)
    assert citation["type"] == "software"
    assert citation["title"] == PROJECT["name"]
    assert str(citation["version"]) == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_the_citation_names_the_papers_of_the_readme() -> None:
    papers = _read(CITATION)["references"]
    assert len(papers) == 5
    readme = (REPOSITORY / "README.md").read_text()
    for paper in papers:
        assert paper["authors"][0]["family-names"] in readme, paper["title"]
        assert "doi" in paper or paper["identifiers"], paper["title"]


def test_coverage_is_of_branches_and_of_all_that_is_shipped() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]
    assert settings["coverage"]["run"]["branch"] is True
    shipped = settings["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert settings["coverage"]["run"]["source_pkgs"] == shipped
