-- The alerts of a deployment since a moment (null: all), oldest first: the channels that took each, and those that were
-- to and did not, with the error of the last attempt.
SELECT
    a.id, a.day, a.kind, a.signature, a.content, a.created_at,
    coalesce(array_agg(t.channel ORDER BY t.position) FILTER (WHERE t.arrived), '{}') AS delivered,
    coalesce(
        jsonb_object_agg(t.channel, coalesce(t.error, 'not tried yet')) FILTER (WHERE NOT t.arrived), '{}'
    ) AS undelivered
FROM shadow.alert AS a
JOIN shadow.deployment AS d ON d.id = a.deployment_id
LEFT JOIN LATERAL (
    SELECT
        named.channel, named.position,
        EXISTS (
            SELECT FROM shadow.delivery AS v
            WHERE v.alert_id = a.id AND v.channel = named.channel AND v.error IS NULL
        ) AS arrived,
        (
            SELECT v.error FROM shadow.delivery AS v
            WHERE v.alert_id = a.id AND v.channel = named.channel ORDER BY v.id DESC LIMIT 1
        ) AS error
    FROM jsonb_array_elements_text(a.content -> 'channels') WITH ORDINALITY AS named (channel, position)
) AS t ON true
WHERE d.name = :'deployment' AND (:'since'::timestamptz IS NULL OR a.created_at >= :'since')
GROUP BY a.id
ORDER BY a.id
