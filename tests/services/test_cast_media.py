"""What a cast tells of may be read by its owner the moment that anybody can hear of it."""

import pytest

from cauldron.bootstrap import TABLES
from cauldron.domain import codec
from cauldron.domain.errors import NotFound
from cauldron.domain.registry import ToolSet
from cauldron.domain.snapshot import Snapshot, take_snapshot
from cauldron.domain.spell_graph import check_document
from cauldron.domain.tool import Kind, Port, Tool
from cauldron.ports.tools import ToolCall, ToolResult
from cauldron.services.casting import Caller, stream_of
from cauldron.services.media_access import MediaAccess
from cauldron.services.media_grants import media_in
from tests.contracts.conftest import STORES
from tests.flows.killable_casts import Near, Stage
from tests.kitchen import Tapped

ANN = Caller(account="ann")


class Painter(Near):
    """Makes pictures, each another one, here or elsewhere."""

    def __init__(self, stage: Stage) -> None:
        self._blobs = stage.blobs

    async def submit(self, call: ToolCall) -> ToolResult:
        digest = await self._blobs.put(call.key.encode())
        return ToolResult(
            status="success", outputs={"image": {"media": f"sha256:{digest}", "mime": "image/png"}}
        )


def two_pictures(adapter: str) -> Snapshot:
    """One picture is made of the other."""
    tool = Tool(
        id="test.paint",
        version="1.0.0",
        display_name="Paint",
        description="",
        adapter=adapter,
        inputs=(Port(name="over", kind=Kind.IMAGE),),
        outputs=(Port(name="image", kind=Kind.IMAGE),),
    )
    steps = [
        {"id": "under", "tool": "test.paint"},
        {"id": "over", "tool": "test.paint", "inputs": {"over": {"step": "under", "output": "image"}}},
    ]
    document = {"cauldronSpell": 1, "name": "Two", "steps": steps, "output": {"step": "over"}}
    return take_snapshot(check_document(document, ToolSet([tool]), source="test"))


@pytest.mark.parametrize("adapter", ["far", "local"])
@pytest.mark.parametrize("engine", STORES)
def test_what_a_cast_tells_of_may_be_read_at_once(run, tmp_path, engine, adapter):
    """Looked at right after each append, before the process that made it can do anything else."""
    opened, told, closed = STORES[engine](tmp_path), [], []

    async def story():
        store = await opened.open(*TABLES)
        access = MediaAccess(store)

        async def look(point):
            if point != "after:cast_events":
                return
            for commit in await store.find("cast_events", {"stream": stream}, order=("stream", "seq")):
                for _, ref in media_in(codec.unpack(commit)["events"]):
                    told.append(ref["media"])
                    try:
                        await access.mime(ref["media"].removeprefix("sha256:"), caller=ANN)
                    except NotFound:
                        closed.append(ref["media"])

        stage = Stage(Tapped(store, look), tmp_path)
        stage.near = stage.provider = Painter(stage)
        started = await Stage(store, tmp_path).casting.start(two_pictures(adapter), {}, caller=ANN)
        stream = stream_of(started["runId"])
        async with stage.at_work():
            record = await stage.ended(started["runId"])
        assert record["status"] == "completed", record["error"]
        assert len(set(told)) == 2
        assert closed == []
        await opened.close()

    run(story())
