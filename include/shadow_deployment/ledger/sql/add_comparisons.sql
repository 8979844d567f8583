-- Note what a day's evidence of some challengers was computed from.
INSERT INTO shadow.comparison (
    snapshot_id, challenger_id, label_revision, is_final, method_digest, earlier_days, repeated
)
SELECT s.id, c.id, :'label_revision', :'is_final', :'method', earlier.days, :'repeated'
FROM shadow.snapshot AS s
CROSS JOIN unnest(:'challengers'::int[]) AS c (id)
CROSS JOIN LATERAL (
    SELECT count(*) AS days FROM shadow.snapshot AS e
    WHERE (e.deployment_id, e.design) = (s.deployment_id, s.design) AND e.day < s.day AND e.day >= s.day - :'lookback'::int
) AS earlier
WHERE s.id = :'snapshot'
