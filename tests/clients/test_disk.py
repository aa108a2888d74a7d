"""What is saved is back after a restart, whatever happens; what ends is nowhere."""
import glob
import os
import random
import resource
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

from daemon import Daemon

PAGE = 32
N_KILLS = int(os.environ.get("KVASIR_TEST_KILLS", "6"))


def tokens_of(seed, n):
    source = random.Random(seed)
    return [source.randrange(10, 4000) for _ in range(n)]


class DiskCase(unittest.TestCase):
    def setUp(self):
        self.state = tempfile.TemporaryDirectory(prefix="kvasir-state-")
        self.addCleanup(self.state.cleanup)
        self.dir = os.path.join(self.state.name, "kv")

    def daemon(self, *arguments, **options):
        daemon = Daemon("--set", "cache.disk_dir=" + self.dir, "--set", "cache.disk_budget_bytes=64MiB",
                        *arguments, **options)
        self.addCleanup(daemon.close)
        return daemon

    def ok(self, daemon, method, path, body=None):
        status, _, answer = daemon.request(method, path, body)
        self.assertEqual(status, 200, answer)
        return answer

    def files(self, pattern="*.kv"):
        return glob.glob(os.path.join(self.dir, "*", pattern))

    def wait_saved(self, daemon, n):
        self.assertTrue(daemon.eventually(lambda: len(self.files()) == n and not self.files("*.tmp")), self.files("*"))

    def add_prefix(self, daemon, name, tokens):
        return self.ok(daemon, "POST", "/v1/prefixes", {"name": name, "tokens": tokens})

    def answer(self, daemon, tokens):
        got = self.ok(daemon, "POST", "/v1/completions",
                      {"prompt": tokens + [7, 8, 9], "max_tokens": 8, "temperature": 0, "ignore_eos": True})
        return got["choices"][0]["text"], got["usage"]["prompt_tokens_details"]["cached_tokens"]

    def stop(self, daemon):
        self.assertEqual(daemon.stop(), 0, daemon.log_text())


