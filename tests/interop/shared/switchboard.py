"""Our program as a user meets it: messages by stdin and stdout, words on stderr, an exit code.

A test is a coroutine of a `Scene` whose name is a sentence; `main` runs those of a module one after the other. What a
scene has started it stops at the end, by process id. Every wait ends after `PATIENCE` seconds and says what was waited
for.
"""

import asyncio
import contextlib
import inspect
import os
import pathlib
import re
import signal
import socket
import sys
import textwrap
import traceback

PATIENCE = 10
PROGRAM = os.environ["SWITCHBOARD"]
CERTIFICATES = os.environ.get("CERTIFICATES", "")

# Lengths around which WebSocket's length field changes its form (RFC 6455, section 5.2), and far beyond.
LENGTHS = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]


def main(tests: dict) -> None:
    """Runs the tests among `tests` (a module's `globals()`), or those whose sentence has the command line's words."""
    words = " ".join(sys.argv[1:])
    sentences = {name.removeprefix("test_").replace("_", " "): body for name, body in tests.items()
                 if name.startswith("test_") and inspect.iscoroutinefunction(body)}
    verdicts = [asyncio.run(verdict(sentence, body)) for sentence, body in sentences.items() if words in sentence]
    finish(verdicts.count(True), verdicts.count(False))


def finish(passed: int, failed: int) -> None:
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(0 if passed and not failed else 1)


async def verdict(sentence: str, body) -> bool:
    scene = Scene()
    try:
        await body(scene)
    except Exception:
        print(f"FAILED  {sentence}\n{textwrap.indent(traceback.format_exc() + scene.story(), '    ')}", flush=True)
        return False
    finally:
        await scene.end()
    print(f"ok      {sentence}", flush=True)
    return True


class Scene(contextlib.AsyncExitStack):
    """What one test has started."""

    def __init__(self):
        super().__init__()
        self.programs = []

    async def listen(self, string: str, *options: str) -> "Switchboard":
        """Starts `switchboard listen` and waits until it listens."""
        board = await self._start(Switchboard, PROGRAM, "listen", string, *options)
        board.url, board.port = (await board.says(r"^listening on (\S+:(\d+)(?:/\S*)?)$")).groups()
        return board

    async def dial(self, string: str, *options: str) -> "Switchboard":
        """Starts `switchboard dial`."""
        return await self._start(Switchboard, PROGRAM, "dial", string, *options)

    async def run(self, *command: str, **options) -> "Program":
        """Starts a foreign program."""
        return await self._start(Program, *command, **options)

    async def end(self) -> None:
        await self.aclose()
        for program in self.programs:
            await program.stop()

    def story(self) -> str:
        return "\n".join(f"{' '.join(program.command)}\n{program.errors}" for program in self.programs)

    async def _start(self, kind, *command, **options):
        program = kind(command)
        self.programs.append(program)
        await program.start(**options)
        return program


class Program:
    """A running program: what it says is kept, what it prints is read when asked for."""

    def __init__(self, command):
        self.command = command
        self.errors = ""
        self.news = asyncio.Event()

    async def start(self, **options) -> None:
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdin=pipe, stdout=pipe, stderr=pipe, limit=1 << 24, **options)
        self.listener = asyncio.create_task(self._listen())

    async def says(self, pattern: str) -> re.Match:
        """Waits for words on stderr."""
        async with patience(f"that the program says {pattern}"):
            while not (match := re.search(pattern, self.errors, re.MULTILINE)):
                if self.listener.done():
                    raise AssertionError(f"the program has ended and not said {pattern}")
                self.news.clear()
                await self.news.wait()
        return match

    def write(self, data: bytes) -> None:
        self.process.stdin.write(data)

    async def read(self, length: int) -> bytes:
        async with patience(f"{length} bytes on stdout"):
            return await self.process.stdout.readexactly(length)

    def hang_up(self) -> None:
        """Ends its stdin."""
        self.process.stdin.close()

    async def exit(self) -> int:
        """Its exit code, once it has ended by itself."""
        async with patience("the end of the program"):
            code = await self.process.wait()
            await self.listener
            return code

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self.process.wait()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self.listener

    async def _listen(self) -> None:
        while data := await self.process.stderr.read(4096):
            self.errors += data.decode(errors="replace")
            self.news.set()
        self.news.set()


class Switchboard(Program):
    """One run of our program."""

    @property
    def binary(self) -> bool:
        return "--binary" in self.command

    def send(self, message) -> None:
        """Has it send one message: a line, or with `--binary` bytes."""
        self.write(framed(message) if self.binary else message.encode() + b"\n")

    async def message(self):
        """The next message that it printed."""
        if self.binary:
            return await self.read(int.from_bytes(await self.read(4), "big"))
        async with patience("a line on stdout"):
            return (await self.process.stdout.readuntil(b"\n"))[:-1].decode()

    async def fails(self, code: int, words: str) -> None:
        """It ends with this code, having said these words."""
        ended = await self.exit()
        assert ended == code, f"it ended with {ended}, not {code}"
        assert re.search(words, self.errors), f"it has not said {words!r}"


@contextlib.asynccontextmanager
async def patience(what: str, seconds: float = PATIENCE):
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise AssertionError(f"waited {seconds} s for {what}") from None


def framed(message: bytes, text: bool = False) -> bytes:
    """As `tcp:` and `tls:` have it on the wire: length, whose top bit marks text, and message."""
    return (len(message) | text << 31).to_bytes(4, "big") + message


def some_bytes(length: int) -> bytes:
    """Bytes that differ from place to place."""
    return bytes((at * 31 + (at >> 8)) & 255 for at in range(length))


def certificate(name: str) -> str:
    return os.path.join(CERTIFICATES, name)


def free_port() -> int:
    """A port on which nobody listens now, for programs that cannot choose one themselves."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def listens(port: int) -> None:
    """Waits until somebody listens on a port, without connecting to it."""
    listening = re.compile(rf": (0100007F|00000000):{port:04X} \S+ 0A ")
    async with patience(f"a listener on port {port}"):
        while not listening.search(pathlib.Path("/proc/net/tcp").read_text()):
            await asyncio.sleep(0.05)


def check(actual, expected, what: str = "") -> None:
    assert actual == expected, f"{what}: got {short(actual)}, expected {short(expected)}"


def short(value) -> str:
    text = repr(value)
    return text if len(text) < 200 else f"{text[:200]}… ({len(value)} long)"
