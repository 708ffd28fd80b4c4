"""``python -m drctl`` is ``drctl``."""

import sys

from drctl.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
