"""tinyproxy between our dialler and our listener; it lets in `user` with `open-sesame`, or anybody."""

import os
import tempfile

from switchboard import LENGTHS, certificate, check, free_port, listens, main, patience, some_bytes

IDENTITY = ["--cert", certificate("local.pem"), "--key", certificate("local.key")]
TRUST = ["--ca", certificate("authority.pem")]


async def test_tcp_passes_a_proxy_with_a_password(on):
    await passes(on, "tcp:127.0.0.1:{}")


async def test_tls_passes_a_proxy_with_a_password(on):
    await passes(on, "tls:127.0.0.1:{}", IDENTITY, TRUST)


async def test_a_websocket_passes_a_proxy_with_a_password(on):
    await passes(on, "ws://127.0.0.1:{}/")


async def test_a_websocket_inside_tls_passes_a_proxy_with_a_password(on):
    await passes(on, "wss://127.0.0.1:{}/", IDENTITY, TRUST)


async def test_mio_passes_a_proxy_too(on):
    await passes(on, "wss://127.0.0.1:{}/", IDENTITY, [*TRUST, "--runtime", "mio"])


async def test_a_proxy_without_a_password_is_passed_without_one(on):
    proxy = await tinyproxy(on)
    board = await on.listen("tcp:127.0.0.1:0", "--binary")
    dialler = await on.dial(f"tcp:127.0.0.1:{board.port}", "--binary", "--proxy", proxy.url)
    dialler.send(b"hello")
    check(await board.message(), b"hello")


async def test_a_wrong_password_is_told_and_not_shown(on):
    await refused(on, "user:guess@", "wants a user and a password")


async def test_a_missing_password_is_told(on):
    await refused(on, "", "wants a user and a password")


async def test_a_target_that_the_proxy_cannot_reach_is_told_by_its_status(on):
    proxy = await tinyproxy(on)
    dialler = await on.dial(f"tcp:127.0.0.1:{free_port()}", "--proxy", proxy.url)
    await dialler.fails(3, "the proxy answers 5..(.|\n)*can the proxy reach")


async def test_a_port_that_the_proxy_forbids_is_told_by_its_status(on):
    proxy = await tinyproxy(on, "ConnectPort 443")
    dialler = await on.dial(f"tcp:127.0.0.1:{free_port()}", "--proxy", proxy.url)
    await dialler.fails(3, "the proxy answers 403(.|\n)*does it allow")


async def test_a_proxy_that_is_not_there_is_told(on):
    dialler = await on.dial("tcp:127.0.0.1:1", "--proxy", f"http://127.0.0.1:{free_port()}")
    await dialler.fails(3, "refused")


async def test_the_end_of_our_input_passes_the_proxy_as_a_proper_close(on):
    proxy = await tinyproxy(on)
    board = await on.listen("ws://127.0.0.1:0/", "--count", "1")
    dialler = await on.dial(board.url, "--proxy", proxy.url)
    dialler.send("the last words")
    dialler.hang_up()
    check(await board.message(), "the last words")
    check(await dialler.exit(), 0)
    check(await board.exit(), 0)


async def passes(on, string: str, identity=(), trust=()) -> None:
    """Messages of all lengths pass, and the proxy has seen a CONNECT and no message."""
    proxy = await tinyproxy(on, "BasicAuth user open-sesame")
    board = await on.listen(string.format(0), "--binary", *identity)
    dialler = await on.dial(string.format(board.port), "--binary", "--proxy", proxy.with_user("user:open-sesame@"), *trust)
    for length in LENGTHS:
        dialler.send(some_bytes(length))
        check(await board.message(), some_bytes(length), f"{length} bytes to the listener")
        board.send(some_bytes(length))
        check(await dialler.message(), some_bytes(length), f"{length} bytes to the dialler")
    await proxy.logs(f"CONNECT 127.0.0.1:{board.port} HTTP/1.1")


async def refused(on, user: str, words: str) -> None:
    proxy = await tinyproxy(on, "BasicAuth user open-sesame")
    board = await on.listen("tcp:127.0.0.1:0", "--binary")
    dialler = await on.dial(f"tcp:127.0.0.1:{board.port}", "--proxy", proxy.with_user(user))
    await dialler.fails(3, f"{words}(.|\n)*--proxy")
    assert "guess" not in dialler.errors, dialler.errors


class Proxy:
    """A running tinyproxy."""

    def __init__(self, program, port: int):
        self.program = program
        self.url = f"http://127.0.0.1:{port}"

    def with_user(self, user: str) -> str:
        return self.url.replace("//", f"//{user}")

    async def logs(self, words: str) -> None:
        async with patience(f"the proxy's log to say {words}"):
            await self.program.process.stdout.readuntil(words.encode())


async def tinyproxy(on, *lines: str) -> Proxy:
    folder = on.enter_context(tempfile.TemporaryDirectory())
    port, file = free_port(), os.path.join(folder, "tinyproxy.conf")
    with open(file, "w") as configuration:
        configuration.write("\n".join([f"Port {port}", "Listen 127.0.0.1", "LogLevel Connect", "Timeout 60", *lines, ""]))
    program = await on.run("tinyproxy", "-d", "-c", file)
    await listens(port)
    return Proxy(program, port)


main(globals())
