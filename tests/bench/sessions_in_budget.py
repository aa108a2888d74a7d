#!/usr/bin/env python3
"""How many idle conversations stay whole in a KV budget, on the running daemon, f16 against int4.

For each format: kvasird with a budget that f16 fills with N conversations; K different prompts are sent one after the
other, then all again, newest first. A conversation counts when its second request finds every page it can reuse.

  sessions_in_budget.py --bin build/release/bin --model M.gguf [--tokens 4096] [--sessions 4]
"""
import argparse
import http.client
import json
import os
import random
import socket
import subprocess
import tempfile
import time

PAGE = 32


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=600)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def request(path, method, url, body=None):
    connection = UnixConnection(path)
    connection.request(method, url, json.dumps(body) if body else None)
    reply = connection.getresponse()
    data = reply.read()
    if reply.status != 200:
        raise SystemExit(f"{url}: {reply.status} {data[:300]!r}")
    return data.decode()


def metrics(path):
    lines = request(path, "GET", "/metrics").splitlines()
    return {line.split()[0]: float(line.split()[1]) for line in lines if line and not line.startswith("#")}


class Daemon:
    def __init__(self, a, kv, budget):
        self.dir = tempfile.TemporaryDirectory()
        self.socket = os.path.join(self.dir.name, "s")
        log = open(os.path.join(self.dir.name, "log"), "w")
        self.process = subprocess.Popen(
            [os.path.join(a.bin, "kvasird"), "--model", a.model, "--socket", self.socket, "--set", f"cache.keys={kv}",
             "--set", f"cache.values={kv}", "--set", f"cache.budget_bytes={budget}", "--set", "engine.max_sequences=1"], stderr=log)
        for _ in range(600):
            try:
                if json.loads(request(self.socket, "GET", "/health"))["status"] == "ok":
                    return
            except (OSError, SystemExit):
                pass
            if self.process.poll() is not None:
                raise SystemExit(open(log.name).read())
            time.sleep(0.2)
        raise SystemExit("kvasird does not get ready")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def prompt(i, n, vocab):
    rng = random.Random(i)
    return [rng.randrange(vocab) for _ in range(n)]


def complete(path, tokens):
    reply = json.loads(request(path, "POST", "/v1/completions", {"prompt": tokens, "max_tokens": 1, "temperature": 0, "ignore_eos": True}))
    return reply["usage"]["prompt_tokens_details"]["cached_tokens"]


def measure(a, kv, budget, n):
    daemon = Daemon(a, kv, budget)
    vocab = a.vocab
    for i in range(n):
        complete(daemon.socket, prompt(i, a.tokens, vocab))
    state = metrics(daemon.socket)
    whole = (a.tokens - 1) // PAGE * PAGE
    hits = sum(complete(daemon.socket, prompt(i, a.tokens, vocab)) == whole for i in reversed(range(n)))
    daemon.stop()
    return hits, state


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--bin", required=True)
    p.add_argument("--model", required=True)
    p.add_argument("--tokens", type=int, default=4096)
    p.add_argument("--sessions", type=int, default=4)
    p.add_argument("--vocab", type=int, default=4000)
    a = p.parse_args()
    # Bytes that N conversations and the open pages take in f16, asked of the daemon itself.
    daemon = Daemon(a, "f16", "1GiB")
    complete(daemon.socket, prompt(0, 64, a.vocab))
    state = metrics(daemon.socket)
    daemon.stop()
    page_bytes = state["kvasir_kv_bytes_per_token"] * PAGE
    n_open = 2 * 1 + 256 // PAGE + 1
    budget = int(page_bytes * (a.sessions * (a.tokens // PAGE) + n_open))
    print(f"budget {budget} bytes: {a.sessions} conversations of {a.tokens} tokens in f16")
    for kv, n in (("f16", a.sessions), ("int4", 3 * a.sessions)):
        hits, state = measure(a, kv, budget, n)
        print(f"{kv}: {hits} of {n} conversations whole; pages {state['kvasir_kv_pages']:.0f}, "
              f"{state['kvasir_kv_bytes_per_token']:.0f} bytes a token, {state['kvasir_kv_allocated_bytes']:.0f} bytes allocated")


if __name__ == "__main__":
    main()
