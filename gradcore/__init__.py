"""PyTorch's autograd for NumPy and CuPy arrays."""
