-- Record up to when a snapshot's labels have been collected, and how many there are.
UPDATE shadow.snapshot AS s
SET labels_until = :'until', label_revision = s.label_revision + (:'changed'::int > 0)::int,
    labelled = counted.known - counted.contradicted, contradicted = counted.contradicted
FROM (
    SELECT
        coalesce(sum(rows - cardinality(array_positions(value, 'NaN'))), 0) AS known,
        coalesce(sum(rows - cardinality(array_positions(conflict, 'NaN'))), 0) AS contradicted
    FROM shadow.label_batch
    WHERE day = :'day' AND snapshot_id = :'snapshot'
) AS counted
WHERE s.id = :'snapshot'
