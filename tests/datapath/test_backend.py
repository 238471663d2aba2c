"""Which backend of iptables a node's rules are in."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from tests.datapath.nodes import NAMES
from tests.datapath.real_kernels import NOTHING, dpu_node, hold
from tests.helpers.scratch_node import ScratchNode, needs_root
from xds_server.datapath.backend import Use, choose_backend, detect_backend
from xds_server.datapath.kernel import Backend, Kernel, MissingToolError, Ran, run
from xds_server.exceptions import KernelError

NFT, LEGACY = Backend.NFT, Backend.LEGACY
NONE = Use()
CLEAN = "run `offmesh datapath clean --backend {}`"
Uses = Mapping[Backend, Use]


@pytest.mark.parametrize(
    ("nft", "legacy", "wanted", "chosen"),
    [
        (NONE, NONE, None, NFT),
        (NONE, NONE, LEGACY, LEGACY),
        (Use(rules=2), Use(rules=3), None, LEGACY),
        (Use(rules=3), Use(rules=3), None, NFT),
        (Use(kubernetes=True), Use(rules=30), None, NFT),
        (Use(rules=30), Use(kubernetes=True), None, LEGACY),
        (Use(kubernetes=True), Use(kubernetes=True, rules=9), None, NFT),
        (Use(kubernetes=True), NONE, LEGACY, LEGACY),
        (Use(kubernetes=True, rules=9), Use(ours=1), None, LEGACY),
        (Use(ours=7), Use(kubernetes=True), NFT, NFT),
    ],
)
def test_a_backend_is_chosen_by_what_is_there(
    nft: Use, legacy: Use, wanted: Backend | None, chosen: Backend
) -> None:
    assert choose_backend({NFT: nft, LEGACY: legacy}, wanted) is chosen


@pytest.mark.parametrize("only", Backend)
@pytest.mark.parametrize("wanted", [True, False])
def test_a_backend_without_tools_is_not_chosen(only: Backend, wanted: bool) -> None:
    assert choose_backend({only: NONE}, only if wanted else None) is only


@pytest.mark.parametrize(
    ("uses", "wanted", "told"),
    [
        ({}, None, "iptables-nft-save: there is no such command: install iptables"),
        ({NFT: NONE}, LEGACY, "iptables-legacy-save: there is no such command: install iptables"),
        (
            {NFT: Use(ours=1), LEGACY: Use(ours=1)},
            None,
            (
                "chains of ours are in iptables-nft and in iptables-legacy, and every packet passes both: "
                f"{CLEAN.format('nft')} or {CLEAN.format('legacy')}, whichever is not the node's"
            ),
        ),
        (
            {NFT: Use(ours=1), LEGACY: NONE},
            LEGACY,
            (
                "iptables-legacy is asked for, and chains of ours are in iptables-nft: "
                f"first {CLEAN.format('nft')}"
            ),
        ),
    ],
)
def test_mixing_backends_is_refused_with_advice(uses: Uses, wanted: Backend | None, told: str) -> None:
    with pytest.raises(KernelError) as refused:
        choose_backend(uses, wanted)
    assert str(refused.value) == told


@needs_root
async def test_the_backend_that_others_use_is_detected(kernel: Kernel) -> None:
    """Kubernetes has left its sign there."""
    assert await detect_backend(kernel, NAMES) is kernel.backend


@needs_root
async def test_the_backend_that_ours_are_in_is_detected_until_they_are_gone(node: ScratchNode) -> None:
    kernel = Kernel(node.name, LEGACY)
    assert await detect_backend(kernel, NAMES) is NFT
    await hold(kernel, dpu_node())
    assert await detect_backend(kernel, NAMES) is LEGACY
    with pytest.raises(KernelError, match="first run `offmesh datapath clean --backend legacy`"):
        await detect_backend(kernel, NAMES, NFT)
    assert await detect_backend(kernel, NAMES, NFT, cleaning=True) is NFT
    await hold(kernel, NOTHING)
    assert await detect_backend(kernel, NAMES, NFT) is NFT


@needs_root
async def test_looking_makes_no_table(node: ScratchNode) -> None:
    await detect_backend(Kernel(node.name), NAMES)
    assert node.run("nft", "list", "ruleset") == ""
    assert node.run("cat", "/proc/net/ip_tables_names") == ""


@needs_root
async def test_legacy_tables_that_no_tool_is_there_to_read_are_told(node: ScratchNode) -> None:
    def without_legacy(argv: Sequence[str], stdin: str) -> Ran:
        if "legacy" in argv[0]:
            raise MissingToolError(argv[0])
        return run(argv, stdin)

    kernel = replace(Kernel(node.name), run=without_legacy)
    assert await detect_backend(kernel, NAMES) is NFT
    node.restore("legacy", "nat", "-A PREROUTING -j ACCEPT")
    told = "^iptables-legacy holds nat, and iptables-legacy-save is not there to read it$"
    with pytest.raises(KernelError, match=told):
        await detect_backend(kernel, NAMES)
    assert await detect_backend(kernel, NAMES, NFT) is NFT
