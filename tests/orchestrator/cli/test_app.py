"""The whole command: help, exit codes, what stands on which stream, what is imported."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from orchestrator.cli.app import app

ROOT = Path(__file__).parents[3]
COMMANDS = [command.name for command in app.registered_commands]
HEAVY = ("torch", "torchvision", "ray", "mlflow", "optuna", "plotly", "pandas")
PROGRAM = "from orchestrator.cli.app import main; main()"


def started(*words: str, code: str = PROGRAM) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


def loaded_by(*words: str) -> set[str]:
    """Modules that one command imports."""
    code = (
        "import sys\nfrom orchestrator.cli.app import main\n"
        "try:\n    main()\nfinally:\n    print('\\n' + ' '.join(sys.modules), file=sys.stderr)"
    )
    return set(started(*words, code=code).stderr.splitlines()[-1].split())


def test_the_commands_are_those_of_the_contract() -> None:
    queries = ["list", "status", "trials", "show", "logs", "front", "pick", "plot", "report"]
    others = [
        "init",
        "schema",
        "check",
        "run",
        "submit",
        "resume",
        "stop",
        "export",
        "export-study",
        "sync",
        "ui",
        "pretrain",
        "doctor",
        "simulate",
        "diff",
        "delete",
        "archive",
        "restore",
        "rename",
        "clean",
    ]
    assert sorted(COMMANDS) == sorted([*queries, *others])


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert f"Example: paretune {name}" in result.stdout


def test_the_reference_is_what_the_commands_say_now() -> None:
    path = ROOT / "docs" / "reference" / "make_cli.py"
    spec = importlib.util.spec_from_file_location("make_cli", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.TARGET.read_text(encoding="utf-8")
    assert page == module.reference(), "run: python docs/reference/make_cli.py"
    assert all(f"\n## {name}\n" in page for name in COMMANDS)


@pytest.mark.slow
def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_by("--help")
    assert "orchestrator.cli.app" in loaded
    assert loaded.isdisjoint((*HEAVY, "sqlalchemy", "pydantic"))


@pytest.mark.slow
def test_a_query_loads_neither_torch_nor_ray_nor_mlflow(filled: Path) -> None:
    loaded = loaded_by("front", "digits-fc", "--format", "json")
    assert "sqlalchemy" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.slow
def test_json_stands_alone_on_standard_output(filled: Path) -> None:
    result = started("front", "digits-fc", "--format", "json")
    assert result.returncode == 0
    assert [record["trial"] for record in json.loads(result.stdout)] == [0, 1, 2]
    assert result.stderr == ""


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error_to_shout_about(filled: Path) -> None:
    code = f"import os\nr, w = os.pipe()\nos.dup2(w, 1)\nos.close(r)\n{PROGRAM}"
    result = started("trials", "digits-fc", code=code)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "words", ["status", "show", "front", "front other", "pick", "diff", "ui", "rename", "delete"]
)
def test_a_shell_completes_the_names_of_sweeps(filled: Path, words: str) -> None:
    asked = {
        "_PARETUNE_COMPLETE": "complete_bash",
        "COMP_WORDS": f"paretune {words} dig",
        "COMP_CWORD": str(1 + len(words.split())),
    }
    found = CliRunner().invoke(app, [], env=asked, prog_name="paretune").stdout.split()
    assert "digits-fc" in found


def test_without_a_command_the_help_is_shown() -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2
    assert "Usage: paretune" in result.output or "Usage:" in result.output


def test_an_unknown_command_is_wrong_use() -> None:
    assert CliRunner().invoke(app, ["lst"]).exit_code == 2


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("paretune 0.")


class TestErrors:
    """What a command raises becomes a sentence and an exit code, unless it is a bug."""

    @staticmethod
    def raising(error: BaseException) -> Result:
        other = typer.Typer(cls=app.info.cls, pretty_exceptions_enable=False)

        @other.command()
        def one() -> None:
            raise error

        @other.command()
        def two() -> None:
            pass

        return CliRunner().invoke(other, ["one"])

    def test_a_failure_exits_1(self) -> None:
        from orchestrator.errors import OrchestratorError

        result = self.raising(OrchestratorError("It did not work."))
        assert (result.exit_code, result.stderr) == (1, "error: It did not work.\n")
        assert result.stdout == ""

    def test_an_unknown_name_exits_2(self) -> None:
        from orchestrator.errors import UnknownNameError

        result = self.raising(UnknownNameError("sweep", "digit", ["digits"]))
        assert result.exit_code == 2
        assert "Did you mean 'digits'?" in result.stderr

    def test_a_trainers_error_exits_1(self) -> None:
        from trainers.errors import DataError

        result = self.raising(DataError("img/3.png cannot be read."))
        assert (result.exit_code, result.stderr) == (1, "error: img/3.png cannot be read.\n")

    def test_a_data_set_that_is_not_there_exits_2(self) -> None:
        from trainers.errors import AbsentDataError

        result = self.raising(AbsentDataError("data folder x does not exist."))
        assert (result.exit_code, result.stderr) == (2, "error: data folder x does not exist.\n")

    def test_an_interrupt_exits_130(self) -> None:
        assert self.raising(KeyboardInterrupt()).exit_code == 130

    def test_a_bug_shows_itself(self) -> None:
        assert isinstance(self.raising(ZeroDivisionError("bug")).exception, ZeroDivisionError)


def test_a_process_that_ends_is_not_searched_for_cycles() -> None:
    # Called last: what was registered first.
    code = (
        f"import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 0)); {PROGRAM}"
    )
    assert started("--version", code=code).stdout.splitlines()[-1] == "True"