class DiskTest(DiskCase):
    def test_a_prefix_is_back_after_a_restart_and_gone_after_its_end(self):
        tokens = tokens_of(1, 200)
        first = self.daemon()
        cold, n_cached = self.answer(first, tokens)
        self.assertEqual(n_cached, 0)
        self.add_prefix(first, "story", tokens)
        self.wait_saved(first, 1)
        self.stop(first)

        second = self.daemon()
        listed = self.ok(second, "GET", "/v1/prefixes")["data"]
        self.assertEqual([(one["id"], one["tokens"]) for one in listed], [("story", 192)])
        self.assertEqual(self.answer(second, tokens), (cold, 192))
        self.ok(second, "DELETE", "/v1/prefixes/story")
        self.assertEqual(self.files("*"), [])
        self.stop(second)

        third = self.daemon()
        self.assertEqual(self.ok(third, "GET", "/v1/prefixes")["data"], [])
        self.stop(third)

    def test_a_prefix_that_expires_is_gone_from_disk_too(self):
        first = self.daemon()
        self.ok(first, "POST", "/v1/prefixes",
                {"name": "short", "tokens": tokens_of(2, 70), "ttl": {"absolute_seconds": 1}})
        self.assertTrue(first.eventually(lambda: not self.files("*")))
        self.ok(first, "POST", "/v1/prefixes",
                {"name": "short", "tokens": tokens_of(2, 70), "ttl": {"absolute_seconds": 2}})
        self.wait_saved(first, 1)
        first.kill()
        time.sleep(2)
        second = self.daemon()
        self.assertEqual(self.ok(second, "GET", "/v1/prefixes")["data"], [])
        self.assertEqual(self.files("*"), [])

    def test_damage_is_refused_set_aside_and_computed_anew(self):
        tokens = tokens_of(3, 140)
        first = self.daemon()
        self.add_prefix(first, "story", tokens)
        self.wait_saved(first, 1)
        cold, _ = self.answer(first, tokens)
        self.stop(first)
        path = self.files()[0]
        with open(path, "rb") as file:
            whole = file.read()
        source = random.Random(4)
        n = len(whole)
        cases = [("flip", at) for at in (0, 9, 20, n // 3, n - 70, n - 40, n - 1, source.randrange(n))]
        cases += [("cut", at) for at in (0, 100, n // 2, n - 1)]
        for what, at in cases:
            for old in self.files("*"):
                os.unlink(old)
            damaged = whole[:at] if what == "cut" else whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:]
            with open(path, "wb") as file:
                file.write(damaged)
            daemon = self.daemon()
            self.assertEqual(self.ok(daemon, "GET", "/v1/prefixes")["data"], [], (what, at))
            self.assertIn("snapshot refused", daemon.log_text())
            self.assertEqual(self.answer(daemon, tokens), (cold, 0), (what, at))
            self.assertEqual((len(self.files()), len(self.files("*.refused"))), (0, 1))
            self.stop(daemon)

    def test_kill_while_saving_loses_nothing_that_was_saved(self):
        base = tokens_of(5, 200)
        daemon = self.daemon()
        self.add_prefix(daemon, "base", base)
        self.wait_saved(daemon, 1)
        expected, _ = self.answer(daemon, base)
        source = random.Random(6)
        for i in range(N_KILLS):
            others = [tokens_of(100 * i + k, 300) for k in range(3)]

            def save(daemon=daemon, others=others, i=i):
                try:
                    for k, tokens in enumerate(others):
                        self.add_prefix(daemon, "other-%d" % (k % 2), tokens)
                except (OSError, AssertionError):
                    pass  # it was killed

            saver = threading.Thread(target=save)
            saver.start()
            time.sleep(source.uniform(0.0, 0.9))
            daemon.kill()
            saver.join()
            daemon.close()
            daemon = self.daemon()
            names = [one["id"] for one in self.ok(daemon, "GET", "/v1/prefixes")["data"]]
            self.assertIn("base", names, i)
            self.assertEqual(self.answer(daemon, base), (expected, 192), i)
            self.assertEqual(self.files("*.tmp"), [])
            self.assertEqual(self.files("*.refused"), [])
            for name in names:
                if name != "base":
                    self.ok(daemon, "DELETE", "/v1/prefixes/" + name)
        self.stop(daemon)

    def test_a_full_disk_is_a_line_in_the_log(self):
        # No file may grow beyond 100 kB: the first page is written, the rest is refused.
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        tokens = tokens_of(7, 200)
        daemon = self.daemon(preexec_fn=limit)
        self.add_prefix(daemon, "story", tokens)
        self.assertTrue(daemon.eventually(lambda: "snapshot not written" in daemon.log_text()), daemon.log_text())
        self.assertEqual(self.files("*"), [])
        self.assertGreaterEqual(self.answer(daemon, tokens)[1], 192)
        self.stop(daemon)

    def test_a_directory_that_cannot_be_used_stops_the_start_with_a_reason(self):
        self.dir = "/proc/kvasir"
        daemon = self.daemon(wait=False)
        self.assertNotEqual(daemon.wait_exit(), 0)
        self.assertIn("/proc/kvasir: cannot create", daemon.log_text())

    def test_a_directory_that_becomes_read_only_is_a_line_in_the_log(self):
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.state.name],
                                               capture_output=True).returncode != 0:
            self.skipTest("mounting a file system takes more rights than this")
        try:
            daemon = self.daemon()
            self.add_prefix(daemon, "before", tokens_of(8, 100))
            self.wait_saved(daemon, 1)
            remounted = subprocess.run(["mount", "-o", "remount,ro", self.state.name], capture_output=True, text=True)
            self.assertEqual(remounted.returncode, 0, remounted.stderr)
            tokens = tokens_of(9, 100)
            self.add_prefix(daemon, "after", tokens)
            self.assertTrue(daemon.eventually(lambda: "snapshot not written" in daemon.log_text()))
            self.assertGreaterEqual(self.answer(daemon, tokens)[1], 96)
            self.ok(daemon, "DELETE", "/v1/prefixes/after")
            self.assertEqual(len(self.files()), 1)
            self.stop(daemon)
        finally:
            subprocess.run(["umount", "-l", self.state.name], check=True)

    def test_another_model_refuses_the_pages(self):
        first = self.daemon()
        self.add_prefix(first, "story", tokens_of(10, 100))
        self.wait_saved(first, 1)
        self.stop(first)
        second = self.daemon("--set", "cache.keys=int4")
        self.assertEqual(self.ok(second, "GET", "/v1/prefixes")["data"], [])
        self.assertIn("made with numerics", second.log_text())
        self.stop(second)


class PrefixFilesTest(DiskCase):
    def test_prefixes_of_the_operator_are_there_from_the_start(self):
        directory = os.path.join(self.state.name, "prefixes.d")
        os.mkdir(directory)
        text = "Once upon a time there was a little girl who lived in a village near the forest. " * 6
        for name, content in {
                "story.toml": 'text = "%s"\n' % text,
                "chat.toml": 'name = "helper"\nidle_seconds = 500\n[[messages]]\nrole = "system"\ncontent = "%s"\n' % text,
                "ids.toml": "tokens = %s\n" % tokens_of(1, 70),
                "short.toml": 'text = "too short"\n',
                "wrong.toml": 'text = 7\n',
                "torn.toml": '[[mess',
                "other.txt": "not ours"}.items():
            with open(os.path.join(directory, name), "w") as file:
                file.write(content)
        first = self.daemon("--set", "cache.prefixes_dir=" + directory)
        listed = {one["id"]: one for one in self.ok(first, "GET", "/v1/prefixes")["data"]}
        self.assertEqual(sorted(listed), ["helper", "ids", "story"])
        self.assertTrue(all(one["common"] for one in listed.values()))
        log = first.log_text()
        for name in ("short", "wrong", "torn"):
            self.assertRegex(log, "prefix not computed.*%s.toml" % name)
        got = self.ok(first, "POST", "/v1/chat/completions",
                      {"messages": [{"role": "system", "content": text}, {"role": "user", "content": "Hello"}],
                       "max_tokens": 2})
        self.assertGreater(got["usage"]["prompt_tokens_details"]["cached_tokens"], 60)
        self.wait_saved(first, 3)
        stamps = {path: os.stat(path).st_mtime_ns for path in self.files()}
        self.stop(first)

        second = self.daemon("--set", "cache.prefixes_dir=" + directory)
        self.assertEqual(len(self.ok(second, "GET", "/v1/prefixes")["data"]), 3)
        self.assertIn("snapshot restored", second.log_text())
        # What is as it was is not written again; a time to live begins anew.
        same = [path for path in self.files() if stamps.get(path) == os.stat(path).st_mtime_ns]
        self.assertGreaterEqual(len(same), 2)
        self.stop(second)


class SessionDiskTest(DiskCase):
    """A domain that the configuration names reaches the disk: here the one of whoever runs the tests."""

    def setUp(self):
        super().setUp()
        self.config = os.path.join(self.state.name, "kvasird.toml")
        with open(self.config, "w") as config:
            config.write('[[domain]]\nname = "tests"\nusers = [%d]\n' % os.geteuid())

    def daemon(self, *arguments, **options):
        return super().daemon("--config", self.config, *arguments, **options)

    def talk(self, daemon, tokens, **more):
        got = self.ok(daemon, "POST", "/v1/completions",
                      dict({"prompt": tokens, "max_tokens": 8, "temperature": 0, "ignore_eos": True,
                            "session_id": "talk", "return_tokens": True}, **more))
        return got["choices"][0]["tokens"], got["usage"]["prompt_tokens_details"]["cached_tokens"]

    def test_a_saved_session_goes_on_after_a_restart(self):
        tokens = tokens_of(1, 150)
        first = self.daemon("--set", "cache.host_budget_bytes=8MiB")
        answer, _ = self.talk(first, tokens)
        self.talk(first, tokens[:70] + tokens_of(2, 50))  # another branch
        history = tokens + answer + tokens_of(3, 20)
        expected, _ = self.talk(first, history)
        saved = self.ok(first, "POST", "/v1/sessions/talk/save")
        self.assertEqual((saved["id"], saved["saved"]), ("talk", True))
        self.assertGreater(saved["bytes"], 1000)
        self.assertTrue(self.ok(first, "GET", "/v1/sessions/talk")["saved"])
        pages = self.ok(first, "GET", "/v1/sessions/talk")["pages"]
        self.stop(first)

        second = self.daemon()
        # Nothing is read before it is asked for; another name is not there.
        self.assertEqual(self.ok(second, "GET", "/v1/sessions")["data"], [])
        self.assertEqual(second.post("/v1/sessions/other/restore", "")[0], 404)
        self.assertEqual(self.talk(second, history), (expected, len(history) // PAGE * PAGE))
        session = self.ok(second, "GET", "/v1/sessions/talk")
        self.assertEqual(session["branches"], 2)
        self.assertGreaterEqual(session["pages"], pages)
        # The other branch came back, too.
        self.assertEqual(self.talk(second, tokens[:70] + tokens_of(2, 50))[1], 96)
        self.stop(second)

        third = self.daemon()
        restored = self.ok(third, "POST", "/v1/sessions/talk/restore")
        self.assertTrue(restored["restored"])
        self.assertEqual(third.post("/v1/sessions/talk/restore", "")[0], 409)
        self.assertEqual(self.ok(third, "GET", "/v1/sessions/talk")["pages"], pages)
        self.ok(third, "DELETE", "/v1/sessions/talk")
        self.assertEqual(self.files("*"), [])
        report = self.ok(third, "GET", "/v1/cache")
        self.assertEqual((report["free_pages"], report["disk_bytes"]), (report["pages"], 0))
        self.stop(third)

    def test_a_conversation_that_rolled_out_of_its_window_goes_on_from_its_last_pages(self):
        small = ("--set", "engine.context=64", "--set", "engine.window_tokens=1024",
                 "--set", "engine.max_sequences=1", "--set", "engine.step_tokens=64",
                 "--set", "cache.budget_bytes=1MiB", "--set", "cache.host_budget_bytes=0B")
        tokens = tokens_of(12, 700)
        first = self.daemon(*small)
        answer, _ = self.talk(first, tokens, overflow="window")
        history = tokens + answer + tokens_of(13, 20)
        expected, n_cached = self.talk(first, history, overflow="window")
        n_whole = len(history) // PAGE * PAGE
        self.assertGreaterEqual(n_cached, n_whole)
        n_pages = self.ok(first, "GET", "/v1/sessions/talk")["pages"]
        self.assertLess(n_pages, len(history) // PAGE)  # or nothing had to go
        self.ok(first, "POST", "/v1/sessions/talk/save")
        self.stop(first)

        second = self.daemon(*small)
        self.assertEqual(self.talk(second, history, overflow="window"), (expected, n_whole))
        self.ok(second, "POST", "/v1/sessions/talk/save")
        self.stop(second)
        # A daemon whose tokens see everything has no use for it, and says nothing wrong.
        whole = self.daemon("--set", "engine.context=64")
        self.assertEqual(self.talk(whole, history[:40])[1], 0)
        self.stop(whole)

    def test_ending_a_session_that_is_on_disk_alone_removes_it(self):
        first = self.daemon()
        self.talk(first, tokens_of(4, 100))
        self.ok(first, "POST", "/v1/sessions/talk/save")
        self.stop(first)
        second = self.daemon()
        self.assertEqual(second.post("/v1/sessions", {"id": "talk"})[0], 409)
        self.ok(second, "DELETE", "/v1/sessions/talk")
        self.assertEqual(self.files("*"), [])
        self.assertEqual(second.request("DELETE", "/v1/sessions/talk")[0], 404)
        self.stop(second)

    def test_what_is_cut_is_cut_on_disk(self):
        daemon = self.daemon()
        self.talk(daemon, tokens_of(5, 100))
        for change in ({"truncate_to": 40}, {"context": "other"}):
            self.talk(daemon, tokens_of(5, 100), context="one")
            self.ok(daemon, "POST", "/v1/sessions/talk/save")
            self.assertEqual(len(self.files()), 1)
            self.ok(daemon, "PATCH", "/v1/sessions/talk", change)
            self.assertEqual(self.files("*"), [], change)
        self.stop(daemon)

    def test_without_a_disk_or_a_domain_the_answer_says_so(self):
        plain = Daemon()
        self.addCleanup(plain.close)
        self.talk(plain, tokens_of(6, 50))
        status, _, answer = plain.post("/v1/sessions/talk/save", "")
        self.assertGreaterEqual(status, 400)
        self.assertIn("disk", answer["error"]["message"])
        unlisted = DiskCase.daemon(self)
        self.talk(unlisted, tokens_of(6, 50))
        status, _, answer = unlisted.post("/v1/sessions/talk/save", "")
        self.assertGreaterEqual(status, 400)
        self.assertIn("domain", answer["error"]["message"])
        self.assertEqual(unlisted.post("/v1/sessions/none/save", "")[0], 404)

    def test_another_account_under_the_same_number_inherits_nothing(self):
        first = self.daemon()
        self.talk(first, tokens_of(7, 100))
        self.ok(first, "POST", "/v1/sessions/talk/save")
        self.stop(first)
        with open(self.config, "w") as config:
            config.write('[[domain]]\nname = "tests"\nusers = [%d, 3999999]\n' % os.geteuid())
        second = self.daemon()
        self.assertEqual(second.post("/v1/sessions/talk/restore", "")[0], 404)
        self.stop(second)

    def test_salts_part_what_users_share(self):
        daemon = self.daemon()
        tokens = tokens_of(8, 100)
        body = {"prompt": tokens, "max_tokens": 1}
        cached = lambda salt: self.ok(daemon, "POST", "/v1/completions", dict(body, **salt))[
            "usage"]["prompt_tokens_details"]["cached_tokens"]
        self.assertEqual([cached({}), cached({}) > 0], [0, True])
        self.assertEqual([cached({"cache_salt": "a"}), cached({"cache_salt": "a"}) > 0], [0, True])
        self.assertEqual(cached({"cache_salt": "b"}), 0)
        self.stop(daemon)

    def test_what_a_salt_keeps_apart_does_not_come_back_without_it(self):
        first = self.daemon()
        salted, plain = tokens_of(9, 100), tokens_of(10, 100)
        self.talk(first, salted, cache_salt="a")
        self.talk(first, plain)
        self.ok(first, "POST", "/v1/sessions/talk/save")
        self.stop(first)
        second = self.daemon()
        self.assertGreater(self.talk(second, plain)[1], 0)
        self.assertEqual(self.talk(second, salted)[1], 0)
        self.stop(second)

    def test_a_session_of_salted_requests_alone_saves_no_page(self):
        first = self.daemon()
        tokens = tokens_of(11, 100)
        self.talk(first, tokens, cache_salt="a")
        self.ok(first, "POST", "/v1/sessions/talk/save")
        self.stop(first)
        second = self.daemon()
        self.assertEqual(self.talk(second, tokens)[1], 0)
        self.stop(second)


def occurrences(pid, needles):
    """How often each lies in the process's own memory."""
    found = [0] * len(needles)
    n_read = 0
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            fields = line.split()
            if "r" not in fields[1] or (len(fields) > 5 and fields[5].startswith(("/", "[v"))):
                continue
            at, end = (int(x, 16) for x in fields[0].split("-"))
            if end - at > 1 << 34:  # a sanitizer's books on all memory, not memory
                continue
            tail = b""
            while at < end:
                try:
                    memory.seek(at)
                    data = memory.read(min(1 << 24, end - at))
                except OSError:
                    break
                if not data:
                    break
                whole = tail + data
                for i, needle in enumerate(needles):
                    found[i] += whole.count(needle)
                tail = whole[-63:]
                at += len(data)
                n_read += len(data)
                if n_read > 1 << 35:
                    raise unittest.SkipTest("more memory than can be searched: a sanitizer's")
    return found


class ScrubTest(DiskCase):
    """On a software device the device's memory is the process's: all of it can be searched."""

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("zstd"), "reads another process's memory, and zstd")
    def test_scrub_leaves_no_key_or_value_anywhere(self):
        tokens = tokens_of(11, 200)
        daemon = self.daemon("--set", "cache.scrub=true", "--set", "cache.host_budget_bytes=1MiB",
                             "--set", "cache.budget_bytes=12MiB")
        self.add_prefix(daemon, "story", tokens)
        self.wait_saved(daemon, 1)
        page_bytes = self.ok(daemon, "GET", "/v1/cache")["page_bytes"]
        with open(self.files()[0], "rb") as file:
            stored = file.read()
        pages = subprocess.run(["zstd", "-dcq"], input=stored[16:], capture_output=True).stdout
        needles = []
        for page in range(6):
            for at in range(page_bytes // 8, page_bytes - 64, page_bytes // 4):
                needles.append(pages[page * page_bytes + at:page * page_bytes + at + 64])
        self.assertEqual(len(set(needles)), len(needles))
        before = occurrences(daemon.process.pid, needles)
        self.assertTrue(all(n > 0 for n in before), before)  # the search finds what is there
        with open(self.files()[0], "rb") as still_open:
            self.ok(daemon, "DELETE", "/v1/prefixes/story")
            self.assertEqual(occurrences(daemon.process.pid, needles), [0] * len(needles))
            self.assertEqual(self.files("*"), [])
            self.assertEqual(still_open.read().strip(b"\0"), b"")
        # Requests without a name, evicted to host memory and from there: nothing stays either.
        for seed in range(20, 60):
            self.answer(daemon, tokens_of(seed, 300))
        self.assertGreater(self.ok(daemon, "GET", "/v1/cache")["host_pages"], 0)
        self.add_prefix(daemon, "story", tokens)
        self.assertTrue(any(occurrences(daemon.process.pid, needles)))
        self.ok(daemon, "DELETE", "/v1/prefixes/story")
        self.ok(daemon, "POST", "/v1/cache/evict")
        self.assertEqual(occurrences(daemon.process.pid, needles), [0] * len(needles))
        self.stop(daemon)


if __name__ == "__main__":
    unittest.main()
