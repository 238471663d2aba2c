"""All flows: those that the originals are for as well, and those of pods that they leave out."""

from tests.netns.cases import INBOUND, OUTBOUND
from tests.netns.cases_around import DATAGRAMS, ECHOES
from tests.netns.cases_dpu_pods import DPU_PODS
from tests.netns.cases_hosts import FROM_HOSTS, NODE_PORTS, OF_ZTUNNEL, TO_HOSTS
from tests.netns.cases_single import SINGLE

KNOWN_TO_ORIGINALS = (
    *OUTBOUND,
    *INBOUND,
    *SINGLE,
    *FROM_HOSTS,
    *TO_HOSTS,
    *OF_ZTUNNEL,
    *NODE_PORTS,
    *DATAGRAMS,
    *ECHOES,
)
CASES = (*KNOWN_TO_ORIGINALS, *DPU_PODS)
