"""
Keyed collections of values, and collections derived from them by pure functions.

Knows no Kubernetes, no I/O and no task. ``collection`` is what may be read, ``index`` groups
rows by what they contain, ``derive`` recomputes what a change touched, ``graph`` runs a
transaction through all of them.
"""
