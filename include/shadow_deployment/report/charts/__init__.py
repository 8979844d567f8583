"""The page's charts, one file per kind; all but `chart` and `theme` load Altair, so import `catalog` late."""
