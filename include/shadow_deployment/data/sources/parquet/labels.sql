-- The labels of these requests that became known in (since, until].
SELECT "request ordinal" AS ordinal, :value AS value, :moment AS known_at
FROM (SELECT ordinal AS "request ordinal", request_id AS "request id" FROM requests)
JOIN files ON files.:"id" = CAST("request id" AS :type)
WHERE :time > :start AND :time <= :end AND :value IS NOT NULL
