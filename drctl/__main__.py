"""The program ``drctl``, also as ``python -m drctl``."""

from __future__ import annotations

import sys

from drctl.errors import InterruptedByUserError


def main() -> int:
    """Run this process's command line and return the exit status."""
    try:
        from drctl.cli.app import main as run

        return run()
    except KeyboardInterrupt:  # before the command line knows how to tell it
        sys.stderr.write("interrupted\n")
        return InterruptedByUserError.exit_status


if __name__ == "__main__":
    sys.exit(main())
