"""Typed objects as they are read: the fields in use, nothing else. No I/O, no rule of the mesh."""
