"""The training loop, its history, its checkpoints, and what may interrupt it."""
