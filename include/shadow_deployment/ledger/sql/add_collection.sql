-- Record a collection of a snapshot's labels after those before it.
INSERT INTO shadow.label_collection (
    snapshot_id, collection, labels_until, arrival, labelled, contradicted, invalid, early, complete_at
)
SELECT
    :'snapshot', coalesce(max(collection), 0) + 1, :'until', :'arrival', :'labelled', :'contradicted', :'invalid', :'early',
    :'complete_at'
FROM shadow.label_collection
WHERE snapshot_id = :'snapshot'
