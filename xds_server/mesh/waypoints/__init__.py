"""Waypoints: which Gateways are some, and which objects send their traffic through one (facts wds, 4)."""
