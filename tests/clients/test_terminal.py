"""kvasir chat and kvasir top on a terminal, against kvasird: what a person types and sees."""
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

import daemon
import terminal

KVASIR = os.environ["KVASIR"]
ENTER_SCREEN, LEAVE_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"


class OnTerminal(daemon.DaemonCase):
    def setUp(self):
        for session in self.daemon.get("/v1/sessions")[2]["data"]:
            if session["id"].startswith("chat-"):  # of a chat that a test has killed
                self.daemon.request("DELETE", "/v1/sessions/" + session["id"])

    def open(self, *arguments, **options):
        opened = terminal.Terminal(["--socket", self.daemon.socket] + list(arguments), **options)
        self.addCleanup(opened.close)
        return opened


class Chat(OnTerminal):
    def chat(self, *arguments, **options):
        chat = self.open("chat", "-n", "12", "--temperature", "0", *arguments, **options)
        chat.expect("/help", "> ")
        chat.settle()
        return chat

    def prompt(self, chat):
        """Until the last line is a prompt for more."""
        self.assertTrue(chat.wait_until(lambda text: [line for line in text.split("\n") if line][-1] in (">", "> ")),
                        chat.text())
        # libedit shows the prompt a moment before it takes keys; a Ctrl-D before that is lost.
        self.assertTrue(chat.wait_until(lambda text: not chat.settings()[3] & termios.ICANON))
        chat.settle(0.1)

    def say(self, chat, text):
        chat.send(text + "\n")
        self.prompt(chat)

    def sessions(self):
        return [one["id"] for one in self.daemon.get("/v1/sessions")[2]["data"]]

    def saved(self, chat, directory):
        path = os.path.join(directory, "saved-%d.json" % time.monotonic_ns())
        self.say(chat, "/save " + path)
        with open(path) as file:
            return json.load(file)["messages"]

    def test_lines_are_edited_and_a_conversation_has_its_session(self):
        chat = self.chat()
        chat.send("Once upxx")
        chat.send("\x7f\x7fon a time\x01\x1b[C\x1b[C\x1b[Dn")  # erases, goes home, right, right, left
        chat.expect("> Onnce upon a time")
        chat.send("\x7f\n")
        self.prompt(chat)
        chat.expect("> Once upon a time\n")
        sessions = self.sessions()
        self.assertEqual(len(sessions), 1)
        self.assertRegex(sessions[0], "^chat-[0-9a-f]{16}$")
        self.say(chat, "/session")
        chat.expect(sessions[0] + ": ", " tokens, ", " page", "on device; 1 request found")
        self.say(chat, "/stats")
        chat.expect("Last reply: prompt ", "12 tokens", "tokens/s", "2 turns")
        self.assertTrue(all(len(line) < 80 for line in chat.lines()), chat.text())
        self.say(chat, "/new")
        self.assertEqual(self.sessions(), [])
        self.say(chat, "And then?")
        self.assertEqual(len(self.sessions()), 1)
        chat.send("\x04")
        self.assertEqual(chat.wait(), 0)
        self.assertEqual(self.sessions(), [])

    def test_commands_are_completed_and_help_fits(self):
        chat = self.chat()
        chat.send("/he\t")
        chat.expect("> /help")
        self.say(chat, "")
        for name in ("/session", "/stats", "/save FILE", "/new", "/exit", "Alt-Enter", "Ctrl-C"):
            chat.expect(name)
        chat.send("/s\t")  # several: no guess
        chat.settle()
        chat.expect("> /s")
        chat.send("\x15/exit\n")
        self.assertEqual(chat.wait(), 0)

    def test_messages_of_several_lines(self):
        with tempfile.TemporaryDirectory() as directory:
            chat = self.chat()
            chat.send("\x1b[200~pasted one\rpasted \x1b[31mtwo\r\x1b[201~")
            chat.expect("pasted one\n", "two")
            chat.settle()
            self.assertEqual(self.sessions(), [])  # a paste sends nothing
            self.say(chat, " and more")
            chat.send("typed one\x1b\rtyped two\n")
            self.prompt(chat)
            chat.send('"""block\n\nend\n"""\n')
            self.prompt(chat)
            chat.send("back\\\nslash\n")
            self.prompt(chat)
            said = [one["content"] for one in self.saved(chat, directory) if one["role"] == "user"]
            self.assertEqual(said, ["pasted one\npasted [31mtwo and more", "typed one\ntyped two", "block\n\nend",
                                    "back\nslash"])
            self.assertIn("\n... slash", chat.text())
            chat.send("\x1b[A\x1b[A")  # over /save, back to the whole message
            chat.expect("> back\n", "slash")

    def test_the_history_is_private_and_lasts(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "kvasir", "history")
            chat = self.chat(environment={"KVASIR_HISTORY": path})
            self.say(chat, "the first of all")
            self.say(chat, '"""two\nlines"""')
            chat.send("\x04")
            self.assertEqual(chat.wait(), 0)
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
            self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode), 0o700)
            again = self.chat(environment={"KVASIR_HISTORY": path})
            again.send("\x1b[A")
            again.expect("> two\nlines")
            again.send("\x1b[A\x1b[A")
            again.expect("> the first of all")
            again.send("\x03")
            self.prompt(again)
            again.send("\x12first")  # searched for
            again.expect("the first of all", "bck:first")

    def test_an_interrupt_stops_the_answer_and_keeps_the_conversation(self):
        with tempfile.TemporaryDirectory() as directory:
            chat = self.open("chat", "-n", "450", "--temperature", "2", "--seed", "1")  # long enough to be stopped
            chat.expect("/help", "> ")
            chat.settle()
            chat.send("Tell me a long tale\n")
            chat.wait_until(lambda text: len("".join(text.split("long tale")[1:]).split()) > 5)
            chat.send("\x03")
            self.prompt(chat)
            self.assertTrue(self.daemon.eventually(lambda: self.daemon.metric("kvasir_requests_running") == 0))
            messages = self.saved(chat, directory)
            self.assertEqual([one["role"] for one in messages], ["user", "assistant"])
            self.assertGreater(len(messages[1]["content"].split()), 5)
            chat.send("half a li")
            chat.expect("half a li")
            chat.send("\x03")  # which would drop what has not been read yet
            self.prompt(chat)
            self.assertNotIn("again ends", chat.text())
            chat.send("\x03")
            chat.expect("Ctrl-C again ends")
            chat.settle()
            chat.send("\x03")
            self.assertEqual(chat.wait(), 130)
            self.assertEqual(self.sessions(), [])

    def test_the_terminal_is_given_back(self):
        for ending in (b"\x04", b"/exit\n", signal.SIGTERM, signal.SIGHUP):
            chat = self.open("chat")
            before = chat.settings()
            chat.expect("/help", "> ")
            chat.settle()
            self.assertFalse(chat.settings()[3] & termios.ICANON)
            chat.send(ending) if isinstance(ending, bytes) else chat.kill(ending)
            self.assertEqual(chat.wait(), 0 if isinstance(ending, bytes) else -ending)
            self.assertEqual(chat.settings()[3], before[3])

    def test_no_colours_where_none_are_wanted(self):
        chat = self.chat(environment={"NO_COLOR": "1"})
        self.say(chat, "/help")
        self.assertNotRegex(chat.raw, rb"\x1b\[[0-9;]*[1-9][0-9;]*m")


