-- Add a revision of a day's verdict, unless the newest one rests on the same input. Two at once: the second is refused.
INSERT INTO shadow.verdict (
    deployment_id, day, challenger_id, champion_version, design, outcome, reasons, warnings, findings, policy,
    explanation, input_digest, code_version, revision
)
SELECT
    :'deployment', :'day', :'challenger', :'champion_version', :'design', :'outcome', :'reasons', :'warnings',
    :'findings', :'policy', :'explanation', :'input_digest', :'code_version', coalesce(newest.revision, 0) + 1
FROM (SELECT 1) AS one
LEFT JOIN (
    SELECT revision, input_digest
    FROM shadow.verdict
    WHERE deployment_id = :'deployment' AND day = :'day' AND challenger_id = :'challenger'
    ORDER BY revision DESC
    LIMIT 1
) AS newest ON true
WHERE newest.input_digest IS DISTINCT FROM :'input_digest'
ON CONFLICT (deployment_id, day, challenger_id, revision) DO NOTHING
