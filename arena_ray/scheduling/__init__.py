"""The bridge to Ray Tune: every run is a trial, every trial's actor reserves the run's resources and supervises it."""
