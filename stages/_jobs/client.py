"""Stands for `python` in the commands of stages: has a stage run by the process that has everything imported.

Anything else, or where that process does not answer, is run by Python itself. Uses nothing but the standard library,
and imports little of it, for it starts once for each stage.
"""

import os
import signal
import socket
import sys

REAL, ADDRESS = "EGOPACK_PYTHON", "EGOPACK_FORKS"  # environment: the interpreter, where that process listens
REFUSED = b"python"  # its answer where Python itself should run the stage
HEAD_BYTES = 8  # length of a message


def ask(address: str, arguments: list[str]) -> int | None:
    """The exit status of the stage, as of `os.waitstatus_to_exitcode`; None where nobody runs it."""
    environment = [f"{name}={value}" for name, value in os.environ.items()]
    parts = [os.getcwd(), str(len(arguments)), *arguments, *environment]
    message = b"\0".join(os.fsencode(part) for part in parts)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        try:
            server.connect(address)
            socket.send_fds(server, [len(message).to_bytes(HEAD_BYTES, "big")], [0, 1, 2])
            server.sendall(message)
        except OSError:
            return None
        for number in (signal.SIGINT, signal.SIGTERM):  # the stage is told by whoever started all
            signal.signal(number, signal.SIG_IGN)
        answer = b""
        while part := server.recv(64):
            answer += part
    return None if answer == REFUSED else int(answer or -signal.SIGKILL)


def main() -> None:
    arguments = sys.argv[1:]
    if len(arguments) > 1 and arguments[0] == "-m" and arguments[1].startswith("stages."):
        status = ask(os.environ[ADDRESS], arguments[1:])
        if status is not None and status < 0:
            if -status in (signal.SIGINT, signal.SIGTERM):
                signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        if status is not None:
            sys.exit(status)
    os.execv(os.environ[REAL], [os.environ[REAL], *arguments])


if __name__ == "__main__":
    main()
