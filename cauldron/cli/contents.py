"""What commands there are: name, module, heading and one line each, so that help loads none of them."""

from dataclasses import dataclass

MAKE, TOOLS, STUDIO = "Make a collection", "Tools and spells", "The studio"
PEOPLE, UPKEEP = "People and points", "Upkeep"


@dataclass(frozen=True, slots=True)
class Entry:
    """One command of the first level; its module has ``register(app)``, which adds it."""

    module: str
    panel: str
    said: str


COMMANDS = {
    "init": Entry("imports", MAKE, "Make a collection of a plain folder of layer folders."),
    "import": Entry("imports", MAKE, "Make a collection of another engine's project."),
    "collection": Entry("collection", MAKE, "Check, count, plan and forecast a collection document."),
    "cook": Entry("cook", MAKE, "Make the pieces of a collection."),
    "review": Entry("review", MAKE, "Approve, reject, cull and re-roll pieces."),
    "export": Entry("export", MAKE, "Write finished collections out, and check what was written."),
    "run-example": Entry("example", MAKE, "Cook the bundled example collection and export it."),
    "piece": Entry("records", MAKE, "Look at the pieces of a cook."),
    "tool": Entry("tool", TOOLS, "The tools there are: built in, installed, from files."),
    "spell": Entry("spell_versions", TOOLS, "Compose tools into spells, keep drafts, publish versions."),
    "cast": Entry("cast", TOOLS, "Run a spell or a tool once."),
    "upload": Entry("records", TOOLS, "Keep pictures for traits and inputs."),
    "output": Entry("records", TOOLS, "Look at single executions of tools, and what they made."),
    "serve": Entry("serve", STUDIO, "Start the studio: HTTP API, live progress, and a worker."),
    "worker": Entry("workers", STUDIO, "Work on whatever is queued, or list who does."),
    "callback": Entry("callback", STUDIO, "Messages to addresses that want to hear how a run ended."),
    "user": Entry("user", PEOPLE, "Who may use this place."),
    "invitation": Entry("invitation", PEOPLE, "Let somebody in who chooses their own password."),
    "key": Entry("key", PEOPLE, "API keys."),
    "points": Entry("points", PEOPLE, "Points: who has how many, and where they went."),
    "sponsor": Entry("sponsor", PEOPLE, "Pay for casts of other accounts."),
    "doctor": Entry("admin", UPKEEP, "Look at the store, the blobs, the tools and the room on disk."),
    "audit": Entry("audit", UPKEEP, "Look for what should not be there in the store."),
    "clean": Entry("audit", UPKEEP, "Remove records of tests, old rows, and blobs nothing refers to."),
    "erase": Entry("audit", UPKEEP, "Erase the personal data of a collection, a cast or an account."),
    "backup": Entry("admin", UPKEEP, "Write store, blobs and keys to one archive."),
    "restore": Entry("admin", UPKEEP, "Bring an archive back into an empty data directory."),
    "rebuild": Entry("admin", UPKEEP, "Write the read models anew from the event log, or check them."),
    "migrate": Entry("migrate", UPKEEP, "Bring records of earlier systems and versions over."),
}
