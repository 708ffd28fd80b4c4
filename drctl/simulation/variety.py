"""The cars of a batch whose episodes differ from the usual world: how each of them drives and what it sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import cos, radians, sin
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.simulation.race.objects import OBJECT_BLUE, OBJECT_GREEN, OBJECT_RED
from drctl.simulation.random import STREAM_WALL_SHADE
from drctl.simulation.random_kernel import keyed_uniform
from drctl.simulation.sensors.camera_geometry import LENS_FORWARD_M
from drctl.simulation.sensors.camera_records import WORLD
from drctl.simulation.sensors.camera_tilt import tilt_frame
from drctl.simulation.variation import AMBIENT_SHARE, USUAL, Variation, draw_colors, draw_variation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.environment_spec import WorldSpec
    from drctl.simulation.race.objects import ObjectBatch
    from drctl.simulation.sensors.camera import FrontCamera
    from drctl.simulation.vehicle.physics import Physics

WALL_SHADE_SPREAD: Final = 0.3
"""Walls are up to so much darker or brighter, drawn per episode, where their shade is not randomised further.

The original's lighting differs from wall to wall (simulator-facts 5.2: 0.03 to 0.4 of the texture); section 10 advises
to randomise it a little.
"""


class Variety:
    """What each car of a batch has to itself.

    Args:
        num_cars: Cars of the batch.
        physics: The usual car.
        camera: Renders the usual view.
        worlds: By the index that `begin` is given.

    Attributes:
        physics: How each car moves, a row per car as `Physics.pack` returns it.
        variations: How the episode of each car differs from the usual world.
    """

    def __init__(self, num_cars: int, physics: Physics, camera: FrontCamera, worlds: Sequence[WorldSpec]) -> None:
        self._usual_physics = physics
        self._camera = camera
        self._shares = [dict(world.randomized) for world in worlds]
        self._is_any = any(self._shares)
        self._looks = np.zeros(num_cars if self._is_any else 0, WORLD)
        self._wall_shade = np.ones(num_cars, np.float32)
        self.physics = np.tile(physics.pack(), (num_cars, 1))
        self.variations = [USUAL] * num_cars

    def begin(self, car: int, world: int, seed: int, key: NDArray[np.int64]) -> None:
        """Draw how a car's next episode differs from the usual world.

        Args:
            car: Row of the batch.
            world: Where it is driven.
            seed: Seed of the run.
            key: Stream offset, iteration and episode, shape (3,).
        """
        offset, iteration, episode = key.tolist()
        uniform = keyed_uniform(seed, STREAM_WALL_SHADE + offset, iteration, episode, 0, 0)
        self._wall_shade[car] = 1.0 + WALL_SHADE_SPREAD * (2.0 * uniform - 1.0)
        if not self._is_any:
            return
        shares = self._shares[world]
        drawn = draw_variation(shares, seed, offset, iteration, episode)
        self.variations[car] = drawn
        self.physics[car] = vary_physics(self._usual_physics, drawn).pack()
        if shares.get("walls"):
            self._wall_shade[car] = drawn.wall
        paint = {part: getattr(drawn, part) for part in ("road", "line", "dash", "field", "backdrop")}
        self._looks[car] = self._camera.dress(world, light_of(drawn), paint)

    def paint_objects(
        self, car: int, world: int, objects: NDArray[np.float64], seed: int, key: NDArray[np.int64]
    ) -> None:
        """Give the objects of a car's episode their colours, under the light of that episode; `begin` comes first.

        Args:
            car: Row of the batch.
            world: Where the episode is driven.
            objects: `race.objects` rows as the race made them, shape (n, OBJECT_SIZE); changed.
            seed: Seed of the run.
            key: Stream offset, iteration and episode, shape (3,).
        """
        shares = self._shares[world]
        if not shares or not len(objects):
            return
        columns = [OBJECT_RED, OBJECT_GREEN, OBJECT_BLUE]
        colors = objects[:, columns]
        colors += shares.get("colors", 0.0) * (draw_colors(len(objects), seed, *key.tolist()) - colors)
        objects[:, columns] = colors * light_of(self.variations[car])

    def light_rival(self, car: int, rivals: NDArray[np.float64]) -> None:
        """Let the light of a car's episode fall on other racers, whose colours tell who they are.

        Args:
            car: Row of the batch.
            rivals: `race.objects` rows, shape (n, OBJECT_SIZE); changed.
        """
        if self.variations[car] is not USUAL:
            rivals[:, [OBJECT_RED, OBJECT_GREEN, OBJECT_BLUE]] *= light_of(self.variations[car])

    def render(
        self,
        cars: NDArray[Any],
        poses: NDArray[np.float64],
        worlds: NDArray[np.int32],
        out: NDArray[np.uint8],
        objects: ObjectBatch | None = None,
    ) -> None:
        """Render what some cars see.

        Args:
            cars: Rows of the batch, shape (k,).
            poses: base_link's x and y in metres and yaw in radians, shape (k, 3).
            worlds: Index of each car's track, shape (k,), int32.
            out: Receives the frames, shape (k, 120, 160), uint8, contiguous.
            objects: What stands and drives before each of them; None for nothing.
        """
        if not self._is_any:
            self._camera.render(poses, worlds, self._wall_shade[cars], out, objects=objects)
            return
        drawn = [self.variations[car] for car in cars]
        aimed = np.array([aim_camera(pose, one) for pose, one in zip(poses, drawn, strict=True)])
        looks, every = self._looks[cars], np.arange(len(cars), dtype=np.int32)
        self._camera.render(aimed, every, self._wall_shade[cars], out, looks, objects)
        for frame, one in zip(out, drawn, strict=True):
            if one.pitch_deg or one.height_m:
                tilt_frame(frame, radians(one.pitch_deg), one.height_m)


def vary_physics(physics: Physics, variation: Variation) -> Physics:
    """Return how a car of an episode moves."""
    return replace(
        physics,
        steering_time_s=physics.steering_time_s * variation.steering_lag,
        dead_time_s=physics.dead_time_s + variation.latency_s,
        lateral_cap_m_s2=physics.lateral_cap_m_s2 * variation.lateral_cap,
        gain=tuple((angle, gain * variation.curvature) for angle, gain in physics.gain),
    )


def light_of(variation: Variation) -> tuple[float, float, float]:
    """Return the brightness of red, green and blue, 1 in the usual world."""
    red, green, blue = (
        AMBIENT_SHARE + (1.0 - AMBIENT_SHARE) * part
        for part in (variation.sun_red, variation.sun_green, variation.sun_blue)
    )
    return red, green, blue


def aim_camera(pose: NDArray[np.float64], variation: Variation) -> tuple[float, float, float]:
    """Return where a usual car would have to stand to see what a camera turned and moved sideways sees.

    Args:
        pose: base_link's x and y in metres and yaw in radians, shape (3,).
        variation: Of the episode.
    """
    x, y, yaw = pose.tolist()
    turned = yaw + radians(variation.pan_deg)
    lens_x = x + LENS_FORWARD_M * cos(yaw) - variation.aside_m * sin(yaw)
    lens_y = y + LENS_FORWARD_M * sin(yaw) + variation.aside_m * cos(yaw)
    return lens_x - LENS_FORWARD_M * cos(turned), lens_y - LENS_FORWARD_M * sin(turned), turned
