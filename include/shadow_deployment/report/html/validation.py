"""The tables and facts of a validation report, section by section, as headings and rows of texts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from shadow_deployment.base.numbers import NOTHING, count, percent, plural, significant
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.fields import in_words
from shadow_deployment.decision.words.wording import missing_labels_note, role_note
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.report.charts.chart import ChartTable
from shadow_deployment.report.html.markup import badge, time
from shadow_deployment.report.wording import KINDS, capitalised

if TYPE_CHECKING:
    from shadow_deployment.report.validation import ValidationView

TO_BE_COMPLETED: Final = "to be completed"
SECTIONS: Final = {
    "summary": "Summary",
    "purpose": "Purpose and responsibility",
    "data": "Data and period",
    "sampling": "Sampling",
    "models": "Champion and challenger",
    "labels": "Labels",
    "method": "Method",
    "policy": "Policy",
    "results": "Results",
    "slices": "Slices",
    "completeness": "Left-out days, missing labels and unanswered requests",
    "limits": "Limits of the verdict",
    "monitoring": "Ongoing monitoring",
    "trials": "All trials",
    "decisions": "Approvals and changes",
    "verification": "Verification of the records",
    "elsewhere": "To be completed elsewhere",
    "provenance": "Provenance",
    "mapping": "Where to find what",
    "signatures": "Signatures",
}
_METHODS: Final = {
    "robust": "asymptotic confidence sequence, widened for autocorrelated and skewed days",
    "long_memory": "asymptotic confidence sequence with a variance from cosine transforms, for long memory",
    "plain": "asymptotic confidence sequence",
    "betting": "empirical Bernstein sequence for bounded metrics, without asymptotics",
}
_UNITS: Final = {"day": "a day", "week": "seven days", "request": "a request"}

Facts = list[tuple[str, str]]


def purpose(view: "ValidationView") -> Facts:
    """Return what the deployment is for, and who answers for it."""
    deployment = view.deployment
    return [
        ("Purpose", deployment.purpose or TO_BE_COMPLETED),
        ("Owner", deployment.owner or TO_BE_COMPLETED),
        ("Task", _task(deployment)),
        ("Approvers", ", ".join(deployment.promotion.approvers) or "whoever may answer required actions in Airflow"),
        ("Effect of the challenger during the trial", "none: its predictions are served to nobody"),
    ]


def _task(deployment: Deployment) -> str:
    if deployment.task == "binary":
        return f"binary classification, positive from a probability of {deployment.threshold:g}"
    if deployment.classes:
        return f"classification into {', '.join(deployment.classes)}"
    return deployment.task


def data(view: "ValidationView") -> Facts:
    """Return where requests come from, and the period of the evidence."""
    deployment, compared = view.deployment, view.page.compared
    requests = deployment.requests
    rows, population = (sum(getattr(each, name) for each in compared) for name in ("rows", "population"))
    suites = deployment.expectations
    return [
        ("Requests", f"{requests.table}: production's prediction log, read only"),
        ("Period of evidence", _period(view)),
        (f"A {view.page.period} begins", f"{deployment.schedule} (minute hour), time zone {deployment.timezone}"),
        (f"Requests in these {view.page.period}s", count(population)),
        ("Of these sampled", f"{count(rows)}{f', {percent(rows / population)}' if population else ''}"),
        ("Features that challengers receive", ", ".join(requests.features)),
        ("Slices", ", ".join(deployment.slices) or "none are declared"),
        ("Expectations of inputs", suites.inputs or "the package's own only"),
        ("Expectations of predictions", suites.predictions or "the package's own only"),
    ]


def _period(view: "ValidationView") -> str:
    compared, days = view.page.compared, view.verdict.days
    if not compared:
        return f"no {view.page.period} counts yet"
    span = f"{compared[0].day} to {compared[-1].day}, {plural(len(compared), view.page.period)} compared"
    kinds = f"{days.get('live', 0)} live, {days.get('replayed', 0)} replayed, {days.get('waiting', 0)} wait for labels"
    return f"{span}; {days.get('counted', 0)} count toward PASS ({kinds})"


def sampling(view: "ValidationView") -> Facts:
    """Return the sampling design."""
    sample = view.deployment.sample
    own = ", ".join(f"{name} {rate:g}" for name, rate in sample.rates.items())
    return [
        ("Design", "simple random sampling without replacement in each stratum: the smallest keyed hashes of the ids"),
        ("Rate", f"{sample.rate:g}{f'; of single strata: {own}' if own else ''}"),
        ("Strata", " and ".join(sample.strata) or "one: all requests"),
        ("At least, of a stratum", f"{count(sample.minimum_per_stratum)} requests, all where it has fewer"),
        ("At most, in a window", f"{count(sample.max_rows)} requests"),
        ("Weights", "each request counts with the inverse of its inclusion probability (Horvitz and Thompson 1952)"),
        ("Digest of the design", view.verdict.design),
    ]


def strata(view: "ValidationView") -> ChartTable:
    """Return what was drawn from each stratum over the days of evidence, with the inclusion probabilities."""
    rows = [
        (
            each.name or ALL,
            count(each.population),
            count(each.drawn),
            significant(each.least, 4) if each.least == each.most else f"{each.least:.4g} to {each.most:.4g}",
        )
        for each in view.strata
    ]
    return ChartTable(("stratum", "requests", "drawn", "inclusion probability of a request"), rows)


def champion(view: "ValidationView") -> Facts:
    """Return what the challenger is compared with, by digest."""
    promoted, file = view.page.champion, view.deployment.champion
    promotion = str(promoted) if promoted and promoted.number else "none: production's log says who serves"
    return [
        ("Compared with", view.verdict.champion),
        ("Promotion", promotion),
        ("Address", (promoted and promoted.uri) or (file.model if file else NOTHING)),
        ("SHA-256", view.champion_digest or "none: the log alone knows the model"),
    ]


def challenger(view: "ValidationView") -> Facts:
    """Return the model that the report is about, by digest."""
    verdict = view.verdict
    trained = next((trial.trained_until for trial in view.trials if trial.number == verdict.trial), None)
    opened = f", opened {verdict.opened_at:%Y-%m-%d %H:%M} UTC" if verdict.opened_at else ""
    return [
        ("Model", f"{verdict.name} {verdict.version}"),
        ("Address", verdict.uri or NOTHING),
        ("SHA-256", verdict.model_digest or NOTHING),
        ("Training data until", f"{trained}, as declared" if trained else "not declared"),
        ("Trial", f"{verdict.trial}{opened}"),
    ]


def labels(view: "ValidationView") -> Facts:
    """Return the definition of the labels, and how many there are."""
    declared, days = view.deployment.labels, view.counted_labels
    sampled, labelled = (sum(getattr(each, name) for each in days) for name in ("sampled", "labelled"))
    aside = {name: sum(getattr(each, name) for each in days) for name in ("contradicted", "invalid", "early")}
    values, period = f"; positive: {declared.positive}" if declared.positive else "", view.page.period
    coverage = f"{count(labelled)} of {count(sampled)} requests, {percent(labelled / sampled)}" if sampled else NOTHING
    return [
        ("Label", f"{declared.column}{values}"),
        ("Known since", f"{declared.time}: a label counts for the days that end after it"),
        (
            "Maturity",
            f"labels are expected for {plural(declared.maturity_days, 'day')} after a {period} has ended",
        ),
        (
            f"Coverage of the {period}s of evidence",
            f"{coverage}; PASS needs {percent(view.policy.minimum_coverage)}",
        ),
        ("Set aside", ", ".join(f"{count(number)} {name}" for name, number in aside.items())),
        ("Shared labels", _shared(view.deployment)),
    ]


def _shared(deployment: Deployment) -> str:
    if deployment.labels.key is None:
        return "none: each request has a label of its own"
    first = deployment.labels.shared == "first"
    return (
        f"by {in_words(deployment.labels.key)}: {'the first request alone has it' if first else 'all requests have it'}"
    )


def method(view: "ValidationView") -> Facts:
    """Return by which parameters the verdict was reached."""
    policy, verdict = view.policy, view.verdict
    alpha = significant(verdict.alpha, 3)
    batch = NOTHING if verdict.batch is None else f"batch {verdict.batch}, place {verdict.place} of the last 365 days"
    recent = f"the newest {policy.recent_days} days" if policy.recent_days else "no newest days by themselves"
    return [
        ("Sequence", f"{policy.method}: {_METHODS[policy.method]}"),
        ("One observation", f"{_UNITS[policy.unit]}; what counts the same: a {policy.weighting}"),
        ("No interval before", f"{policy.observations_before_bound} observations; tightest at {policy.tuned_for} days"),
        ("Alpha of the policy", f"{policy.alpha:g} toward PASS in any 365 days, and as much toward FAIL"),
        ("Alpha of this trial", f"{alpha} toward PASS ({batch})"),
        ("PASS also needs", f"{recent} on the challenger's side of the bound"),
        ("Replayed days", "count from the declared training date on" if policy.replay == "count" else "inform only"),
        ("Where the challenger does not answer", _fallback(view)),
    ]


def _fallback(view: "ValidationView") -> str:
    if view.policy.fallback == "champion":
        return "the champion's prediction counts, as production would serve it"
    return f"the worst loss counts; beyond {percent(view.policy.max_unanswered)} of the requests PASS is refused"


def completeness(view: "ValidationView") -> ChartTable:
    """Return of each finding what was missing, and what that can change."""
    rows = [
        (
            capitalised(f"{each.text}{role_note(each.finding.role)}"),
            each.finding.slice,
            count(each.finding.requests),
            count(each.finding.unanswered),
            count(each.finding.champion_missing),
            missing_labels_note(each.finding.missing_labels) if each.finding.missing_labels else NOTHING,
        )
        for each in view.page.rules
    ]
    headings = ("rule", "slice", "requests", "unanswered", "without the champion's", "if the missing labels were known")
    return ChartTable(headings, rows, left=2, tail=1)


def left_out(view: "ValidationView") -> ChartTable:
    """Return the days that were left out of the evidence, and why."""
    reasons = {str(day): reason for day, reason in view.withdrawn.items()}
    rows = [
        (each["day"], each["why"], reasons.get(each["day"], NOTHING)) for each in view.verdict.days.get("left_out", [])
    ]
    return ChartTable(("day", "why", "reason given"), rows, left=6)


def trials(view: "ValidationView") -> ChartTable:
    """Return every trial that was ever opened."""
    rows = [
        (
            f"{each.number}: {each.name} {each.version}{f', {KINDS[each.kind]}' if each.kind in KINDS else ''}",
            each.digest[:12],
            each.champion_version,
            time(each.opened_at),
            each.opened_because,
            NOTHING if each.batch is None else f"{each.batch}, alpha {significant(each.alpha, 3)}",
            count(each.judged),
            badge(each.outcome),
        )
        for each in view.trials
    ]
    headings = ("trial", "digest", "champion", "opened", "because", "batch", "days", "verdict")
    return ChartTable(headings, rows, left=7)


def acknowledgements(view: "ValidationView") -> ChartTable:
    """Return who has looked into which alarm, and what they said."""
    rows = [
        (f"{each.name} {each.version}", each.alarm.replace("_", " "), time(each.at), each.by, each.reason)
        for each in view.acknowledgements
    ]
    return ChartTable(("model", "alarm", "when", "by", "reason"), rows, left=7)


def verification(view: "ValidationView") -> Facts:
    """Return whether the records are as they were written, and what was compared."""
    result = view.verification
    outcome = "all records are as they were written" if result.difference is None else f"DIFFERS: {result.difference}"
    head = f"row {view.head.number}, {view.head.hash}" if view.head else NOTHING
    return [
        ("Outcome", outcome),
        ("Compared", f"{result}{'' if result.is_complete else '; not everything was looked at'}"),
        ("Newest row of the hash chain", head),
    ]


def provenance(view: "ValidationView") -> Facts:
    """Return which software wrote the verdict and the report."""
    verdict = view.verdict
    return [
        ("Verdict", f"judged {verdict.judged_at:%Y-%m-%d %H:%M} UTC, revision {verdict.revision}"),
        ("Digest of evidence and policy", verdict.input_digest),
        ("Row of the verdict in the hash chain", f"{verdict.chain_number}, {verdict.chain_hash}"),
        ("Code of the verdict", verdict.code_version),
        ("Software of the report", ", ".join(f"{name} {version}" for name, version in view.versions.items())),
    ]


def numbered(names: Sequence[str]) -> str:
    """Return sections by number and title, in the order of the report."""
    order = list(SECTIONS)
    return ", ".join(f"{order.index(name) + 1} {SECTIONS[name]}" for name in sorted(names, key=order.index))
