"""
Whether each pair is alive, and who is told.

``damping`` and ``verdicts`` judge, and know no clock; ``watch`` feeds them and writes what they say into
the registry, on every replica; ``reports`` tells the cluster's operators, on the leader alone.
"""
