#!/usr/bin/env python3
"""How many idle conversations stay whole in a KV budget, on the running daemon, f16 against int4.

For each format: kvasird with a budget that f16 fills with N conversations; K different prompts are sent one after the
other, then all again, newest first. A conversation counts when its second request finds every page it can reuse.

  sessions_in_budget.py --bin build/release/bin --model M.gguf [--tokens 4096] [--sessions 4]
"""
import random

from running_daemon import RunningDaemon, arguments

PAGE = 32


def metrics(daemon):
    lines = daemon.get("/metrics").splitlines()
    return {line.split()[0]: float(line.split()[1]) for line in lines if line and not line.startswith("#")}


def start(a, kv, budget):
    return RunningDaemon(a.bin, a.model, "--set", f"cache.keys={kv}", "--set", f"cache.values={kv}",
                         "--set", f"cache.budget_bytes={budget}", "--set", "engine.max_sequences=1")


def prompt(i, n, vocab):
    rng = random.Random(i)
    return [rng.randrange(vocab) for _ in range(n)]


def complete(daemon, tokens):
    reply = daemon.post("/v1/completions", {"prompt": tokens, "max_tokens": 1, "temperature": 0, "ignore_eos": True})
    return reply["usage"]["prompt_tokens_details"]["cached_tokens"]


def measure(a, kv, budget, n):
    with start(a, kv, budget) as daemon:
        for i in range(n):
            complete(daemon, prompt(i, a.tokens, a.vocab))
        state = metrics(daemon)
        whole = (a.tokens - 1) // PAGE * PAGE
        hits = sum(complete(daemon, prompt(i, a.tokens, a.vocab)) == whole for i in reversed(range(n)))
    return hits, state


def main():
    p = arguments(__doc__)
    p.add_argument("--tokens", type=int, default=4096)
    p.add_argument("--sessions", type=int, default=4)
    p.add_argument("--vocab", type=int, default=4000)
    a = p.parse_args()
    # Bytes that N conversations and the open pages take in f16, asked of the daemon itself.
    with start(a, "f16", "1GiB") as daemon:
        complete(daemon, prompt(0, 64, a.vocab))
        state = metrics(daemon)
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
