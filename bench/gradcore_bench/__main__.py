"""`python -m gradcore_bench`."""

import sys

from gradcore_bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
