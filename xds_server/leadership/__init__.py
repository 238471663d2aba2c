"""
What only one replica does, and which one that is.

``election`` decides by a Lease and runs the duties of the leader; ``lease`` is that Lease. A duty runs
for ever until leadership ends. Whatever a duty writes must be right also when two replicas write it
for a moment, for no lease can rule that out: conditional or the same from everyone.
"""
