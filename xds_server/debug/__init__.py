"""
What operators see: ``http`` answers, ``views`` say what, ``metrics`` count, ``readiness`` gates.

Everything here reads; nothing changes what is served, and nothing secret is ever in an answer.
"""
