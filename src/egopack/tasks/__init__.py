"""One file a task; base.py is the contract they share."""
