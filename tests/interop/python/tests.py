"""The Python package `websockets`, asyncio and threaded, against our program."""

import asyncio
import contextlib
import http
import ssl

from switchboard import LENGTHS, certificate, check, main, patience, some_bytes
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_threaded

LOCAL = ["--cert", certificate("local.pem"), "--key", certificate("local.key")]


# Its client dials us.


async def test_a_client_that_offers_compression_is_declined_and_served(on):
    board = await on.listen("ws://127.0.0.1:0/", "--echo")
    async with connect(board.url, compression="deflate") as client:
        assert "permessage-deflate" in client.request.headers["Sec-WebSocket-Extensions"]
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        await client.send("a" * 10_000)
        check(await client.recv(), "a" * 10_000)


async def test_text_comes_back_as_text_and_bytes_as_bytes_of_any_length(on):
    board = await on.listen("ws://127.0.0.1:0/", "--echo", "--runtime", "mio")
    async with connect(board.url) as client:
        await exchange(client)


async def test_the_same_inside_tls(on):
    board = await on.listen("wss://127.0.0.1:0/", "--echo", *LOCAL)
    async with connect(board.url, ssl=trusting("authority.pem")) as client:
        await exchange(client)


async def test_the_same_with_the_threaded_client(on):
    board = await on.listen("ws://127.0.0.1:0/", "--echo")

    def talk():
        with connect_threaded(board.url) as client:
            for length in LENGTHS:
                client.send(some_bytes(length))
                check(client.recv(timeout=10), some_bytes(length), f"{length} bytes")

    await asyncio.to_thread(talk)


async def test_a_message_sent_in_parts_comes_back_whole(on):
    board = await on.listen("ws://127.0.0.1:0/", "--echo")
    async with connect(board.url) as client:
        await client.send(["one, ", "", "two, ", "three"])
        check(await client.recv(), "one, two, three")
        await client.send([some_bytes(65536), some_bytes(1)])
        check(await client.recv(), some_bytes(65536) + some_bytes(1))


async def test_each_of_many_pings_is_answered_or_overtaken_by_a_later_one(on):
    board = await on.listen("ws://127.0.0.1:0/", "--echo")
    async with connect(board.url) as client, patience("the pongs"):
        waiters = [await client.ping(f"ping {number}") for number in range(100)]
        await asyncio.gather(*waiters)


async def test_our_answer_to_a_close_repeats_its_code(on):
    board = await on.listen("ws://127.0.0.1:0/", "--echo")
    for code in [1000, 1001, 1011, 3000, 4999]:
        client = await connect(board.url)
        await client.close(code, "because")
        check(client.protocol.close_rcvd.code, code)


async def test_a_hundred_clients_at_once_each_get_their_own(on):
    board = await on.listen("ws://127.0.0.1:0/", "--echo")

    async def talk(number):
        async with connect(board.url) as client:
            for count in range(10):
                await client.send(f"{number}: {count}")
                check(await client.recv(), f"{number}: {count}")

    async with patience("a hundred clients", 30):
        await asyncio.gather(*(talk(number) for number in range(100)))


async def test_the_first_of_our_subprotocols_that_a_client_offers_is_agreed_on(on):
    board = await on.listen("ws://127.0.0.1:0/", "--echo", "--subprotocol", "v2", "--subprotocol", "v1")
    async with connect(board.url, subprotocols=["v0", "v1", "v2"]) as client:
        check(client.subprotocol, "v2")


async def test_an_origin_that_is_not_allowed_is_refused_with_403(on):
    board = await on.listen("ws://127.0.0.1:0/", "--echo", "--origin", "https://good.example")
    async with connect(board.url, origin="https://good.example"):
        pass
    try:
        async with connect(board.url, origin="https://bad.example"):
            raise AssertionError("it was let in")
    except InvalidStatus as refusal:
        check(refusal.response.status_code, 403)


