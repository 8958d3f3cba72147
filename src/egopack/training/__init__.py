"""One loop for the three training regimes."""
