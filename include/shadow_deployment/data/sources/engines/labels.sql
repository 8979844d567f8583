-- The labels of these requests that became known in (since, until], with the beginning of each value that is no label.
SELECT ordinal, value, known_at, CASE WHEN isnan(value) THEN left(label, 40) END AS invalid
FROM (
    SELECT "request ordinal" AS ordinal, :value AS value, :moment AS known_at, CAST(:label AS text) AS label
    FROM (SELECT ordinal AS "request ordinal", request_id AS "request id" FROM requests)
    JOIN files ON :match
    WHERE :time > :start AND :time <= :end AND :label IS NOT NULL
)
