"""A process that has everything imported, and forks into each stage that `client` asks for.

A stage so starts in milliseconds. It gets what a shell would give it: a current folder, arguments, environment, open
files; and a process group of its own, as its signals come from whoever started all stages. It is what `python -m` would
run, but for the imports. When the one who started this process is gone, so are all stages.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import shutil
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import stages
from egopack.errors import UserError
from egopack.params import load_params
from stages._common import PARAMS, load_all
from stages._jobs.client import HEAD_BYTES, REFUSED

STOPPED = 130  # the exit status of what is not started any more
LATE = ("torch._dynamo", "pyarrow.parquet")  # what libraries import when they are first used


@dataclass(frozen=True)
class Request:
    """A stage to run."""

    folder: str
    module: str
    arguments: list[str]
    environment: dict[str, str]
    files: list[int]


@dataclass
class Forks:
    """Waits at `listener` for stages to run; `owner` sends signals for all of them, and hears their peak memory."""

    listener: socket.socket
    owner: Connection
    reproducible: str  # how the libraries are loaded
    running: dict[int, tuple[socket.socket, str]] = field(default_factory=dict)  # by process: who asked, DVC's name
    stopping: bool = False
    asked: dict[bytes, bool] = field(default_factory=dict)  # contents of params.yaml -> whether they say the same

    def serve(self) -> Request | None:
        """Fork for each request. Returns it in the process that is to be the stage; None when the owner is gone."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        ended, tell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        while True:
            with selectors.DefaultSelector() as selector:
                clients = [client for client, _ in self.running.values()]
                for source in (self.listener.fileno(), self.owner.fileno(), ended, *(one.fileno() for one in clients)):
                    selector.register(source, selectors.EVENT_READ)
                ready = [key.fd for key, _ in selector.select()]
            if ended in ready:
                os.read(ended, 4096)
                self._reap()
            elif self.owner.fileno() in ready:
                if not self._obey():
                    return None
            elif self.listener.fileno() in ready:
                if request := self._ask():
                    return request
            else:  # who asked is gone, and nobody waits for the stage
                for process, (client, _) in self.running.items():
                    if client.fileno() in ready:
                        _signal(process, signal.SIGKILL)

    def _obey(self) -> bool:
        """Do what the owner says; False where it is gone."""
        try:
            number = int(self.owner.recv_bytes())
        except (EOFError, OSError):
            self._signal_all(signal.SIGKILL)
            for process, (client, _) in self.running.items():
                os.waitpid(process, 0)
                _answer(client, str(-signal.SIGKILL).encode())
            return False
        self.stopping = True
        self._signal_all(number)
        return True

    def _signal_all(self, number: int) -> None:
        for process in self.running:
            _signal(process, number)

    def _reap(self) -> None:
        """Tell of every stage that has ended."""
        while self.running:
            process, status, usage = os.wait4(-1, os.WNOHANG)
            if process == 0:
                return
            client, name = self.running.pop(process)
            with suppress(OSError):  # either may be gone
                self.owner.send_bytes(json.dumps([name, usage.ru_maxrss << 10]).encode())
            _answer(client, str(os.waitstatus_to_exitcode(status)).encode())

    def _ask(self) -> Request | None:
        """Take a request and fork; the request in the process that is to be the stage."""
        client, _ = self.listener.accept()
        request = _received(client)
        if request is None:
            client.close()
            return None
        if self.stopping or not self._computes_alike(Path(request.folder, PARAMS)):
            _close(request.files)
            _answer(client, str(STOPPED).encode() if self.stopping else REFUSED)
            return None
        process = os.fork()
        with suppress(OSError):  # whichever of the two comes first
            os.setpgid(process, process)
        if process == 0:
            self.owner.close()
            for sock in (self.listener, client, *(other for other, _ in self.running.values())):
                sock.close()
            return request
        _close(request.files)
        self.running[process] = (client, request.environment.get("DVC_STAGE", request.module))
        return None

    def _computes_alike(self, params: Path) -> bool:
        """Whether params want the libraries as they are loaded."""
        try:
            content = params.read_bytes()
            if content not in self.asked:
                self.asked[content] = load_params(params).runtime.reproducible == self.reproducible
        except (OSError, UserError):  # which the stage itself will tell of
            return False
        return self.asked[content]


def _close(files: list[int]) -> None:
    for file in files:
        os.close(file)


def _answer(client: socket.socket, answer: bytes) -> None:
    with suppress(OSError):  # it may be gone
        client.sendall(answer)
    client.close()


def _signal(process: int, number: int) -> None:
    """To the process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process, number)


def _received(client: socket.socket) -> Request | None:
    """What a client asks for; None where it left before it had said so."""
    head, files, _, _ = socket.recv_fds(client, HEAD_BYTES, 3)
    size, message = int.from_bytes(head, "big"), bytearray()
    while len(message) < size and (part := client.recv(size - len(message))):
        message += part
    if len(head) < HEAD_BYTES or len(message) < size:
        _close(files)
        return None
    folder, count, *rest = [os.fsdecode(part) for part in bytes(message).split(b"\0")]
    module, *arguments = rest[: int(count)]
    return Request(folder, module, arguments, dict(entry.split("=", 1) for entry in rest[int(count) :]), files)


def import_everything() -> None:
    """All of the project and its stages, and what they import late."""
    import egopack

    for package in (egopack, stages):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith("stages._jobs"):
                importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is never touched stays shared with all stages


def become(request: Request) -> None:
    """Be the stage."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, file in enumerate(request.files):
        os.dup2(file, stream)
        os.close(file)
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    sys.argv[1:] = request.arguments
    del sys.modules[request.module]  # it runs under the name __main__
    runpy.run_module(request.module, run_name="__main__", alter_sys=True)


def main() -> None:
    """Serve at the address of the first argument, for the owner at the other end of the pipe of the second."""
    address, owner = Path(sys.argv[1]), Connection(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reproducible = load_all().runtime.reproducible  # which loops compute is settled before they are loaded
    import_everything()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(address))
    listener.listen(64)
    request = Forks(listener, owner, reproducible).serve()
    if request is not None:
        become(request)
    elif address.is_socket():  # the owner had no time to clean up
        shutil.rmtree(address.parent, ignore_errors=True)


if __name__ == "__main__":
    main()
