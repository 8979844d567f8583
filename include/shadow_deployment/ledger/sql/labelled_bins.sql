-- Weight of the labelled requests, and of those labelled 1, by model and bin of the prediction, added up over snapshots.
SELECT model, bin, sum(labelled_weight) AS labelled, sum(label_sum) AS positive
FROM shadow.score_bin
WHERE challenger_id = :'challenger' AND snapshot_id = ANY(:'snapshots'::int[]) AND champion_version = :'champion_version'
GROUP BY 1, 2
ORDER BY 1, 2
