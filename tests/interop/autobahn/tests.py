"""Autobahn judges our program: as the server that its client tests, and as a client of its server, by each runtime.

Each of its cases is one test here. A case passes when Autobahn calls it OK, both in what was exchanged and in how the
connection was closed, or when `expected.json` gives a reason why another verdict is right as well: those cases
depend on what arrives together.
"""

import asyncio
import json
import os
import pathlib
import sys
import tempfile

from switchboard import Scene, finish, free_port, listens, patience

CASES = [f"{group}.*" for group in [1, 2, 3, 4, 5, 6, 7, 10]]
WSTEST = os.path.join(os.environ["PYTHONUSERBASE"], "bin", "wstest")
EXPECTED = {(case, group["behavior"]): group["reason"]
            for group in json.loads(pathlib.Path(__file__).with_name("expected.json").read_text())
            for case in group["cases"]}
AGENT = "switchboard"
FEWEST = 247


async def server(on: Scene, folder: pathlib.Path, runtime: str) -> None:
    """Our listener, and Autobahn's client."""
    board = await on.listen("ws://127.0.0.1:0/", "--echo", "--runtime", runtime)
    target = {"agent": AGENT, "url": board.url}
    client = await wstest(on, folder, "fuzzingclient", servers=[target], outdir=str(folder))
    async with patience("Autobahn's client", 300):
        await drained(client)


async def client(on: Scene, folder: pathlib.Path, runtime: str) -> None:
    """Autobahn's server, and a run of our dialler for each case."""
    port = free_port()
    url = f"ws://127.0.0.1:{port}"
    await wstest(on, folder, "fuzzingserver", url=url, outdir=str(folder))
    await listens(port)
    count = await on.dial(f"{url}/getCaseCount")
    for case in range(1, int(await count.message()) + 1):
        dialler = await on.dial(f"{url}/runCase?case={case}&agent={AGENT}", "--echo", "--runtime", runtime)
        async with patience(f"case {case}", 60):
            await dialler.process.wait()
    await (await on.dial(f"{url}/updateReports?agent={AGENT}")).exit()


async def wstest(on: Scene, folder: pathlib.Path, mode: str, **options):
    everything = {"cases": CASES, "exclude-cases": [], "exclude-agent-cases": {}, **options}
    specification = folder / "specification.json"
    specification.write_text(json.dumps(everything))
    return await on.run(WSTEST, "--webport", "0", "--mode", mode, "--spec", str(specification), cwd=folder)


async def drained(program) -> None:
    """Reads a program's words until it ends."""
    while await program.process.stdout.read(65536):
        pass
    await program.process.wait()


def judged(who: str, folder: pathlib.Path) -> tuple[int, int]:
    """Says each case's verdict; answers how many are right and how many are wrong."""
    verdicts = json.loads((folder / "index.json").read_text())[AGENT]
    right = wrong = 0
    for case in sorted(verdicts, key=lambda case: [int(part) for part in case.split(".")]):
        behavior, closing = verdicts[case]["behavior"], verdicts[case]["behaviorClose"]
        reason = EXPECTED.get((case, behavior))
        if (behavior == "OK" or reason) and closing in ("OK", "INFORMATIONAL"):
            right += 1
            print(f"ok      {who}: case {case}" + (f": {behavior}: {reason}" if reason else ""))
        else:
            wrong += 1
            print(f"FAILED  {who}: case {case}: {behavior}, close: {closing}\n{details(folder, verdicts[case])}")
    if right + wrong < FEWEST:
        print(f"FAILED  {who}: only {right + wrong} cases were judged, not {FEWEST}")
        wrong += 1
    return right, wrong


def details(folder: pathlib.Path, verdict: dict) -> str:
    report = json.loads((folder / verdict["reportfile"]).read_text())
    told = ["description", "expectation", "result", "resultClose", "expected", "received"]
    return "\n".join(f"    {key}: {report[key]}" for key in told)


async def played(role: str, play, runtime: str) -> tuple[int, int]:
    who, on = f"{role} by {runtime}", Scene()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        try:
            await play(on, folder, runtime)
        except Exception as failure:
            print(f"FAILED  {who}: {failure}\n{on.programs[0].errors[-4000:]}")
            return 0, 1
        finally:
            await on.end()
        return judged(who, folder)


roles = {"server": server, "client": client}
results = [asyncio.run(played(role, roles[role], runtime))
           for role in sys.argv[1:] or roles for runtime in ["tokio", "mio"]]
finish(*map(sum, zip(*results)))
