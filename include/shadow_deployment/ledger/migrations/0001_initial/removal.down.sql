DROP TRIGGER removal_is_chained ON shadow.removal;
DROP FUNCTION
    shadow.erase_requests, shadow.prune, shadow.remove_day, shadow.unneeded, shadow.drop_pruned_partitions, shadow.move_rows,
    shadow.without, shadow.is_kept;
DROP TABLE shadow.leftover, shadow.removal, shadow.retention;
