"""A kvasird process under test and a small HTTP client for its socket."""
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest

KVASIRD = os.environ["KVASIRD"]
MODEL = os.environ["KVASIR_TEST_MODEL"]
CACHE = os.environ.get("KVASIR_TEST_CACHE", "")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = connect(self.path, self.timeout)


def connect(path, timeout=60):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


class Daemon:
    """Started with extra arguments; stopped, killed if need be, by close()."""

    def __init__(self, *arguments, model=MODEL, wait=True, directory=None, prefix=(), environment=None, **popen):
        self.temporary = None if directory else tempfile.TemporaryDirectory(prefix="kvasir-test-")
        self.directory = directory or self.temporary.name
        self.socket = os.path.join(self.directory, "kvasir.sock")
        self.log_path = os.path.join(self.directory, "log-%d" % time.monotonic_ns())
        self.log = open(self.log_path, "wb")
        command = list(prefix) + [KVASIRD, "--model", model, "--socket", self.socket]
        if CACHE:
            command += ["--set", "device.pipeline_cache_dir=" + CACHE]
        command += list(arguments)
        env = {k: v for k, v in os.environ.items() if not k.startswith("KVASIR")}
        env.update(environment or {})
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
                                        env=env, **popen)
        if wait:
            self.wait_ready()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def log_text(self):
        with open(self.log_path, "rb") as log:
            return log.read().decode("utf-8", "replace")

    def wait_ready(self, seconds=300):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError("kvasird exited with %d:\n%s" % (self.process.returncode, self.log_text()))
            try:
                if self.get("/health")[0] == 200:
                    return
            except (FileNotFoundError, ConnectionRefusedError):
                pass
            time.sleep(0.05)
        raise AssertionError("kvasird is not ready after %d s:\n%s" % (seconds, self.log_text()))

    def wait_exit(self, seconds=120):
        return self.process.wait(timeout=seconds)

    def stop(self, seconds=60):
        self.process.send_signal(signal.SIGTERM)
        return self.wait_exit(seconds)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()
        self.log.close()
        if self.temporary:
            self.temporary.cleanup()

    def resident_bytes(self):
        with open("/proc/%d/statm" % self.process.pid) as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def connection(self, timeout=60):
        return UnixConnection(self.socket, timeout)

    def raw(self, timeout=60):
        return connect(self.socket, timeout)

    def request(self, method, path, body=None, timeout=120):
        """Status, headers (lower case), body as JSON where it is JSON."""
        connection = self.connection(timeout)
        try:
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            data = response.read()
            if headers.get("content-type", "").startswith("application/json"):
                data = json.loads(data)
            return response.status, headers, data
        finally:
            connection.close()

    def get(self, path, timeout=120):
        return self.request("GET", path, None, timeout)

    def post(self, path, body, timeout=120):
        return self.request("POST", path, body, timeout)

    def stream(self, path, body, timeout=120):
        """Yields each event's data as JSON, and the string "[DONE]"."""
        connection = self.connection(timeout)
        try:
            connection.request("POST", path, json.dumps(dict(body, stream=True)),
                               {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise AssertionError("%d %r" % (response.status, response.read()))
            for line in response:
                if line.startswith(b"data: "):
                    data = line[6:].strip()
                    yield "[DONE]" if data == b"[DONE]" else json.loads(data)
        finally:
            connection.close()

    def metric(self, name):
        for line in self.get("/metrics")[2].decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise AssertionError("no metric " + name)

    def eventually(self, holds, seconds=10):
        until = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True


def half_request(body_bytes=None):
    if body_bytes is None:
        return b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nX-Half: "
    return (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n{\"prompt\"" % body_bytes)


def whole_request(body, path="/v1/completions"):
    data = json.dumps(body).encode()
    return b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(data), data)


class DaemonCase(unittest.TestCase):
    """One daemon for all tests of a class; it has to stop well."""
    arguments = ()
    model = MODEL

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(*cls.arguments, model=cls.model)

    @classmethod
    def tearDownClass(cls):
        code = cls.daemon.stop()
        log = cls.daemon.log_text()
        cls.daemon.close()
        assert code == 0, log
