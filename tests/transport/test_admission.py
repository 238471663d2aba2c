"""The budget of big writes: turns in order, nothing lost."""

import asyncio

from xds_server.transport.admission import SMALL, Admission

BIG = SMALL * 4


async def test_small_writes_never_wait() -> None:
    admission = Admission(budget=0)
    assert await admission.acquire(SMALL - 1) == 0


async def test_big_writes_take_turns_in_the_order_they_came() -> None:
    admission = Admission(budget=2 * BIG)
    order: list[int] = []

    async def write(number: int) -> None:
        share = await admission.acquire(BIG)
        order.append(number)
        await asyncio.sleep(0)
        admission.release(share)

    async with asyncio.TaskGroup() as tasks:
        for number in range(7):
            tasks.create_task(write(number))
    assert order == list(range(7))
    assert admission.free == 2 * BIG


async def test_one_larger_than_the_budget_goes_alone() -> None:
    admission = Admission(budget=BIG)
    share = await admission.acquire(100 * BIG)
    assert (share, admission.free) == (BIG, 0)
    waiting = asyncio.ensure_future(admission.acquire(BIG))
    await asyncio.sleep(0)
    assert (waiting.done(), len(admission)) == (False, 1)
    admission.release(share)
    assert await waiting == BIG


async def test_a_big_one_that_waits_is_not_overtaken() -> None:
    admission = Admission(budget=2 * BIG)
    first = await admission.acquire(BIG)
    large = asyncio.ensure_future(admission.acquire(2 * BIG))
    small = asyncio.ensure_future(admission.acquire(BIG))
    await asyncio.sleep(0)
    assert not large.done()
    assert not small.done()
    admission.release(first)
    admission.release(await large)
    assert await small == BIG


async def test_one_that_is_cancelled_gives_its_turn_back() -> None:
    admission = Admission(budget=BIG)
    share = await admission.acquire(BIG)
    gone, next_one = (asyncio.ensure_future(admission.acquire(BIG)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})
    admission.release(share)
    assert await next_one == BIG


async def test_one_cancelled_in_the_moment_of_its_turn_gives_it_back() -> None:
    admission = Admission(budget=BIG)
    share = await admission.acquire(BIG)
    gone = asyncio.ensure_future(admission.acquire(BIG))
    await asyncio.sleep(0)
    admission.release(share)
    gone.cancel()
    await asyncio.wait({gone})
    assert admission.free == BIG
