"""Commands, and work within a network namespace."""

import asyncio
import threading
from pathlib import Path

import pytest

from tests.helpers.scratch_node import UPLINK, ScratchNode, needs_root
from xds_server.datapath.kernel import Backend, Kernel, MissingToolError, Place, Ran, ToolError, run, within
from xds_server.datapath.sysctls import read_sysctl
from xds_server.exceptions import KernelError


def place_of(ran: Ran) -> Place:
    return Place(Kernel(run=lambda _argv, _stdin: ran), netlink=None)  # type: ignore[arg-type]


def test_a_command_is_told_with_its_code_and_what_it_said_on_each_side() -> None:
    ran = run(["sh", "-c", "cat; echo out; echo err >&2; exit 3"], "in ")
    assert (ran.code, ran.stdout, ran.stderr) == (3, "in out\n", "err\n")


def test_words_are_not_read_by_a_shell() -> None:
    assert run(["echo", "$HOME; `id`", "*"]).stdout == "$HOME; `id` *\n"


def test_tools_speak_english_and_nothing_of_ours_is_handed_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s")
    assert set(run(["env"]).stdout.splitlines()) >= {"LC_ALL=C"}
    assert "SECRET" not in run(["env"]).stdout


def test_what_is_no_text_is_read_all_the_same() -> None:
    assert run(["printf", r"\377"]).stdout == "�"


def test_tools_of_the_system_are_found_whatever_the_path_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert run(["sysctl", "--version"]).code == 0


def test_a_missing_command_is_named() -> None:
    with pytest.raises(MissingToolError, match=r"^no-such-tool: there is no such command in .*/sbin"):
        run(["no-such-tool", "-x"])


def test_a_command_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=f"^{tmp_path}: cannot be started: Permission denied$"):
        run([str(tmp_path)])


def test_stderr_of_a_command_that_succeeds_is_no_failure() -> None:
    assert place_of(Ran(("tool",), 0, "said\n", "a warning")).said(("tool",)) == "said\n"


@pytest.mark.parametrize(
    ("stderr", "told"),
    [
        ("iptables: no chain\n\nTry -h\n", "tool -x: exit code 2: iptables: no chain Try -h"),
        ("", "tool -x: exit code 2: it said nothing"),
    ],
)
def test_a_command_that_fails_is_told_with_its_words(stderr: str, told: str) -> None:
    with pytest.raises(ToolError) as failed:
        place_of(Ran(("tool", "-x"), 2, "out", stderr)).said(("tool", "-x"))
    assert (str(failed.value), failed.value.ran.stderr) == (told, stderr)


@pytest.mark.parametrize(
    ("backend", "verb", "family", "tool"),
    [
        (Backend.NFT, "save", 4, "iptables-nft-save"),
        (Backend.LEGACY, "restore", 4, "iptables-legacy-restore"),
        (Backend.NFT, "restore", 6, "ip6tables-nft-restore"),
    ],
)
def test_tools_are_called_by_their_backend(backend: Backend, verb: str, family: int, tool: str) -> None:
    assert backend.tool(verb, family) == tool


def netns_of_thread() -> str:
    return str(Path("/proc/thread-self/ns/net").readlink())


@needs_root
@pytest.mark.parametrize("by_path", [False, True])
async def test_work_is_done_within_the_namespace_and_nowhere_else(by_path: bool, node: ScratchNode) -> None:
    kernel = Kernel(f"/run/netns/{node.name}" if by_path else node.name)
    here = netns_of_thread()

    def work(place: Place) -> tuple[str, str, bool, str]:
        names = place.said(("ls", "/proc/self/net/dev_snmp6"))
        rp_filter = read_sysctl(f"net/ipv4/conf/{UPLINK}/rp_filter")
        return (
            netns_of_thread(),
            place.said(("readlink", "/proc/self/ns/net")).strip(),
            UPLINK in names,
            rp_filter or "",
        )

    there, of_command, has_uplink, rp_filter = await within(kernel, work)
    assert there == of_command != here
    assert has_uplink
    assert rp_filter == node.run("sysctl", "-n", f"net.ipv4.conf.{UPLINK}.rp_filter").strip()
    assert netns_of_thread() == here
    assert await asyncio.to_thread(netns_of_thread) == here


async def test_work_without_a_namespace_is_done_in_the_own_one() -> None:
    assert await within(Kernel(), lambda _: netns_of_thread()) == netns_of_thread()


async def test_what_work_raises_is_raised_where_it_is_awaited() -> None:
    with pytest.raises(ZeroDivisionError):
        await within(Kernel(), lambda _: 1 // 0)


@needs_root
@pytest.mark.parametrize(
    ("netns", "told"),
    [
        ("no-such-netns", "/run/netns/no-such-netns: No such file or directory"),
        ("..", "expected a name or a path"),
        ("/proc/self/ns/uts", "cannot enter /proc/self/ns/uts: Invalid argument"),
        ("/etc/passwd", "cannot enter /etc/passwd: Invalid argument"),
    ],
)
async def test_a_namespace_that_is_none_is_named(netns: str, told: str) -> None:
    with pytest.raises(KernelError) as failed:
        await within(Kernel(netns), lambda _: None)
    assert str(failed.value) == f"network namespace '{netns}': {told}"


async def test_who_is_cancelled_waits_for_the_work_to_end() -> None:
    """However often."""
    begun, may_end, ended = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(_: Place) -> None:
        loop.call_soon_threadsafe(begun.set)
        may_end.wait()
        ended.set()

    working = asyncio.create_task(within(Kernel(), work))
    await begun.wait()
    for _ in range(3):
        working.cancel()
        await asyncio.sleep(0)
    assert not working.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert ended.is_set()


async def test_no_descriptor_stays_open() -> None:
    await within(Kernel(), lambda _: None)
    before = len(list(Path("/proc/self/fd").iterdir()))
    await within(Kernel(), lambda _: None)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
