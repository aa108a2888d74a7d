#!/usr/bin/env python3
"""Clients that connect, stream, talk in sessions, abort, stall and send garbage, all at once, for as long as asked.

Every well-formed request that its client waits for must end in a whole answer; nothing may be left behind: connections, requests, bodies,
memory. Exits with 1 where something was.

  mixed_load.py --bin build/release/bin --model M.gguf [--minutes 60] [--clients 64] [--seed 1]
"""
import asyncio
import collections
import json
import random
import statistics
import time

from running_daemon import RunningDaemon, arguments

WORDS = "the king queen fox wolf wood river mountain gold silver night daughter son witch bread door window sea tale old young".split()
SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
          "required": ["name", "age"]}


class Wrong(Exception):
    pass


class Load:
    def __init__(self, socket_path, until, seed):
        self.path, self.until, self.seed = socket_path, until, seed
        self.whole = collections.defaultdict(list)  # kind: seconds to the whole answer
        self.first = collections.defaultdict(list)  # kind: seconds to the first event
        self.done = collections.Counter()
        self.wrong = []

    async def open(self):
        return await asyncio.open_unix_connection(self.path)

    @staticmethod
    def head(method, path, body=b"", extra=""):
        return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{extra}"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body

    @staticmethod
    async def read_head(reader):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        return int(lines[0].split()[1]), {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}

    async def read_body(self, reader, headers, on_piece=lambda piece: None):
        if headers.get("transfer-encoding") != "chunked":
            return await reader.readexactly(int(headers.get("content-length", 0)))
        pieces = []
        while True:
            size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
            piece = await reader.readexactly(size + 2)
            if size == 0:
                return b"".join(pieces)
            pieces.append(piece[:-2])
            on_piece(piece)

    async def ask(self, kind, path, body, connection=None, expected=200):
        """One request that must be answered whole."""
        reader, writer = connection or await self.open()
        began = time.monotonic()
        first = []
        try:
            writer.write(self.head("POST", path, json.dumps(body).encode()))
            await writer.drain()
            status, headers = await self.read_head(reader)
            data = await self.read_body(reader, headers, lambda _: first or first.append(time.monotonic() - began))
        finally:
            if connection is None:
                writer.close()
        if status != expected:
            raise Wrong(f"{kind}: {status}, expected {expected}: {data[:200]}")
        if headers.get("content-type", "").startswith("text/event-stream") and not data.rstrip().endswith((b"data: [DONE]", b"}")):
            raise Wrong(f"{kind}: the stream has no end: {data[-100:]}")
        self.whole[kind].append(time.monotonic() - began)
        self.first[kind] += first
        return data

    # ---- what clients do

    def text(self, rng, n):
        return " ".join(rng.choices(WORDS, k=n))

    async def completion(self, rng, name):
        body = json.loads(await self.ask("completion", "/v1/completions", {"prompt": self.text(rng, rng.randrange(2, 60)), "max_tokens": rng.randrange(1, 40)}))
        if body["usage"]["completion_tokens"] < 1:
            raise Wrong("completion: no token")

    async def stream(self, rng, name):
        await self.ask("stream", "/v1/chat/completions", {"messages": [{"role": "user", "content": self.text(rng, 20)}], "max_tokens": rng.randrange(5, 60),
                                                          "stream": True, "stream_options": {"include_usage": True}})

    async def talk(self, rng, name):
        """A conversation in a session, over one connection that is kept."""
        connection = await self.open()
        messages, session = [], f"{name}-{rng.randrange(10 ** 9)}"
        try:
            for _ in range(rng.randrange(2, 5)):
                messages.append({"role": "user", "content": self.text(rng, 15)})
                data = await self.ask("turn", "/v1/chat/completions", {"messages": messages, "max_tokens": 20, "session_id": session}, connection)
                messages.append(json.loads(data)["choices"][0]["message"] | {"role": "assistant"})
        finally:
            connection[1].close()
        if rng.random() < 0.7:
            reader, writer = await self.open()
            writer.write(self.head("DELETE", f"/v1/sessions/{session}"))
            status, headers = await self.read_head(reader)
            await self.read_body(reader, headers)
            writer.close()
            if status != 200:
                raise Wrong(f"end of session: {status}")

    async def background(self, rng, name):
        await self.ask("background", "/v1/completions", {"prompt": self.text(rng, 40), "max_tokens": 60, "ignore_eos": True, "priority": "background"})

    async def constrained(self, rng, name):
        data = json.loads(await self.ask("schema", "/v1/completions", {"prompt": self.text(rng, 5), "max_tokens": 80, "json_schema": SCHEMA}))
        choice = data["choices"][0]
        if choice["finish_reason"] == "stop":
            json.loads(choice["text"])

    async def embedding(self, rng, name):
        await self.ask("embedding", "/v1/embeddings", {"input": [self.text(rng, 30), self.text(rng, 5)]})

    async def ollama(self, rng, name):
        await self.ask("ollama", "/api/chat", {"model": "any", "messages": [{"role": "user", "content": self.text(rng, 12)}], "options": {"num_predict": 20}})

    async def responses(self, rng, name):
        await self.ask("responses", "/v1/responses", {"input": self.text(rng, 12), "max_output_tokens": 20, "stream": rng.random() < 0.5})

    async def refused(self, rng, name):
        body = rng.choice([{"prompt": 7}, {"prompt": "a", "temperature": "hot"}, {"prompt": "a", "n": -1}, {"prompt": "x " * 3000}])
        await self.ask("refused", "/v1/completions", body, expected=400)

    async def abort(self, rng, name):
        reader, writer = await self.open()
        body = {"prompt": self.text(rng, 30), "max_tokens": 400, "ignore_eos": True, "stream": rng.random() < 0.7}
        writer.write(self.head("POST", "/v1/completions", json.dumps(body).encode()))
        await writer.drain()
        try:
            await asyncio.wait_for(reader.read(rng.randrange(1, 4000)), rng.random())
        except asyncio.TimeoutError:
            pass
        if rng.random() < 0.5:
            writer.transport.abort()
        writer.close()

    async def stall(self, rng, name):
        """Sends or reads a byte now and then, or stops in the middle."""
        reader, writer = await self.open()
        request = self.head("POST", "/v1/completions", json.dumps({"prompt": "a", "max_tokens": 300, "ignore_eos": True, "stream": True}).encode())
        end = len(request) if rng.random() < 0.5 else rng.randrange(1, len(request))
        step = rng.randrange(5, 60)
        for at in range(0, end, step):
            writer.write(request[at:min(end, at + step)])
            await writer.drain()
            await asyncio.sleep(rng.random() * 0.2)
        await asyncio.sleep(rng.random() * 15)
        writer.close()

    async def garbage(self, rng, name):
        reader, writer = await self.open()
        good = self.head("POST", "/v1/completions", b'{"prompt": "a", "max_tokens": 2}')
        sent = rng.choice([rng.randbytes(rng.randrange(1, 5000)), good[:rng.randrange(1, len(good))] + rng.randbytes(50), b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000,
                           self.head("POST", "/v1/completions", b"[" * 3000), b"\r\n" * 100 + good, good + b"POST /v1/completions HTTP/9.9\r\n\r\n",
                           self.head("POST", "/v1/completions", b"{}", "Transfer-Encoding: chunked\r\n")])
        writer.write(sent)
        try:
            await asyncio.wait_for(reader.read(65536), 5)
        except asyncio.TimeoutError:
            pass
        writer.close()

    async def client(self, index):
        rng = random.Random(self.seed * 1000 + index)
        kinds = [self.completion] * 4 + [self.stream] * 4 + [self.talk] * 4 + [self.background, self.constrained, self.embedding, self.ollama, self.responses,
                                                                                self.refused] + [self.abort] * 3 + [self.stall, self.garbage]
        if index >= 4:  # of more, the background's half of the queue would be full
            kinds.remove(self.background)
        while time.monotonic() < self.until:
            kind = rng.choice(kinds)
            try:
                await asyncio.wait_for(kind(rng, f"client{index}"), 1800 if kind == self.background else 300)
                self.done[kind.__name__] += 1
            except Wrong as wrong:
                self.wrong.append(str(wrong))
            except asyncio.TimeoutError:
                self.wrong.append(f"{kind.__name__}: stuck")
            except OSError as error:
                if kind in (self.abort, self.stall, self.garbage):  # the server may hang up on these
                    self.done[kind.__name__] += 1
                else:
                    self.wrong.append(f"{kind.__name__}: {error!r}")
            except asyncio.IncompleteReadError as error:
                self.wrong.append(f"{kind.__name__}: {error!r}")
            await asyncio.sleep(rng.random() * 0.5)


