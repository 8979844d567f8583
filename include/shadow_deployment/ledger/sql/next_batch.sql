-- Number and place of the batch of trials that a deployment opens at a moment. Batches count for 365 days, and from the
-- newest promotion on that stood then: one that was forced or rolled back changes nothing.
SELECT
    coalesce(max(t.batch), 0) + 1 AS batch,
    1 + count(DISTINCT t.batch) FILTER (
        WHERE t.opened_at > :'at'::timestamptz - interval '365 days' AND t.opened_at > (
            SELECT coalesce(max(p.created_at), '-infinity') FROM shadow.promotion AS p
            WHERE p.deployment_id = d.id AND p.kind = 'promotion' AND p.created_at < :'at'::timestamptz
              AND NOT EXISTS (
                SELECT FROM shadow.promotion AS r
                WHERE (r.deployment_id, r.undoes) = (p.deployment_id, p.number) AND r.created_at < :'at'::timestamptz
            )
        )
    ) AS place
FROM shadow.deployment AS d
JOIN shadow.trial AS t ON t.deployment_id = d.id
WHERE d.name = :'deployment' AND t.opened_at < :'at'::timestamptz
