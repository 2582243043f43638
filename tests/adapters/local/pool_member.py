"""A member of a pool that does what it is told: echo, sleep, hang, die, or talk nonsense."""

import json
import os
import signal
import sys
import time


def main() -> None:
    while len(head := sys.stdin.buffer.read(4)) == 4:
        request = json.loads(sys.stdin.buffer.read(int.from_bytes(head, "big")))
        act = request["act"]
        if act == "hang":
            signal.pause()
        elif act == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif act == "leave":
            sys.exit(0)
        elif act == "die later":
            reply({"pid": os.getpid()})
            os.kill(os.getpid(), signal.SIGKILL)
        elif act == "nonsense":
            reply_bytes(b"this is no JSON")
        elif act == "torn":
            sys.stdout.buffer.write((1000).to_bytes(4, "big") + b"half an ans")
            sys.stdout.buffer.flush()
            sys.exit(0)
        elif act == "endless":
            sys.stdout.buffer.write(b"\xff\xff\xff\xff" + b"x" * 1000)
            sys.stdout.buffer.flush()
            signal.pause()
        else:
            time.sleep(request.get("sleep_s", 0))
            reply({"pid": os.getpid(), "n": request.get("n"), "text": "y" * request.get("size", 0)})


def reply(body: dict) -> None:
    reply_bytes(json.dumps(body).encode())


def reply_bytes(body: bytes) -> None:
    sys.stdout.buffer.write(len(body).to_bytes(4, "big") + body)
    sys.stdout.buffer.flush()


main()
