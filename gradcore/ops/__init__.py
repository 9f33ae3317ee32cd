"""The operations, one module per family. Importing a module registers what it declares."""
