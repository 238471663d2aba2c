"""Whatever somebody does to an object of ours, the next plan mends it, and touches nothing else."""

import pytest

from tests.helpers.lab.lab import Lab, Options
from tests.helpers.lab.programming import planned, programmed
from tests.helpers.lab.snapshot import others, snapshot, sysctls
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import ask, expected
from tests.netns.cases import OUTBOUND

REMOTE = OUTBOUND[0]
CHAIN = "ztunnel-PREROUTING"
SET = "ztunnel-pods-ips"

CPU_DRIFTS = {
    "a rule is deleted": "iptables -t mangle -D {chain} 3",
    "a rule is added": "iptables -t mangle -A {chain} -j ACCEPT",
    "rules change places": "iptables -t mangle -D {chain} 1; iptables -t mangle -A {chain} "
    "-m connmark --mark 0x220/0x220 -j MARK --set-xmark 0x200/0x200",
    "a chain is flushed": "iptables -t mangle -F {chain}",
    "a chain is deleted": "iptables -t nat -D POSTROUTING -j ztunnel-POSTROUTING; "
    "iptables -t nat -F ztunnel-POSTROUTING; iptables -t nat -X ztunnel-POSTROUTING",
    "a chain of ours is left over": "iptables -t filter -N ztunnel-OUTPUT",
    "a jump is deleted": "iptables -t mangle -D PREROUTING -j {chain}",
    "a jump is there twice": "iptables -t mangle -A PREROUTING -j {chain}",
    "others' rule comes first": "iptables -t mangle -I PREROUTING -m comment --comment first",
    "a table is flushed": "iptables -t mangle -F",
    "a pod is taken out of the set": "ipset del {set} 10.244.0.2",
    "a stranger is put into the set": "ipset add {set} 10.244.0.9",
    "the set is flushed": "ipset flush {set}",
    "a pod's comment is another's": "ipset del {set} 10.244.0.2; ipset add {set} 10.244.0.2 comment other",
    "a filled set is left over": "ipset create {set}-new hash:ip comment",
    "a rule of ip is deleted": "ip rule delete priority 101",
    "a rule of ip asks for another mark": "ip rule delete priority 101; "
    "ip rule add priority 101 fwmark 0x800/0x800 lookup 101 protocol 76",
    "a rule of ip is there beside ours": "ip rule add priority 104 lookup 101 protocol 76",
    "the default route of a table is deleted": "ip route delete default table 101",
    "a pod's route is deleted": "ip route delete 10.244.0.2 table 100",
    "a route leads to another node": "ip route replace default via 192.168.50.133 dev ens32 "
    "table 101 proto 76",
    "a route of ours is left over": "ip route add 10.244.0.9 via 192.168.50.131 table 100 proto 76",
    "a sysctl of all devices is changed": "sysctl -w net.ipv4.conf.all.rp_filter=1",
    "a sysctl of a pod's device is changed": "sysctl -w net.ipv4.conf.vethp1a.rp_filter=1",
    "a sysctl of the uplink is changed": "sysctl -w net.ipv4.conf.ens32.send_redirects=1",
}
DPU_DRIFTS = {
    "a tunnel is deleted": "ip link delete istioin",
    "a tunnel is down": "ip link set istioout down",
    "a tunnel has no address": "ip address delete 192.168.126.1/30 dev istioin",
    "a tunnel has another address": "ip address delete 192.168.126.1/30 dev istioin; "
    "ip address add 192.168.126.5/30 dev istioin",
    "a tunnel has another mtu": "ip link set istioout mtu 1400",
    "a tunnel leads elsewhere": "ip link delete istioin; "
    "ip link add istioin type vxlan id 1000 remote 10.244.1.9 dstport 6081; "
    "ip address add 192.168.126.1/30 dev istioin; ip link set istioin mtu 1450 up",
    "the tunnels are swapped": "ip link set istioin down name was; ip link set istioout down name istioin; "
    "ip link set was name istioout; ip link set istioin up; ip link set istioout up",
    "a sysctl of a tunnel is changed": "sysctl -w net.ipv4.conf.istioin.rp_filter=1",
    "transit is not accepted": "iptables -D FORWARD -j ztunnel-FORWARD",
    "the way to ztunnel is lost": "ip route delete default table 102",
}
BACKENDS = ("nft", "legacy")


def prepared(lab: Lab) -> None:
    lab.hold(Wanted())


@pytest.mark.parametrize(
    "shared",
    [pytest.param((Options(backend=backend), prepared), id=backend) for backend in BACKENDS],
    indirect=True,
    scope="session",
)
@pytest.mark.parametrize(
    ("node", "drift"),
    [
        *(pytest.param("cpu1", drift, id=drift) for drift in CPU_DRIFTS),
        *(pytest.param("dpu1", drift, id=drift) for drift in DPU_DRIFTS),
    ],
)
def test_drift_is_mended(shared: Lab, node: str, drift: str) -> None:
    inside, kernel = shared.inside[node], shared.kernel(node)
    program = Wanted().program(shared.topology.node(node))
    before, before_sysctls = snapshot(inside), sysctls(inside)
    cause(shared, node, (CPU_DRIFTS | DPU_DRIFTS)[drift])
    drifted = snapshot(inside)
    assert (drifted, sysctls(inside)) != (before, before_sysctls)

    assert programmed(kernel, program).changes

    assert planned(kernel, program).steps == ()
    assert sysctls(inside) == before_sysctls
    assert ask(shared, REMOTE) == expected(shared, REMOTE).answer
    mended = snapshot(inside)
    if "first" in drift or "table is flushed" in drift:
        # What others did, or what was done to others, is theirs.
        assert others(mended) == others(drifted)
    else:
        assert mended == before


def cause(lab: Lab, node: str, commands: str) -> None:
    for command in commands.format(chain=CHAIN, set=SET).split("; "):
        words = command.split()
        if words[0] == "iptables":
            words[0] += f"-{lab.options.backend}"
        lab.inside[node].run(*words)
