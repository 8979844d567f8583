"""What was done and said about a deployment: promotions, questions, alerts, and what a verdict rests on."""

from collections.abc import Iterable, Sequence

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.sampling import design, digest
from shadow_deployment.ledger.alerts import StoredAlert
from shadow_deployment.ledger.approval_requests import ApprovalRequest
from shadow_deployment.ledger.page import VerdictRow
from shadow_deployment.ledger.promotions import CurrentChampion, PromotionRecord
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.report.views.facts import AlertFacts, ChampionFacts, PromotionFacts, Provenance, QuestionFacts

LOGGED = "champion"  # what the champion is called that no promotion has made


def champion(found: CurrentChampion | None, logged: str) -> ChampionFacts:
    """Return the registry's champion, or before the first promotion the version that the log says."""
    one = found or CurrentChampion(LOGGED, logged, None, None)
    return ChampionFacts(
        name=one.name,
        version=one.version,
        by_promotion=one.number > 0,
        words=str(one),
        number=one.number or None,
        since=one.since,
        approved_by=one.approved_by,
    )


def promotions(found: Iterable[PromotionRecord], most: int) -> tuple[PromotionFacts, ...]:
    """Return the newest promotions and rollbacks, newest first."""
    newest = list(found)[-most:][::-1]
    return tuple(
        PromotionFacts(
            number=one.number,
            kind=one.kind,
            at=one.created_at,
            from_name=one.from_name,
            from_version=one.from_version,
            to_name=one.name,
            to_version=one.version,
            approved_by=one.approved_by,
            reason=one.reason,
            day=one.day,
            undoes=one.undoes,
            undone_by=one.undone_by,
            overridden=tuple(one.overridden),
        )
        for one in newest
    )


def questions(found: Iterable[ApprovalRequest], most: int) -> tuple[QuestionFacts, ...]:
    """Return the newest questions with their answers, newest first."""
    newest = list(found)[-most:][::-1]
    return tuple(
        QuestionFacts(
            challenger=one.challenger,
            version=one.version,
            day=one.day,
            asked_at=one.asked_at,
            run_id=one.run_id,
            answer=one.answer,
            answered_by=one.answered_by,
            answer_reason=one.reason,
            answered_at=one.answered_at,
        )
        for one in newest
    )


def alerts(found: Iterable[StoredAlert], most: int) -> tuple[AlertFacts, ...]:
    """Return the newest alerts, newest first, with who took them and who did not."""
    newest = list(found)[-most:][::-1]
    return tuple(
        AlertFacts(
            day=one.day,
            kind=one.kind,
            created_at=one.created_at,
            text=one.content.get("title") or one.kind.replace("_", " "),
            delivered=tuple(one.delivered),
            undelivered=dict(one.undelivered),
        )
        for one in newest
    )


def provenance(
    deployment: Deployment, judged: VerdictRow, comparable: Sequence[Snapshot], today: Snapshot | None
) -> Provenance:
    """Return what a verdict rests on: models, window, sample and digests."""
    sampled, population = (sum(getattr(one, name) for one in comparable) for name in ("rows", "population"))
    return Provenance(
        champion_version=judged.champion_version,
        challenger_name=judged.name,
        challenger_version=judged.version,
        challenger_uri=judged.uri,
        challenger_digest=judged.model_digest,
        first_day=comparable[0].day if comparable else None,
        last_day=comparable[-1].day if comparable else None,
        days=len(comparable),
        sampled=sampled,
        population=population,
        rate=sampled / population if population else None,
        snapshot_digest=today.digest if today else None,
        snapshot_location=today.location if today else None,
        input_digest=judged.input_digest,
        design_digest=digest(design(deployment)),
        code_version=judged.code_version,
    )
