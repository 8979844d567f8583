-- Add the promotion after number `previous`; a second one after the same number violates the unique number.
INSERT INTO shadow.promotion (
    deployment_id, number, previous, kind, undoes, from_name, from_version, from_digest, from_uri, from_model_id,
    to_name, to_version, to_digest, to_uri, to_model_id, verdict_id, day, compared_with, outcome, findings, input_digest, policy,
    overridden, promotion_request_digest, code_version, approved_by, approved_at, reason, os_user
)
VALUES (
    :'deployment', :'previous' + 1, nullif(:'previous', 0), :'kind', :'undoes', :'from_name', :'from_version',
    :'from_digest', :'from_uri', :'from_model_id', :'name', :'version', :'digest', :'uri', :'model_id', :'verdict_id',
    :'day', :'compared_with', :'outcome', :'findings', :'input_digest', :'policy', :'overridden', :'promotion_request_digest',
    :'code_version', :'approved_by', coalesce(:'approved_at'::timestamptz, now()), :'reason', :'os_user'
)
