"""Asks which columns of the log and of the labels are what, each with what was recognised."""

from dataclasses import dataclass
from typing import Any

from shadow_deployment.errors import DeploymentError
from shadow_deployment.onboarding.proposal import answers, labels, recognition
from shadow_deployment.onboarding.proposal.draft import Draft
from shadow_deployment.onboarding.proposal.interview import Answer, Question
from shadow_deployment.onboarding.proposal.labels import Matches
from shadow_deployment.onboarding.proposal.profile import Profile, profiles_of, text_of_value
from shadow_deployment.onboarding.tables.port import ProductionTable


@dataclass
class Tables:
    """The two tables and the profiles of their columns; `labels` are those of the rows that were looked up."""

    log_table: ProductionTable
    label_table: ProductionTable
    log: dict[str, Profile]
    labels: dict[str, Profile]
    matches: Matches | None = None

    @property
    def are_one(self) -> bool:
        """Whether requests and labels are columns of one table."""
        return self.log_table.name == self.label_table.name

    @property
    def looked_up(self) -> Matches:
        """What was looked up."""
        assert self.matches is not None  # noqa: S101 (ask_labels comes first)
        return self.matches


def look_at(log_table: ProductionTable, label_table: ProductionTable) -> Tables:
    """Read some rows of both tables; raise DeploymentError where one has none."""
    profiles = list[dict[str, Profile]]()
    for key, table in (("requests", log_table), ("labels", label_table)):
        columns = profiles_of(table.columns, table.sample())
        if not any(each.values for each in columns.values()):
            raise DeploymentError(f"{key}.table == {table.name!r}, must have rows: nothing can be recognised without")
        profiles.append(columns)
    return Tables(log_table, label_table, profiles[0], profiles[1])


def ask_requests(draft: Draft, tables: Tables) -> None:
    """Ask for id and time of the requests."""
    log = tables.log
    text = "Column of the request id"
    draft.ask(Question("requests.id", "--id", text, recognition.find_id(log), list(log)))
    times = [name for name, each in log.items() if each.kind == "time"]
    text = "Column of the time of the request"
    draft.ask(Question("requests.time", "--time", text, recognition.find_time(log), times))


def ask_labels(draft: Draft, tables: Tables) -> None:
    """Ask how labels are found, when they became known, and which column they are."""
    log, id_, time = tables.log, draft["requests.id"], draft["requests.time"]
    keys = _possible_keys(draft, tables)
    ids = {key: labels.some_ids(log, key, time) for key in keys}
    only = draft.interview.flag("--label-id")
    _require_column("--label-id", only, tables.labels)
    _require_time(tables)
    matches = labels.match_labels(log, tables.label_table, tables.labels, ids, only)
    if matches is None:
        raise DeploymentError(
            f"labels.id cannot be recognised: none of {len(ids[keys[0]])} ids in {', '.join(keys)} of "
            f"{tables.log_table.name} is in {only or 'an id'} of {tables.label_table.name} "
            f"({', '.join(tables.labels)}); give --label-id, and --label-key where requests share a label"
        )
    tables.matches = matches
    tables.labels = dict(labels.matched_profiles(tables.label_table, matches, tables.labels))
    why = (
        f"{matches.labelled} of {len(matches.ids)} older {'requests' if matches.key == id_ else matches.key} are in it"
    )
    draft.keep("labels.id", matches.column, why)
    if matches.key != id_:
        draft.keep("labels.key", matches.key, "requests with the same one share a label, and the first one counts")
    _ask_label_columns(draft, tables, matches)


def ask_task(draft: Draft, tables: Tables) -> None:
    """Ask for task, prediction, classes, and which text of a label means 1."""
    log, value = tables.log, tables.labels[draft["labels.value"]]
    taken = [draft["requests.id"], draft["requests.time"]]
    taken += [value.name] if tables.are_one else []
    probabilities = recognition.find_probabilities(log, taken)
    proposal = labels.find_task(value, log, probabilities)
    task = draft.ask(Question("task", "--task", "What is predicted", proposal, list(answers.TASKS)))
    finders = {"multiclass": lambda *_: probabilities, "binary": recognition.find_probability}
    prediction = finders.get(task, recognition.find_number)(log, taken)
    numbers = [name for name, each in log.items() if each.kind in ("number", "boolean") and name not in taken]
    text = "Columns of the champion's probabilities" if task == "multiclass" else "Column of the champion's prediction"
    draft.ask(Question("requests.prediction", "--prediction", text, prediction, numbers, several=task == "multiclass"))
    if task == "multiclass":
        _ask_classes(draft, value)
    elif task == "binary":
        _ask_positive(draft, tables, value)


