"""What is on the track besides the racers, as arrays: every car of a batch has its own set.

An object is a row of `OBJECT_SIZE` numbers; the constants name the columns. Its frame: the middle of its base, x ahead,
y to the left. Lidars and cameras see a cuboid of the drawn size; what the racer's corners touch is the larger contact
rectangle (simulator-facts 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from drctl.simulation.vehicle.geometry import LENGTH_M, WIDTH_M

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.formats.race_params import ObstacleKind

OBJECT_X: Final = 0  # m; middle of the base
OBJECT_Y: Final = 1
OBJECT_YAW: Final = 2  # rad
OBJECT_LENGTH: Final = 3  # m; the solid that sensors see
OBJECT_WIDTH: Final = 4
OBJECT_HEIGHT: Final = 5
OBJECT_SPEED: Final = 6  # m/s along the centre line; 0 while it stands
OBJECT_KIND: Final = 7  # one of the KIND_ numbers
OBJECT_ROLE: Final = 8  # one of the ROLE_ numbers
OBJECT_RED: Final = 9  # 0 to 255, without light
OBJECT_GREEN: Final = 10
OBJECT_BLUE: Final = 11
OBJECT_CONTACT_LENGTH: Final = 12  # m; 0 for what cannot be touched
OBJECT_CONTACT_WIDTH: Final = 13
OBJECT_PROJECTION: Final = 14  # m along the centre line, in driving direction
OBJECT_CENTRE_DISTANCE: Final = 15  # m
OBJECT_IS_LEFT: Final = 16  # 1 when it is left of the centre line in driving direction
OBJECT_ALONG: Final = 17  # m along its lane, in metres of the centre line
OBJECT_LANE: Final = 18  # 1 inner, -1 outer: the lane it is on, or leaves
OBJECT_CHANGING: Final = 19  # m of the centre line left until it has changed lanes; 0 on a lane
OBJECT_WAITING: Final = 20  # s until it changes lanes
OBJECT_DRAWS: Final = 21  # waiting times drawn so far
OBJECT_PAUSE: Final = 22  # s that it stands still because it ran into the racer
OBJECT_SIZE: Final = 23

KIND_BOX: Final = 0
KIND_DEEPRACER_BOX: Final = 1
KIND_AMAZON_BOX: Final = 2
KIND_CAR: Final = 3

ROLE_OBSTACLE: Final = 0  # stands; whoever touches it has crashed
ROLE_BOT: Final = 1  # drives along its lane
ROLE_RIVAL: Final = 2  # another racer, moved from outside

KIND_OF: Final[dict[ObstacleKind, int]] = {
    "box_obstacle": KIND_BOX,
    "deepracer_box_obstacle": KIND_DEEPRACER_BOX,
    "amazon_box_obstacle": KIND_AMAZON_BOX,
}

SOLID_M: Final = ((0.4, 0.3, 0.25), (0.36, 0.265, 0.24), (0.4, 0.3, 0.25), (0.324, 0.188, 0.2))
"""Length, width and height by kind (simulator-facts 6)."""

COLOR_OF: Final = ((123, 97, 79), (36, 46, 68), (162, 145, 115), (40, 40, 40))
"""By kind: mean texture of the boxes, body of a bot car (simulator-facts 6)."""

BOX_CONTACT_M: Final = (0.5, 0.4)
"""Contact rectangle of every kind of box, 0.1 m larger than the solid (simulator-facts 6)."""

CAR_CONTACT_M: Final = (LENGTH_M, WIDTH_M)

# Columns of what is the same for all bot cars of a car's set.
BOT_SPEED: Final = 0  # m/s
BOT_CHANGES_LANES: Final = 1  # 1 or 0
BOT_SHORTEST_WAIT: Final = 2  # s
BOT_LONGEST_WAIT: Final = 3
BOT_CHANGE_OVER: Final = 4  # m
BOT_PENALTY: Final = 5  # s
BOT_SIZE: Final = 6


class ObjectBatch(NamedTuple):
    """The objects of all cars of a batch.

    Attributes:
        counts: How many of a car's rows are in use, shape (num_cars,), int64.
        rows: Shape (num_cars, most, OBJECT_SIZE), float64.
        bots: How a car's bot cars drive, shape (num_cars, BOT_SIZE), float64.
    """

    counts: NDArray[np.int64]
    rows: NDArray[np.float64]
    bots: NDArray[np.float64]


def make_objects(num_cars: int, most: int) -> ObjectBatch:
    """Return empty sets with room for so many objects each."""
    return ObjectBatch(
        np.zeros(num_cars, np.int64), np.zeros((num_cars, most, OBJECT_SIZE)), np.zeros((num_cars, BOT_SIZE))
    )


def clear_row(row: NDArray[np.float64], kind: int, role: int) -> None:
    """Fill in size, colour and contact rectangle of an object and empty the rest.

    Args:
        row: Shape (OBJECT_SIZE,).
        kind: One of the ``KIND_`` numbers.
        role: One of the ``ROLE_`` numbers.
    """
    row[:] = 0.0
    row[OBJECT_KIND], row[OBJECT_ROLE] = kind, role
    row[[OBJECT_LENGTH, OBJECT_WIDTH, OBJECT_HEIGHT]] = SOLID_M[kind]
    row[[OBJECT_RED, OBJECT_GREEN, OBJECT_BLUE]] = COLOR_OF[kind]
    row[[OBJECT_CONTACT_LENGTH, OBJECT_CONTACT_WIDTH]] = CAR_CONTACT_M if kind == KIND_CAR else BOX_CONTACT_M
