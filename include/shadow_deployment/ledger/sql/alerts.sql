-- A deployment's alerts since a moment (null: all), oldest first: the channels that each was delivered to, and those that
-- it was not, with the error of the last attempt.
SELECT
    a.id, a.day, a.kind, a.signature, a.content, a.created_at,
    coalesce(array_agg(c.channel ORDER BY c.position) FILTER (WHERE c.delivered), '{}') AS delivered,
    coalesce(
        jsonb_object_agg(c.channel, coalesce(c.error, 'not tried yet')) FILTER (WHERE NOT c.delivered), '{}'
    ) AS undelivered
FROM shadow.alert AS a
JOIN shadow.deployment AS d ON d.id = a.deployment_id
LEFT JOIN LATERAL (
    SELECT
        named.channel, named.position, bool_or(v.id IS NOT NULL AND v.error IS NULL) AS delivered,
        (array_agg(v.error ORDER BY v.id DESC))[1] AS error
    FROM jsonb_array_elements_text(a.content -> 'channels') WITH ORDINALITY AS named (channel, position)
    LEFT JOIN shadow.delivery AS v ON (v.alert_id, v.channel) = (a.id, named.channel)
    GROUP BY named.channel, named.position
) AS c ON true
WHERE d.name = :'deployment' AND (:'since'::timestamptz IS NULL OR a.created_at >= :'since')
GROUP BY a.id
ORDER BY a.id
