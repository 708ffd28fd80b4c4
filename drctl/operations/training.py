"""Start and stop a training."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from drctl.engines.identity import ProcessIdentity
from drctl.engines.lock import RunLock
from drctl.engines.process import ProcessEngine, clear_run
from drctl.errors import DrctlError, FailedError, Problem
from drctl.link.listening import bind_error as _bind_error  # noqa: F401  keeps the link's words in one place
from drctl.operations.preflight import Preparation, prepare
from drctl.result import Message, Result
from drctl.stack.drctl_stack import RunFolders, trainer_spec, training_plan
from drctl.status.run_status import RunStatus, read_run
from drctl.storage.location import open_store, project_store_location
from drctl.storage.trash import move_to_trash, restore

if TYPE_CHECKING:
    from drctl.config.project import Project
    from drctl.engines.engine import Engine
    from drctl.stack.plan import RunPlan
    from drctl.storage.objects import ObjectStore
