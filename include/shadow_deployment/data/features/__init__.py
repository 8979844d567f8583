"""Features of a challenger's own: kept beside the sample, and shown together with it."""
