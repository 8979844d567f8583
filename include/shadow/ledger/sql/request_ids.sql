-- The ids of some of a day's requests: ordinals and lengths as arrays, -1 where there is no id, and all ids as one text.
SELECT array_agg(ordinal), array_agg(coalesce(octet_length(id), -1)), string_agg(id, ''::bytea)
FROM (
    SELECT ordinal, convert_to(request_id, 'UTF8') AS id
    FROM shadow.request
    WHERE day = :'day' AND snapshot_id = :'snapshot' AND ordinal >= :'first' AND ordinal < :'end'
) AS r
