"""Two of our programs whose only candidates are addresses at Debian's coturn, and two that have met by pasted lines."""

import asyncio
import contextlib
import json
import os
import tempfile

from switchboard import PROGRAM, Switchboard, certificate, check, free_port, main, patience, some_bytes

PIGEON = os.environ["PIGEON"]
USER = {"username": "lab", "credential": "labpass"}


async def test_bytes_pass_through_coturn_by_udp(on):
    async with coturn(on) as server:
        await passes(on, f"turn:127.0.0.1:{server.port}", r"path: direct.* relay 127.0.0.1:\d+ to relay 127")


async def test_bytes_pass_through_coturn_by_tcp(on):
    async with coturn(on) as server:
        await passes(on, f"turn:127.0.0.1:{server.port}?transport=tcp", r"path: direct.* relay 127.0.0.1:\d+")


async def test_bytes_pass_through_coturn_by_tls(on):
    async with coturn(on) as server:
        await passes(on, f"turns:127.0.0.1:{server.tls}", r"path: direct.* relay 127.0.0.1:\d+")


async def test_two_who_have_pasted_a_line_each_talk_to_each_other(on):
    first = await on.run(PIGEON)
    offer = await line(first)
    second = await on.run(PIGEON, offer)
    first.write(f"{await line(second)}\n".encode())
    await first.says("^connected$")
    await second.says("^connected$")
    first.write(b"hello\n")
    check(await line(second), "hello")
    second.write("grüß dich\n".encode())
    check(await line(first), "grüß dich")


async def passes(on, uri, words):
    """A mebibyte each way between two who may use nothing but what this server lends; both say so of their path."""
    servers = json.dumps([{"urls": uri} | USER])
    with tempfile.TemporaryDirectory() as folder:
        relay = await on._start(Switchboard, PROGRAM, "relay", "--key", f"{folder}/relay", "--listen", "tcp:127.0.0.1:0")
        string = (await relay.says(r"^listening on (\S+)$"))[1]
        options = ["--relay", string, "--ice-servers", servers, "--candidates", "relay",
                   "--ca", certificate("authority.pem")]
        waits = await on.run(PROGRAM, "pipe", "--key", f"{folder}/a", *options)
        identity = (await waits.says(r"^waiting as (\S+)$"))[1]
        dials = await on.run(PROGRAM, "pipe", identity, "--key", f"{folder}/b", *options)
        await dials.says(words)
        await waits.says(words)
        data = some_bytes(1 << 20)
        for one, other in [(waits, dials), (dials, waits)]:
            one.write(data)
            check(await other.read(len(data)), data)
        dials.hang_up()
        waits.hang_up()
        check([await dials.exit(), await waits.exit()], [0, 0])


async def line(program):
    async with patience("a line on stdout"):
        return (await program.process.stdout.readuntil(b"\n"))[:-1].decode()


class Server:
    def __init__(self):
        self.port, self.tls = free_port(), free_port()


@contextlib.asynccontextmanager
async def coturn(on):
    """A server on the loopback, once it serves."""
    server = Server()
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        await on.run(
            "turnserver", "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1",
            f"--listening-port={server.port}", f"--tls-listening-port={server.tls}", "--realm=lab.test",
            "--fingerprint", "--lt-cred-mech", "--user=lab:labpass",
            f"--cert={certificate('local.pem')}", f"--pkey={certificate('local.key')}",
            "--allow-loopback-peers", "--no-cli", "--no-stdout-log", f"--log-file={log}", "--simple-log",
            f"--pidfile={folder}/pid", f"--userdb={folder}/users", "--verbose",
        )
        async with patience("coturn"):
            while not (os.path.exists(log) and "Total General servers" in open(log).read()):
                await asyncio.sleep(0.1)
        yield server


main(globals())
