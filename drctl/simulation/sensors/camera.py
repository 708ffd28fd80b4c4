"""The car's front camera: grey frames of the ground, the walls and what is above them, for many cars at once."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from drctl.simulation.sensors.camera_geometry import (
    GROUND_BRIGHTNESS,
    HORIZON_ROW,
    IMAGE_HEIGHT,
    IMAGE_WIDTH,
    LENS_HEIGHT_M,
    WALL_BRIGHTNESS,
    grey_of,
    ground_point,
    lit,
)
from drctl.simulation.sensors.camera_kernel import render_frames
from drctl.simulation.sensors.camera_records import NODES, STRIP, WORLD
from drctl.simulation.sensors.distance_field import DistanceField, curve_length_m, measure_distances
from drctl.simulation.sensors.ground_pattern import (
    FINISH_DARK,
    FINISH_LIGHT,
    KERB_RED,
    KERB_WHITE,
    GroundPattern,
    pattern_of,
)
from drctl.simulation.sensors.solid_kernel import draw_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drctl.simulation.race.objects import ObjectBatch
    from drctl.simulation.track.track import Scene, Track

NODE_SPACING_M: Final = 0.04
"""Of the distance grid. An edge that bends with a radius of 0.2 m is off by 2 mm at most between nodes."""

REACH_BESIDE_ROAD_M: Final = 0.35
"""How far beside the road distances are measured; more than the widest footprint that still shows a line's edge."""

_UNWRAPPED_M = 1e9  # an open curve's distances never wrap
_HORIZON_GAP_PX = 0.35  # ground nearer to the horizon than this is 48 m away and takes the grey of what is just below

_USUAL_LIGHT: Final = (1.0, 1.0, 1.0)
_USUAL_PAINT: Final[Mapping[str, float]] = MappingProxyType({})


class FrontCamera:
    """Renders what the front camera of each car sees.

    The image is that of simulator-facts 2.1: 160 x 120, grey, from the pose of a car that stands still. Sky is drawn in
    the theme's backdrop grey, because the original's is not known (simulator-facts 5.2, 9), and so is what lies beyond
    a field without walls. Nothing is allocated by `render`; one camera must not render in two threads at once.

    Args:
        tracks: Worlds, by the index that `render` is given. A track and its reverse share one picture of the ground.

    Raises:
        ValueError: No track is given.
    """

    def __init__(self, tracks: Sequence[Track]) -> None:
        if not tracks:
            raise ValueError("a camera needs at least one track")
        self._worlds = np.zeros(len(tracks), WORLD)
        self._scenes = [track.scene for track in tracks]
        grids: list[NDArray[np.float32]] = []
        records: dict[int, Any] = {}
        first = 0
        for index, track in enumerate(tracks):
            scene = track.scene
            if id(scene) not in records:
                field = _field_of(scene)
                records[id(scene)] = _world_record(scene, field, first)
                grids.append(field.values_m.reshape(-1, 2))
                first += len(grids[-1])
            self._worlds[index] = records[id(scene)]
        self._grid = np.concatenate(grids)
        self._strips = _cut_strips()
        self._walls = np.zeros((4, 4))
        self._spans = np.zeros((IMAGE_HEIGHT, 3))
        self._rows = np.zeros((2, IMAGE_WIDTH), np.float32)
        self._nodes = np.zeros((2, NODES, 2), np.float32)

    @property
    def memory_bytes(self) -> int:
        """Size of everything the camera holds."""
        held = (self._worlds, self._grid, self._strips, self._walls, self._spans, self._rows, self._nodes)
        return sum(array.nbytes for array in held)

    def render(
        self,
        pose: NDArray[np.float64],
        world: NDArray[np.int32],
        wall_shade: NDArray[np.float32],
        out: NDArray[np.uint8],
        dressed: NDArray[Any] | None = None,
        objects: ObjectBatch | None = None,
    ) -> None:
        """Render one frame per car.

        Args:
            pose: base_link's x and y in metres and yaw in radians, shape (N, 3), float64.
            world: Index of each car's track, shape (N,), int32; not checked.
            wall_shade: Factor on the brightness of the walls, 1 for the usual one, shape (N,), float32.
            out: Receives the frames, shape (N, 120, 160), uint8, contiguous.
            dressed: What `dress` returned, which `world` then counts instead of the tracks; None for the usual looks.
            objects: What stands and drives before each car, for the same N cars; None for nothing.
        """
        render_frames(
            self._grid,
            self._worlds if dressed is None else dressed,
            self._strips,
            pose,
            world,
            wall_shade,
            self._walls,
            self._spans,
            self._rows,
            self._nodes,
            out,
        )
        if objects is not None:
            draw_objects(pose, objects.counts, objects.rows, out)

    def dress(self, world: int, light: tuple[float, float, float], paint: Mapping[str, float]) -> Any:
        """Return a world with other looks, a record of dtype `WORLD` for `render`.

        Args:
            world: Index of the track.
            light: Brightness of red, green and blue on the ground and the walls, 1 for the usual one.
            paint: Brightness of some of ``road``, ``line``, ``dash``, ``field`` and ``backdrop``.
        """
        record = self._worlds[world : world + 1].copy()[0]
        scene = self._scenes[world]
        _set_greys(record, scene, pattern_of(scene, curve_length_m(scene)), light, paint)
        return record


