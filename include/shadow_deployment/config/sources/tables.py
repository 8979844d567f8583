"""Where requests, labels and challengers' own features come from."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from shadow_deployment.config.fields import Column, Columns, Feature, Positive, PredictionColumns, Section, Table, Text
from shadow_deployment.config.partitions import engine_of
from shadow_deployment.config.sources.json_lines import DeclaredColumn


class TableSettings(Section):
    """Where rows of production lie."""

    conn_id: Text | None = Field(
        None,
        description="Airflow connection: of the database or of Spark Connect (required for these), or for AWS; "
        "without it, boto3's default credentials.",
    )
    table: Table = Field(
        description="TABLE or SCHEMA.TABLE in Postgres; files on disk or S3, `parquet:PATH` or `jsonl:PATH` (JSON "
        "lines, plain or .gz), with the UTC day in it, as in `parquet:s3://BUCKET/log/dt={day}/*.parquet`; "
        "`spark:CATALOG.SCHEMA.TABLE` or `athena:DATABASE.TABLE`, with `/COLUMN={day}` where each day has a partition. "
        "Labels are in the files or partitions of the day on which they became known, or days have none of their own."
    )
    columns: dict[Column, DeclaredColumn] = Field(
        {},
        description="JSON lines: the columns by name, each `string`, `integer`, `number`, `boolean`, `timestamp` or "
        "`date`; where a value is not at the top of the line, its path follows, as in `number $.input.age`. A value of "
        "another type is an error; one that is not there is null.",
    )
    flushed_within: Annotated[int, Field(ge=0, le=31)] = Field(
        1,
        description="Files with a day in their path: how far the day of a row's file may be from the row's own, as it "
        "was flushed late, in days. The files of as many days before and after are searched too; `0` reads those of "
        "the day alone.",
    )


class AthenaSettings(Section):
    """How tables of Amazon Athena are queried."""

    workgroup: Text = Field("primary", description="Workgroup in which queries run.")
    max_scanned_gb: Positive | None = Field(
        None, description="How much one query may scan, in gigabytes; it is cancelled beyond that. By default no limit."
    )


class Requests(TableSettings):
    """The champion's prediction log: one row per production request, in a table or in files."""

    format: Literal["sagemaker_capture"] | None = Field(
        None,
        description="JSON lines that SageMaker's data capture wrote: `input` and `output` are decoded, of CSV to a "
        "list of cells; a column without a path is the input's by its name, of CSV by its place among such columns. "
        "`inferenceId` (without one the event's id), `eventId` and `inferenceTime` are columns by themselves.",
    )
    id: Columns = Field(description="Column of the request id, unique within a day, or a list of columns that are.")
    time: Column = Field(description="Column of the time of the request.")
    features: Annotated[list[Column], Field(min_length=1)] = Field(description="Columns that challengers receive.")
    prediction: PredictionColumns = Field(
        description="Column of the champion's prediction; with several classes, one column of probabilities per class: "
        "a list in the order of `classes`, or a mapping `CLASS: COLUMN`."
    )
    version: Column | None = Field(None, description="Column of the champion's version.")
    champion_identity: Literal["version", "service"] = Field(
        "version",
        description="What a challenger is compared with: one `version`, so that a new one starts new evidence, or the "
        "`service`: whatever production serves, versions being shown only.",
    )
    latency: Column | None = Field(None, description="Column of the champion's latency, in milliseconds.")
    duplicates: Literal["refuse", "first"] = Field(
        "refuse",
        description="Request ids logged twice in a day: fail the day, or keep the earliest row. `first` reads at full "
        "speed, whatever `throttle` says.",
    )

    @property
    def prediction_columns(self) -> list[str]:
        """The columns of the champion's prediction: one, or a probability for each class."""
        if isinstance(self.prediction, str):
            return [self.prediction]
        return list(self.prediction.values() if isinstance(self.prediction, dict) else self.prediction)

    def in_order_of(self, classes: Sequence[str]) -> Self:
        """Return it with a mapping of classes to columns as the list that it stands for, where it names all of them."""
        columns = self.prediction
        if not isinstance(columns, dict) or set(columns) != set(classes):
            return self
        return self.model_copy(update={"prediction": [columns[name] for name in classes]})


class Labels(TableSettings):
    """Where the ground truth arrives."""

    format: Literal["sagemaker_ground_truth"] | None = Field(
        None,
        description="JSON lines as SageMaker's ground truth ingestion has them: `data` is decoded as a capture's input "
        "is. `eventId`, and as `uploadTime` the time at which the file was last written, are columns by themselves.",
    )
    id: Columns = Field(
        description="Column of the request id, or of what `key` is matched with; as many columns as that has, in its "
        "order."
    )
    key: Columns | None = Field(
        None,
        description="Column of the requests that `id` is matched with, where several share a label, such as a game "
        "that is predicted on seven days; by default `requests.id`. Requests of one key are drawn together.",
    )
    shared: Literal["first", "all"] = Field(
        "first",
        description="Which requests of a `key` have their label: the `first` prediction alone, so that each label "
        "counts once, or `all`, so that days depend on each other.",
    )
    value: Column = Field(description="Column of the label.")
    positive: Text | None = Field(None, description="Binary: the value, as text, that means 1.")
    negative: Text | None = Field(
        None,
        description="Binary: the value, as text, that means 0, others being invalid; without it, any other means 0.",
    )
    time: Column = Field(
        description="Column of the time at which the label became known; a date means the end of that day, in UTC."
    )
    maturity_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        description="How long labels may arrive after a day has ended, in days."
    )

    @property
    def column(self) -> str:
        """The labels in words: TABLE.COLUMN, or COLUMN of what is not in Postgres."""
        return f"{self.table}.{self.value}" if engine_of(self.table) == "postgres" else f"{self.value} of {self.table}"


class FeaturesFrom(TableSettings):
    """Features that a challenger takes from a table of its own, as they were known when each request was made.

    For each request the newest row of its id counts whose `known_at` is not after the request, to the microsecond; of
    rows known at the same moment the one with the greatest features, compared in the order of `features`. A request
    without such a row has nulls. The challenger is shown `requests.features`, those of the same name replaced, and
    then the others.
    """

    format: ClassVar[None] = None
    table: Table = Field(
        description="As for `requests`, in Spark and Athena without `/COLUMN={day}`; of files, all days up to the "
        "requests' are read. In Postgres an index on `id` and `known_at` is needed."
    )
    id: Columns = Field(
        description="Column of the request id, or of what `key` is matched with; as many columns as that has, in its "
        "order."
    )
    key: Columns | None = Field(
        None,
        description="Column of the requests that `id` is matched with, such as a customer's number; by default "
        "`requests.id`.",
    )
    known_at: Column = Field(
        description="Column of the time at which a row became known to production, which must not be the time of what "
        "it describes; a date means the end of that day, in UTC."
    )
    features: Annotated[list[Feature], Field(min_length=1)] = Field(description="Columns that the challenger receives.")

    @model_validator(mode="after")
    def _require_distinct(self) -> Self:
        if self.known_at == self.id or len({*self.features, self.known_at}) <= len(self.features):
            raise ValueError("must name each column once: id, known_at and features are different columns")
        return self

    @property
    def terms(self) -> dict[str, object]:
        """What decides which values a request gets; where the table is reached may change."""
        return self.model_dump(mode="json", exclude={"conn_id", "flushed_within"})


SourceTable = Requests | Labels | FeaturesFrom
