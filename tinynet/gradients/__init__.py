"""Difference quotients: of any function, and of the network's loss."""
