"""
What operators see: ``http`` answers, ``views*`` say what, ``metrics*`` count, ``readiness`` gates.

``served`` is what they all read; ``paths`` is the table of paths, ``guard`` turns strangers away,
``dumps`` keeps large answers from holding up the pushes.

Everything here reads; nothing changes what is served, and nothing secret is ever in an answer.
"""
