"""Statistics over scores of runs: pure functions over NumPy, as rliable defines them. Seeds are what is replicated."""
