-- Ground truth as SageMaker's model monitor takes it in: a line for each event, in files whose upload makes it known.
SELECT
    lines.*,
    "eventMetadata" -> '$.eventId' AS "eventId",
    to_json(uploads.time::text) AS "uploadTime",
    payload("groundTruthData") AS data,
    'data ' || payload_fault("groundTruthData") AS fault
FROM lines LEFT JOIN uploads ON lines."file path" = uploads.path
