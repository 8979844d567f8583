-- How the scoring of one day went, for each model that has scored any of it.
SELECT
    m.name, m.version, o.challenger_id, sum(o.rows)::bigint AS rows, sum(o.errors)::bigint AS errors,
    count(*)::int AS shards, max(o.scored_at) AS scored_at
FROM shadow.scoring AS o
JOIN shadow.model_version AS m ON m.id = o.challenger_id
WHERE o.snapshot_id = :'snapshot'
GROUP BY m.name, m.version, o.challenger_id
ORDER BY m.name, o.challenger_id
