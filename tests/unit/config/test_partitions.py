"""Which files hold which days: a pattern is read, expanded and recognised again."""

import datetime as dt
from pathlib import Path

import pytest

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.partitions import Pattern
from shadow_deployment.data.sources.duckdb.lake import Folder
from shadow_deployment.errors import DeploymentError
from tests.builders import a_deployment

DAY = dt.date(2024, 3, 9)


@pytest.mark.parametrize(
    ("text", "on_the_day", "chronological"),
    [
        ("s3://logs/dt={day}/*.parquet", "s3://logs/dt=2024-03-09/*.parquet", True),
        ("s3://logs/{day:%Y/%m/%d}/**/*.parquet", "s3://logs/2024/03/09/**/*.parquet", True),
        ("/l/year={day:%Y}/month={day:%m}/day={day:%d}/x", "/l/year=2024/month=03/day=09/x", True),
        ("/l/{day:%Y}/{day:%j}.parquet", "/l/2024/069.parquet", True),
        ("/l/{day:%d.%m.%Y}.parquet", "/l/09.03.2024.parquet", False),
        ("/l/*/{day}.parquet", "/l/*/2024-03-09.parquet", False),
        ("/l/{day}/{day:%Y%m%d}-?.parquet", "/l/2024-03-09/20240309-?.parquet", False),
        ("file:///a%20b/{day}", "/a b/2024-03-09", True),
        ("relative/{day}", str(PROJECT / "relative/2024-03-09"), True),
    ],
)
def test_a_day_stands_where_the_pattern_says(text: str, on_the_day: str, chronological: bool) -> None:
    pattern = Pattern.parse(f"parquet:{text}")
    assert pattern.on(DAY) == on_the_day
    assert pattern.is_daily
    assert pattern.is_chronological == chronological
    name = on_the_day.replace("**/*", "05/some").replace("*", "some").replace("?", "7")
    assert pattern.day_of(name) == DAY
    assert pattern.matching(DAY).fullmatch(name)
    assert pattern.matching().fullmatch(name)
    assert not pattern.matching(DAY + dt.timedelta(days=1)).fullmatch(name)
    assert name.startswith(pattern.root(DAY))
    assert name.startswith(pattern.root())


@pytest.mark.parametrize(
    "text",
    ["", "s3://logs", "s3:///key", "s3://lo*gs/a", "s3://{day}/a", "http://host/a", "gs://a/b", "/folder/", "file://host/a",
     "/a/{day", "/a/{other}", "/a/{}", "/a/{day!r}", "/a/{day:%Y-%m-%d %H}", "/a/{day:%Y/*/%d}"],
)  # fmt: skip
def test_what_is_no_pattern_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(
        DeploymentError, match=r"requests\.table == .*, must be TABLE, SCHEMA\.TABLE, parquet:PATH or jsonl:PATH"
    ):
        a_deployment(requests={"table": f"parquet:{text}"})


@pytest.mark.parametrize("text", ["/a/{day:%Y}.parquet", "/a/{day:%m-%d}.parquet", "/a/{day:%Y-%m}/{day:%m}"])
def test_a_pattern_that_names_no_whole_day_is_refused(text: str) -> None:
    with pytest.raises(DeploymentError, match=r"labels\.table == .*, must name a whole day"):
        a_deployment(labels={"table": f"parquet:{text}"})


def test_the_error_of_an_address_without_its_kind_names_the_kinds() -> None:
    with pytest.raises(DeploymentError, match=r"requests\.table == 's3://a/b.parquet', must be .* or jsonl:PATH"):
        a_deployment(requests={"table": "s3://a/b.parquet"})


def test_a_connection_is_needed_for_postgres_alone() -> None:
    for key in ("requests", "labels"):
        with pytest.raises(DeploymentError, match=rf"{key}\.conn_id is missing \("):
            a_deployment(**{key: {"conn_id": None}})
        logged_here = {"challengers": [{"name": "a_a_check", "model": "champion"}]}
        assert a_deployment(**{key: {"conn_id": None, "table": "parquet:/log/{day}.parquet"}}, **logged_here)


def test_answers_that_are_logged_beside_parquet_are_columns_of_it() -> None:
    for model, allowed in (("logged:other_probability", True), ("logged:flights.log.other_probability", False)):
        challengers = [{"name": "other", "model": model}]
        changes = {"requests": {"table": "parquet:/log/{day}.parquet"}, "challengers": challengers}
        if allowed:
            assert a_deployment(**changes)
            continue
        with pytest.raises(DeploymentError, match="must be logged:COLUMN, a column of the log itself"):
            a_deployment(**changes)


@pytest.mark.parametrize("model", ["logged:", "logged:.a", "logged:a.", "logged:a,", "logged:a.b.c.d", "logged:a..b"])
def test_what_names_no_column_of_answers_is_refused(model: str) -> None:
    with pytest.raises(DeploymentError, match=r"challengers\[0\]\.model == "):
        a_deployment(challengers=[{"name": "other", "model": model}])


def test_files_that_writers_have_not_finished_are_no_data(tmp_path: Path) -> None:
    names = ["a.parquet", "b [1].parquet", "h/c.parquet", "h/_temporary/d.parquet", "_e.parquet", ".f.parquet", "g.csv"]
    for name in names:
        path = tmp_path / "a[1]" / "2024-03-09" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "a[1]" / "2024-03-10").mkdir()
    pattern = Pattern.parse(f"parquet:{tmp_path}/a[1]/{{day}}/**/*.parquet")
    for day in (DAY, None):
        found = [Path(one.path).name for one in Folder().find(pattern, day)]
        assert found == ["a.parquet", "b [1].parquet", "c.parquet"]
    assert list(Folder().find(pattern, DAY + dt.timedelta(days=1))) == []
