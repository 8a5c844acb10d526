"""Configs: their keys, how they are read, and how they are documented."""
