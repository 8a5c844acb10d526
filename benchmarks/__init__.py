"""What scripts/benchmark_gradients.py measures, a module a part; nothing here is installed with tinynet."""
