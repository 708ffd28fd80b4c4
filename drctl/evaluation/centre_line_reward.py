"""The reward that evaluations record instead of the user's (contract 5.4): more the nearer to the centre line."""

FILE_NAME = "centre-line reward of drctl"

SOURCE = """
def reward_function(params):
    share = params["distance_from_center"] / params["track_width"]
    return 1.0 if share <= 0.1 else 0.5 if share <= 0.25 else 0.1 if share <= 0.5 else 0.001
"""
