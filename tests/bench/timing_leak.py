#!/usr/bin/env python3
"""Can one user tell by time to first token what another has asked? Run as root: it acts as two other users.

In each pair the victim asks one of two prompts, at random; the observer then asks both and times them. AUC of "the asked one
is faster": 0.5 is a coin. As a check of the method, the observer's own repetition is timed the same way.

  timing_leak.py --bin build/release/bin --model M.gguf [--pairs 200]
"""
import multiprocessing
import os
import random
import time

from running_daemon import RunningDaemon, arguments, UnixConnection


def user(uid, socket_path, pipe):
    """A process of that user: sends what it is given, answers with milliseconds."""
    import json
    UnixConnection(socket_path)
    os.setgid(uid)
    os.setuid(uid)
    while True:
        prompt = pipe.recv()
        if prompt is None:
            return
        connection = UnixConnection(socket_path)
        body = json.dumps({"prompt": prompt, "max_tokens": 1, "temperature": 0})
        begin = time.monotonic()
        connection.request("POST", "/v1/completions", body)
        reply = connection.getresponse()
        reply.read()
        pipe.send((time.monotonic() - begin) * 1000 if reply.status == 200 else None)
        connection.close()


class User:
    def __init__(self, uid, socket_path):
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=user, args=(uid, socket_path, other), daemon=True)
        self.process.start()

    def ask(self, prompt):
        self.pipe.send(prompt)
        took = self.pipe.recv()
        if took is None:
            raise SystemExit("a request failed")
        return took

    def stop(self):
        self.pipe.send(None)
        self.process.join()


def auc(faster, slower):
    wins = sum((f < s) + 0.5 * (f == s) for f in faster for s in slower)
    return wins / (len(faster) * len(slower))


def main():
    p = arguments(__doc__)
    p.add_argument("--pairs", type=int, default=200)
    p.add_argument("--tokens", type=int, default=96)
    p.add_argument("--vocab", type=int, default=4000)
    a = p.parse_args()
    rng = random.Random(7)
    with RunningDaemon(a.bin, a.model, "--set", "server.socket_mode=0666") as daemon:
        victim, observer = User(4711, daemon.socket), User(4712, daemon.socket)
        asked, other, repeated = [], [], []
        for _ in range(a.pairs):
            pair = [[rng.randrange(10, a.vocab) for _ in range(a.tokens)] for _ in range(2)]
            hit = rng.randrange(2)
            victim.ask(pair[hit])
            took = {}
            for i in rng.sample((0, 1), 2):
                took[i] = observer.ask(pair[i])
            asked.append(took[hit])
            other.append(took[1 - hit])
            repeated.append(observer.ask(pair[hit]))
        victim.stop()
        observer.stop()
        print(f"{a.pairs} pairs: another's prompt against a new one: AUC {auc(asked, other):.3f}; "
              f"its own repeated against a new one: AUC {auc(repeated, other):.3f}")


if __name__ == "__main__":
    main()
