#!/usr/bin/env python3
"""Time to first token of a second session behind a shared opening, against the first's; and that its pages are held once.

  first_token.py --bin build/release/bin --model M.gguf [--opening 1000] [--question 8] [--sessions 12] [--kv int8]

The model needs a context of a little more than the opening. Each round is a new opening: one cold session, then the warm
ones; medians over rounds.
"""
import random
import statistics
import sys
import time

from running_daemon import RunningDaemon, arguments

PAGE = 32


def main():
    p = arguments(__doc__)
    p.add_argument("--opening", type=int, default=1000)
    p.add_argument("--question", type=int, default=8)
    p.add_argument("--sessions", type=int, default=12)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--vocab", type=int, default=4000)
    p.add_argument("--kv", default="int8")
    a = p.parse_args()
    rng = random.Random(1)
    with RunningDaemon(a.bin, a.model, "--set", f"cache.keys={a.kv}", "--set", f"cache.values={a.kv}") as daemon:
        cold, warm = [], []
        for r in range(a.rounds):
            daemon.post("/v1/cache/evict", {})
            opening = [rng.randrange(10, a.vocab) for _ in range(a.opening)]
            for s in range(a.sessions):
                prompt = opening + [rng.randrange(10, a.vocab) for _ in range(a.question)]
                begin = time.monotonic()
                reply = daemon.post("/v1/completions", {"prompt": prompt, "max_tokens": 1, "temperature": 0, "session_id": f"{r}-{s}"})
                (warm if s else cold).append((time.monotonic() - begin) * 1000)
            cached = reply["usage"]["prompt_tokens_details"]["cached_tokens"]
            report = daemon.get("/v1/cache")
            print(f"round {r}: cold {cold[-1]:.1f} ms, warm {statistics.median(warm[-a.sessions + 1:]):.1f} ms, "
                  f"{cached} tokens cached, {report['cached_pages']} pages for {a.sessions} sessions", file=sys.stderr)
        c, w = statistics.median(cold), statistics.median(warm)
        print(f"{daemon.device()}: opening of {a.opening} tokens, {a.kv}: first session {c:.1f} ms, later ones {w:.2f} ms: 1/{c / w:.0f}")


if __name__ == "__main__":
    main()
