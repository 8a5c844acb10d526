"""Checks of gradients: of any function's, and of tinynet's own."""
