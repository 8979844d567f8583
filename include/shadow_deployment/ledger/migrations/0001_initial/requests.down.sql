DROP VIEW shadow.request;
DROP TABLE shadow.request_batch, shadow.drift, shadow.cell, shadow.snapshot;
DROP FUNCTION shadow.requests_are_valid, shadow.unnest_requests, shadow.snapshot_is_complete;
