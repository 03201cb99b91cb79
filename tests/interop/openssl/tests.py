"""OpenSSL's own two ends of TLS, with our length-delimited frames inside."""

import os
import re
import tempfile

from switchboard import LENGTHS, certificate, check, framed, free_port, listens, main, patience, some_bytes

LOCAL = ["--cert", certificate("local.pem"), "--key", certificate("local.key")]
TRUSTING = ["-CAfile", certificate("authority.pem"), "-verify_return_error", "-verify_ip", "127.0.0.1"]
TRUST = ["--ca", certificate("authority.pem")]
SUITES = {
    "-ciphersuites": ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
    "-cipher": ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"],
}


# s_client dials us.


async def test_s_client_gets_each_frame_back_by_tls_1_3(on):
    await echoed_to_s_client(on, "-tls1_3")


async def test_s_client_gets_each_frame_back_by_tls_1_2(on):
    await echoed_to_s_client(on, "-tls1_2")


async def test_s_client_gets_its_frames_from_a_listener_by_mio_too(on):
    await echoed_to_s_client(on, "-tls1_3", runtime="mio")


async def test_s_client_is_shown_an_rsa_certificate(on):
    board = await on.listen("tls:127.0.0.1:0", "--echo", *named("rsa"))
    await echo_frame(await s_client(on, board))


async def test_each_of_our_cipher_suites_is_understood_by_s_client(on):
    board = await on.listen("tls:127.0.0.1:0", "--echo", *LOCAL)
    for suite in SUITES["-ciphersuites"]:
        await echo_frame(await s_client(on, board, "-tls1_3", "-ciphersuites", suite))
    for suite in SUITES["-cipher"]:
        await echo_frame(await s_client(on, board, "-tls1_2", "-cipher", suite))


async def test_text_is_marked_by_the_top_bit_both_ways(on):
    board = await on.listen("tls:127.0.0.1:0", *LOCAL)
    client = await s_client(on, board)
    client.write(framed("grüße".encode(), text=True))
    check(await board.message(), "grüße")
    board.send("zurück")
    check(await client.read(11), framed("zurück".encode(), text=True))


async def test_s_client_that_rekeys_is_followed(on):
    board = await on.listen("tls:127.0.0.1:0", "--echo", *LOCAL)
    client = await on.run(*S_CLIENT, f"127.0.0.1:{board.port}", *TRUSTING, "-tls1_3")
    await echo_among_words(client, b"before")
    for _ in range(3):
        client.write(b"K\n")
        await client.says("KEYUPDATE")
        client.errors = ""
        await echo_among_words(client, b"after")


async def test_s_client_resumes_its_session_by_tls_1_3(on):
    await resumed(on, "-tls1_3")


async def test_s_client_resumes_its_session_by_tls_1_2(on):
    await resumed(on, "-tls1_2")


async def test_s_client_that_leaves_properly_is_no_failure_and_is_answered(on):
    board = await on.listen("tls:127.0.0.1:0", "--echo", *LOCAL)
    client = await s_client(on, board, "-no_ign_eof")
    await echo_frame(client)
    client.hang_up()
    check(await client.exit(), 0)
    await echo_frame(await s_client(on, board))


async def test_s_client_that_does_not_know_our_issuer_leaves_and_the_next_is_served(on):
    board = await on.listen("tls:127.0.0.1:0", "--echo", *LOCAL)
    stranger = await on.run(*S_CLIENT, f"127.0.0.1:{board.port}", "-CAfile", certificate("stranger.pem"),
                            "-verify_return_error")
    check(await stranger.exit(), 1)
    await echo_frame(await s_client(on, board))


