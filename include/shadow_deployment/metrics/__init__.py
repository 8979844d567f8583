"""What each metric measures, over arrays alone: catalog, losses, scores, sums, histograms. Imports only `base`."""
