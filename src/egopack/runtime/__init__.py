"""What the computation runs on: ranks, device, memory, progress."""
