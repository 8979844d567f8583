DROP VIEW shadow.label;
DROP TABLE shadow.label_batch;
DROP FUNCTION shadow.labels_are_valid, shadow.unnest_labels;
