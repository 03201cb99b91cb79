"""Gathering through Debian's coturn by UDP, TCP and TLS, and words between two relayed addresses."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import tempfile
import time

from switchboard import certificate, check, free_port, main

GATHERER = os.environ["GATHERER"]
USER = {"username": "lab", "credential": "labpass"}
LONG_TERM = ["--lt-cred-mech", "--user=lab:labpass"]
SECRET = "labsecret"
REST = ["--use-auth-secret", f"--static-auth-secret={SECRET}"]


async def test_words_pass_between_two_relayed_addresses_by_udp(on):
    async with coturn(on, LONG_TERM) as server:
        await echoes(server.turn(""), USER)


async def test_words_pass_by_tcp(on):
    async with coturn(on, LONG_TERM) as server:
        await echoes(server.turn("?transport=tcp"), USER)


async def test_words_pass_by_tls_from_a_server_that_is_trusted(on):
    async with coturn(on, LONG_TERM) as server:
        await echoes(server.turns(), USER, certificate("authority.pem"))


async def test_a_server_that_is_not_trusted_is_told_by_its_error(on):
    async with coturn(on, LONG_TERM) as server:
        said = await gathered(server.turns(), USER, certificate("stranger.pem"))
        assert "Failed(Tls(" in said and "echoed" not in said, said


async def test_time_limited_credentials_are_taken(on):
    async with coturn(on, REST) as server:
        await echoes(server.turn(""), time_limited(3600))


async def test_time_limited_credentials_that_have_ended_are_wrong_ones(on):
    async with coturn(on, REST) as server:
        await fails(server.turn(""), time_limited(-3600), "WrongCredentials")


async def test_a_wrong_password_is_known_at_once(on):
    async with coturn(on, LONG_TERM) as server:
        began = time.monotonic()
        await fails(server.turn(""), USER | {"credential": "guess"}, "WrongCredentials")
        assert time.monotonic() - began < 3


async def test_a_quota_is_told(on):
    async with coturn(on, [*LONG_TERM, "--user-quota=1"]) as server:
        said = await gathered(server.turn(""), USER)
        assert "QuotaReached" in said or said.count("typ relay") == 1, said


async def test_stun_sees_that_nothing_translates(on):
    async with coturn(on, LONG_TERM) as server:
        said = await gathered(f"stun:127.0.0.1:{server.port}", {})
        assert "Works" in said and "mapping: Direct" in said and "typ srflx" not in said, said


class Server:
    def __init__(self):
        self.port, self.tls = free_port(), free_port()

    def turn(self, query):
        return f"turn:127.0.0.1:{self.port}{query}"

    def turns(self):
        return f"turns:127.0.0.1:{self.tls}"


@contextlib.asynccontextmanager
async def coturn(on, users):
    """A server on the loopback, once it serves."""
    server = Server()
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        await on.run(
            "turnserver", "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1",
            f"--listening-port={server.port}", f"--tls-listening-port={server.tls}", "--realm=lab.test",
            "--fingerprint", *users, f"--cert={certificate('local.pem')}", f"--pkey={certificate('local.key')}",
            "--allow-loopback-peers", "--no-cli", "--no-stdout-log", f"--log-file={log}", "--simple-log",
            f"--pidfile={folder}/pid", f"--userdb={folder}/users", "--verbose",
        )
        for _ in range(100):
            if os.path.exists(log) and "Total General servers" in open(log).read():
                break
            await asyncio.sleep(0.1)
        else:
            raise AssertionError("coturn does not start")
        yield server


def time_limited(seconds):
    """As the REST API of TURN servers has it."""
    name = f"{int(time.time()) + seconds}:lab"
    digest = hmac.new(SECRET.encode(), name.encode(), hashlib.sha1).digest()
    return {"username": name, "credential": base64.b64encode(digest).decode()}


async def gathered(uri, user, *authority):
    servers = json.dumps([{"urls": uri} | user])
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec("timeout", "60", GATHERER, servers, *authority, stdout=pipe, stderr=pipe)
    out, err = await program.communicate()
    said = (out + err).decode(errors="replace")
    assert program.returncode == 0, said
    return said


async def echoes(uri, user, *authority):
    said = await gathered(uri, user, *authority)
    echoed = [line for line in said.splitlines() if line.startswith("echoed")]
    check((echoed, "turn: Works" in said), (["echoed 120", "echoed 120"], True))


async def fails(uri, user, error):
    said = await gathered(uri, user)
    assert f"Failed(Turn({error}))" in said and "echoed" not in said, said


main(globals())