async def test_s_client_of_tls_1_1_is_refused_by_an_alert(on):
    board = await on.listen("tls:127.0.0.1:0", "--echo", *LOCAL)
    client = await on.run(*S_CLIENT, f"127.0.0.1:{board.port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    check(await client.exit(), 1)
    assert re.search("alert (protocol version|handshake failure)", client.errors), client.errors


async def test_with_ca_a_listener_wants_a_certificate_and_takes_a_good_one(on):
    board = await on.listen("tls:127.0.0.1:0", "--echo", *LOCAL, *TRUST)
    await echo_frame(await s_client(on, board, "-cert", certificate("elsewhere.pem"),
                                    "-key", certificate("elsewhere.key")))
    without = await s_client(on, board, "-tls1_2")
    assert await without.exit() != 0
    assert "alert" in without.errors, without.errors


async def test_a_frame_beyond_our_limit_ends_the_link(on):
    board = await on.listen("tls:127.0.0.1:0", "--echo", *LOCAL, "--max-message", "1000")
    client = await s_client(on, board)
    await echo_frame(client, some_bytes(1000))
    client.write(framed(some_bytes(1001)))
    await client.exit()


# We dial s_server.


async def test_frames_pass_both_ways_to_s_server_by_tls_1_3(on):
    await exchanged_with_s_server(on, "-tls1_3")


async def test_frames_pass_both_ways_to_s_server_by_tls_1_2(on):
    await exchanged_with_s_server(on, "-tls1_2")


async def test_frames_pass_both_ways_to_s_server_by_mio_too(on):
    await exchanged_with_s_server(on, "-tls1_3", runtime="mio")


async def test_s_server_may_have_an_rsa_certificate(on):
    server, port = await s_server(on, "rsa")
    board = await dial(on, port)
    board.send(b"hello")
    check(await server.read(9), framed(b"hello"))


async def test_each_of_our_cipher_suites_is_understood_by_s_server(on):
    for version, (option, suites) in zip(["-tls1_3", "-tls1_2"], SUITES.items()):
        for suite in suites:
            server, port = await s_server(on, "local", version, option, suite)
            board = await dial(on, port)
            board.send(b"hello")
            check(await server.read(9), framed(b"hello"), suite)


async def test_a_certificate_for_another_name_is_refused_and_both_names_are_told(on):
    _, port = await s_server(on, "elsewhere")
    await (await dial(on, port)).fails(3, "certificate is for elsewhere.example, not for 127.0.0.1")


async def test_a_certificate_of_an_unknown_issuer_is_refused_and_ca_is_hinted_at(on):
    _, port = await s_server(on, "local")
    board = await on.dial(f"tls:127.0.0.1:{port}", "--ca", certificate("stranger.pem"))
    await board.fails(3, "issuer is not known(.|\n)*--ca")


async def test_a_server_that_offers_only_tls_1_1_is_refused(on):
    _, port = await s_server(on, "local", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    await (await dial(on, port)).fails(3, "alert|version")


async def test_a_server_that_wants_a_certificate_gets_ours(on):
    server, port = await s_server(on, "local", *WANTS_ONE)
    board = await dial(on, port, *named("elsewhere"))
    board.send(b"hello")
    check(await server.read(9), framed(b"hello"))


async def test_a_server_that_wants_a_certificate_refuses_us_without_one(on):
    _, port = await s_server(on, "local", *WANTS_ONE, "-tls1_2")
    await (await dial(on, port)).fails(3, "alert")


async def test_s_server_that_is_killed_is_told_from_one_that_closes(on):
    server, port = await s_server(on, "local")
    board = await dial(on, port)
    board.send(b"hello")
    check(await server.read(9), framed(b"hello"))
    server.process.kill()
    await board.fails(4, "without a proper close|reset")


async def test_the_end_of_our_input_closes_tls_properly(on):
    port = free_port()
    server = await on.run(*S_SERVER, f"127.0.0.1:{port}", *keys("local"), "-naccept", "1")
    await listens(port)
    board = await dial(on, port)
    board.send(b"hello")
    board.hang_up()
    check(await board.exit(), 0, "our exit code")
    check(await server.exit(), 0, "the exit code of s_server")
    assert "unexpected eof" not in server.errors, server.errors


S_CLIENT = ["openssl", "s_client", "-connect"]
S_SERVER = ["openssl", "s_server", "-accept"]
WANTS_ONE = ["-Verify", "1", "-verify_return_error", "-CAfile", certificate("authority.pem")]


async def echoed_to_s_client(on, version: str, runtime: str = "tokio") -> None:
    board = await on.listen("tls:127.0.0.1:0", "--echo", "--runtime", runtime, *LOCAL)
    client = await s_client(on, board, version)
    for length in LENGTHS:
        await echo_frame(client, some_bytes(length))


async def s_client(on, board, *options: str):
    """Its stdin and stdout are then the two directions of the connection."""
    return await on.run(*S_CLIENT, f"127.0.0.1:{board.port}", "-quiet", *TRUSTING, *options)


async def echo_frame(client, message: bytes = b"hello") -> None:
    client.write(framed(message))
    check(await client.read(4 + len(message)), framed(message))


async def echo_among_words(client, message: bytes) -> str:
    """The same for an s_client that also talks on stdout; answers what it said."""
    client.write(framed(message))
    async with patience("the echo"):
        words = await client.process.stdout.readuntil(framed(message))
    return words.decode(errors="replace")


async def resumed(on, version: str) -> None:
    board = await on.listen("tls:127.0.0.1:0", "--echo", *LOCAL)
    with tempfile.TemporaryDirectory() as folder:
        ticket = os.path.join(folder, "ticket")
        assert "New, TLSv1." in await greeting(on, board, version, "-sess_out", ticket)
        for _ in range(2):
            assert "Reused, TLSv1." in await greeting(on, board, version, "-sess_in", ticket, "-sess_out", ticket)


async def greeting(on, board, *options: str) -> str:
    """What s_client says of a connection that it has used and closed properly."""
    client = await on.run(*S_CLIENT, f"127.0.0.1:{board.port}", *TRUSTING, *options)
    words = await echo_among_words(client, b"hello")
    client.hang_up()
    check(await client.exit(), 0, "the exit code of s_client")
    return words


async def exchanged_with_s_server(on, version: str, runtime: str = "tokio") -> None:
    server, port = await s_server(on, "local", version)
    board = await dial(on, port, "--runtime", runtime)
    for length in LENGTHS:
        board.send(some_bytes(length))
        check(await server.read(4 + length), framed(some_bytes(length)), f"{length} bytes out")
        server.write(framed(some_bytes(length)))
        check(await board.message(), some_bytes(length), f"{length} bytes in")


async def s_server(on, name: str, *options: str):
    """Its stdin and stdout are then the two directions of the connection."""
    port = free_port()
    server = await on.run(*S_SERVER, f"127.0.0.1:{port}", "-quiet", *keys(name), *options)
    await listens(port)
    return server, port


async def dial(on, port: int, *options: str):
    return await on.dial(f"tls:127.0.0.1:{port}", "--binary", *TRUST, *options)


def keys(name: str) -> list[str]:
    return ["-cert", certificate(f"{name}.pem"), "-key", certificate(f"{name}.key")]


def named(name: str) -> list[str]:
    return ["--cert", certificate(f"{name}.pem"), "--key", certificate(f"{name}.key")]


main(globals())
