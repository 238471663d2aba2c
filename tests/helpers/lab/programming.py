"""Programming a namespace of the lab as offmesh does: observe, plan, apply."""

import asyncio

from tests.helpers.lab.namespaces import Namespace
from tests.helpers.lab.wanted import NAMES
from xds_server.datapath.execute import apply
from xds_server.datapath.kernel import Backend, Kernel
from xds_server.datapath.observe import observe
from xds_server.datapath.observed import Observed
from xds_server.datapath.plan import Plan, plan, removal
from xds_server.datapath.program import Program


def kernel_of(namespace: Namespace, backend: str) -> Kernel:
    return Kernel(netns=namespace.name, backend=Backend(backend))


def observed(kernel: Kernel, program: Program) -> Observed:
    return asyncio.run(observe(kernel, program, NAMES))


def planned(kernel: Kernel, program: Program) -> Plan:
    """Return what is to be done for a kernel to hold a program."""
    return plan(observed(kernel, program), program, NAMES)


def programmed(kernel: Kernel, program: Program) -> Plan:
    """Make a kernel hold a program; return what was done."""
    made = planned(kernel, program)
    asyncio.run(apply(kernel, made.steps))
    return made


def cleaned(kernel: Kernel, program: Program) -> Plan:
    """Take all of ours away; return what was done."""
    made = removal(observed(kernel, program))
    asyncio.run(apply(kernel, made.steps))
    return made
