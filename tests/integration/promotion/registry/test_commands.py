"""The commands show what they rest on and ask, show the history, and publish again."""

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from shadow_deployment.cli.main import app
from shadow_deployment.errors import RegistryError
from shadow_deployment.promotion import registry
from tests.conftest import declare
from tests.integration.promotion.promoting import ALWAYS, as_published, published, settings, view
from tests.production import World, day

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


@pytest.fixture
def command(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call a command of the registry in the world."""
    declare(world, monkeypatch)
    world.deploy(**settings(world))

    def call(*arguments: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=answer)

    return call


WORDS = ("--approved-by", "ada", "--reason", "it is better [really]")


def test_promote_shows_the_case_and_asks(world: World, command: Callable[..., Result]) -> None:
    for answer in ("n\n", ""):
        ended = command("promote", "late", "--challenger", "other", *WORDS, answer=answer)
        assert ended.exit_code == 1
        assert "would follow champion 7, as the log says" in ended.output
        assert f"PASS of {day(0)} against champion 7" in ended.output
        assert "Promote other?" in ended.output
        assert view(world) == []
    ended = command("promote", "late", "--challenger", "other", *WORDS, answer="y\n")
    assert (ended.exit_code, len(view(world))) == (0, 1)
    assert "late: the champion is other 1, by promotion 1" in ended.output


def test_promote_says_what_is_in_the_way_before_it_asks(world: World, command: Callable[..., Result]) -> None:
    ended = command("promote", "late", "--challenger", "a_a_check", *WORDS, "--yes")
    assert isinstance(ended.exception, RegistryError)
    assert "in the way a_a_check is the A/A check" in ended.output
    assert "?" not in ended.output
    ended = command("promote", "late", "--challenger", "other", *WORDS, "--yes", "--force")
    assert "promotion.allow_force == false" in str(ended.exception)
    world.deploy(**settings(world, promotion=ALWAYS))
    assert command("promote", "late", "--challenger", "other", *WORDS, "--yes", "--force").exit_code == 0
    assert registry.history(world.shadow(**settings(world)))[0].kind == "forced"


def test_rollback_shows_what_it_takes_back_and_asks(world: World, command: Callable[..., Result]) -> None:
    assert isinstance(command("rollback", "late", *WORDS, "--yes").exception, RegistryError)
    command("promote", "late", "--challenger", "other", *WORDS, "--yes")
    ended = command("rollback", "late", *WORDS, answer="n\n")
    assert "takes back other 1, by promotion 1" in ended.output
    assert "champion again: champion 7" in ended.output
    assert (ended.exit_code, len(registry.history(world.shadow(**settings(world))))) == (1, 1)
    assert command("rollback", "late", *WORDS, answer="y\n").exit_code == 0
    assert view(world)[0][:2] == ("champion", "7")


def test_the_champion_and_its_history_are_shown(world: World, command: Callable[..., Result]) -> None:
    assert (
        "nothing was promoted yet: the champion is what flights.prediction_log says"
        in command("champion", "late").output
    )
    assert json.loads(command("champion", "late", "--json").output) is None
    assert command("promotions", "late", "--json").output == ""
    command("promote", "late", "--challenger", "other", *WORDS, "--yes")
    command("rollback", "late", *WORDS, "--yes")
    (name, version, digest, uri, since, approved_by, number) = view(world)[0]
    assert json.loads(command("champion", "late", "--json").output) == {
        "name": name,
        "version": version,
        "digest": digest,
        "uri": uri,
        "number": number,
        "since": since.isoformat(),
        "approved_by": approved_by,
    }
    assert "late: champion 7, by promotion 2" in command("champion", "late").output
    rows = [json.loads(line) for line in command("promotions", "late", "--json").output.splitlines()]
    assert [(row["number"], row["kind"], row["undoes"], row["undone_by"]) for row in rows] == [
        (1, "promotion", None, 2),
        (2, "rollback", 1, None),
    ]
    table = " ".join(command("promotions", "late").output.split())
    assert "rollback of 1" in table
    assert "it is better [really]" in table


def test_champion_publishes_again(world: World, command: Callable[..., Result]) -> None:
    assert "wrote nothing" in command("champion", "late", "--publish").output
    command("promote", "late", "--challenger", "other", *WORDS, "--yes")
    path = world.folder / "published" / "champion.json"
    path.unlink()
    ended = command("champion", "late", "--publish")
    assert f"wrote {path}" in ended.output.replace("\n", "")
    assert published(world) == as_published(world)
