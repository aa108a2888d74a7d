"""kvasird on a socket of its own, for the benchmarks."""
import argparse
import http.client
import json
import os
import re
import socket
import subprocess
import tempfile
import time


def arguments(description):
    """What every benchmark is told; each adds its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--model", required=True)
    return parser


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=600)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class RunningDaemon:
    def __init__(self, bin_dir, model, *arguments):
        self.directory = tempfile.TemporaryDirectory()
        os.chmod(self.directory.name, 0o755)
        self.socket = os.path.join(self.directory.name, "s")
        self.log_path = os.path.join(self.directory.name, "log")
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen([os.path.join(bin_dir, "kvasird"), "--model", model, "--socket", self.socket, *arguments], stderr=log)
        for _ in range(1500):
            if self.process.poll() is not None:
                raise SystemExit(self.log())
            try:
                if self.get("/health")["status"] == "ok":
                    return
            except (OSError, RuntimeError):
                pass
            time.sleep(0.2)
        raise SystemExit("kvasird does not get ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.directory.cleanup()

    def log(self):
        with open(self.log_path) as log:
            return log.read()

    def device(self):
        found = re.search(r'device="([^"]*)"', self.log())
        return found.group(1) if found else "?"

    def request(self, method, url, body=None):
        connection = UnixConnection(self.socket)
        connection.request(method, url, json.dumps(body) if body is not None else None)
        reply = connection.getresponse()
        data = reply.read().decode()
        connection.close()
        if reply.status != 200:
            raise RuntimeError(f"{url}: {reply.status} {data[:300]}")
        return json.loads(data) if data.startswith("{") else data

    def get(self, url):
        return self.request("GET", url)

    def post(self, url, body):
        return self.request("POST", url, body)

    def metric(self, name):
        for line in self.get("/metrics").splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise RuntimeError("no metric " + name)

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
