-- The newest trial on these terms whose training date is undeclared or the wanted one (null: any).
SELECT
    t.id, t.number, t.kind, t.champion_version, t.terms, t.rules_digest, t.start, t.batch, t.place, t.alpha, t.opened_because, t.opened_at,
    n.trained_until, (
        SELECT count(DISTINCT c.snapshot_id) FROM shadow.comparison AS c
        WHERE c.challenger_id = t.challenger_id AND c.compared_at < n.declared_at
    )::int AS seen_undeclared
FROM shadow.trial AS t
LEFT JOIN shadow.trial_training AS n ON n.trial_id = t.id
WHERE (t.challenger_id, t.champion_version, t.terms_digest) = (:'challenger', :'champion_version', :'terms_digest')
  AND coalesce(n.trained_until = :'trained_until'::date, true)
ORDER BY t.number DESC
LIMIT 1
