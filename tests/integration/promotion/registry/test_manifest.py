"""The manifest is written whole or not at all, by one process at a time."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import DeploymentError
from shadow_deployment.ledger.registry import promotions
from shadow_deployment.promotion import registry
from tests.integration.promotion.promoting import as_published, by, leftovers, published, refusal, settings, view
from tests.production import World

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


def test_the_manifest_is_written_whole_or_not_at_all(
    world: World, shadow: DeploymentContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote(shadow, "other", **by("ada"))
    path = world.folder / "published" / "champion.json"
    assert registry.publish(shadow) == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    before = path.read_bytes()

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        message = refusal(lambda: registry.rollback(shadow, **by("ada")))
    assert "the champion is champion 7, by promotion 2" in message
    assert "No space left on device" in message
    assert "champion late --publish" in message
    assert [one.kind for one in registry.history(shadow)] == ["promotion", "rollback"]
    assert path.read_bytes() == before
    assert leftovers(path) == []
    registry.publish(shadow)
    assert published(world) == as_published(world)
    assert published(world) != json.loads(before)


def test_publishing_twice_gives_the_same_file(world: World, shadow: DeploymentContext) -> None:
    registry.promote(shadow, "other", **by("ada"))
    path = world.folder / "published" / "champion.json"
    before = path.read_bytes()
    path.unlink()
    for _ in range(2):
        assert registry.publish(shadow) == str(path)
        assert path.read_bytes() == before


def test_who_writes_the_manifest_last_has_read_the_ledger_last(twice: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promotion whose process is slow to write must not put its champion over a newer one."""
    shadow = twice.shadow(**settings(twice))
    publish = registry.publish

    def slow(one: DeploymentContext) -> None:
        monkeypatch.setattr(registry, "publish", publish)
        registry.rollback(shadow, **by("bob"))
        publish(one)

    monkeypatch.setattr(registry, "publish", slow)
    registry.rollback(shadow, **by("ada"))
    assert published(twice) == as_published(twice)
    assert as_published(twice) is not None
    assert view(twice)[0][:2] == ("champion", "7")


def test_one_process_at_a_time_reads_the_champion_and_writes_the_manifest(
    world: World, shadow: DeploymentContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote(shadow, "other", **by("ada"))
    moments: list[list[tuple[Any, ...]]] = []

    def watched(where: Any, name: str) -> None:
        function = getattr(where, name)

        def call(*arguments: Any) -> Any:
            moments.append(world.query("SELECT pg_try_advisory_lock(hashtextextended('shadow/manifest/late', 0))"))
            return function(*arguments)

        monkeypatch.setattr(where, name, call)

    (world.folder / "published" / "champion.json").unlink()
    watched(promotions, "champion")
    watched(Path, "replace")
    registry.publish(shadow)
    assert moments == [[(False,)], [(False,)]]


def test_without_a_manifest_in_the_file_none_is_written(world: World) -> None:
    shadow = world.shadow(**settings(world, promotion={"manifest": None}))
    registry.promote(shadow, "other", **by("ada"))
    assert registry.publish(shadow) is None
    assert published(world) is None


@pytest.mark.parametrize("uri", ["file://host/champion.json", "folder/", ""])
def test_a_manifest_is_a_file(world: World, uri: str) -> None:
    message = refusal(lambda: world.deploy(**settings(world, promotion={"manifest": uri})), DeploymentError)
    assert "promotion.manifest ==" in message
    assert "must be file:///an/absolute/file, a path, or s3://BUCKET/KEY" in message
