"""Clients that send half, too much, or never read; and what the others notice of them."""
import resource
import time
import unittest

from daemon import Daemon, half_request, whole_request

LONG = {"prompt": "Once upon a time", "max_tokens": 100000, "ignore_eos": True, "temperature": 1.0, "stream": True}
MIB = 1 << 20


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def read_all(sock):
    data = b""
    while True:
        try:
            more = sock.recv(65536)
        except ConnectionResetError:
            return data
        if not more:
            return data
        data += more


class Hostile(unittest.TestCase):
    def setUp(self):
        raise_descriptor_limit()
        self.daemon = Daemon("--set", "server.header_timeout_ms=3000", "--set", "server.body_timeout_ms=3000",
                             "--set", "server.write_timeout_ms=3000")
        for _ in range(3):  # buffers that live as long as the daemon exist from here on
            self.daemon.post("/v1/completions", {"prompt": "x", "max_tokens": 400, "ignore_eos": True})

    def tearDown(self):
        self.assertEqual(self.daemon.stop(), 0)
        self.daemon.close()

    def assert_serves(self):
        status, _, body = self.daemon.post("/v1/completions", {"prompt": "x", "max_tokens": 4})
        self.assertEqual(status, 200, body)

    def assert_memory_back(self, before, slack=48 * MIB):
        self.assertTrue(self.daemon.eventually(lambda: self.daemon.resident_bytes() < before + slack, 20),
                        "resident: %d MiB before, %d MiB after" %
                        (before // MIB, self.daemon.resident_bytes() // MIB))

    def test_100_mb_body(self):
        before = self.daemon.resident_bytes()
        with self.daemon.raw() as sock:
            sock.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: 104857600\r\n\r\n")
            try:
                for _ in range(100):
                    sock.sendall(b"x" * MIB)
            except (BrokenPipeError, ConnectionResetError):
                pass
            answer = read_all(sock)
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer[:200])
        self.assert_serves()
        self.assert_memory_back(before)

    def test_100_mb_body_in_chunks(self):
        with self.daemon.raw() as sock:
            sock.sendall(b"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
            try:
                for _ in range(100):
                    sock.sendall(b"100000\r\n" + b"x" * MIB + b"\r\n")
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.assertTrue(read_all(sock).startswith(b"HTTP/1.1 413 "))
        self.assert_serves()

    def test_half_a_request_is_timed_out(self):
        before = self.daemon.resident_bytes()
        for half in (half_request(), half_request(1000)):
            with self.daemon.raw(timeout=30) as sock:
                sock.sendall(half)
                start = time.monotonic()
                self.assertTrue(read_all(sock).startswith(b"HTTP/1.1 408 "))
                self.assertLess(time.monotonic() - start, 10)
        self.assert_serves()
        self.assert_memory_back(before)

    def test_a_client_that_leaves_frees_its_place(self):
        before = self.daemon.resident_bytes()
        for _ in range(100):
            sock = self.daemon.raw()
            sock.sendall(whole_request(LONG))
            sock.recv(100)
            sock.close()
        self.assertTrue(self.daemon.eventually(lambda: self.daemon.metric("kvasir_requests_running") == 0 and
                                               self.daemon.metric("kvasir_requests_waiting") == 0))
        self.assertTrue(self.daemon.eventually(lambda: self.daemon.metric("kvasir_kv_pages_leased") == 0))
        self.assert_serves()
        self.assert_memory_back(before)

    def test_streams_that_nobody_reads_end(self):
        # One socket's buffer swallows a whole context of this model, so many are sent down one connection.
        with self.daemon.raw() as sock:
            sock.sendall(whole_request(dict(LONG, logprobs=5)) * 30)
            self.assertTrue(self.daemon.eventually(
                lambda: self.daemon.metric("kvasir_http_slow_clients_total") >= 1, 120))
        self.assertTrue(self.daemon.eventually(lambda: self.daemon.metric("kvasir_requests_running") == 0))
        self.assert_serves()

    def test_siege(self):
        """500 half-sent requests and 50 unread streams: /health within 100 ms, a running stream keeps its pace."""
        before = self.daemon.resident_bytes()
        halves = []
        for i in range(500):
            sock = self.daemon.raw()
            sock.sendall(half_request() if i % 2 else half_request(1000000))
            halves.append(sock)
        with_halves = self.daemon.resident_bytes()
        self.assertLess(with_halves - before, 500 * 32 * 1024)

        reader = self.daemon.stream("/v1/completions", {k: v for k, v in LONG.items() if k != "stream"})
        next(reader)
        unread = []
        for _ in range(50):
            sock = self.daemon.raw()
            sock.sendall(whole_request(LONG))
            unread.append(sock)
        health, gaps, n = [], [], 0
        last = time.monotonic()
        for event in reader:
            now = time.monotonic()
            gaps.append(now - last)
            last = now
            n += 1
            if n % 8 == 0:
                start = time.monotonic()
                self.assertEqual(self.daemon.get("/health")[0], 200)
                health.append(time.monotonic() - start)
                last = time.monotonic()
        print("siege: %d events, longest gap %.0f ms, mean %.1f ms; /health %d times, slowest %.1f ms" %
              (n, max(gaps) * 1000, sum(gaps) / len(gaps) * 1000, len(health), max(health) * 1000), flush=True)
        self.assertGreater(n, 400)
        self.assertLess(max(health), 0.1)
        self.assertLess(max(gaps), 1.0)
        for sock in halves + unread:
            sock.close()
        self.assertTrue(self.daemon.eventually(lambda: self.daemon.metric("kvasir_requests_running") == 0, 60))
        self.assertTrue(self.daemon.eventually(lambda: self.daemon.metric("kvasir_http_connections") == 1))
        self.assert_serves()
        self.assert_memory_back(before)

    def test_ten_thousand_connections(self):
        """Half a request on each: memory stays the limit's share, and the neighbour's stream comes whole."""
        n_connections = 10_000
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < n_connections + 100:
            self.skipTest("this process may not open 10,000 connections")
        before = most = self.daemon.resident_bytes()
        reader = self.daemon.stream("/v1/completions", {k: v for k, v in LONG.items() if k != "stream"})
        events = [next(reader)]
        held = []
        for i in range(n_connections):
            sock = self.daemon.raw()
            try:
                sock.sendall(half_request())
            except (BrokenPipeError, ConnectionResetError):
                pass  # one too many
            held.append(sock)
            if i % 100 == 0:
                most = max(most, self.daemon.resident_bytes())
        events += reader
        self.assertEqual(events[-1], "[DONE]")
        self.assertGreater(len(events), 400)
        self.assertLess(most - before, (1024 + 16) * 32 * 1024)
        for sock in held:
            sock.close()
        self.assertTrue(self.daemon.eventually(lambda: self.daemon.get("/health")[0] == 200))
        self.assertTrue(self.daemon.eventually(lambda: self.daemon.metric("kvasir_http_connections") == 1))
        self.assertGreater(self.daemon.metric("kvasir_http_refused_total"), n_connections / 2)
        self.assert_serves()
        self.assert_memory_back(before)

    def test_more_connections_than_there_are(self):
        held = [self.daemon.raw(timeout=10) for _ in range(1100)]
        for sock in held[1024 + 16:]:  # the limit, and the reserve for /health
            self.assertTrue(read_all(sock).startswith(b"HTTP/1.1 503 "))
        for sock in held:
            sock.close()
        self.assertTrue(self.daemon.eventually(lambda: self.daemon.get("/health")[0] == 200))
        self.assert_serves()


if __name__ == "__main__":
    unittest.main(verbosity=2)
