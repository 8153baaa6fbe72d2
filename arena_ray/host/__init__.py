"""What runs in a plugin's process: its function, and the api by which it acts."""
