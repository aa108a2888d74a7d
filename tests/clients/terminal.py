"""A program on a terminal of its own, and what a person would see there (by pyte)."""
import codecs
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

try:
    import pyte
except ImportError:  # another Python than the system's finds Debian's package, which is pure Python
    sys.path.append("/usr/lib/python3/dist-packages")
    try:
        import pyte
    except ImportError:
        pyte = None

KVASIR = os.environ.get("KVASIR", "")


class Terminal:
    def __init__(self, arguments, width=80, height=24, environment=None, program=None):
        self.raw = b""
        self.screen = pyte.Screen(width, height)
        self.parser = pyte.Stream(self.screen)
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.status = None
        env = {k: v for k, v in os.environ.items() if not k.startswith("KVASIR") and k != "NO_COLOR"}
        env.update({"TERM": "xterm-256color", "LANG": "C.UTF-8", "KVASIR_HISTORY": ""})
        env.update(environment or {})
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
                os.execve(program or KVASIR, [program or KVASIR] + list(arguments), env)
            finally:
                os._exit(99)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def resize(self, width, height):
        self.screen.resize(height, width)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def send(self, text):
        os.write(self.fd, text.encode() if isinstance(text, str) else text)

    def kill(self, number):
        os.kill(self.pid, number)

    def read_some(self, seconds):
        """False at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # EIO: the other side has gone
            return False
        self.raw += data
        self.parser.feed(self.decoder.decode(data))
        return bool(data)

    def lines(self):
        """Without the blanks at their ends, but for those before the cursor."""
        cursor = self.screen.cursor
        return [line.rstrip() if y != cursor.y else line[:cursor.x] + line[cursor.x:].rstrip()
                for y, line in enumerate(self.screen.display)]

    def text(self):
        return "\n".join(self.lines())

    def wait_until(self, holds, seconds=60):
        """holds(text of the screen)."""
        until = time.monotonic() + seconds
        while True:
            if holds(self.text()):
                return True
            if time.monotonic() > until or not self.read_some(0.1):
                return bool(holds(self.text()))

    def expect(self, *texts, seconds=60):
        if not self.wait_until(lambda screen: all(text in screen for text in texts), seconds):
            raise AssertionError("expected %r on the screen:\n%s" % (texts, self.text()))

    def settle(self, seconds=0.3):
        """Until nothing has come for a while."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            n = len(self.raw)
            if not self.read_some(seconds) or len(self.raw) == n:
                return

    def wait(self, seconds=30):
        """The exit code, or minus the signal."""
        until = time.monotonic() + seconds
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                break
            if time.monotonic() > until:
                raise AssertionError("it still runs:\n" + self.text())
            self.read_some(0.05)
        while self.fd >= 0 and select.select([self.fd], [], [], 0)[0] and self.read_some(0):
            pass
        return self.status

    def settings(self):
        return termios.tcgetattr(self.fd)
