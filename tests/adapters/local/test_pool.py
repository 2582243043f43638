"""The pool of tool processes: one that hangs or dies is replaced, and nobody else notices."""

import asyncio
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cauldron.adapters.local.pool import Pool
from cauldron.adapters.local.runner import LocalRunner
from cauldron.domain.tool import Tool
from cauldron.ports.tools import ToolCall

MEMBER = [sys.executable, str(Path(__file__).with_name("pool_member.py"))]


@asynccontextmanager
async def pool(size: int = 2, command=MEMBER):
    each = Pool(command=command, size=size)
    try:
        yield each
    finally:
        await each.close()


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_answers_come_back_to_who_asked(run):
    async def story():
        async with pool() as p:
            asked = range(40)
            replies = await asyncio.gather(*(p.call({"act": "echo", "n": n}, timeout_s=9) for n in asked))
            assert [r["n"] for r in replies] == list(asked)
            assert len({r["pid"] for r in replies}) <= 2

    run(story())


def test_large_frames_pass_both_ways(run):
    async def story():
        async with pool(1) as p:
            request = {"act": "echo", "n": 1, "size": 3_000_000, "ballast": "x" * 3_000_000}
            replies = await asyncio.gather(*(p.call(request, timeout_s=20) for _ in range(3)))
            assert all(len(r["text"]) == 3_000_000 for r in replies)

    run(story())


@pytest.mark.parametrize("act", ["die", "leave", "torn", "nonsense", "endless"])
def test_a_member_that_fails_costs_its_own_call_only(run, act):
    async def story():
        async with pool(2) as p:
            others = [{"act": "echo", "n": n, "sleep_s": 0.01} for n in range(12)]
            calls = [p.call(r, timeout_s=9) for r in others]
            calls.insert(5, p.call({"act": act}, timeout_s=9))
            replies = await asyncio.gather(*calls)
            assert replies.pop(5) == {"failure": "crashed"}
            assert [r["n"] for r in replies] == list(range(12))
            assert (await p.call({"act": "echo", "n": 99}, timeout_s=9))["n"] == 99

    run(story())


def test_a_member_that_hangs_is_ended_and_its_time_out_told(run):
    async def story():
        async with pool(1) as p:
            before = (await p.call({"act": "echo"}, timeout_s=9))["pid"]
            began = time.monotonic()
            hanging = asyncio.create_task(p.call({"act": "hang"}, timeout_s=0.3))
            behind = asyncio.create_task(p.call({"act": "echo", "n": 1}, timeout_s=9))
            assert await hanging == {"failure": "timeout"}
            assert 0.25 < time.monotonic() - began < 8
            after = await behind
            assert (after["n"], after["pid"] != before) == (1, True)
            assert not is_there(before), "gone, and no zombie"

    run(story())


def test_a_time_out_counts_from_the_start_of_the_work(run):
    async def story():
        async with pool(1) as p:
            slow = [p.call({"act": "echo", "n": n, "sleep_s": 0.2}, timeout_s=0.6) for n in range(6)]
            assert [r.get("n") for r in await asyncio.gather(*slow)] == list(range(6))

    run(story())


def test_a_member_that_died_between_two_calls_costs_no_call(run):
    async def story():
        async with pool(1) as p:
            for n in range(5):
                dead = (await p.call({"act": "die later"}, timeout_s=9))["pid"]
                while alive(dead):
                    await asyncio.sleep(0.005)
                await asyncio.sleep(0.05)
                assert (await p.call({"act": "echo", "n": n}, timeout_s=9))["n"] == n

    run(story())


def test_two_members_share_two_long_calls(run):
    async def story():
        async with pool(2) as p:
            await asyncio.gather(*(p.call({"act": "echo", "sleep_s": 0.2}, timeout_s=9) for _ in range(4)))
            began = time.monotonic()
            long_ones = [p.call({"act": "echo", "sleep_s": 1.5}, timeout_s=9) for _ in range(2)]
            replies = await asyncio.gather(*long_ones)
            assert len({r["pid"] for r in replies}) == 2
            assert time.monotonic() - began < 2.9

    run(story())


def test_a_caller_that_goes_away_leaves_the_pool_as_it_was(run):
    async def story():
        async with pool(1) as p:
            first = asyncio.create_task(p.call({"act": "echo", "sleep_s": 0.2}, timeout_s=9))
            await asyncio.sleep(0.05)
            waiting = [asyncio.create_task(p.call({"act": "hang"}, timeout_s=9)) for _ in range(3)]
            await asyncio.sleep(0.01)
            for task in waiting[1:]:  # the first of them may be in the member's pipe already
                task.cancel()
            await first
            assert len(p._waiting) <= 2
            waiting[0].cancel()
            began = time.monotonic()
            p._members[0].cancel()  # what hangs in the pipe is not waited for in this test
            await asyncio.gather(p._members[0], return_exceptions=True)
            assert (await p.call({"act": "echo", "n": 7}, timeout_s=9))["n"] == 7
            assert time.monotonic() - began < 5

    run(story())


def test_closing_ends_every_process_and_tells_every_caller(run):
    async def story():
        async with pool(2) as p:
            calls = [asyncio.create_task(p.call({"act": "hang"}, timeout_s=99)) for _ in range(9)]
            while len(p.pids) < 2:
                await asyncio.sleep(0.01)
            pids = p.pids
            await p.close()
            replies = await asyncio.wait_for(asyncio.gather(*calls), 5)
            assert replies == [{"failure": "crashed"}] * 9
            assert not any(is_there(pid) for pid in pids), "ended and waited for"
            assert p.pids == []

    run(story())


def test_a_member_that_cannot_be_started_is_told_and_tried_again(run, tmp_path):
    async def story():
        command = tmp_path / "member"
        async with pool(1, [str(command)]) as p:
            assert await p.call({"act": "echo"}, timeout_s=9) == {"failure": "crashed"}
            command.write_text(f"#!/bin/sh\nexec {' '.join(MEMBER)}\n")
            command.chmod(0o755)
            assert (await p.call({"act": "echo", "n": 3}, timeout_s=9))["n"] == 3

    run(story())


def test_a_real_member_dies_with_its_parent_even_while_it_works(tmp_path):
    program = (
        "import subprocess, sys, time\n"
        f"m = subprocess.Popen([sys.executable, '-m', 'cauldron.member', {str(tmp_path)!r}],"
        " stdin=subprocess.PIPE)\n"
        "print(m.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    member = int(parent.stdout.readline())
    time.sleep(1.0)
    assert alive(member)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while alive(member) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(member)


@pytest.mark.parametrize(
    ("act", "timeout_s", "status", "code"),
    [("hang", 0.3, "timeout", "timeout"), ("die", 9, "failed", "tool_crashed")],
)
def test_the_runner_turns_failures_into_results(run, act, timeout_s, status, code):
    async def story():
        class Asking(Pool):
            async def call(self, request, *, timeout_s):
                return await super().call({"act": act}, timeout_s=timeout_s)

        runner = LocalRunner(Asking(command=MEMBER, size=1))
        tool = Tool(
            id="t",
            version="1.0.0",
            display_name="T",
            description="",
            inputs=(),
            outputs=(),
            timeout_s=timeout_s,
        )
        result = await runner.submit(ToolCall(tool=tool, inputs={}, key="k"))
        await runner.close()
        assert (result.status, result.error_code, result.retryable) == (status, code, True)
        assert result.error

    run(story())
