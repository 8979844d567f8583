-- Each challenger's newest verdict of a day up to `as_of`, and since when its outcome has been reached on the same terms.
SELECT DISTINCT ON (m.name)
    m.name, m.version, v.day, v.champion_version, v.outcome, v.reasons, v.warnings, v.findings,
    v.explanation,
    CASE WHEN v.outcome <> 'INCONCLUSIVE' THEN (
        SELECT min(earlier.day)
        FROM shadow.verdict AS earlier
        WHERE earlier.challenger_id = v.challenger_id
          AND earlier.champion_version = v.champion_version
          AND earlier.design = v.design
          AND earlier.policy = v.policy
          AND earlier.outcome = v.outcome
    ) END AS decided_on
FROM shadow.verdict AS v
JOIN shadow.model_version AS m ON m.id = v.challenger_id
JOIN shadow.deployment AS d ON d.id = v.deployment_id
WHERE d.name = :'deployment' AND (:'as_of'::date IS NULL OR v.day <= :'as_of')
ORDER BY m.name, v.day DESC, v.id DESC
