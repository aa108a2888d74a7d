"""A daemon's life: start, refusals to start, signals, SIGKILL, systemd's side."""
import os
import random
import signal
import socket
import tempfile
import threading
import time
import unittest

from daemon import MODEL, Daemon, connect

LONG = {"prompt": "Once upon a time", "max_tokens": 400, "ignore_eos": True, "temperature": 0}


class Life(unittest.TestCase):
    def refused(self, *arguments, code, model=MODEL, directory=None):
        with Daemon(*arguments, model=model, wait=False, directory=directory) as daemon:
            self.assertEqual(daemon.wait_exit(), code, daemon.log_text())
            return daemon.log_text()

    def test_wrong_settings_exit_2(self):
        self.assertIn("server.nonsense", self.refused("--set", "server.nonsense=1", code=2))
        self.assertIn("max_body", self.refused("--set", "server.max_body_bytes=many", code=2))
        self.assertIn("0.0.0.0", self.refused("--listen", "0.0.0.0:0", code=2))

    def test_no_model_exits_3(self):
        with tempfile.TemporaryDirectory() as directory:
            self.assertIn("absent.gguf", self.refused(model=os.path.join(directory, "absent.gguf"), code=3))
            self.assertIn(directory, self.refused(model=directory, code=3))
            path = os.path.join(directory, "text.gguf")
            with open(path, "w") as file:
                file.write("not a model")
            self.assertIn("text.gguf", self.refused(model=path, code=3))

    def test_damaged_models_exit_3(self):
        with open(MODEL, "rb") as file:
            good = file.read()
        chance = random.Random(1)
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "bad.gguf")
            for n in (0, 3, 4, 23, 24, 100, 5000, 50000, len(good) // 2, len(good) - 1):
                with open(path, "wb") as file:
                    file.write(good[:n])
                self.assertIn("bad.gguf", self.refused(model=path, code=3), "truncated to %d bytes" % n)
            for byte in (0, 4, 8, 16):  # magic, version, counts
                flipped = bytearray(good)
                flipped[byte] ^= 1 << chance.randrange(3, 8)
                with open(path, "wb") as file:
                    file.write(flipped)
                self.refused(model=path, code=3)

    def test_check_validates_and_exits(self):
        with Daemon("--check", wait=False) as daemon:
            self.assertEqual(daemon.wait_exit(), 0, daemon.log_text())
            self.assertIn("ok", daemon.log_text())
            self.assertFalse(os.path.exists(daemon.socket))
        self.refused("--check", model="/nonexistent.gguf", code=3)

    def test_a_live_socket_is_respected(self):
        with Daemon() as first:
            log = self.refused(code=1, directory=first.directory)
            self.assertIn("another daemon answers", log)
            self.assertEqual(first.get("/health")[0], 200)

    def test_sigkill_leaves_a_socket_that_the_next_replaces(self):
        with tempfile.TemporaryDirectory() as directory:
            with Daemon(directory=directory) as first:
                threading.Timer(0.3, first.kill).start()
                with self.assertRaises(Exception):
                    while True:
                        first.post("/v1/completions", LONG)
                first.wait_exit()
                self.assertTrue(os.path.exists(first.socket))
            with Daemon(directory=directory) as second:
                self.assertEqual(second.post("/v1/completions", dict(LONG, max_tokens=3))[0], 200)

    def test_sigterm_finishes_what_runs(self):
        with Daemon("--set", "server.drain_timeout_ms=60000") as daemon:
            events = daemon.stream("/v1/completions", LONG)
            next(events)
            daemon.process.send_signal(signal.SIGTERM)
            rest = list(events)
            self.assertEqual(rest[-1], "[DONE]")
            self.assertEqual(rest[-2]["choices"][0]["finish_reason"], "length")
            self.assertEqual(daemon.wait_exit(), 0)
            self.assertFalse(os.path.exists(daemon.socket))

    def test_sigterm_tells_those_that_take_too_long(self):
        with Daemon("--set", "server.drain_timeout_ms=1") as daemon:
            events = daemon.stream("/v1/completions", LONG)
            next(events)
            daemon.process.send_signal(signal.SIGTERM)
            last = list(events)[-1]
            self.assertIn(last if last == "[DONE]" else last["error"]["code"], ("[DONE]", "server_stopping"))
            self.assertEqual(daemon.wait_exit(), 0)

    def test_two_signals_stop_at_once(self):
        with Daemon("--set", "server.drain_timeout_ms=60000") as daemon:
            with daemon.raw() as half:
                half.sendall(b"GET /health HT")  # would hold the drain up
                time.sleep(0.2)
                daemon.process.send_signal(signal.SIGINT)
                time.sleep(0.5)
                self.assertIsNone(daemon.process.poll())
                daemon.process.send_signal(signal.SIGINT)
                self.assertEqual(daemon.wait_exit(10), 0)
            self.assertFalse(os.path.exists(daemon.socket))

    def test_a_signal_while_loading_stops(self):
        for delay in (0.05, 0.15):
            with Daemon(wait=False) as daemon:
                time.sleep(delay)
                daemon.process.send_signal(signal.SIGTERM)
                self.assertIn(daemon.wait_exit(30), (0, -signal.SIGTERM))
                self.assertFalse(os.path.exists(daemon.socket))

    def test_tcp_needs_a_key(self):
        with tempfile.TemporaryDirectory() as directory:
            keys = os.path.join(directory, "keys")
            with open(keys, "w") as file:
                file.write("# keys\nopen-sesame-1234 work\n")
            os.chmod(keys, 0o600)
            probe = socket.socket()
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            probe.close()
            tcp = ("--listen", "127.0.0.1:%d" % port, "--api-key-file", keys)
            with Daemon(*tcp, wait=False) as daemon:  # no [[domain]] is called work
                self.assertEqual(daemon.wait_exit(), 2)
                self.assertIn('keys:2: domain \\"work\\"', daemon.log_text())
            config = os.path.join(directory, "kvasird.toml")
            with open(config, "w") as file:
                file.write('[[domain]]\nname = "work"\n')
            with Daemon("--config", config, *tcp):
                def ask(headers):
                    with socket.create_connection(("127.0.0.1", port)) as sock:
                        sock.sendall(("GET /v1/models HTTP/1.1\r\nConnection: close\r\n%s\r\n" % headers).encode())
                        return int(sock.makefile("rb").readline().split()[1])
                self.assertEqual(ask("Host: localhost\r\n"), 401)
                self.assertEqual(ask("Host: localhost\r\nAuthorization: Bearer wrong\r\n"), 401)
                self.assertEqual(ask("Host: localhost\r\nAuthorization: Bearer open-sesame-1234\r\n"), 200)
                self.assertEqual(ask("Host: evil.test\r\nAuthorization: Bearer open-sesame-1234\r\n"), 421)

    def test_systemd_sockets_and_notifications(self):
        with tempfile.TemporaryDirectory() as directory, \
                socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            path = os.path.join(directory, "activated.sock")
            listening.bind(path)
            listening.listen(64)
            notify_path = os.path.join(directory, "notify")
            notify.bind(notify_path)
            notify.settimeout(120)
            # LISTEN_PID must be the daemon's own: the shell sets it and becomes the daemon.
            prefix = ("/bin/sh", "-c", "exec 3<&%d; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"" % listening.fileno(), "sh")
            with Daemon(wait=False, directory=directory, prefix=prefix, pass_fds=(listening.fileno(),),
                        environment={"NOTIFY_SOCKET": notify_path, "WATCHDOG_USEC": "600000"}) as daemon:
                said = ""
                while "READY=1" not in said:
                    said += notify.recv(4096).decode() + "\n"
                self.assertIn("STATUS=", said)
                self.assertFalse(os.path.exists(daemon.socket))  # the inherited one takes its place
                with connect(path) as sock:
                    sock.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    self.assertTrue(sock.recv(4096).startswith(b"HTTP/1.1 200 "))
                while "WATCHDOG=1" not in said:
                    said += notify.recv(4096).decode() + "\n"
                daemon.process.send_signal(signal.SIGTERM)
                while "STOPPING=1" not in said:
                    said += notify.recv(4096).decode() + "\n"
                self.assertEqual(daemon.wait_exit(), 0)
                self.assertTrue(os.path.exists(path))  # systemd's, not ours to remove


if __name__ == "__main__":
    unittest.main(verbosity=2)
