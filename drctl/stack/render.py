"""Plans as Docker Compose files: readable, commented, and without a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from drctl.resources import resource_folder
from drctl.stack.container_stack import KERNELS_LABEL, NETWORK, STORE_PROJECT, STORE_SERVICE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from drctl.stack.plan import EvaluationPlan, Part, RunPlan
    from drctl.stack.store_server import StoreServer
    from drctl.stack.viewer_container import ViewerContainer


def render_run(plan: RunPlan) -> str:
    """Return the compose file of a run.

    Args:
        plan: Each of its parts has a container.
    """
    if plan.stack == "community":
        return _render("community.yml.j2", plan=plan, network=NETWORK)
    return _render("run.yml.j2", plan=plan, network=NETWORK, kernels=kernel_volume(plan))


def render_evaluation(plan: EvaluationPlan) -> str:
    """Return the compose file of an evaluation."""
    return _render("evaluation.yml.j2", plan=plan, network=NETWORK, kernels=evaluation_kernels(plan))


def render_viewer(plan: ViewerContainer) -> str:
    """Return the compose file of a run's viewer."""
    return _render("viewer.yml.j2", plan=plan, network=NETWORK)


def render_stack(plan: RunPlan) -> str:
    """Return the file of a run for ``docker stack deploy``.

    Args:
        plan: As `drctl.stack.swarm_stack.in_swarm` makes it.
    """
    services = _services(plan)
    secrets = {secret.name: secret for service in services for secret in service["part"].container.secrets}
    return _render(
        "stack.yml.j2",
        plan=plan,
        services=services,
        secrets=list(secrets.values()),
        network=NETWORK,
        kernels=kernel_volume(plan),
        kernels_label=KERNELS_LABEL,
    )


def _services(plan: RunPlan) -> list[dict[str, Any]]:
    """Return the services of a plan; parts of the same one differ in nothing but the slot that Swarm gives them."""
    found: dict[str, list[Part]] = {}
    for part in plan.parts:
        if part.container is not None:
            found.setdefault(part.container.service, []).append(part)
    return [
        {"part": parts[0], "replicas": len(parts), "comment": ", ".join(part.name for part in parts)}
        for parts in found.values()
    ]


def kernel_volume(plan: RunPlan) -> str:
    """Return the name of the one volume that the workers of our own stack share."""
    return _only_volume(plan.parts)


def evaluation_kernels(plan: EvaluationPlan) -> str:
    """Return the name of the one volume of an evaluation's container."""
    return _only_volume([plan.part])


def _only_volume(parts: Sequence[Part]) -> str:
    mounts = [mount for part in parts if part.container for mount in part.container.mounts]
    (volume,) = {mount.source for mount in mounts if mount.is_volume}
    return volume


def render_store(server: StoreServer, project: Path) -> str:
    """Return the compose file of the S3 server.

    Args:
        server: How it runs.
        project: Folder of the drctl project that starts it.
    """
    return _render(
        "store.yml.j2",
        server=server,
        project=STORE_PROJECT,
        service=STORE_SERVICE,
        container=f"{STORE_PROJECT}-{STORE_SERVICE}-1",
        network=NETWORK,
        folder=str(project),
    )


def _render(template: str, **values: Any) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource_folder("compose") / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML, and every value goes through `quote`
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quote"] = _quote
    return environment.get_template(template).render(values)


def _quote(value: Any) -> str:
    """Write a value so that neither YAML nor Compose, which replaces ``$NAME``, reads anything into it."""
    return json.dumps(value).replace("$", "$$")
