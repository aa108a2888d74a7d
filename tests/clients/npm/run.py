#!/usr/bin/env python3
"""One script of npm's clients against a daemon on its Unix socket and on loopback TCP with a key.

Nothing is downloaded here: the modules are those in KVASIR_NODE_MODULES, or in node_modules beside this file."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
# Told to think, this model thinks until it is cut.
THINKS = "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
THINK = "{% if enable_thinking and add_generation_prompt %}<think>\n{% endif %}"
KEY = "sesame-of-the-client-tests-0123"
QUEUE = 40


def find_modules():
    for directory in (os.environ.get("KVASIR_NODE_MODULES", ""), os.path.join(HERE, "node_modules")):
        if os.path.isdir(os.path.join(directory, "openai")):
            return os.path.abspath(directory)
    return None


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def main(script):
    node, modules = shutil.which("node"), find_modules()
    if node is None or modules is None:
        print("skipped: %s; for npm's clients: npm ci --prefix tests/clients/npm"
              % ("no node" if node is None else "no node_modules, nor KVASIR_NODE_MODULES"))
        return 0
    from daemon import Daemon
    from test_tools import TEMPLATE, with_template
    with tempfile.TemporaryDirectory(prefix="kvasir-npm-") as directory:
        # Beside their modules, as an application's files are.
        os.symlink(modules, os.path.join(directory, "node_modules"))
        for name in os.listdir(HERE):
            if name.endswith((".mjs", ".json")):
                shutil.copy(os.path.join(HERE, name), directory)
        model = os.path.join(directory, "tales-tools.gguf")
        template = TEMPLATE.replace("{{ m.content", THINKS + "{{ m.content") + THINK
        with_template(os.environ["KVASIR_TEST_MODEL"], model, template)
        key_file = os.path.join(directory, "keys")
        with open(key_file, "w") as keys:
            os.chmod(key_file, 0o600)
            keys.write(KEY + "\n")
        port = free_port()
        with Daemon("--listen", "127.0.0.1:%d" % port, "--api-key-file", key_file,
                    "--set", "server.max_queue=%d" % QUEUE, model=model) as daemon:
            environment = dict(os.environ, KVASIR_TCP="http://127.0.0.1:%d" % port, KVASIR_KEY=KEY,
                               KVASIR_SOCKET=daemon.socket)
            code = subprocess.run([node, "--test-reporter=spec", script], cwd=directory, env=environment).returncode
            stopped = daemon.stop()
            if code != 0 or stopped != 0:
                print(daemon.log_text()[-4000:])
            return code or stopped


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
