"""The original's camera pipeline, slow and plain: a 640x480 colour frame, scaled down, then turned grey.

Every pixel sends one ray into a scene of planes: the ground and four upright walls. Nothing is prepared beforehand and
nothing is taken from the camera under test but the track. Figures: simulator-facts 1.1, 2.1, 5.1 and 5.2.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

WIDE, HIGH = 640, 480
FIELD_OF_VIEW = 1.13
PITCH = math.radians(13.6)
EYE_HEIGHT = 0.1328
NOSE_UP = math.radians(1.39)
EYE_AHEAD = 0.145294 * math.cos(NOSE_UP) - 0.130326 * math.sin(NOSE_UP)
GROUND_LIGHT = 1.11
WALL_LIGHT = {"west": 0.39, "north": 0.33, "south": 0.225, "east": 0.035}
DASH, GAP, DASH_WIDE = 0.0508, 0.0508, 0.0254
STRIP_THICK, STRIP_WIDE, STRIP_COLUMNS = 0.078, 0.914, 24
CHECK = ((62, 62, 62), (222, 222, 222))
KERB = ((223, 223, 223), (137, 13, 13))
KERB_STRIPE = 0.2


class ReferenceRenderer:
    """Renders one track."""

    def __init__(self, track):
        self.scene = track.scene
        curve = self.scene.curve_m
        if self.scene.is_closed:
            curve = np.vstack([curve, curve[:1]])
        self.points = curve
        self.steps = np.diff(curve, axis=0)
        self.along = np.concatenate([[0.0], np.cumsum(np.hypot(self.steps[:, 0], self.steps[:, 1]))])
        self.length = self.along[-1]
        self.tree = cKDTree(self.scene.curve_m)
        mean = np.mean([self.scene.curve_half_width_left_m, self.scene.curve_half_width_right_m])
        self.wider = {
            True: self.scene.curve_half_width_left_m - mean,
            False: self.scene.curve_half_width_right_m - mean,
        }

    def frame(self, pose, wall_shade=1.0, triangle=True, solids=()):
        """Return the grey 120x160 frame from base_link's (x, y, yaw); see `picture` for `solids`."""
        small = Image.fromarray(self.picture(pose, wall_shade, solids)).resize(
            (160, 120), Image.Resampling.BILINEAR if triangle else Image.Resampling.BOX
        )
        red, green, blue = np.moveaxis(np.asarray(small, float), 2, 0)
        return (0.2989 * red + 0.5870 * green + 0.1140 * blue).astype(np.uint8)

    def picture(self, pose, wall_shade=1.0, solids=()):
        """Return the colour frame, shape (480, 640, 3), uint8.

        `solids` are (triangles, colours) pairs: corners in the world, shape (n, 3, 3), and lit colours, shape (n, 3).
        """
        x, y, yaw = pose
        eye = np.array([x + EYE_AHEAD * math.cos(yaw), y + EYE_AHEAD * math.sin(yaw), EYE_HEIGHT])
        rays = self._rays(yaw)
        colors = np.empty((*rays.shape[:2], 3))
        colors[:] = self.scene.theme.backdrop
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(rays[..., 2] < 0, -eye[2] / rays[..., 2], np.inf)
            hits = eye[:2] + reach[..., None] * rays[..., :2]
        x_min, y_min, x_max, y_max = self.scene.field_m
        on_field = (
            (reach < np.inf)
            & (hits[..., 0] >= x_min) & (hits[..., 0] <= x_max)
            & (hits[..., 1] >= y_min) & (hits[..., 1] <= y_max)
        )  # fmt: skip
        colors[on_field] = self.ground(hits[on_field])
        reach = np.where(on_field, reach, np.inf)
        for side, axis, at in (("west", 0, x_min), ("east", 0, x_max), ("south", 1, y_min), ("north", 1, y_max)):
            with np.errstate(divide="ignore", invalid="ignore"):
                distance = (at - eye[axis]) / rays[..., axis]
            points = eye + np.where(np.isfinite(distance), distance, 0.0)[..., None] * rays
            other = 1 - axis
            seen = (
                (distance > 0) & (distance < reach)
                & (points[..., other] >= (x_min, y_min)[other]) & (points[..., other] <= (x_max, y_max)[other])
                & (points[..., 2] >= 0) & (points[..., 2] <= self.scene.wall_height_m)
            )  # fmt: skip
            colors[seen] = np.round(np.array(self.scene.theme.wall) * WALL_LIGHT[side]) * wall_shade
        for triangles, paints in solids:  # nothing lies beyond a wall, and a solid's inside is never nearer
            for corners, paint in zip(triangles, paints, strict=True):
                _cast(eye, rays, corners, paint, reach, colors)
        return np.round(colors).astype(np.uint8)

    @staticmethod
    def _rays(yaw):
        """Return a direction per pixel in the world, shape (480, 640, 3)."""
        focal = WIDE / 2 / math.tan(FIELD_OF_VIEW / 2)
        right, down = np.meshgrid(
            (np.arange(WIDE) + 0.5 - WIDE / 2) / focal, (np.arange(HIGH) + 0.5 - HIGH / 2) / focal
        )
        camera = np.stack([np.ones_like(right), -right, -down], axis=-1)  # ahead, left, up of the lens
        tilt = np.array([[math.cos(PITCH), 0, math.sin(PITCH)], [0, 1, 0], [-math.sin(PITCH), 0, math.cos(PITCH)]])
        turn = np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
        return camera @ (turn @ tilt).T

    def ground(self, points):
        """Return the colour of ground points, shape (n, 2) -> (n, 3)."""
        theme, scene = self.scene.theme, self.scene
        colors = np.empty((len(points), 3))
        colors[:] = theme.field
        outer = scene.kerb_m[1] if scene.kerb_m else scene.line_to_m
        _, vertex = self.tree.query(points, distance_upper_bound=outer + 0.3)
        close = np.flatnonzero(vertex < len(scene.curve_m))
        points, vertex = points[close], vertex[close]
        distance, along, left = self._nearest(points, vertex)
        away = distance - np.where(left, self.wider[True][vertex], self.wider[False][vertex])
        paint = np.empty((len(points), 3))
        paint[:] = theme.road
        dashes = max(1, round(self.length / (DASH + GAP)))
        in_dash = (along % (self.length / dashes) < DASH) & (distance < DASH_WIDE / 2)
        paint[in_dash] = theme.dash
        if scene.finish_ahead_m is not None:
            self._paint_strip(paint, distance, along, left)
        paint[away >= scene.line_from_m] = theme.line
        if scene.kerb_m is not None:
            stripes = max(1, round(self.length / (2 * KERB_STRIPE)))
            white = along % (self.length / stripes) < self.length / stripes / 2
            for rows, color in ((white, KERB[0]), (~white, KERB[1])):
                paint[rows & (away >= scene.line_to_m)] = color
        on_road = away < outer
        if not scene.is_closed:
            on_road &= (along > 0) & (along < self.length)
        colors[close[on_road]] = paint[on_road]
        return np.minimum(255, np.round(colors * GROUND_LIGHT))

    def _nearest(self, points, vertex):
        """Return the distance from the curve, the distance along it and whether it is to the left."""
        best = np.full(len(points), np.inf)
        along, left = np.zeros(len(points)), np.zeros(len(points), bool)
        last = len(self.steps) - 1
        before = (vertex - 1) % len(self.steps) if self.scene.is_closed else np.maximum(vertex - 1, 0)
        for segment in (before, np.minimum(vertex, last)):
            start, step = self.points[segment], self.steps[segment]
            offset = points - start
            t = (offset * step).sum(1) / (step * step).sum(1)
            low = np.where((segment == 0) & (not self.scene.is_closed), -np.inf, 0.0)
            high = np.where((segment == last) & (not self.scene.is_closed), np.inf, 1.0)
            t = np.clip(t, low, high)
            distance = np.hypot(*(offset - t[:, None] * step).T)
            closer = distance < best
            best = np.where(closer, distance, best)
            along = np.where(closer, self.along[segment] + t * np.hypot(*step.T), along)
            left = np.where(closer, step[:, 0] * offset[:, 1] - step[:, 1] * offset[:, 0] >= 0, left)
        return best, along, left

    def _paint_strip(self, paint, distance, along, left):
        ahead = along - self.scene.finish_ahead_m
        if self.scene.is_closed:
            ahead -= self.length * np.round(ahead / self.length)
        half = min(STRIP_WIDE / 2, self.scene.line_from_m)
        inside = (np.abs(ahead) < STRIP_THICK / 2) & (distance < half)
        column = np.floor(np.where(left, distance, -distance) / (STRIP_WIDE / STRIP_COLUMNS)).astype(int)
        light = (column + (ahead >= 0)) % 2 == 0
        paint[inside & ~light] = CHECK[0]
        paint[inside & light] = CHECK[1]


