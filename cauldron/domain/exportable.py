"""Whether a cook can be exported now, and what of it would be missing."""

from cauldron.domain.cook_state import APPROVED, GENERATED, KEPT, QUEUED, Cook, State
from cauldron.domain.errors import Refused


class NotExportable(Refused):
    """The cook has no approved piece, or is not finished and no partial export was asked for."""

    code = "not_exportable"


def is_partial(cook: Cook) -> bool:
    """Whether an export now would not be the finished collection."""
    unsettled = cook.counts[QUEUED] + cook.counts[GENERATED] + cook.missing_slots()
    return cook.state not in (State.COMPLETED, State.EXPORTED) or unsettled > 0


def check_exportable(cook: Cook, *, partial: bool, option: str = "--partial") -> None:
    """Raises NotExportable. ``option`` is how whoever asks says that a partial export will do."""
    cook_id = cook.started["cookId"]
    if not cook.counts[APPROVED] + cook.counts[KEPT]:
        raise NotExportable("no piece is approved: there is nothing to export", cook=cook_id)
    if is_partial(cook) and not partial:
        raise NotExportable(f"{_why_partial(cook)}; {option} exports what is approved", cook=cook_id)


def _why_partial(cook: Cook) -> str:
    if cook.state not in (State.COMPLETED, State.EXPORTED):
        return f"the cook is {cook.state}"
    if cook.counts[GENERATED]:
        waiting = cook.counts[GENERATED]
        return f"{waiting:,} piece{' waits' if waiting == 1 else 's wait'} for review"
    missing = cook.missing_slots()
    return f"{missing:,} piece{' is' if missing == 1 else 's are'} rejected or failed and not refilled"
