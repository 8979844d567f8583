-- Each model's newest verdict, by name and version, and since when the outcome has not changed.
WITH newest AS (
    SELECT DISTINCT ON (m.name, m.version, v.day) m.name, m.version, v.day, v.outcome, v.reasons
    FROM shadow.verdict AS v
    JOIN shadow.model_version AS m ON m.id = v.challenger_id
    JOIN shadow.deployment AS d ON d.id = v.deployment_id
    WHERE d.name = :'deployment'
    ORDER BY m.name, m.version, v.day, v.id DESC
), last AS (
    SELECT DISTINCT ON (name, version) name, version, day, outcome, reasons
    FROM newest
    ORDER BY name, version, day DESC
)
SELECT last.name, last.version, last.day, last.outcome, last.reasons, min(v.judged_at) AS since
FROM last
JOIN shadow.deployment AS d ON d.name = :'deployment'
JOIN shadow.model_version AS m ON (m.deployment_id, m.name, m.version) = (d.id, last.name, last.version)
JOIN shadow.verdict AS v ON (v.challenger_id, v.outcome) = (m.id, last.outcome)
WHERE v.day > coalesce((
    SELECT max(other.day)
    FROM newest AS other
    WHERE (other.name, other.version) = (last.name, last.version) AND other.outcome <> last.outcome
), '-infinity')
GROUP BY last.name, last.version, last.day, last.outcome, last.reasons
