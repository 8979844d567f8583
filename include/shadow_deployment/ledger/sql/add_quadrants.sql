-- What champion and challenger said of a day's requests at the threshold. Running it again changes nothing.
INSERT INTO shadow.quadrant AS q (
    challenger_id, snapshot_id, champion_version, champion_yes, challenger_yes, threshold, requests, labelled, positive,
    weight
)
SELECT
    :'challenger', :'snapshot', n.champion_version, n.champion_yes, n.challenger_yes, :'threshold', n.requests,
    n.labelled, n.positive, n.weight
FROM unnest(
    :'champion_version'::text[], :'champion_yes'::bool[], :'challenger_yes'::bool[], :'requests'::int[],
    :'labelled'::int[], :'positive'::int[], :'weight'::float8[]
) AS n (champion_version, champion_yes, challenger_yes, requests, labelled, positive, weight)
ON CONFLICT (challenger_id, snapshot_id, champion_version, champion_yes, challenger_yes) DO UPDATE SET
    threshold = excluded.threshold, requests = excluded.requests, weight = excluded.weight,
    labelled = excluded.labelled, positive = excluded.positive
WHERE (q.threshold, q.requests, q.weight, q.labelled, q.positive)
    IS DISTINCT FROM (
        excluded.threshold, excluded.requests, excluded.weight, excluded.labelled, excluded.positive
    )
