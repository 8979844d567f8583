"""The option --deployments: every command has it, and it goes before what the environment names."""

import inspect
from pathlib import Path

from shadow_deployment.cli.main import app
from tests.builders import EXAMPLE
from tests.conftest import Invoke
from tests.production import World


def test_a_command_looks_where_the_option_says(reading: World, invoke: Invoke, tmp_path: Path) -> None:
    reading.deploy()
    (tmp_path / "other.yaml").write_text(EXAMPLE.replace("name: flight_delay\n", "name: other\n", 1))
    code, _, said = invoke("status", "late", "--deployments", tmp_path)
    assert (code, said) == (1, f"error there is no deployment 'late' in {tmp_path}, must be one of other\n")
    code, _, said = invoke("status", "late", "--deployments", tmp_path / "gone")
    assert (code, said.endswith(f"is {tmp_path / 'gone'}, which is not a folder\n")) == (1, True)


def test_every_command_has_the_option() -> None:
    without = [
        command.callback.__name__
        for command in app.registered_commands
        if command.callback and "deployments" not in inspect.signature(command.callback).parameters
    ]
    assert without == []
