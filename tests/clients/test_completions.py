"""What bash, zsh and fish complete of kvasir's command line, with a daemon that has sessions and prefixes."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import daemon
import terminal

KVASIR = os.environ["KVASIR"]
HOSTILE = "$(touch evil);`touch evil`"
MISSING = [shell for shell in ("zsh", "fish") if not shutil.which(shell)] + ([] if terminal.pyte else ["pyte"])


def script(shell):
    return subprocess.run([KVASIR, "completions", shell], check=True, capture_output=True, text=True).stdout


def from_help():
    """The commands and flags that --help lists."""
    text = subprocess.run([KVASIR, "--help"], check=True, capture_output=True, text=True).stdout
    head = text.split("\nOptions:\n")[0]
    commands = re.findall(r"^  ((?:[a-z]+ ?)+?)(?: \[?[A-Z].*?|)  +\S", head, re.M)
    return [command.strip() for command in commands], re.findall(r"^  (?:-(\w), )?--([a-z-]+)", text, re.M)


class Completions(daemon.DaemonCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in ("tea time", "tales", HOSTILE):
            assert cls.daemon.post("/v1/sessions", {"id": name})[0] == 200
        for name in ("house", "home"):
            assert cls.daemon.post("/v1/prefixes", {"name": name, "text": "Once upon a time " * 20})[0] in (200, 201)
        cls.directory = tempfile.TemporaryDirectory(prefix="kvasir-completions-")
        cls.environment = dict(os.environ, KVASIR_SOCKET=cls.daemon.socket, HOME=cls.directory.name,
                               PATH=os.path.dirname(KVASIR) + ":" + os.environ["PATH"])

    @classmethod
    def tearDownClass(cls):
        try:
            assert not os.path.exists(os.path.join(cls.directory.name, "evil")), "a name was evaluated"
        finally:
            cls.directory.cleanup()
            super().tearDownClass()

    def run_shell(self, command, text=None):
        done = subprocess.run(command, env=self.environment, cwd=self.directory.name, input=text,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def bash(self, *words):
        """What a tab after these words offers; the last may be begun."""
        quoted = " ".join("'%s'" % word for word in words)
        text = (script("bash") + "\nCOMP_WORDS=(kvasir %s); COMP_CWORD=%d; _kvasir\n"
                "printf '%%s\\n' \"${COMPREPLY[@]}\"\n" % (quoted, len(words)))
        done = self.run_shell(["bash", "--norc", "-s"], text)
        self.assertEqual(done.stderr, "")
        return [line for line in done.stdout.split("\n") if line]

    def fish(self, line):
        text = script("fish") + "\ncomplete -C '%s'\n" % line
        return [one.split("\t")[0] for one in self.run_shell(["fish", "--no-config"], text).stdout.split("\n") if one]

    def test_help_was_understood(self):
        commands, options = from_help()
        for one in ("run", "top", "prefix list", "prefix add", "completions"):
            self.assertIn(one, commands)
        self.assertIn(("n", "max-tokens"), options)
        self.assertGreater(len(options), 20)

    def test_bash_offers_every_command_and_flag(self):
        commands, options = from_help()
        firsts = self.bash("")
        self.assertEqual(sorted(firsts), sorted({command.split()[0] for command in commands}))
        self.assertEqual(sorted(self.bash("prefix", "")),
                         sorted(c.split()[1] for c in commands if c.startswith("prefix ")))
        offered = set()
        for command in commands:
            offered.update(self.bash(*command.split(), "-"))
        self.assertEqual(offered, {"--" + long for _, long in options} | {"-" + short for short, _ in options if short})
        self.assertIn("--interval", self.bash("top", "--"))
        self.assertNotIn("--interval", self.bash("run", "--"))

    def test_bash_offers_names_as_one_word_each(self):
        self.assertEqual(sorted(self.bash("end", "t")), ["tales", "tea\\ time"])
        self.assertEqual(self.bash("end", "tea\\ t"), ["tea\\ time"])
        self.assertEqual(len(self.bash("end", "")), 3)
        self.assertEqual(self.bash("end", "tales", ""), [])
        self.assertEqual(sorted(self.bash("prefix", "rm", "ho")), ["home", "house"])
        self.assertEqual(self.bash("chat", "--session", "ta"), ["tales"])
        self.assertEqual(self.bash("chat", "--session", "=", "ta"), ["tales"])
        self.assertEqual(self.bash("--socket", "/nonexistent", "end", ""), [])
        self.assertEqual(self.bash("run", "--temperature", ""), [])
        open(os.path.join(self.directory.name, "my key"), "w").close()
        self.assertEqual(self.bash("--api-key-file", "my"), ["my key"])
        self.assertEqual(self.bash("completions", "f"), ["fish"])

    @unittest.skipIf("fish" in MISSING, "no fish")
    def test_fish_offers_the_same(self):
        commands, options = from_help()
        self.assertEqual(sorted(self.fish("kvasir ")), sorted({command.split()[0] for command in commands}))
        self.assertEqual(sorted(self.fish("kvasir prefix ")), ["add", "list", "rm"])
        offered = set()
        for command in commands:
            offered.update(self.fish("kvasir %s --" % command))
        self.assertEqual(offered, {"--" + long for _, long in options})
        self.assertNotIn("--interval", self.fish("kvasir run --"))
        self.assertEqual(sorted(self.fish("kvasir end t")), ["tales", "tea time"])
        self.assertEqual(sorted(self.fish("kvasir --socket %s prefix rm ho" % self.daemon.socket)), ["home", "house"])
        self.assertEqual(self.fish("kvasir --socket /nonexistent end "), [])

    @unittest.skipIf("zsh" in MISSING or "pyte" in MISSING, "no zsh, or no pyte")
    def test_zsh_offers_the_same(self):
        commands, options = from_help()
        with open(os.path.join(self.directory.name, "_kvasir"), "w") as file:
            file.write(script("zsh"))
        with terminal.Terminal(["-f", "-i"], 100, 60, self.environment, shutil.which("zsh")) as zsh:
            zsh.send("PS1='ready> '; cd '%s'; fpath=($PWD $fpath); autoload -U compinit; compinit -u -D\n"
                     % self.directory.name)
            zsh.send("LISTMAX=0; setopt nobeep\n")

            def tab(line, *texts):
                zsh.send("\x15clear\n")
                zsh.wait_until(lambda screen: screen.strip() in ("ready>", "ready> "))
                zsh.send(line + "\t\t")
                zsh.expect(*texts)
                zsh.settle()
                return zsh.text()

            firsts = sorted({command.split()[0] for command in commands})
            tab("kvasir ", *firsts)
            tab("kvasir prefix ", "list", "add", "rm")
            for command in ("run", "chat", "top", "ps"):
                shown = tab("kvasir %s --" % command, "--socket")
                self.assertEqual("--interval" in shown, command == "top")
                self.assertEqual("--temperature" in shown, command in ("run", "chat"))
                self.assertEqual("--quiet" in shown, command == "ps")
            tab("kvasir end t", "tales", "tea\\ time")
            tab("kvasir prefix rm ho", "home", "house")
        for _, long in options:
            self.assertIn("--" + long, script("zsh"))


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=1).result
    if MISSING and result.wasSuccessful():
        print("skipped: not here: " + ", ".join(MISSING))
    sys.exit(0 if result.wasSuccessful() else 1)
