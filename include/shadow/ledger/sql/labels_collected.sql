-- Note how far a snapshot's labels were collected, and how many there are.
UPDATE shadow.snapshot AS s
SET
    labels_until = :'until',
    label_revision = s.label_revision + (:'changed'::int > 0)::int,
    labelled = counted.labelled,
    contradicted = counted.contradicted
FROM (
    SELECT count(*) FILTER (WHERE conflict IS NULL) AS labelled, count(conflict) AS contradicted
    FROM shadow.label
    WHERE day = :'day' AND snapshot_id = :'snapshot'
) AS counted
WHERE s.id = :'snapshot'
