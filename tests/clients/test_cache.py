"""What applications are promised of the cache: sessions, prefixes, contexts, time to live, and nobody else's pages."""
import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

from daemon import Daemon, DaemonCase

PAGE = 32
OPENING = ("Once upon a time there was a little girl named Lily who lived in a small house at the edge of the big forest. "
           "Every morning she went out to feed the birds, and every evening her grandmother told her a story by the fire. "
           "One day the wind was cold and the snow lay deep, and nobody came along the road. ")


def as_uid(uid, daemon, method, path, body=None):
    """The same request from a process of another user."""
    script = ("import http.client, json, os, socket, sys\n"
              "os.setgid(%d); os.setuid(%d)\n"
              "c = http.client.HTTPConnection('localhost', timeout=60)\n"
              "c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(sys.argv[1])\n"
              "c.request(sys.argv[2], sys.argv[3], sys.argv[4] or None)\n"
              "r = c.getresponse(); d = r.read().decode()\n"
              "print(json.dumps([r.status, d]))\n") % (uid, uid)
    out = subprocess.run([sys.executable, "-c", script, daemon.socket, method, path, json.dumps(body) if body else ""],
                         check=True, capture_output=True, text=True).stdout
    status, text = json.loads(out)
    return status, json.loads(text) if text.startswith("{") else text


