"""localstripe on this machine alone: ``python -m tests.localstripe_server PORT``.

Started by itself it listens on every address and keeps what it holds in a fixed file;
here it does neither.
"""

import sys

from aiohttp import web
from localstripe.resources import Store
from localstripe.server import app


def main() -> None:
    """Serve until killed."""
    Store.dump_to_disk = lambda self: None
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
