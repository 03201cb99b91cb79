"""The probe in this kernel's NATs and in the simulator's, the oracle's word on both, and coturn's tools beside it."""

import asyncio
import itertools
import json
import os
import re

from switchboard import check, main

HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.join(HERE, "lab")
NATLAB = os.environ["NATLAB"]
FULL = os.environ.get("SWITCHBOARD_MODE") == "full"
STUN, OTHER, MEET = "203.0.113.1:3478", "203.0.113.2:3479", "203.0.113.1:443"

# What the kernel can be; mapping and filtering as discovery shall find them.
KINDS = {
    "none": ("ei", "ei"),
    "eim-eif": ("ei", "ei"),
    "eim-adf": ("ei", "ad"),
    "eim-apdf": ("ei", "apd"),
    "apdm-apdf": ("apd", "apd"),
    "udp-blocked": None,
    "tcp-443": None,
}
# Ten pairs that have each kind and each verdict; `tests/run --full` has all.
SOME = [
    ("none", "none"), ("none", "apdm-apdf"), ("eim-eif", "apdm-apdf"), ("eim-adf", "apdm-apdf"),
    ("eim-apdf", "eim-apdf"), ("eim-apdf", "apdm-apdf"), ("apdm-apdf", "apdm-apdf"), ("eim-adf", "eim-eif"),
    ("udp-blocked", "eim-eif"), ("tcp-443", "none"),
]
PAIRS = list(itertools.combinations_with_replacement(KINDS, 2)) if FULL else SOME
# So many labs are up at once: none sees anything of the others, and each mostly waits.
LABS = 3


async def test_the_probe_finds_in_the_kernel_what_it_finds_in_a_world_for_each_pair_of_kinds(on):
    worlds = await matrix()

    async def compare(a, b):
        async with lab(on, a, b) as name:
            verdicts = await probe_both(on, name)
        for kind, (behaviour, _) in zip((a, b), verdicts):
            check(behaviour, "none" if KINDS[kind] is None else " ".join(KINDS[kind]))
        direct = [verdict == "direct" for _, verdict in verdicts]
        check(direct, [worlds[a, b]["direct"]] * 2)
        print(f"        {a} and {b}: {verdicts}", flush=True)

    await each(compare, PAIRS)


async def test_the_oracle_agrees_with_every_pair_of_kinds_in_a_world(on):
    worlds = await matrix()
    check(len(worlds), 169)
    check([pair for pair, verdict in worlds.items() if not verdict["agrees"]], [])


async def test_turnutils_natdiscovery_says_of_the_kernel_what_we_say_and_our_server_answers_it(on):
    async def ask(kind):
        async with lab(on, kind, "none") as name:
            said = await tool(on, name, "turnutils_natdiscovery", "-m", "-f", "203.0.113.1", "-p", "3478")
        mapping, filtering = KINDS[kind]
        words = {"ei": "Endpoint Independent", "ad": "Address Dependent", "apd": "Address and Port Dependent"}
        if kind != "none":
            assert re.search(rf"{words[mapping]} Mapping", said, re.IGNORECASE), f"{kind}: {said}"
        assert re.search(rf"{words[filtering]} Filtering", said, re.IGNORECASE), f"{kind}: {said}"

    await each(ask, [(kind,) for kind in ["none", "eim-eif", "eim-adf", "eim-apdf", "apdm-apdf"]])


async def test_turnutils_stunclient_is_answered_with_the_address_that_we_see_also_from_elsewhere(on):
    async with lab(on, "none", "none") as name:
        # After its second answer it waits, here for ever; what it was told until then counts.
        said = await output("timeout", "5", LAB, name, "exec", "a", "turnutils_stunclient", "-p", "3478", "203.0.113.1",
                            codes=[0, 124])
    first, second = re.findall(r"response \d\n(.*?)(?=\n\n|$)", said, re.DOTALL)[:2]
    for answer, origin in [(first, STUN), (second, OTHER)]:
        assert f"Response origin: : {origin}" in answer, said
        assert re.search(r"reflexive addr: 10\.1\.0\.2:", answer), said


# What the tests start.


async def matrix() -> dict:
    """The verdict of `sim matrix` for each pair."""
    lines = await output(os.environ["SWITCHBOARD"], "sim", "matrix", "--json")
    verdicts = [json.loads(line) for line in lines.splitlines()]
    return {(verdict["a"], verdict["b"]): verdict for verdict in verdicts}


async def each(act, cases) -> None:
    """Does it in each case, some at a time; the first that fails ends the others."""
    room = asyncio.Semaphore(LABS)

    async def one(case):
        async with room:
            await act(*case)

    async with asyncio.TaskGroup() as group:
        for case in cases:
            group.create_task(one(case))


class lab:
    """Two NATs of these kinds, with a STUN server and a place to meet between them."""

    numbers = itertools.count()

    def __init__(self, on, *kinds):
        self.on, self.kinds, self.name = on, kinds, f"nl{os.getpid()}-{next(self.numbers)}"

    async def __aenter__(self):
        await output(LAB, self.name, "up", *self.kinds)
        self.servers = [await self.serve("stun", STUN, OTHER), await self.serve("meet", MEET)]
        return self.name

    async def __aexit__(self, *_):
        for server in self.servers:
            await server.stop()
        await output(LAB, self.name, "down")

    async def serve(self, *command):
        server = await self.on.run(LAB, self.name, "exec", "srv", NATLAB, *command)
        line = await asyncio.wait_for(server.process.stdout.readline(), 10)
        assert b"Listening" in line, line
        return server


async def probe_both(on, name) -> list:
    both = [probe(on, name, host) for host in "ab"]
    return await asyncio.gather(*both)


async def probe(on, name, host) -> tuple:
    said = await tool(on, name, NATLAB, "probe", "0.0.0.0:0", STUN, MEET, "word", host=host)
    behaviour, verdict = said.split("\n")[:2]
    return behaviour.removeprefix("behaviour "), verdict


async def tool(on, name, *command, host="a") -> str:
    """What a program prints that ends by itself."""
    return await output("timeout", "60", LAB, name, "exec", host, *command)


async def output(*command, codes=(0,)) -> str:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    assert process.returncode in codes, f"{' '.join(command)} ended with {process.returncode}: {(out + err).decode(errors='replace')}"
    return out.decode(errors="replace")


main(globals())
