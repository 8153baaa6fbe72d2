"""What runs tell while they train: the hub that takes it in, the rings it is read from, the archive that keeps it."""