def _cast(eye, rays, corners, paint, reach, colors):
    """Paint a triangle where it is the nearest so far (Moeller, Trumbore: Fast, minimum storage ray/triangle, 1997)."""
    region = _region(eye, rays, corners)
    rays, reach, colors = rays[region], reach[region], colors[region]
    first, second = corners[1] - corners[0], corners[2] - corners[0]
    cross = np.cross(rays, second)
    determinant = cross @ first
    with np.errstate(divide="ignore", invalid="ignore"):
        u = cross @ (eye - corners[0]) / determinant
        other = np.cross(eye - corners[0], first)
        v = rays @ other / determinant
        at = other @ second / determinant
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (at > 0.02) & (at < reach)
    colors[hit] = paint
    reach[hit] = at[hit]


def _region(eye, rays, corners):
    """Return the part of the picture that a triangle lies in; all of it when a corner is not before the eye."""
    across, down = rays[0, 1] - rays[0, 0], rays[1, 0] - rays[0, 0]
    found = np.linalg.solve(np.column_stack([rays[0, 0], across, down]), (corners - eye).T)
    if found[0].min() < 0.02:
        return slice(None), slice(None)
    column, row = found[1] / found[0], found[2] / found[0]
    return (
        slice(max(0, int(row.min()) - 1), max(0, int(row.max()) + 2)),
        slice(max(0, int(column.min()) - 1), max(0, int(column.max()) + 2)),
    )


