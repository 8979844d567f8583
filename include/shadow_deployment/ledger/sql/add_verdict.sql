-- Add a revision of a day's verdict, unless the newest one has the same input. Of two at once, the second is dropped.
INSERT INTO shadow.verdict (
    deployment_id, day, challenger_id, champion_version, design, trial_id, days, outcome, reasons, warnings, findings, blocked,
    alpha, counted_evidence, shown_evidence, policy, explanation, input_digest, code_version, revision
)
SELECT
    :'deployment', :'day', :'challenger', :'champion_version', :'design', :'trial', :'days', :'outcome', :'reasons', :'warnings',
    :'findings', :'blocked', :'alpha', :'counted_evidence', :'shown_evidence', :'policy', :'explanation', :'input_digest', :'code_version', coalesce(max(revision), 0) + 1
FROM shadow.verdict
WHERE deployment_id = :'deployment' AND day = :'day' AND challenger_id = :'challenger'
HAVING (array_agg(input_digest ORDER BY revision DESC))[1] IS DISTINCT FROM :'input_digest'
ON CONFLICT (deployment_id, day, challenger_id, revision) DO NOTHING
