"""
What a node's kernel is programmed with, so that pods' packets pass through the ztunnel on the DPU.

``program`` holds the values, ``programs`` makes them from a node's inputs, ``observe`` reads what the
kernel holds, ``plan`` is the difference between the two, ``execute`` makes it so. Values and plans are
pure; only ``observe`` and ``execute`` touch a kernel.
"""
