"""tshark reads what the simulator has captured: STUN through a NAT, and a stream over a link that loses."""

import collections
import os
import pathlib

from switchboard import check, main

CAPTURES = pathlib.Path(os.environ["CAPTURES"])
# Checksums are not checked by default, and ports 80 and 5000 do not make our bytes HTTP and TAPA.
STRICT = [word for layer in ("ip", "udp", "tcp") for word in ("-o", f"{layer}.check_checksum:TRUE")]
STRICT += ["--disable-protocol", "http", "--disable-protocol", "tapa"]
GOOD = "1"
FAULTS = ("_ws.malformed || _ws.short || _ws.expert.severity == error || ip.checksum.status == 0 || "
          "udp.checksum.status == 0 || tcp.checksum.status == 0")


async def test_no_packet_is_malformed_or_has_a_wrong_checksum(on):
    captures = sorted(CAPTURES.glob("*.pcapng"))
    check({"loss.pcapng", "stun.pcapng"} <= {capture.name for capture in captures}, True, "captures are there")
    for capture in captures:
        check(await rows(on, capture.name, ["frame.number"], FAULTS), [], capture.name)
        sums = await rows(on, capture.name, ["udp.checksum.status", "tcp.checksum.status"])
        check({good for udp, tcp in sums for good in (udp or tcp,)}, {GOOD}, f"checksums of {capture.name}")


async def test_stun_messages_are_seen_on_each_link_that_they_cross(on):
    seen = await rows(on, "stun.pcapng", ["frame.interface_name", "stun.type", "udp.srcport", "udp.dstport"],
                      "stun && udp.port == 3478")
    count = collections.Counter(seen)
    asked, answered = ("0x0001", "5000", "3478"), ("0x0101", "3478", "5000")
    check(count, collections.Counter({
        ("phone", *asked): 3, ("home", *asked): 4, ("server", *asked): 3,
        ("server", *answered): 3, ("home", *answered): 3, ("phone", *answered): 3,
        ("phone-v6", *asked): 1, ("server-v6", *asked): 1,
    }))


async def test_an_answer_tells_the_address_that_the_nat_has_given(on):
    fields = ["stun.att.ipv4", "stun.att.port", "ip.dst", "udp.dstport"]
    told = await rows(on, "stun.pcapng", fields, 'stun.type == 0x0101 && frame.interface_name == "home"')
    check(len(told), 3)
    for mapped_ip, mapped_port, ip, port in told:
        check((mapped_ip, mapped_port), (ip, port))


async def test_a_dropped_packet_says_why_and_others_say_nothing(on):
    told = await rows(on, "stun.pcapng", ["frame.interface_name", "udp.srcport", "frame.comment"], "frame.comment")
    check(told, [("home", "5000", "dropped: the NAT's filter")] * 3)
    lost = await rows(on, "loss.pcapng", ["frame.comment"], "frame.comment")
    check(set(lost), {("dropped: lost on the link",)})


async def test_a_packet_goes_out_at_one_link_and_comes_in_at_another_under_one_number(on):
    fields = ["frame.packet_id", "frame.interface_name", "frame.p2p_dir"]
    way = [row[1:] for row in await rows(on, "stun.pcapng", fields) if row[0] == "1"]
    check(way, [("phone", "0"), ("home", "0"), ("server", "1")])


async def test_time_begins_with_2026_and_has_nanoseconds(on):
    moments = await rows(on, "stun.pcapng", ["frame.time_epoch"])
    check(moments[:3], [("1767225600.000000000",), ("1767225600.000500000",), ("1767225600.010500000",)])


async def test_a_stream_that_lost_segments_comes_whole(on):
    fields = ["tcp.seq_raw", "tcp.payload"]
    arrived = await rows(on, "loss.pcapng", fields,
                         'frame.interface_name == "b" && tcp.len > 0 && tcp.dstport == 80 && !frame.comment')
    stream = bytearray(60_000)
    for sequence, payload in arrived:
        at = int(sequence) - 1
        part = bytes.fromhex(payload.replace(":", ""))
        stream[at:at + len(part)] = part
    check(bytes(stream), bytes((n ^ n >> 8 ^ n >> 16) & 0xff for n in range(60_000)))


async def rows(on, name: str, fields: list[str], condition: str = "frame") -> list[tuple[str, ...]]:
    """The fields of all packets that meet the condition."""
    options = [word for field in fields for word in ("-e", field)]
    tshark = await on.run("tshark", "-n", "-r", str(CAPTURES / name), *STRICT, "-Y", condition,
                          "-T", "fields", "-E", "separator=/t", *options)
    output = await tshark.process.stdout.read()
    check(await tshark.process.wait(), 0, f"tshark's exit: {tshark.errors}")
    return [tuple(line.split("\t")) for line in output.decode().splitlines()]


main(globals())
