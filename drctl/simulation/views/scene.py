"""Pictures of a track with what stands and drives on it."""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.simulation.sensors.camera_geometry import WALL_BRIGHTNESS
from drctl.simulation.views.camera import VIEW_HEIGHT, VIEW_WIDTH, onboard_camera
from drctl.simulation.views.ground import Color, draw_ground, measure_ground
from drctl.simulation.views.raster import SAMPLES, draw_polygon, draw_triangles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drctl.simulation.track.track import Track
    from drctl.simulation.views.camera import ViewCamera
    from drctl.simulation.views.solids import Solid

_SKY_TOP: Final = (74.0, 128.0, 190.0)  # the original's sky is blue, its shade is not known (simulator-facts 5.2)
_SKY_HORIZON: Final = (186.0, 212.0, 232.0)
_BESIDE_FIELD: Final = 0.8  # brightness of the ground beside the field over the field's
_WALL_CONTRAST: Final = 0.45  # for people the walls differ by less than the front camera sees, and are lighter
_WALL_LIGHT: Final = 1.35
_SHADOW: Final = 0.45


class SceneRenderer:
    """Draws one track from any camera; a track and its reverse look the same.

    Not for use by two threads at once.

    Args:
        track: The track.
    """

    def __init__(self, track: Track) -> None:
        self._scene = track.scene
        self._grid, self._paint = measure_ground(track.scene)
        self._nearness = np.empty(SAMPLES, np.float32)
        self._shown = np.empty(SAMPLES, np.int16)
        field = tuple(float(part) for part in self._paint["field"])
        self._beside: Color = (_BESIDE_FIELD * field[0], _BESIDE_FIELD * field[1], _BESIDE_FIELD * field[2])
        self._sky = _paint_sky(self._scene.theme.backdrop, has_sky=self._scene.has_sky)

    def render(self, camera: ViewCamera, solids: Sequence[Solid] = ()) -> NDArray[np.uint8]:
        """Return a picture, shape (480, 640, 3), uint8, red, green and blue."""
        picture = self.background(camera)
        self.draw_solids(picture, camera, solids)
        return picture

    def render_onboard(
        self, pose: tuple[float, float, float], solids: Sequence[Solid] = (), wall_shade: float = 1.0
    ) -> NDArray[np.uint8]:
        """Return what the car's camera sees, in colour, as the frames of the network show it.

        Args:
            pose: base_link's x and y in metres and yaw in radians.
            solids: Others; the car does not see itself.
            wall_shade: As for the front camera.

        Returns:
            Shape (480, 640, 3), uint8.
        """
        camera = onboard_camera(pose)
        backdrop = np.array(self._scene.theme.backdrop, np.uint8)
        picture = np.empty((VIEW_HEIGHT, VIEW_WIDTH, 3), np.uint8)
        picture[:] = backdrop
        red, green, blue = (float(part) for part in self._scene.theme.backdrop)
        draw_ground(self._grid, self._paint, (red, green, blue), camera, picture)
        self._draw_walls(picture, camera, [wall_shade * brightness for brightness in WALL_BRIGHTNESS])
        self.draw_solids(picture, camera, solids)
        return picture

    def background(self, camera: ViewCamera) -> NDArray[np.uint8]:
        """Return a picture of the track alone, shape (480, 640, 3), uint8; a camera that stands still needs it once."""
        horizon = VIEW_HEIGHT / 2 - camera.focal_px * np.tan(min(camera.pitch_rad, 1.5))
        shift = int(np.clip(horizon, 0, VIEW_HEIGHT))
        picture = np.empty((VIEW_HEIGHT, VIEW_WIDTH, 3), np.uint8)
        picture[: shift + 1] = self._sky[VIEW_HEIGHT - shift - 1 : VIEW_HEIGHT, None]
        draw_ground(self._grid, self._paint, self._beside, camera, picture)
        middle = sum(WALL_BRIGHTNESS) / len(WALL_BRIGHTNESS)
        shades = [_WALL_LIGHT * (1 + _WALL_CONTRAST * (brightness / middle - 1)) for brightness in WALL_BRIGHTNESS]
        self._draw_walls(picture, camera, shades)
        return picture

    def draw_solids(self, picture: NDArray[np.uint8], camera: ViewCamera, solids: Sequence[Solid]) -> None:
        """Draw solids and their shadows over a picture, the farthest first; they must not run into each other."""
        for solid in solids:
            draw_polygon(solid.shadow(), (0.0, 0.0, 0.0), _SHADOW, 0.0, camera, picture)
        for solid in sorted(solids, key=lambda one: -hypot(one.pose[0] - camera.x_m, one.pose[1] - camera.y_m)):
            corners, colors = solid.triangles()
            draw_triangles(corners, colors, solid.opacity, camera, self._nearness, self._shown, picture)

    def _draw_walls(self, picture: NDArray[np.uint8], camera: ViewCamera, brightness: Sequence[float]) -> None:
        """Draw the walls' inner faces; a wall that is seen from behind hides nothing."""
        top = self._scene.wall_height_m
        if top <= 0:
            return
        x0, y0, x1, y1 = self._scene.field_m
        ends = (((x0, y0), (x0, y1)), ((x1, y0), (x1, y1)), ((x0, y0), (x1, y0)), ((x0, y1), (x1, y1)))
        is_inside = (camera.x_m > x0, camera.x_m < x1, camera.y_m > y0, camera.y_m < y1)
        for (a, b), inside, shade in zip(ends, is_inside, brightness, strict=True):
            if inside:
                corners = np.array([(*a, 0.0), (*b, 0.0), (*b, top), (*a, top)])
                red, green, blue = (min(255.0, part * shade) for part in self._scene.theme.wall)
                draw_polygon(corners, (red, green, blue), 1.0, 0.5, camera, picture)


def _paint_sky(backdrop: tuple[int, int, int], *, has_sky: bool) -> NDArray[np.uint8]:
    """Return the colours above the horizon from far up to the horizon itself, shape (480, 3)."""
    if not has_sky:
        return np.tile(np.array(backdrop, np.uint8), (VIEW_HEIGHT, 1))
    share = np.clip((VIEW_HEIGHT - np.arange(VIEW_HEIGHT)) / 200, 0, 1)[:, None]
    colors = np.round((1 - share) * np.array(_SKY_HORIZON) + share * np.array(_SKY_TOP))
    return np.asarray(colors, np.uint8)
