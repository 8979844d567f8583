DROP VIEW shadow.prediction;
DROP TABLE shadow.scoring, shadow.prediction_batch;
DROP FUNCTION shadow.predictions_are_valid, shadow.unnest_predictions, shadow.shard_is_complete;