class CacheTest(DaemonCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.chmod(cls.daemon.directory, 0o755)

    def setUp(self):
        for one in self.ok("GET", "/v1/sessions")["data"]:
            self.ok("DELETE", "/v1/sessions/" + urllib.parse.quote(one["id"], safe=""))
        for one in self.ok("GET", "/v1/prefixes")["data"]:
            self.ok("DELETE", "/v1/prefixes/" + one["id"])
        self.ok("POST", "/v1/cache/evict")
        self.assertEqual(self.report()["free_pages"], self.report()["pages"])

    def ok(self, method, path, body=None):
        status, _, answer = self.daemon.request(method, path, body)
        self.assertEqual(status, 200, answer)
        return answer

    def error(self, status, method, path, body=None):
        found, _, answer = self.daemon.request(method, path, body)
        self.assertEqual(found, status, answer)
        return answer["error"]

    def complete(self, prompt, n=4, **fields):
        return self.ok("POST", "/v1/completions",
                       dict({"prompt": prompt, "max_tokens": n, "temperature": 0, "ignore_eos": True, "return_tokens": True}, **fields))

    def report(self):
        return self.ok("GET", "/v1/cache")

    def tokens(self, text):
        return self.ok("POST", "/tokenize", {"content": text})["tokens"]


def details(answer):
    return answer["usage"]["prompt_tokens_details"]


class Sessions(CacheTest):
    def test_a_session_is_reused_seen_and_gone(self):
        first = self.complete(OPENING, session_id="tea time/1")
        self.assertEqual(details(first), {"cached_tokens": 0, "miss_reason": "never_seen"})
        second = self.complete(OPENING + "Then", session_id="tea time/1")
        # Also what lies behind the last border: the open page stayed, too.
        cached = details(second)["cached_tokens"]
        self.assertGreater(cached, (first["usage"]["prompt_tokens"] - 1) // PAGE * PAGE)
        self.assertLess(cached, second["usage"]["prompt_tokens"])
        path = "/v1/sessions/tea%20time%2F1"
        info = self.ok("GET", path)
        self.assertEqual((info["id"], info["requests"], info["cached_tokens"]), ("tea time/1", 2, cached))
        self.assertEqual(info["bytes"], info["pages"] * self.report()["page_bytes"])
        self.assertEqual([one["id"] for one in self.ok("GET", "/v1/sessions")["data"]], ["tea time/1"])
        before = self.report()
        gone = self.ok("DELETE", path)
        after = self.report()
        self.assertEqual(gone["freed_pages"], info["pages"])
        self.assertEqual(after["free_bytes"], before["free_bytes"] + gone["freed_bytes"])
        self.assertEqual(after["free_pages"], after["pages"])
        self.assertEqual(self.error(404, "GET", path)["code"], "not_found")
        self.error(404, "DELETE", path)
        # No trace: the same prompt is new, not one that was evicted.
        self.assertEqual(details(self.complete(OPENING))["miss_reason"], "never_seen")

    def test_header_and_prompt_cache_key_name_sessions(self):
        connection = self.daemon.connection()
        body = {"prompt": OPENING, "max_tokens": 1}
        connection.request("POST", "/v1/completions", json.dumps(body), {"X-Session-Id": "by-header"})
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        self.complete(OPENING, prompt_cache_key="by-key")
        self.complete(OPENING, prompt_cache_key="not-this", session_id="by-id")
        self.assertEqual({one["id"] for one in self.ok("GET", "/v1/sessions")["data"]}, {"by-header", "by-key", "by-id"})

    def test_what_sessions_share_is_stored_once(self):
        n_pages = self.complete(OPENING, n=1, session_id="s0")["usage"]["prompt_tokens"] // PAGE
        for i in range(1, 6):
            self.complete(OPENING, n=1, session_id="s%d" % i)
        self.assertEqual(self.report()["cached_pages"], n_pages)
        self.assertEqual(self.ok("GET", "/v1/sessions/s3")["shared_pages"], n_pages)
        for i in range(5):
            self.assertEqual(self.ok("DELETE", "/v1/sessions/s%d" % i)["freed_pages"], 0)
        self.assertEqual(self.ok("DELETE", "/v1/sessions/s5")["freed_pages"], n_pages)

    def test_a_new_opening_asked_for_at_once_is_computed_once(self):
        before = self.report()
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda i: self.complete(OPENING, session_id="c%d" % i), range(6)))
        self.assertEqual(len({a["choices"][0]["text"] for a in answers}), 1)
        after = self.report()
        asked = after["tokens_asked"] - before["tokens_asked"]
        computed = asked - (after["tokens_reused"] - before["tokens_reused"])
        n_prompt = answers[0]["usage"]["prompt_tokens"]
        # Of the others each computes what lies behind the last border.
        self.assertLessEqual(computed, n_prompt + 5 * (n_prompt - (n_prompt - 1) // PAGE * PAGE))

    def test_time_to_live(self):
        self.ok("POST", "/v1/sessions", {"id": "short", "ttl": {"idle_seconds": 1}})
        self.complete(OPENING, session_id="short")
        self.assertLessEqual(self.ok("GET", "/v1/sessions/short")["expires_in_seconds"], 1)
        self.assertTrue(self.daemon.eventually(lambda: self.ok("GET", "/v1/sessions")["data"] == [], 5))
        self.assertEqual(self.report()["free_pages"], self.report()["pages"])
        self.assertEqual(details(self.complete(OPENING))["miss_reason"], "expired")

    def test_a_session_ends_with_its_connection(self):
        connection = self.daemon.connection()
        connection.request("POST", "/v1/sessions", json.dumps({"id": "bound", "bind": "connection"}))
        self.assertEqual(json.loads(connection.getresponse().read())["id"], "bound")
        self.complete(OPENING, session_id="bound")
        self.assertGreater(self.ok("GET", "/v1/sessions/bound")["pages"], 0)
        connection.close()
        self.assertTrue(self.daemon.eventually(lambda: self.ok("GET", "/v1/sessions")["data"] == [], 5))
        self.assertEqual(self.report()["free_pages"], self.report()["pages"])

    def test_what_a_session_said_is_forgotten_however_it_ends(self):
        def said(**fields):
            return self.ok("POST", "/v1/responses", dict({"input": OPENING, "max_output_tokens": 4}, **fields))["output"][0]["id"]

        def is_known(item):
            status, _, answer = self.daemon.post("/v1/responses", {
                "input": [{"role": "user", "content": "Go on."}, {"type": "item_reference", "id": item}], "max_output_tokens": 1})
            self.assertIn(status, (200, 404), answer)
            return status == 200

        free = said()
        self.ok("POST", "/v1/sessions", {"id": "short", "ttl": {"idle_seconds": 1}})
        short = said(session_id="short")
        self.assertTrue(self.daemon.eventually(lambda: not is_known(short), 10))
        connection = self.daemon.connection()
        connection.request("POST", "/v1/sessions", json.dumps({"id": "bound", "bind": "connection"}))
        connection.getresponse().read()
        bound, other = said(session_id="bound"), said(session_id="other")
        self.assertTrue(is_known(bound))
        connection.close()
        self.assertTrue(self.daemon.eventually(lambda: not is_known(bound), 10))
        self.assertTrue(is_known(other))
        for body in ({"truncate_to": 0}, None):
            item = said(session_id="other")
            self.ok("PATCH" if body else "DELETE", "/v1/sessions/other", body)
            self.assertFalse(is_known(item), body)
        nameless = said(context="garden")
        self.ok("POST", "/v1/contexts/garden/end")
        self.assertFalse(is_known(nameless))
        self.assertTrue(is_known(free))

    def test_ending_a_session_cancels_what_runs_in_it(self):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(self.daemon.post, "/v1/completions",
                                  {"prompt": OPENING, "max_tokens": 400, "ignore_eos": True, "session_id": "busy"})
            self.assertTrue(self.daemon.eventually(
                lambda: any(one["running"] for one in self.ok("GET", "/v1/sessions")["data"])))
            self.error(409, "PATCH", "/v1/sessions/busy", {"truncate_to": 0})
            self.ok("DELETE", "/v1/sessions/busy")
            self.assertEqual(self.report()["free_pages"], self.report()["pages"])
            self.assertEqual(running.result()[0], 503)

    def test_truncation_frees_at_once(self):
        self.complete(OPENING, session_id="t")
        pages = self.ok("GET", "/v1/sessions/t")["pages"]
        self.assertEqual(self.ok("PATCH", "/v1/sessions/t", {"truncate_to": PAGE + 5})["pages"], 1)
        self.assertEqual(self.report()["cached_pages"], 1)
        self.assertGreater(pages, 1)

    def test_a_context_ends(self):
        self.complete(OPENING + "The red book.", n=40, session_id="editor", context="repo-1")
        held = self.report()["cached_pages"]
        self.complete(OPENING + "A blue stone, far away from here.", n=40, session_id="editor", context="repo-2")
        shared = self.report()["cached_pages"]
        self.assertLess(shared, 2 * held)  # what only repo-1 used is gone, the opening is not
        self.assertEqual(self.ok("GET", "/v1/sessions/editor")["context"], "repo-2")
        self.complete(OPENING, context="nameless")
        freed = self.ok("POST", "/v1/contexts/repo-2/end")
        self.assertGreater(freed["freed_pages"], 0)
        self.ok("POST", "/v1/contexts/nameless/end")
        self.assertEqual(self.report()["free_pages"], self.report()["pages"])

    def test_a_context_that_ends_under_a_running_request_keeps_nothing_of_it(self):
        for session in ("editor", None):
            body = {"prompt": OPENING, "max_tokens": 200, "temperature": 0, "ignore_eos": True, "context": "repo"}
            if session:
                body["session_id"] = session
            events = self.daemon.stream("/v1/completions", body)
            next(events)
            self.ok("POST", "/v1/contexts/repo/end")
            rest = list(events)
            self.assertEqual(rest[-1], "[DONE]")
            self.assertGreater(len(rest), 20)  # it went on
            if session:
                self.assertEqual(self.ok("GET", "/v1/sessions/editor")["pages"], 0)
            self.assertTrue(self.daemon.eventually(lambda: self.report()["free_pages"] == self.report()["pages"]),
                            self.report())

    def test_misses_are_named(self):
        told = self.complete(OPENING, n=40, session_id="m")
        prompt = self.tokens(OPENING)
        self.assertEqual(len(prompt), told["usage"]["prompt_tokens"])
        generated = told["choices"][0]["tokens"]
        # Another text inside the prompt.
        other = prompt[:40] + [t + 1 for t in prompt[40:41]] + prompt[41:] + generated
        answer = details(self.complete(other, n=1, session_id="m"))
        self.assertEqual((answer["miss_reason"], answer["diverged_at"], answer["cached_tokens"]), ("diverged", 40, PAGE))
        self.ok("DELETE", "/v1/sessions/m")
        # The same text, its generated part in other tokens: a letter each.
        self.complete(OPENING, n=40, session_id="m")
        letters = [t for c in told["choices"][0]["text"] for t in self.tokens(c)]
        answer = details(self.complete(prompt + letters, n=1, session_id="m"))
        self.assertEqual(answer["miss_reason"], "retokenized")
        self.assertGreaterEqual(answer["diverged_at"], len(prompt))
        self.assertGreaterEqual(answer["cached_tokens"], len(prompt) // PAGE * PAGE)
        self.ok("POST", "/v1/cache/evict")
        self.assertEqual(details(self.complete(OPENING))["miss_reason"], "evicted")

    def test_a_side_request_does_not_wipe_the_conversation(self):
        conversation = self.tokens(OPENING)
        self.complete(conversation, session_id="chat")
        self.complete("Give this conversation a short title, please, in at most five words, without any quotes or full "
                      "stops, and do not explain why you chose it.", session_id="chat")
        again = self.complete(conversation + self.tokens("And then"), session_id="chat")
        self.assertGreaterEqual(details(again)["cached_tokens"], len(conversation))

    def test_wrong_bodies_are_refused_by_name(self):
        for body, param in (({"id": ""}, "id"), ({"id": "x" * 129}, "id"), ({"id": "a\nb"}, "id"), ({"id": 7}, "id"),
                            ({"ttl": 5}, "ttl"), ({"ttl": {"idle": 5}}, "ttl"), ({"ttl": {"idle_seconds": 0}}, "ttl.idle_seconds"),
                            ({"bind": "socket"}, "bind"), ({"scope": "all"}, "scope")):
            self.assertEqual(self.error(400, "POST", "/v1/sessions", body)["param"], param, body)
        self.ok("POST", "/v1/sessions", {"id": "one"})
        self.error(409, "POST", "/v1/sessions", {"id": "one"})
        self.error(405, "PUT", "/v1/sessions/one", {"id": "one"})
        for fields in ({"session_id": "a\0b"}, {"context": ""}, {"prompt_cache_key": 4}):
            self.error(400, "POST", "/v1/completions", dict({"prompt": "a", "max_tokens": 1}, **fields))


class Prefixes(CacheTest):
    def test_by_text_tokens_and_messages(self):
        ids = self.tokens(OPENING)
        whole = len(ids) // PAGE * PAGE
        for name, body in (("text", {"text": OPENING}), ("tokens", {"tokens": ids})):
            made = self.ok("POST", "/v1/prefixes", dict(body, name=name))
            self.assertEqual((made["tokens"], made["common"]), (whole, True))
        self.assertEqual(self.report()["cached_pages"] + self.report()["leased_pages"], whole // PAGE)
        self.ok("POST", "/v1/prefixes", {"name": "chat", "messages": [{"role": "system", "content": OPENING}]})
        chat = self.ok("POST", "/v1/chat/completions",
                       {"messages": [{"role": "system", "content": OPENING}, {"role": "user", "content": "Hello."}], "max_tokens": 1})
        self.assertGreaterEqual(details(chat)["cached_tokens"], whole)
        self.assertGreaterEqual(details(self.complete(OPENING + "Then"))["cached_tokens"], whole)
        hits = {one["id"]: one["hits"] for one in self.ok("GET", "/v1/prefixes")["data"]}
        self.assertEqual(hits, {"text": 1, "tokens": 1, "chat": 1})

    def test_pinned_until_dropped(self):
        made = self.ok("POST", "/v1/prefixes", {"name": "p", "text": OPENING})
        self.ok("POST", "/v1/cache/evict")
        self.assertEqual(self.report()["leased_pages"], made["pages"])
        self.assertEqual(self.ok("DELETE", "/v1/prefixes/p")["freed_pages"], 0 if self.report()["cached_pages"] else made["pages"])
        self.assertEqual(self.report()["free_pages"], self.report()["pages"])
        self.error(404, "GET", "/v1/prefixes/p")

    def test_expires(self):
        self.ok("POST", "/v1/prefixes", {"name": "short", "text": OPENING, "ttl": {"absolute_seconds": 1}})
        self.assertTrue(self.daemon.eventually(lambda: self.ok("GET", "/v1/prefixes")["data"] == [], 5))
        self.assertEqual(self.report()["free_pages"], self.report()["pages"])

    def test_wrong_bodies(self):
        self.assertEqual(self.error(400, "POST", "/v1/prefixes", {"text": OPENING})["param"], "name")
        for body in ({}, {"text": OPENING, "tokens": [1]}, {"text": [1]}, {"tokens": OPENING}, {"messages": []}, {"text": "short"},
                     {"text": OPENING, "pinned": True}):
            self.error(400, "POST", "/v1/prefixes", dict(body, name="x"))
        self.assertEqual(self.ok("GET", "/v1/prefixes")["data"], [])


@unittest.skipUnless(os.geteuid() == 0, "another user's processes need root")
class OtherUsers(CacheTest):
    arguments = ("--set", "server.socket_mode=0666")

    def test_see_and_reuse_nothing(self):
        self.complete(OPENING, session_id="mine", context="here")
        fields = {"prompt": OPENING, "max_tokens": 1}
        status, answer = as_uid(4711, self.daemon, "POST", "/v1/completions", fields)
        self.assertEqual(status, 200)
        self.assertEqual(details(answer), {"cached_tokens": 0, "miss_reason": "never_seen"})
        # Its own it finds, whoever else uses the same names.
        status, answer = as_uid(4711, self.daemon, "POST", "/v1/completions", dict(fields, session_id="mine"))
        self.assertGreater(details(answer)["cached_tokens"], 0)
        self.assertEqual(as_uid(4712, self.daemon, "GET", "/v1/sessions"), (200, {"object": "list", "data": []}))
        for method, path in (("GET", "/v1/sessions/mine"), ("DELETE", "/v1/sessions/mine"), ("PATCH", "/v1/sessions/mine")):
            mine, absent = (as_uid(4712, self.daemon, method, p) for p in (path, path.replace("mine", "none")))
            self.assertEqual(mine[0], 404)
            self.assertEqual(json.dumps(mine[1]).replace("mine", "none"), json.dumps(absent[1]))
        self.assertEqual(as_uid(4712, self.daemon, "POST", "/v1/contexts/here/end")[1]["freed_pages"], 0)
        self.assertEqual(as_uid(4712, self.daemon, "POST", "/v1/cache/evict")[1]["freed_pages"], 0)
        report = as_uid(4712, self.daemon, "GET", "/v1/cache")[1]
        self.assertEqual((report["pages"], report["sessions"]), (0, 0))
        self.assertNotIn("free_pages", report)
        self.assertEqual(as_uid(4712, self.daemon, "GET", "/metrics")[0], 403)
        self.assertEqual(self.ok("GET", "/v1/sessions/mine")["requests"], 1)

    def test_share_an_administrators_prefix_and_cannot_drop_it(self):
        whole = self.ok("POST", "/v1/prefixes", {"name": "house", "text": OPENING})["tokens"]
        for uid in (4711, 4712):
            answer = as_uid(uid, self.daemon, "POST", "/v1/completions", {"prompt": OPENING + "Then", "max_tokens": 1})[1]
            self.assertGreaterEqual(details(answer)["cached_tokens"], whole)
        self.assertEqual(as_uid(4711, self.daemon, "DELETE", "/v1/prefixes/house")[0], 403)
        # Its own prefix is its own.
        status, own = as_uid(4711, self.daemon, "POST", "/v1/prefixes", {"name": "own", "text": "Now listen. " + OPENING})
        self.assertEqual((status, own["common"]), (200, False))
        self.assertEqual(as_uid(4712, self.daemon, "GET", "/v1/prefixes/own")[0], 404)
        self.assertEqual([p["id"] for p in as_uid(4712, self.daemon, "GET", "/v1/prefixes")[1]["data"]], ["house"])
        self.assertEqual(as_uid(4711, self.daemon, "DELETE", "/v1/prefixes/own")[0], 200)


@unittest.skipUnless(os.geteuid() == 0, "another user's processes need root")
class ListedDomains(CacheTest):
    budget, reserve, cap = 8 << 20, 2 << 20, 3 << 20

    @classmethod
    def setUpClass(cls):
        cls.settings = tempfile.NamedTemporaryFile("w", suffix=".toml")
        cls.settings.write("[server]\nsocket_mode = \"0666\"\n[engine]\nmax_sequences = 2\n"
                           "[cache]\nbudget_bytes = %d\n"
                           "[[domain]]\nname = \"photos\"\nusers = [4711, 4712]\nreserve = %d\n"
                           "[[domain]]\nname = \"mail\"\ngroups = [4713]\ncap = %d\n" % (cls.budget, cls.reserve, cls.cap))
        cls.settings.flush()
        cls.arguments = ("--config", cls.settings.name)
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.settings.close()

    def as_user(self, uid, prompt, **fields):
        status, answer = as_uid(uid, self.daemon, "POST", "/v1/completions", dict({"prompt": prompt, "max_tokens": 1}, **fields))
        self.assertEqual(status, 200, answer)
        return details(answer)["cached_tokens"]

    def domain(self, name):
        return {one["domain"]: one for one in self.report()["domains"]}[name]

    def test_users_of_a_domain_share_and_others_do_not(self):
        self.assertEqual(self.as_user(4711, OPENING), 0)
        self.assertGreater(self.as_user(4712, OPENING), 0)
        self.assertEqual(self.as_user(4713, OPENING), 0)
        self.assertEqual(self.as_user(4714, OPENING), 0)
        # A salt is a part of the domain, for all its users, and counts for it.
        before = self.domain("photos")["pages"]
        self.assertEqual(self.as_user(4711, OPENING, cache_salt="s"), 0)
        self.assertGreater(self.as_user(4712, OPENING, cache_salt="s"), 0)
        self.assertEqual(self.as_user(4713, OPENING, cache_salt="s"), 0)
        self.assertEqual(self.domain("photos")["pages"], 2 * before)
        own = as_uid(4711, self.daemon, "GET", "/v1/cache")[1]
        self.assertEqual(own["pages"], 2 * before)
        self.assertNotIn("domains", own)
        self.assertEqual(as_uid(4712, self.daemon, "POST", "/v1/cache/evict")[1]["freed_pages"], 2 * before)
        self.assertEqual(self.domain("photos")["pages"], 0)

    def test_a_flood_stays_outside_the_reserve_and_under_its_cap(self):
        report = self.report()
        self.assertEqual([one["domain"] for one in report["domains"]], ["unlisted", "common", "photos", "mail"])
        self.assertLessEqual(self.domain("photos")["reserve_bytes"], self.reserve)
        self.assertIsNone(self.domain("photos")["cap_bytes"])
        self.assertEqual(self.as_user(4711, OPENING), 0)
        pages = self.domain("photos")["pages"]
        self.assertGreater(pages, 0)
        self.assertLessEqual(pages * report["page_bytes"], self.reserve)
        n = report["pages"] // pages + 4
        for i in range(n):
            self.complete("%d. %s" % (i, OPENING), n=1)
        self.assertGreater(self.daemon.metric('kvasir_cache_evictions_total{reason="space"}'), 0)
        self.assertEqual(self.domain("photos")["pages"], pages)
        self.assertGreater(self.as_user(4712, OPENING), 0)
        for i in range(n):
            self.as_user(4713, "%d. %s" % (i, OPENING))
        mail = self.domain("mail")
        self.assertLessEqual(mail["bytes"], self.cap)
        self.assertGreater(mail["bytes"], self.cap // 2)
        self.assertEqual(self.daemon.metric('kvasir_cache_bytes{domain="mail"}'), mail["bytes"])
        self.assertEqual(self.daemon.metric('kvasir_cache_bytes{domain="unlisted"}'), self.domain("unlisted")["bytes"])
        self.assertGreater(self.as_user(4712, OPENING), 0)


class HostTier(CacheTest):
    arguments = ("--set", "cache.budget_bytes=2MiB", "--set", "engine.max_sequences=2", "--set", "cache.host_budget_bytes=16MiB")

    def test_what_the_device_has_no_room_for_comes_back(self):
        prompts = [self.tokens("%d. %s" % (i, OPENING)) for i in range(20)]
        cold = [self.complete(p, session_id="h%d" % i)["choices"][0]["tokens"] for i, p in enumerate(prompts)]
        report = self.report()
        self.assertGreater(report["host_pages"], 0)
        self.assertGreater(sum(len(p) // PAGE for p in prompts), report["pages"])
        for i, prompt in enumerate(prompts):
            warm = self.complete(prompt, session_id="h%d" % i)
            self.assertGreaterEqual(details(warm)["cached_tokens"], (len(prompt) - 1) // PAGE * PAGE)
            self.assertEqual(warm["choices"][0]["tokens"], cold[i])
        for i in range(20):
            self.ok("DELETE", "/v1/sessions/h%d" % i)
        report = self.report()
        self.assertEqual((report["host_pages"], report["free_pages"]), (0, report["pages"]))


class Overflow(CacheTest):
    arguments = ("--set", "engine.context=64", "--set", "engine.window_tokens=256")

    def test_a_window_goes_on_beyond_the_context(self):
        prompt = self.tokens(OPENING)[:40]
        whole = self.complete(prompt, 100, overflow="window")["choices"][0]["tokens"]
        self.assertEqual(len(whole), 100)
        # Within the context nothing differs; there the others end.
        plain = self.complete(prompt, 100)["choices"][0]
        self.assertEqual((plain["tokens"], plain["finish_reason"]), (whole[:24], "length"))
        # From its own pages, in company of requests that slide and that do not.
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            more = pool.submit(self.complete, prompt + whole[:60], 40, overflow="window")
            short = pool.submit(self.complete, prompt, 24)
            cold = pool.submit(self.complete, prompt, 100, overflow="window", cache_salt="cold")
        self.assertEqual(more.result()["choices"][0]["tokens"], whole[60:])
        self.assertEqual(details(more.result())["cached_tokens"], 96)
        self.assertEqual(short.result()["choices"][0]["tokens"], whole[:24])
        self.assertEqual(cold.result()["choices"][0]["tokens"], whole)
        self.assertEqual(details(cold.result())["cached_tokens"], 0)

    def test_a_window_has_an_end(self):
        prompt = self.tokens(OPENING)[:40]
        self.assertEqual(len(self.complete(prompt, 1000, overflow="window")["choices"][0]["tokens"]), 216)
        error = self.error(400, "POST", "/v1/completions", {"prompt": prompt * 7, "overflow": "window"})
        self.assertEqual(error["code"], "context_length_exceeded")
        error = self.error(400, "POST", "/v1/completions", {"prompt": prompt * 2})
        self.assertEqual(error["code"], "context_length_exceeded")

    def test_without_sinks_a_window_is_refused(self):
        daemon = Daemon("--set", "engine.sinks=0")
        status, _, answer = daemon.request("POST", "/v1/completions", {"prompt": "a", "overflow": "window"})
        daemon.close()
        self.assertEqual((status, answer["error"]["param"]), (400, "overflow"))


if __name__ == "__main__":
    del CacheTest  # the cases are in those that follow it
    unittest.main(verbosity=2)
