-- What a JSON value is as a declared type; null where it does not fit. Where all values are text, as in CSV, text that
-- reads as a number or a boolean fits too.
CREATE OR REPLACE TEMP MACRO fit_string(v, is_text) AS CASE WHEN json_type(v) = 'VARCHAR' THEN v ->> '$' END;

CREATE OR REPLACE TEMP MACRO fit_integer(v, is_text) AS CASE
    WHEN json_type(v) IN ('UBIGINT', 'BIGINT') OR (is_text AND regexp_full_match(v ->> '$', '[+-]?[0-9]+'))
    THEN TRY_CAST(v ->> '$' AS bigint)
END;

-- A number that is too large for double precision does not fit; Infinity, as Python writes it, does.
CREATE OR REPLACE TEMP MACRO fit_number(v, is_text) AS CASE
    WHEN json_type(v) IN ('UBIGINT', 'BIGINT', 'DOUBLE') OR (is_text AND json_type(v) = 'VARCHAR')
    THEN CASE
        WHEN NOT isinf(TRY_CAST(v ->> '$' AS float8)) OR regexp_matches(v ->> '$', 'inf', 'i')
        THEN TRY_CAST(v ->> '$' AS float8)
    END
END;

CREATE OR REPLACE TEMP MACRO fit_boolean(v, is_text) AS CASE
    WHEN json_type(v) = 'BOOLEAN' OR (is_text AND lower(v ->> '$') IN ('true', 'false'))
    THEN CAST(v ->> '$' AS boolean)
END;

CREATE OR REPLACE TEMP MACRO fit_timestamp(v, is_text) AS CASE
    WHEN json_type(v) = 'VARCHAR' AND regexp_matches(v ->> '$', '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}')
    THEN TRY_CAST(v ->> '$' AS timestamptz)
END;

CREATE OR REPLACE TEMP MACRO fit_date(v, is_text) AS CASE
    WHEN json_type(v) = 'VARCHAR' AND regexp_full_match(v ->> '$', '[0-9]{4}-[0-9]{2}-[0-9]{2}')
    THEN TRY_CAST(v ->> '$' AS date)
END;

-- What SageMaker captured or was given as ground truth: {"data", "encoding", "observedContentType"}, as JSON.
CREATE OR REPLACE TEMP MACRO payload_text(part) AS CASE
    WHEN part ->> '$.encoding' = 'BASE64' THEN TRY(decode(from_base64(part ->> '$.data')))
    ELSE part ->> '$.data'
END;

CREATE OR REPLACE TEMP MACRO payload_kind(part) AS CASE
    WHEN part ->> '$.encoding' IN ('CSV', 'JSON') THEN part ->> '$.encoding'
    WHEN regexp_matches(part ->> '$.observedContentType', 'csv', 'i') THEN 'CSV'
    WHEN regexp_matches(part ->> '$.observedContentType', 'json', 'i') THEN 'JSON'
END;

CREATE OR REPLACE TEMP MACRO payload_cells(text) AS list_transform(
    regexp_extract_all(text || ',', '("(?:[^"]|"")*"|[^,]*),', 1),
    lambda cell: CASE WHEN cell LIKE '"%"' THEN replace(cell[2:-2], '""', '"') ELSE nullif(trim(cell), '') END
);

-- Why a payload cannot be decoded; null where it can be, or there is none.
CREATE OR REPLACE TEMP MACRO payload_fault(part) AS CASE
    WHEN part IS NULL OR json_type(part) = 'NULL' THEN NULL
    WHEN payload_kind(part) IS NULL
    THEN concat('is of content type ', part ->> '$.observedContentType', ', must be CSV or JSON')
    WHEN payload_text(part) IS NULL THEN concat('must have data in the encoding ', part ->> '$.encoding', ' of UTF-8')
    WHEN contains(rtrim(payload_text(part), chr(13) || chr(10)), chr(10)) AND (
        payload_kind(part) = 'CSV' OR NOT json_valid(payload_text(part))
    ) THEN 'must hold one record: those of a batch have one id'
    WHEN payload_kind(part) = 'JSON' AND NOT json_valid(payload_text(part)) THEN 'must be JSON'
    WHEN payload_kind(part) = 'JSON' AND json_array_length(payload_text(part)::JSON, '$.instances') > 1
    THEN 'must hold one record: those of a batch have one id'
END;

CREATE OR REPLACE TEMP MACRO payload(part) AS CASE
    WHEN payload_fault(part) IS NOT NULL THEN NULL
    WHEN payload_kind(part) = 'CSV' THEN to_json(payload_cells(rtrim(payload_text(part), chr(13) || chr(10))))
    ELSE payload_text(part)::JSON
END;
