"""Says in words how much there is."""
