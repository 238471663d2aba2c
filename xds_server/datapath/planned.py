"""A step of a plan, and the way back from it."""

from dataclasses import dataclass

from xds_server.datapath.steps import Step


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """
    ``undo`` leaves what was before ``step``, when it is carried out in its order.

    That of a ``RestoreSets`` does so, too, when the step stopped at any of its lines.
    """

    step: Step
    undo: tuple[Step, ...] = ()
