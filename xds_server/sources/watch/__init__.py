"""Telling which files may have changed: ``files`` is what sources use, the rest is how it knows."""
