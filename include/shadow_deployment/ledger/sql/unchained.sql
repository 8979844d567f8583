-- The first verdict, promotion or removal of a deployment that is not in its chain.
SELECT kind, id
FROM (
    SELECT 'verdict' AS kind, id, deployment_id FROM shadow.verdict
    UNION ALL
    SELECT 'promotion', id, deployment_id FROM shadow.promotion
    UNION ALL
    SELECT 'removal', id, deployment_id FROM shadow.removal
) AS subject
WHERE deployment_id = (SELECT id FROM shadow.deployment WHERE name = :'deployment')
  AND NOT EXISTS (SELECT FROM shadow.chain AS c WHERE (c.kind, c.subject_id) = (subject.kind, subject.id))
ORDER BY kind, id
LIMIT 1
