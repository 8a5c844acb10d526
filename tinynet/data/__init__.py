"""From files and data sets to samples that a network can train on."""