def ask_inputs(draft: Draft, tables: Tables, inputs: list[str]) -> None:
    """Ask for version, latency, features, slices and strata; `inputs` are those that the models name."""
    log = tables.log
    roles = ("requests.id", "requests.time", "requests.prediction", "labels.key")
    taken = [name for role in roles for name in _listed(draft.get(role))]
    if tables.are_one:
        taken += [name for role in ("labels.value", "labels.time", "labels.id") for name in _listed(draft.get(role))]
    free = [name for name in log if name not in taken]
    for key, text, find in (
        ("version", "Column of the champion's version", recognition.find_version),
        ("latency", "Column of the champion's latency in ms", recognition.find_latency),
    ):
        question = Question(f"requests.{key}", f"--{key}", text, find(log, taken), free, may_be_empty=True)
        if chosen := draft.ask_perhaps(question):
            taken.append(chosen)
        elif key == "version":
            draft.notes.append("no version of the champion is logged: a new one is compared as if it were the old one")
    if tables.are_one:
        taken += recognition.deciding(log, draft["labels.value"], taken)
        draft.notes.append("log and labels are one table: check that no feature is known only with the label")
    proposal, left_out = recognition.find_features(log, taken)
    if inputs and set(inputs) <= set(log):
        proposal, left_out = Answer(inputs, "the inputs of the ONNX models"), []
    free = [name for name in log if name not in taken]
    draft.ask(
        Question("requests.features", "--features", "Columns that challengers receive", proposal, free, several=True)
    )
    if left_out:
        draft.notes.append(f"no features: {', '.join(left_out)}")
    _ask_slices(draft, tables, taken, free)


def _ask_slices(draft: Draft, tables: Tables, taken: list[str], free: list[str]) -> None:
    slices = recognition.find_slices(tables.log, taken)
    text = "Columns by whose values evidence is kept separately"
    named = draft.ask_perhaps(Question("slices", "--slices", text, slices, free, several=True, may_be_empty=True))
    strata = recognition.find_strata(tables.log, named or [])
    text = "Columns whose values form strata of the sample"
    draft.ask_perhaps(Question("sample.strata", "--strata", text, strata, free, several=True, may_be_empty=True))


def _ask_label_columns(draft: Draft, tables: Tables, matches: Matches) -> None:
    proposal = labels.find_known_time(matches, tables.log, tables.labels, draft["requests.time"])
    times = [name for name, each in tables.labels.items() if each.kind == "time"]
    text = "Column of the time at which the label became known"
    time = draft.ask(Question("labels.time", "--label-time", text, proposal, times))
    taken = [matches.column, time]
    if tables.are_one:
        taken += [draft["requests.id"], draft["requests.time"]]
    choices = [name for name in tables.labels if name not in taken]
    proposal = labels.find_value(tables.labels, taken)
    draft.ask(Question("labels.value", "--label", "Column of the label", proposal, choices))
    delays = labels.delays_of(matches, tables.log, draft["requests.time"], tables.labels[time])
    text = "How many days after a request's day labels may still arrive"
    maturity = labels.find_maturity(delays, matches)
    draft.ask(Question("labels.maturity_days", "--maturity-days", text, maturity, parse=answers.days))


def _ask_classes(draft: Draft, value: Profile) -> None:
    columns = draft["requests.prediction"]
    proposal = labels.order_of_classes(value, columns)
    text = f"Labels in the order of {', '.join(columns)}"
    choices = [text_of_value(each) for each in value.counts]
    draft.ask(Question("classes", "--classes", text, proposal, choices, several=True))


def _ask_positive(draft: Draft, tables: Tables, value: Profile) -> None:
    if value.kind != "text":
        return
    predicted = labels.mean_predictions(tables.looked_up, tables.log, value.name, draft["requests.prediction"])
    proposal = labels.find_positive(value, predicted)
    choices = [text_of_value(each) for each in value.counts]
    positive = draft.ask(Question("labels.positive", "--positive", "Label that means 1", proposal, choices))
    others = [each for each in choices if each != positive]
    if len(others) == 1:
        draft.keep("labels.negative", others[0], "the other value; any third one is no label")
    else:
        draft.notes.append(f"labels.positive is {positive}: {', '.join(others)} all mean 0")


def _possible_keys(draft: Draft, tables: Tables) -> list[str]:
    id_, key = draft["requests.id"], draft.interview.flag("--label-key")
    if key is not None:
        _require_column("--label-key", key, tables.log)
        return [key]
    taken = [id_, draft["requests.time"]]
    return [id_, *labels.shared_keys(tables.log, tables.labels, taken)]


def _require_time(tables: Tables) -> None:
    if not any(each.kind == "time" for each in tables.labels.values()):
        raise DeploymentError(
            f"labels.time cannot be recognised: {tables.label_table.name} has no column of times "
            f"({', '.join(tables.labels)}), and without it nobody knows which labels a day's verdict may rest on; give "
            "--labels a table or view that says when each label became known"
        )


def _require_column(flag: str, name: Any, columns: dict[str, Profile]) -> None:
    if name is not None and name not in columns:
        raise DeploymentError(f"{flag} == {name!r}, must be one of {', '.join(columns)}")


def _listed(value: Any) -> list[str]:
    return [] if value is None else value if isinstance(value, list) else [value]
