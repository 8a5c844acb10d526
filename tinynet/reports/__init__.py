"""HTML pages and plots of runs and sweeps."""
