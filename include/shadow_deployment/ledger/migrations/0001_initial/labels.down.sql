DROP VIEW shadow.quarantined_label, shadow.label, shadow.known_label, shadow.labelled_snapshot;
DROP TABLE shadow.label_collection, shadow.label_arrival;
DROP FUNCTION shadow.labels_are_valid, shadow.times_are_valid, shadow.unnest_labels;
