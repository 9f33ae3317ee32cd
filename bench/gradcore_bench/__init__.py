"""Benchmarks of gradcore: digits, CPU against GPU, and the overhead of small tensors.

A module here imports NumPy and gradcore only where it uses them, so that `threads.limited` can
set the size of their thread pools first. rich, scikit-learn and matplotlib are the extra `bench`.
"""
