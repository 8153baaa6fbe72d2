"""The actors that run experiments, the gateway before them, and the client and reader for everybody else."""
