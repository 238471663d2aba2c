"""
The mesh: what is served, derived from what was read.

``graph`` joins the collections on one page; the other modules hold the rules, one subject each,
as pure functions of an input row and of what they fetch. No I/O, no clock, no task.
"""
