"""Runs from a config: the folder they leave, and the plots."""
