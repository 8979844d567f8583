DROP VIEW shadow.request, shadow.snapshot, shadow.day_so_far;
DROP TABLE shadow.request_batch, shadow.own_features, shadow.drift, shadow.cell, shadow.sampled_window, shadow.sampled_day;
DROP FUNCTION shadow.requests_are_valid, shadow.unnest_requests, shadow.window_is_complete;
