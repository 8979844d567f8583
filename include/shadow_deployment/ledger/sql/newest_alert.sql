-- The newest alert of these kinds, of one day where `day` is given.
SELECT a.content
FROM shadow.alert AS a
JOIN shadow.deployment AS d ON d.id = a.deployment_id
WHERE d.name = :'deployment' AND a.kind = ANY (:'kinds') AND (:'day'::date IS NULL OR a.day = :'day')
ORDER BY a.id DESC
LIMIT 1
