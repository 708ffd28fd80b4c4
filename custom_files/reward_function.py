"""Reward for staying near the centre line."""

# Farthest distance from the centre line, as a share of the track's width, and the reward up to there.
BANDS = ((0.10, 1.0), (0.25, 0.5), (0.50, 0.1))
OUTSIDE = 1e-3


def reward_function(params):
    """Return this step's reward: the closer to the centre line, the more."""
    share = params["distance_from_center"] / params["track_width"]
    for limit, reward in BANDS:
        if share <= limit:
            return reward
    return OUTSIDE
