"""Models that left the house: loaded without a checkout, they predict videos that nobody annotated."""