def cuboid(pose, size, color):
    """Return the triangles of a box on the ground and their lit colours."""
    x, y, yaw = pose
    length, width, height = size
    turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
    flat = np.array([[length, width], [-length, width], [-length, -width], [length, -width]]) / 2 @ turn.T + [x, y]
    low, high = np.column_stack([flat, np.zeros(4)]), np.column_stack([flat, np.full(4, height)])
    triangles, paints = [np.array([high[0], high[1], high[2]]), np.array([high[0], high[2], high[3]])], []
    for i in range(4):
        j = (i + 1) % 4
        triangles += [np.array([low[i], low[j], high[j]]), np.array([low[i], high[j], high[i]])]
    for corners in triangles:
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        towards_sun = normal @ np.array([0.5, -0.1, 0.9]) / np.linalg.norm(normal) / np.linalg.norm([0.5, -0.1, 0.9])
        paints.append(np.minimum(255.0, np.array(color) * (0.62 + 0.5 * max(0.0, towards_sun))))
    return np.array(triangles), np.array(paints)


def drawn_poses(track, count, seed):
    """Return poses on the road, a fifth of them against the driving direction, most of them askew; shape (count, 3)."""
    scene = track.scene
    draw = np.random.default_rng(seed)
    at = draw.integers(0, len(scene.curve_m) - 1, count)
    ahead = scene.curve_m[at + 1] - scene.curve_m[at]
    aside = draw.uniform(-1.0, 1.0, count) * scene.line_to_m
    places = scene.curve_m[at] + aside[:, None] * scene.curve_normal[at]
    turned = draw.uniform(-1.2, 1.2, count) + np.pi * (draw.random(count) < 0.2)
    return np.column_stack([places, np.arctan2(ahead[:, 1], ahead[:, 0]) + turned])
