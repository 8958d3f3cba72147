"""What people look at: pages that open offline, without a network."""
