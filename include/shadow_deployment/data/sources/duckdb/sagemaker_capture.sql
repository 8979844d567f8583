-- What SageMaker's data capture wrote: a line for each request, with what was sent and what was answered.
SELECT
    *,
    coalesce("eventMetadata" -> '$.inferenceId', "eventMetadata" -> '$.eventId') AS "inferenceId",
    "eventMetadata" -> '$.eventId' AS "eventId",
    "eventMetadata" -> '$.inferenceTime' AS "inferenceTime",
    payload("captureData" -> '$.endpointInput') AS input,
    payload("captureData" -> '$.endpointOutput') AS output,
    coalesce(
        'input ' || payload_fault("captureData" -> '$.endpointInput'),
        'output ' || payload_fault("captureData" -> '$.endpointOutput')
    ) AS fault
FROM lines
