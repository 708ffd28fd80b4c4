"""Draws a car's moment as JPEG: over its shoulder, from above, and as its network sees it."""

from __future__ import annotations

import io
from math import radians
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from drctl.simulation.environment_spec import EnvironmentSpec
from drctl.simulation.race.packed_tracks import pack_tracks
from drctl.simulation.race.step_time import draw_step_time
from drctl.simulation.race.traffic import Traffic
from drctl.simulation.random import EVALUATION_OFFSET
from drctl.simulation.sensors.camera import FrontCamera
from drctl.simulation.sensors.camera_geometry import IMAGE_HEIGHT, IMAGE_WIDTH
from drctl.simulation.stream.topic import CAR_COLOR
from drctl.simulation.variety import Variety
from drctl.simulation.vehicle.physics import PHYSICS
from drctl.simulation.views.camera import FRAMES_PER_S, VIEW_HEIGHT, VIEW_WIDTH, ChaseCamera, top_camera
from drctl.simulation.views.overlay import RaceOverlay, clock_text
from drctl.simulation.views.scene import SceneRenderer
from drctl.simulation.views.solids import CAR_COLORS, Solid, solids_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.stream.player import Moment, Player
    from drctl.simulation.stream.topic import View
    from drctl.simulation.track.track import Track

_PHASES: Final = {"training": "Training", "evaluation": "Evaluating"}
_IDLE: Final = "Idle"
_WAITING_GREY: Final = 24


class _World:
    """One track and what draws it."""

    def __init__(self, track: Track) -> None:
        self.scene = SceneRenderer(track)
        self.overlay = RaceOverlay(track)
        self.above = top_camera(track)
        self.empty = self.scene.background(self.above)


class Painter:
    """Draws what the cars of one setup do.

    Args:
        environment: `EnvironmentSpec` as mapping.
    """

    def __init__(self, environment: dict[str, Any]) -> None:
        self.spec = EnvironmentSpec.from_json(environment)
        self.tracks = [world.load() for world in self.spec.worlds]
        self._variety = Variety(1, PHYSICS[self.spec.physics], FrontCamera(self.tracks), self.spec.worlds)
        ways = [way for track in self.tracks for way in (track, track.reversed_direction())]
        self._traffic = Traffic([world.race for world in self.spec.worlds], ways, pack_tracks(ways), 1)
        self._worlds: dict[int, _World] = {}
        self._cameras: dict[View, ChaseCamera] = {}
        self._frame = np.empty((1, IMAGE_HEIGHT, IMAGE_WIDTH), np.uint8)

    def draw(self, view: View, moment: Moment, player: Player, elapsed_s: float) -> bytes:
        """Return a JPEG.

        Args:
            view: What to draw.
            moment: When.
            player: Knows the car's laps.
            elapsed_s: Since the car was drawn last.
        """
        self._place_objects(moment)
        if view.name == "onboard":
            return encode(Image.fromarray(self._draw_onboard(moment)), view)
        number = moment.clip.start.world
        world = self._worlds.get(number)
        if world is None:
            world = self._worlds[number] = _World(self.tracks[number])
        color = CAR_COLORS.get(view.color, CAR_COLORS[CAR_COLOR])
        car = Solid("car", moment.pose, color, radians(moment.steering_deg))
        if view.name == "top":
            picture = world.empty.copy()
            world.scene.draw_solids(picture, world.above, [*solids_of(self._traffic.of(0)), car])
        else:
            picture = self._draw_chase(world, view, moment, car, player, elapsed_s)
        return encode(Image.fromarray(picture), view)

    def _place_objects(self, moment: Moment) -> None:
        """Put obstacles and bot cars where the episode has them at that moment.

        Their places follow from the episode's key and its clock, so that nobody need record them; that a bot car stood
        for a while because it ran into the racer is not known here.
        """
        start, key = moment.clip.start, _key_of(moment)
        track = 2 * start.world + start.is_reversed
        self._traffic.place(0, track, self.spec.seed, key)
        # They stand in the first step, which prepares the episode.
        time_s = moment.time_s - draw_step_time(self.spec.seed, key, 1, self.spec.has_step_jitter)
        self._traffic.drive(0, track, self.spec.seed, key, max(time_s, 0.0))

    def _draw_onboard(self, moment: Moment) -> NDArray[np.uint8]:
        """Draw the very frame that the network sees at this pose."""
        start = moment.clip.start
        self._variety.begin(0, start.world, self.spec.seed, _key_of(moment))
        world, objects = np.array([start.world], np.int32), self._traffic.seen_by(np.zeros(1, np.int64))
        self._variety.render(np.array([0]), np.array([moment.pose]), world, self._frame, objects)
        return np.asarray(self._frame[0], np.uint8)

    def _draw_chase(
        self, world: _World, view: View, moment: Moment, car: Solid, player: Player, elapsed_s: float
    ) -> NDArray[np.uint8]:
        # One camera per view: each must be moved on once per picture.
        camera = self._cameras.setdefault(view, ChaseCamera())
        if moment.has_jumped:
            camera.reset()
        others = solids_of(self._traffic.of(0))
        solids = [*others, car]
        picture = world.scene.render(camera.follow(moment.pose, max(elapsed_s, 1 / (4 * FRAMES_PER_S))), solids)
        if view.name == "overlay":
            x, y, _ = moment.pose
            phase = _PHASES.get(moment.clip.start.phase, _IDLE)
            details = describe_details(moment, player) if view.has_details else ()
            dots = [(other.pose[0], other.pose[1], other.color) for other in others]
            world.overlay.draw_training(picture, phase, (*dots, (x, y, car.color)), details)
        return picture


def _key_of(moment: Moment) -> NDArray[np.int64]:
    """Return stream offset, iteration and episode of what is shown."""
    start = moment.clip.start
    return np.array([EVALUATION_OFFSET if start.phase == "evaluation" else 0, start.iteration, start.episode])


def encode(image: Image.Image, view: View) -> bytes:
    """Return an image as JPEG in the size that is wanted; small grey frames are enlarged without smoothing."""
    size = view.width, view.width * 3 // 4
    if image.size != size:
        is_larger = size[0] > image.size[0]
        image = image.resize(size, Image.Resampling.NEAREST if is_larger else Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=view.quality)
    return buffer.getvalue()


def draw_waiting(view: View) -> bytes:
    """Return the picture of a worker whose cars have not begun to drive."""
    return encode(Image.new("L", (VIEW_WIDTH, VIEW_HEIGHT), _WAITING_GREY), view)


def describe_details(moment: Moment, player: Player) -> tuple[str, ...]:
    """Return the lines that ``DR_ENABLE_EXTRA_KVS_OVERLAY`` adds (simulator-facts 3)."""
    best = "--" if player.best_lap_s is None else clock_text(player.best_lap_s)
    last = "--" if player.last_lap_s is None else clock_text(player.last_lap_s)
    return (
        f"best lap {best}",
        f"last lap {last}",
        f"progress {moment.progress_percent:.1f} %",
        f"steering {moment.steering_deg:+.1f}°",
        f"throttle {moment.speed_m_s:.2f} m/s",
    )
