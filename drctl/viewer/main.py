"""The viewer's process: ``python -m drctl.viewer.main FILE``."""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

import uvicorn

from drctl.engines.page_server import write_server_state
from drctl.errors import DrctlError, UnavailableError
from drctl.secrets import Secret
from drctl.stack.viewer_plan import ViewerPlan, read_viewer_plan
from drctl.viewer.app import make_app

_GOODBYE_S = 1


def main(arguments: list[str] | None = None) -> int:
    """Serve the page until SIGTERM or SIGINT and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m drctl.viewer.main", description="Serve the viewer's page.")
    parser.add_argument("plan", type=Path, help="start file")
    parser.add_argument("--state", action="store_true", help="write beside the start file who serves the page")
    options = parser.parse_args(arguments)
    try:
        plan = read_viewer_plan(options.plan)
        token = Secret(Path(plan.token_file).read_text().strip()) if plan.token_file else None
        listener = open_port(plan)
    except DrctlError as error:
        for problem in error.problems:
            sys.stderr.write(f"error[{error.code}]: {problem.what}\n")
        return error.exit_status
    config = uvicorn.Config(
        make_app(plan, token),
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whoever says that somebody else asks is not believed
        log_level="warning",
        timeout_graceful_shutdown=_GOODBYE_S,
    )
    state = write_server_state(options.plan.parent, plan.port) if options.state else None
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        if state is not None:
            state.unlink(missing_ok=True)
    return 0


def open_port(plan: ViewerPlan) -> socket.socket:
    """Listen on the plan's port.

    Raises:
        UnavailableError: It is taken, or the address is not this machine's.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((plan.host, plan.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UnavailableError(f"port {plan.port} cannot be used: {error.strerror}") from error
    return listener


if __name__ == "__main__":
    sys.exit(main())
