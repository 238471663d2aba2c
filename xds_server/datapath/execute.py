"""
Carries out steps, one after the other; ``apply`` all of them or, as far as the kernel lets it, none.

``apply`` runs to its end once it has begun, be its caller cancelled or not. A process that is killed
leaves what it has done: the steps are in an order in which that is safe, and the next plan begins there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from xds_server.datapath.carry_out import carry_out, label
from xds_server.datapath.kernel import Kernel, Place, within
from xds_server.datapath.planned import PlannedStep
from xds_server.datapath.steps import RestoreSets, Step
from xds_server.exceptions import KernelError

Do: TypeAlias = Callable[[Place, Step], None]


class StepError(KernelError):
    """
    A step failed.

    ``left`` tells what could not be put back: when it is empty, the node is as it was before.
    """

    def __init__(self, where: str, cause: KernelError, left: Sequence[str] | None = None) -> None:
        self.cause, self.left = cause, tuple(left or ())
        told = f"{where}: {cause}"
        if self.left:
            told += f"; what was done before could not all be put back: {'; '.join(self.left)}"
        elif left is not None:
            told += "; all is put back as it was"
        super().__init__(told)


async def execute(kernel: Kernel, steps: Sequence[Step], do: Do = carry_out) -> None:
    """
    Carry out steps up to the first that fails.

    Raises:
        StepError: one failed; those before it are done, and those after it are not.
        KernelError: the kernel's namespace cannot be entered.

    """
    await within(kernel, lambda place: _execute(place, steps, do))


async def apply(kernel: Kernel, planned: Sequence[PlannedStep], do: Do = carry_out) -> None:
    """
    Carry out the steps of a plan; when one fails, go back.

    Raises:
        StepError: one failed; it names that one, and what could not be put back.
        KernelError: the kernel's namespace cannot be entered; nothing is done.

    """
    await within(kernel, lambda place: _apply(place, planned, do))


def _execute(place: Place, steps: Sequence[Step], do: Do) -> None:
    for number, step in enumerate(steps, 1):
        try:
            do(place, step)
        except KernelError as error:
            raise StepError(label(step, number, len(steps)), error) from error


def _apply(place: Place, planned: Sequence[PlannedStep], do: Do) -> None:
    for number, each in enumerate(planned, 1):
        try:
            do(place, each.step)
        except KernelError as error:
            # One that stopped in its midst is to be undone as well.
            begun = planned[: number if isinstance(each.step, RestoreSets) else number - 1]
            left = list(_put_back(place, begun, do))
            raise StepError(label(each.step, number, len(planned)), error, left) from error


def _put_back(place: Place, done: Iterable[PlannedStep], do: Do) -> Iterator[str]:
    """Undo steps, last first and each as far as it goes; yield what does not."""
    undo = [step for each in reversed(list(done)) for step in each.undo]
    for number, step in enumerate(undo, 1):
        try:
            do(place, step)
        except KernelError as error:
            yield f"{label(step, number, len(undo))} of the way back: {error}"
