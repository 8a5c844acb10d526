"""``python -m tinynet`` is the same as ``tinynet``."""

import sys

from tinynet.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
