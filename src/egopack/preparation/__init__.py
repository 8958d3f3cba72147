"""From raw data to shards and samples, and what was found and left out on the way."""
