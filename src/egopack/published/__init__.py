"""Checkpoints in the published format, read without running any code of theirs."""