def _field_of(scene: Scene) -> DistanceField:
    """Measure the distances around the road."""
    reach_m = pattern_of(scene, 1.0).road_to_m + REACH_BESIDE_ROAD_M
    margin_m = reach_m + 2 * NODE_SPACING_M
    low, high = scene.curve_m.min(axis=0) - margin_m, scene.curve_m.max(axis=0) + margin_m
    return measure_distances(scene, (low[0], low[1], high[0], high[1]), NODE_SPACING_M, reach_m)


def _world_record(scene: Scene, field: DistanceField, first_node: int) -> Any:
    """Return what the kernel needs of a scene, a record of dtype `WORLD`."""
    length_m = curve_length_m(scene)
    pattern = pattern_of(scene, length_m)
    record = np.zeros((), WORLD)
    record["first"] = first_node
    record["rows"], record["columns"] = field.values_m.shape[:2]
    record["origin_x_m"], record["origin_y_m"] = field.origin_m
    record["nodes_per_m"] = 1.0 / field.spacing_m
    record["wrap_m"] = length_m if scene.is_closed else _UNWRAPPED_M
    record["open_length_m"] = 0.0 if scene.is_closed else length_m
    for part in ("line_from_m", "line_to_m", "road_to_m", "dash_pitch_m", "kerb_pitch_m"):
        record[part] = getattr(pattern, part)
    if pattern.finish_at_m is not None:
        record["finish_at_m"], record["finish_half_across_m"] = pattern.finish_at_m, pattern.finish_half_across_m
        nearest = scene.curve_m[round(pattern.finish_at_m / length_m * len(scene.curve_m)) % len(scene.curve_m)]
        record["finish_x_m"], record["finish_y_m"] = nearest
    record["wall_height_m"] = scene.wall_height_m if scene.wall_height_m > LENS_HEIGHT_M else 0.0
    record["field_m"] = scene.field_m
    _set_greys(record, scene, pattern)
    return record


def _set_greys(
    record: Any,
    scene: Scene,
    pattern: GroundPattern,
    light: tuple[float, float, float] = _USUAL_LIGHT,
    paint: Mapping[str, float] = _USUAL_PAINT,
) -> None:
    def shine(color: tuple[float, float, float]) -> float:
        red, green, blue = (share * part for share, part in zip(light, color, strict=True))
        return grey_of((red, green, blue))

    greys = {part: shine(getattr(pattern, part)) for part in ("field", "road", "line", "dash")}
    paints = {"kerb_red": KERB_RED, "kerb_white": KERB_WHITE, "finish_dark": FINISH_DARK, "finish_light": FINISH_LIGHT}
    greys |= {part: shine(lit(color, GROUND_BRIGHTNESS)) for part, color in paints.items()}
    greys["backdrop"] = grey_of(scene.theme.backdrop)
    for part, grey in greys.items():
        record[part] = min(255.0, grey * paint.get(part, 1.0))
    record["wall"] = [shine(lit(scene.theme.wall, brightness)) for brightness in WALL_BRIGHTNESS]


def _cut_strips() -> NDArray[Any]:
    """Cut the visible ground into strips, each so shallow that the curves in it look straight.

    Near the car a strip takes some rows at a time; far away a row, which shows metres of ground, is cut into several.
    """
    edges: list[tuple[float, float, int, int, bool, bool]] = []
    row = int(HORIZON_ROW + _HORIZON_GAP_PX)
    while row < IMAGE_HEIGHT:
        top = max(float(row), HORIZON_ROW + _HORIZON_GAP_PX)
        far, near = ground_point(top, 0.0)[0], ground_point(row + 1, 0.0)[0]
        rows = 1
        while row + rows < IMAGE_HEIGHT and far - ground_point(row + rows + 1, 0.0)[0] < 0.03:
            rows += 1
        parts = min(6, ceil((far - near) / max(0.2, 0.2 * near)))
        cuts = np.linspace(top, row + rows, parts + 1)
        edges += [(float(cuts[i]), float(cuts[i + 1]), row, rows, i == 0, i == parts - 1) for i in range(parts)]
        row += rows
    strips = np.zeros(len(edges), STRIP)
    for strip, (top, bottom, first_row, rows, is_first, is_last) in zip(strips, edges, strict=True):
        strip["first_row"], strip["rows"] = first_row, rows
        strip["is_first"], strip["is_last"] = is_first, is_last
        strip["weight"] = 1.0 / sum(edge[2] == first_row for edge in edges)
        for name, place in (("top", top), ("bottom", bottom)):
            ahead_m, left_m = ground_point(place, 0.0)
            strip[f"{name}_ahead_m"] = ahead_m
            strip[f"{name}_pixel_m"] = left_m / (IMAGE_WIDTH / 2)
    return strips