def percentiles(values):
    q = statistics.quantiles(values, n=100) if len(values) > 1 else values * 99
    return f"p50 {q[49]:6.2f}  p90 {q[89]:6.2f}  p99 {q[98]:6.2f}  most {max(values):6.2f} s"


async def run(a, daemon):
    load = Load(daemon.socket, time.monotonic() + a.minutes * 60, a.seed)
    memory = []

    async def watch():
        began = time.monotonic()
        while True:
            memory.append((time.monotonic() - began, daemon.resident_bytes()))
            if len(memory) % 60 == 1:
                print(f"{memory[-1][0] / 60:5.1f} min: {memory[-1][1] / 2 ** 20:.1f} MiB, {sum(load.done.values())} done, {len(load.wrong)} wrong"
                      f"{', the last: ' + load.wrong[-1] if load.wrong else ''}", flush=True)
            await asyncio.sleep(1)

    watcher = asyncio.ensure_future(watch())
    await asyncio.gather(*(load.client(i) for i in range(a.clients)))
    watcher.cancel()
    return load, memory


def main():
    p = arguments(__doc__)
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--clients", type=int, default=64)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    with RunningDaemon(a.bin, a.model) as daemon:
        load, memory = asyncio.run(run(a, daemon))
        print("device:", daemon.device())
        print("done:", ", ".join(f"{n} {kind}" for kind, n in sorted(load.done.items())))
        for kind in sorted(load.whole):
            print(f"{kind:>11} whole  {percentiles(load.whole[kind])}  ({len(load.whole[kind])})")
            if load.first[kind]:
                print(f"{kind:>11} first  {percentiles(load.first[kind])}")
        gauges = ["kvasir_requests_running", "kvasir_requests_waiting", "kvasir_requests_paused", "kvasir_kv_pages_leased"]
        for _ in range(100):
            left = {name: daemon.metric(name) for name in gauges}
            if not any(left.values()):
                break
            time.sleep(0.2)
        warm = statistics.median(size for at, size in memory if a.minutes * 10 <= at <= a.minutes * 20)  # the second sixth
        late = statistics.median(size for at, size in memory if at >= a.minutes * 50)
        print("left:", left, "; paused", int(daemon.metric("kvasir_requests_paused_total")), "times")
        print(f"memory: {warm / 2 ** 20:.1f} MiB once warm, {late / 2 ** 20:.1f} at the end: {(late / warm - 1) * 100:+.2f} %")
        for wrong in load.wrong[:20]:
            print("wrong:", wrong)
        for line in [line for line in daemon.log().splitlines() if "level=error" in line][:10]:
            print("log:", line)
        if load.wrong or any(left.values()):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
