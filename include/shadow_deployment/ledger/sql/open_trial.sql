INSERT INTO shadow.trial (
    deployment_id, number, kind, challenger_id, champion_version, terms, terms_digest, rules_digest, start, batch, place,
    alpha, opened_because, opened_at
)
SELECT
    :'deployment', coalesce(max(number), 0) + 1, :'kind', :'challenger', :'champion_version', :'terms', :'terms_digest',
    :'rules_digest', :'start', :'batch', :'place', :'alpha', :'opened_because', :'opened_at'
FROM shadow.trial
WHERE deployment_id = :'deployment'
