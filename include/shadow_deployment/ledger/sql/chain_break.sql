-- The first row of a deployment's chain that is not as it was entered, or does not follow the one before it.
WITH link AS (
    SELECT
        c.number, c.kind, c.subject_id, c.previous, c.hash, row_number() OVER w AS place,
        coalesce(lag(c.hash) OVER w, '') AS before,
        shadow.chain_hash(c.number, c.kind, c.subject_id, c.previous) AS hash_now
    FROM shadow.chain AS c
    JOIN shadow.deployment AS d ON d.id = c.deployment_id
    WHERE d.name = :'deployment'
    WINDOW w AS (ORDER BY c.number)
)
SELECT number, kind, subject_id, place, hash_now IS NULL AS is_gone, hash_now <> hash AS is_changed
FROM link
WHERE number <> place OR previous <> before OR hash_now IS DISTINCT FROM hash
ORDER BY number
LIMIT 1
