"""coturn's clients against the STUN and TURN servers of `switchboard relay`, over UDP, TCP and TLS.

Peers are on this host, so the relay is told to reach loopback addresses, as nobody should on a host with services.
"""

import os
import re
import tempfile

from switchboard import PROGRAM, certificate, check, free_port, main, patience

SECRET = "shared by the relay and coturn's client"
LOCAL = ["--tls-cert", certificate("local.pem"), "--tls-key", certificate("local.key")]


async def test_stunclient_hears_its_own_address(on):
    port = await relay(on)
    output = await ended(on, "turnutils_stunclient", "-p", str(port), "127.0.0.1")
    check("UDP reflexive addr: 127.0.0.1:" in output, True)


async def test_uclient_relays_over_udp_by_channels(on):
    await relays(on, await relay(on))


async def test_uclient_relays_over_udp_by_indications(on):
    await relays(on, await relay(on), "-s")


async def test_uclient_relays_over_tcp_by_channels(on):
    await relays(on, await relay(on), "-t")


async def test_uclient_relays_over_tcp_by_indications(on):
    await relays(on, await relay(on), "-t", "-s")


async def test_uclient_relays_over_tls_by_channels(on):
    await relays(on, await relay_by_tls(on), "-t", "-S")


async def test_uclient_relays_over_tls_by_indications(on):
    await relays(on, await relay_by_tls(on), "-t", "-S", "-s")


async def test_messages_of_odd_lengths_pass_over_tcp(on):
    port = await relay(on)
    for length in ["31", "101", "1023"]:
        await relays(on, port, "-t", "-l", length)


async def test_a_peer_outside_the_relay_is_reached(on):
    port, peer = await relay(on), free_port()
    await on.run("timeout", "60", "turnutils_peer", "-L", "127.0.0.1", "-p", str(peer))
    check(received(await uclient(on, port, "-e", "127.0.0.1", "-r", str(peer), "-c", "-n", "20")), (20, 20))


async def test_a_wrong_secret_gets_nothing(on):
    port = await relay(on)
    output = await uclient(on, port, "-y", "-c", "-n", "1", secret="another secret than theirs", code=None)
    check(received(output), None)


async def test_a_relay_that_is_not_told_so_does_not_reach_loopback_addresses(on):
    port, peer = await relay(on, loopback=False), free_port()
    output = await uclient(on, port, "-e", "127.0.0.1", "-r", str(peer), "-c", "-n", "1", code=None)
    check("403" in output, True)


async def relays(on, port, *options):
    """Two clients, each the other's peer; each message comes back."""
    check(received(await uclient(on, port, "-y", "-c", "-m", "2", "-n", "20", *options)), (40, 40))


def received(output):
    """How many messages were sent and how many came back, in the last line that says so."""
    found = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", output)
    return tuple(map(int, found[-1])) if found and found[-1] != ("0", "0") else None


async def uclient(on, port, *options, secret=SECRET, code=0):
    return await ended(on, "turnutils_uclient", "-u", "somebody", "-W", secret, "-p", str(port), "-v", *options,
                       "127.0.0.1", code=code)


async def ended(on, *command, code=0):
    """What a program prints, once it has ended."""
    program = await on.run("timeout", "30", *command)
    program.hang_up()
    async with patience("all that is printed", 40):
        output = (await program.process.stdout.read()).decode(errors="replace")
        ended = await program.process.wait()
    output += program.errors
    if code is not None and ended != code:
        raise AssertionError(f"{' '.join(command)} ended with {ended}:\n{output[-3000:]}")
    return output


async def relay(on, loopback=True):
    port = free_port()
    await start(on, "--turn", f"127.0.0.1:{port}", *(["--turn-loopback"] if loopback else []))
    return port


async def relay_by_tls(on):
    port = free_port()
    await start(on, "--turns", f"127.0.0.1:{port}", "--turn-loopback", *LOCAL)
    return port


async def start(on, *options):
    folder = on.enter_context(tempfile.TemporaryDirectory())
    key, secret = os.path.join(folder, "key"), os.path.join(folder, "secret")
    with open(secret, "w") as file:
        file.write(SECRET)
    program = await on.run(PROGRAM, "relay", "--key", key, "--listen", "tcp:127.0.0.1:0", "--turn-secret", secret,
                           "--turn-allocations", "100", "--turn-rate", "100000000", *options)
    await program.says(r"^serving TURN on ")


main(globals())