async def test_a_client_that_does_not_trust_our_certificate_leaves_and_we_serve_the_next(on):
    board = await on.listen("wss://127.0.0.1:0/", "--echo", *LOCAL)
    with contextlib.suppress(ssl.SSLCertVerificationError):
        async with connect(board.url, ssl=trusting("stranger.pem")):
            raise AssertionError("it trusted a stranger")
    async with connect(board.url, ssl=trusting("authority.pem")) as client:
        await client.send("served")
        check(await client.recv(), "served")


# We dial its server.


async def test_we_echo_to_a_server_text_as_text_and_bytes_as_bytes(on):
    await serving(on, exchange, runtime="tokio")


async def test_we_echo_to_a_server_by_mio_too(on):
    await serving(on, exchange, runtime="mio")


async def test_we_echo_to_a_server_inside_tls(on):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate("local.pem"), certificate("local.key"))
    await serving(on, exchange, ssl=context)


async def test_a_server_that_compresses_is_not_asked_to(on):
    async def look(server):
        assert "Sec-WebSocket-Extensions" not in server.request.headers
        await server.send("b" * 10_000)
        check(await server.recv(), "b" * 10_000)

    await serving(on, look, compression="deflate")


async def test_a_ping_of_the_server_is_answered(on):
    async def ping(server):
        async with patience("a pong"):
            await (await server.ping("are you there?"))

    await serving(on, ping)


async def test_messages_in_parts_from_a_server_are_whole_again(on):
    async def send(server):
        await server.send(["ä" * 40_000, "ö", ""])
        check(await server.recv(), "ä" * 40_000 + "ö")

    await serving(on, send)


async def test_a_server_that_answers_401_is_told_by_exit_3_and_the_status(on):
    await refusing(on, http.HTTPStatus.UNAUTHORIZED, {}, "401")


async def test_a_server_that_redirects_is_not_followed_and_told_with_the_place(on):
    await refusing(on, http.HTTPStatus.FOUND, {"Location": "ws://127.0.0.1:1/elsewhere"}, "302.*ws://127.0.0.1:1/elsewhere")


async def test_a_server_that_chooses_none_of_our_subprotocols_is_left(on):
    async with serve(wait_closed, "127.0.0.1", 0, subprotocols=["v9"], select_subprotocol=lambda *_: None) as server:
        board = await on.dial(url(server), "--subprotocol", "v1")
        await board.fails(3, "none of the subprotocols")


async def exchange(peer) -> None:
    """Sends text and bytes of all lengths and gets each back."""
    for length in LENGTHS:
        text = "é" * (length // 2) + "." * (length % 2)
        await peer.send(text)
        await peer.send(some_bytes(length))
        async with patience(f"two messages of {length} bytes"):
            check(await peer.recv(), text)
            check(await peer.recv(), some_bytes(length))


async def serving(on, talk, runtime: str = "tokio", **options) -> None:
    """Serves `talk` to one run of our program that echoes; then closes, and expects it to end well."""
    told = asyncio.get_running_loop().create_future()

    async def handler(connection):
        try:
            told.set_result(await talk(connection))
        except Exception as failure:
            told.set_exception(failure)

    async with serve(handler, "127.0.0.1", 0, **options) as server:
        trust = ["--ca", certificate("authority.pem")] if "ssl" in options else []
        board = await on.dial(url(server, "ssl" in options), "--echo", "--runtime", runtime, *trust)
        async with patience("the server's part", 30):
            await told
        check(await board.exit(), 0, "the exit code")


async def refusing(on, status, headers, words) -> None:
    """Has a server answer our upgrade by a status, and expects that this is told."""

    def answer(connection, _):
        response = connection.respond(status, "go away\n")
        response.headers.update(headers)
        return response

    async with serve(wait_closed, "127.0.0.1", 0, process_request=answer) as server:
        board = await on.dial(url(server))
        await board.fails(3, words)


async def wait_closed(connection) -> None:
    await connection.wait_closed()


def url(server, secure: bool = False) -> str:
    return f"{'wss' if secure else 'ws'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def trusting(name: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate(name))


main(globals())