class Top(OnTerminal):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stops = False
        cls.daemon.post("/v1/sessions", {"id": "quiet \u732b", "context": "c\u202ed", "ttl": {"idle_seconds": 600}})

        def tell(number):
            while not cls.stops:
                cls.daemon.post("/v1/completions", {"prompt": "Once upon a time there was a queen " * 5,
                                                    "max_tokens": 60, "session_id": "tale-%d" % number})

        cls.tellers = [threading.Thread(target=tell, args=(i,)) for i in range(3)]
        for teller in cls.tellers:
            teller.start()

    @classmethod
    def tearDownClass(cls):
        cls.stops = True
        for teller in cls.tellers:
            teller.join()
        super().tearDownClass()

    def top(self, *arguments, **options):
        return self.open("top", "-i", "0.2", *arguments, **options)

    def assert_fits(self, top, width, height):
        lines = top.lines()
        self.assertEqual(len(lines), height)
        self.assertTrue(all(len(line) <= width for line in lines), top.text())
        self.assertIn("prefill", top.text())

    def test_the_figures_move(self):
        top = self.top(width=100, height=30)
        top.expect("Tales 5M", self.daemon.socket[:20], "ok", "decode", "peak", "tale-0", "tale-1", "tale-2", "quiet \u732b",
                   "c?d", "q leaves", "of prompt tokens")
        self.assertTrue(top.wait_until(lambda text: re.search(r"decode +[1-9]", text)), top.text())
        self.assertTrue(top.wait_until(lambda text: re.search(r"[1-3] running", text)), top.text())
        self.assertTrue(top.wait_until(lambda text: re.search(r"[1-9]\d* % of prompt tokens", text)), top.text())
        self.assertTrue(top.wait_until(lambda text: "\u25b6 tale-" in text), top.text())
        numbers = re.search(r"(\d+) running .* (\d+) named .* (\d+) cached .* (\d+) free", top.text())
        total = int(re.search(r"(\d+) pages", top.text()).group(1))
        self.assertEqual(sum(int(one) for one in numbers.groups()), total, top.text())
        self.assertRegex(top.text(), r"device +[\u2588\u2593\u2592\u2591]{50} ")
        self.assertRegex(top.text(), r"quiet \u732b .* 10m ")
        self.assertEqual(top.screen.cursor.hidden, True)
        top.send("q")
        self.assertEqual(top.wait(), 0)

    def test_it_follows_the_size_of_the_terminal(self):
        top = self.top(width=100, height=30)
        top.expect("tale-0", "q leaves")
        for width, height in ((80, 24), (132, 40), (50, 12)):
            top.raw = b""
            top.resize(width, height)
            self.assertTrue(top.wait_until(lambda text: top.raw.count(b"\x1b[?2026l") >= 2))
            self.assert_fits(top, width, height)
        self.assertIn("more sessions", top.text())
        top.resize(8, 3)
        top.settle(0.5)
        top.send("q")
        self.assertEqual(top.wait(), 0)

    def test_every_way_out_gives_the_terminal_back(self):
        ways = {"q": 0, "Q": 0, "\x03": 130, "\x1c": -signal.SIGQUIT}
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGABRT, signal.SIGSEGV):
            ways[number] = 130 if number == signal.SIGINT else -number
        for way, status in ways.items():
            top = self.top()
            top.expect("q leaves")
            self.assertFalse(top.settings()[3] & (termios.ICANON | termios.ECHO))
            top.send(way) if isinstance(way, str) else top.kill(way)
            self.assertEqual(top.wait(), status, way)
            self.assertTrue(top.settings()[3] & termios.ICANON and top.settings()[3] & termios.ECHO, way)
            self.assertEqual(top.raw.count(ENTER_SCREEN), 1)
            self.assertEqual(top.raw.count(LEAVE_SCREEN), 1, way)
            self.assertGreater(top.raw.rindex(b"\x1b[?25h"), top.raw.rindex(b"\x1b[?25l"), way)

    def test_stopped_and_continued(self):
        top = self.top()
        top.expect("q leaves")
        top.kill(signal.SIGTSTP)
        self.assertTrue(top.wait_until(lambda text: LEAVE_SCREEN in top.raw))
        self.assertTrue(self.daemon.eventually(lambda: top.settings()[3] & termios.ECHO))
        top.kill(signal.SIGCONT)
        self.assertTrue(top.wait_until(lambda text: top.raw.count(ENTER_SCREEN) == 2))
        top.send("q")
        self.assertEqual(top.wait(), 0)

    def test_without_a_terminal_it_prints_once(self):
        done = subprocess.run([KVASIR, "--socket", self.daemon.socket, "top", "-i", "0.3"], capture_output=True,
                              text=True, timeout=60, env=dict(os.environ, COLUMNS="120"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("\x1b", done.stdout)
        for text in ("prefill", "tokens/s", "tale-0", "quiet \u732b", "c?d"):
            self.assertIn(text, done.stdout)
        lines = subprocess.run([KVASIR, "--socket", self.daemon.socket, "top", "-i", "0.2", "-c", "3", "--json"],
                               check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
        self.assertEqual(len(lines), 3)
        looks = [json.loads(line) for line in lines]
        self.assertGreater(max(look["tokens_per_second"]["decode"] for look in looks), 0)
        pages = looks[0]["pages"]
        self.assertEqual(pages["leased"] + pages["cached"] + pages["free"], pages["total"])
        self.assertIn("tale-0", [session["id"] for session in looks[0]["sessions"]])

    def test_a_reader_that_leaves_ends_the_lines(self):
        process = subprocess.Popen([KVASIR, "--socket", self.daemon.socket, "top", "-i", "0.1", "--json"],
                                   stdout=subprocess.PIPE)
        self.assertTrue(json.loads(process.stdout.readline()))
        process.stdout.close()
        self.assertIn(process.wait(timeout=30), (-signal.SIGPIPE, 141))

    def test_no_colours_where_none_are_wanted(self):
        top = self.top(environment={"NO_COLOR": "1"})
        top.expect("q leaves")
        self.assertNotRegex(top.raw.replace(b"\x1b[0m", b""), rb"\x1b\[[0-9;]+m")
        plain = self.open("top", "-i", "0.2", environment={"TERM": "dumb"})
        self.assertEqual(plain.wait(), 0)
        self.assertNotIn(b"\x1b", plain.raw)


class TopAlone(unittest.TestCase):
    def test_nobody_listens(self):
        for arguments in ([], ["--json"]):
            with terminal.Terminal(["--socket", "/nonexistent/kvasir.sock", "top"] + arguments) as top:
                self.assertEqual(top.wait(), 3)
                top.expect("cannot connect to /nonexistent")
                self.assertEqual(top.raw.count(ENTER_SCREEN), top.raw.count(LEAVE_SCREEN))

    def test_a_daemon_that_goes_and_comes_back(self):
        with daemon.Daemon() as first:
            with terminal.Terminal(["--socket", first.socket, "top", "-i", "0.2"], width=90) as top:
                top.expect("Tales 5M", "ok ", "q leaves")
                first.stop()
                top.expect("no answer", "cannot connect")
                with daemon.Daemon(directory=first.directory):
                    self.assertTrue(top.wait_until(lambda text: "no answer" not in text and "ok " in text), top.text())
                    top.send("q")
                    self.assertEqual(top.wait(), 0)

    def test_a_daemon_that_never_answers_holds_up_no_keys(self):
        import socket
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "s")
            for backlog in (8, 0):
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind(path)
                    listener.listen(backlog)
                    if backlog == 0:  # full: connects wait
                        waiting = [socket.socket(socket.AF_UNIX) for _ in range(1)]
                        for one in waiting:
                            one.connect(path)
                    with terminal.Terminal(["--socket", path, "top"]) as top:
                        top.wait_until(lambda text: ENTER_SCREEN in top.raw)
                        top.settle()
                        begin = time.monotonic()
                        top.send("q")
                        self.assertEqual(top.wait(), 0)
                        self.assertLess(time.monotonic() - begin, 5)
                    if backlog == 0:
                        for one in waiting:
                            one.close()
                os.unlink(path)


if __name__ == "__main__":
    if terminal.pyte is None:
        print("skipped: python3-pyte is not here")
        sys.exit(0)
    unittest.main()
