"""Draws every picture that somebody waits for, 15 times a second, in one thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from drctl.simulation.stream.clip import Clip
from drctl.simulation.stream.painter import Painter, draw_waiting
from drctl.simulation.stream.player import Player
from drctl.simulation.stream.topic import View
from drctl.simulation.views.camera import FRAMES_PER_S

if TYPE_CHECKING:
    from drctl.simulation.track.track import Track

Ask = Callable[[dict[str, Any]], dict[str, Any]]
"""Asks the worker; see `StreamHost.answer`."""

_ASK_S: Final = 0.5
_KEEP_S: Final = 10.0
"""How long a player outlives its last visitor, so that a car does not start over when its camera is changed."""


class Subscription:
    """A view that somebody looks at; `Studio.open` makes one.

    Attributes:
        view: What is drawn.
        visitors: How many look at it.
        picture: The newest JPEG.
        number: Of that picture, from 1; 0 before the first.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.visitors = 0
        self.picture = b""
        self.number = 0


class Studio:
    """Plays and draws the cars of a worker.

    Args:
        ask: Asks the worker.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._ask_lock = threading.Lock()
        self._changed = threading.Condition()
        self._subscriptions: dict[View, Subscription] = {}
        self._players: dict[int, Player] = {}
        self._seen: dict[int, int] = {}
        self._last_wanted: dict[int, float] = {}
        self._drawn: dict[View, float] = {}
        self._painter: Painter | None = None
        self._setup = 0
        self._cars = 0
        self._asked = float("-inf")

    def open(self, view: View) -> Subscription:
        """Begin to look at a view."""
        with self._changed:
            subscription = self._subscriptions.setdefault(view, Subscription(view))
            subscription.visitors += 1
            self._changed.notify_all()
            return subscription

    def close(self, subscription: Subscription) -> None:
        """Stop looking."""
        with self._changed:
            subscription.visitors -= 1
            if subscription.visitors == 0:
                self._subscriptions.pop(subscription.view, None)

    def wait_for_picture(self, subscription: Subscription, after: int, limit_s: float) -> tuple[int, bytes]:
        """Return the newest picture that is newer than number `after`; (after, b"") when none comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: subscription.number > after, limit_s)
            if subscription.number <= after:
                return after, b""
            return subscription.number, subscription.picture

    def newest(self, seen: dict[int, int], setup: int) -> dict[str, Any]:
        """Return each car's newest episode.

        Args:
            seen: Serials of those that are known, by car.
            setup: Number of the setup that they belong to.

        Returns:
            ``setup``, ``cars`` and ``clips``, newer than what is known; with ``worlds``, the names of the tracks.
        """
        if setup != self._setup:
            seen = {}
        answer = self._question({"setup": self._setup, "seen": seen, "asked": None, "wanted": []})
        clips = [Clip.from_message(one) for one in answer["clips"]]
        without = [car for car in range(answer["cars"]) if car not in seen and all(clip.car != car for clip in clips)]
        if without:  # their first episode lasts; next time it is there
            self._question({"setup": self._setup, "seen": {}, "asked": [without[0]], "wanted": without})
        worlds = [world.track for world in self._painter.spec.worlds] if self._painter else []
        return {"setup": answer["setup"], "cars": answer["cars"], "worlds": worlds, "clips": clips}

    def tracks(self) -> list[Track]:
        """Return the worker's tracks in their own direction; none before its first setup."""
        if self._painter is None:
            self._question({"setup": self._setup, "seen": {}, "asked": [0], "wanted": []})
        return self._painter.tracks if self._painter else []

    def run(self) -> None:
        """Draw for ever; returns when the worker is gone."""
        due = time.monotonic()
        while True:
            with self._changed:
                if not self._subscriptions:
                    self._changed.wait()
                    due = time.monotonic()
                views = list(self._subscriptions)
            try:
                self._fetch({view.car for view in views})
            except (EOFError, OSError):
                return
            self._draw(views)
            due = max(due + 1 / FRAMES_PER_S, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))

    def _fetch(self, cars: set[int]) -> None:
        """Ask the worker for the newest episodes of the cars that are looked at."""
        now = time.monotonic()
        self._last_wanted.update(dict.fromkeys(cars, now))
        for car in [car for car, since in self._last_wanted.items() if now - since > _KEEP_S]:
            for state in (self._last_wanted, self._players, self._seen):
                state.pop(car, None)
        has_new = bool(cars - self._players.keys())
        if now - self._asked < _ASK_S and not has_new:
            return
        self._asked = now
        for car in cars:
            self._players.setdefault(car, Player())
        wanted = [car for car in cars if self._players[car].wants_running(now)]
        answer = self._question({"setup": self._setup, "seen": dict(self._seen), "asked": list(cars), "wanted": wanted})
        for message in answer["clips"]:
            clip = Clip.from_message(message)
            self._seen[clip.car] = clip.serial
            self._players.setdefault(clip.car, Player()).offer(clip)

    def _question(self, question: dict[str, Any]) -> dict[str, Any]:
        with self._ask_lock:
            answer = self._ask(question)
            if answer.get("environment"):
                self._painter = Painter(answer["environment"])
                self._players.clear()
                self._seen.clear()
            self._setup, self._cars = answer["setup"], answer["cars"]
        return answer

    def _draw(self, views: list[View]) -> None:
        now = time.monotonic()
        moments = {car: player.at(now) for car, player in self._players.items()}
        for view in views:
            moment, painter = moments.get(view.car), self._painter
            if moment is None or painter is None:
                picture = draw_waiting(view)
            else:
                elapsed_s = now - self._drawn.get(view, now)
                picture = painter.draw(view, moment, self._players[view.car], elapsed_s)
            self._drawn[view] = now
            with self._changed:
                subscription = self._subscriptions.get(view)
                if subscription is not None:
                    subscription.picture = picture
                    subscription.number += 1
                    self._changed.notify_all()
